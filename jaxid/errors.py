"""Errors that a user can mend: one line that says what is wrong and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable


class InputError(ValueError):
    """The input is wrong. The message is one line: what is wrong, then the fix.

    The command line prints it on stderr without a traceback and exits with 2.
    """


def exit_code(name: str, work: Callable[[], int]) -> int:
    """What ``work`` returns, or the code of how it ended, said in one line on stderr.

    2 the input is wrong, 130 interrupted, 0 after --help. Faults of jaxid pass through.
    """
    try:
        return work()
    except InputError as wrong:
        print(f"{name}: {wrong}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted before there was a result to write", file=sys.stderr)
        return 130
    except SystemExit as stop:  # --help
        return int(stop.code or 0)
