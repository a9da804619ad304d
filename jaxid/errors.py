"""Errors that a user can mend: one line that says what is wrong and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable


class InputError(ValueError):
    """The input is wrong. The message is one line: what is wrong, then the fix.

    The command line prints it on stderr without a traceback and exits with 2.
    """


class Fault(RuntimeError):
    """A fault of jaxid that it found itself. The message says what came out, and where.

    The command line prints it on stderr with how to report it and exits with 1; nothing is
    written.
    """


REPORT = (
    "this is a fault of jaxid, not of your file, and nothing was certified; please report it to "
    "its authors with your file, the command and this line"
)


def exit_code(name: str, work: Callable[[], int]) -> int:
    """What ``work`` returns, or the code of how it ended, said in one line on stderr.

    2 the input is wrong, 1 a fault of jaxid that it found itself, 130 interrupted, 0 after
    --help. Other faults pass through.
    """
    try:
        return work()
    except InputError as wrong:
        print(f"{name}: {wrong}", file=sys.stderr)
        return 2
    except Fault as fault:
        print(f"{name}: {fault}; {REPORT}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted before there was a result to write", file=sys.stderr)
        return 130
    except SystemExit as stop:  # --help
        return int(stop.code or 0)
