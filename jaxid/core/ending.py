"""How a command ends: its exit code, and one line for whatever went wrong."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator

from jaxid.core import interrupt
from jaxid.core.blame import (
    described,
    forget,
    line_in_users_file,
    of_the_machine,
    one_line,
    raised_here,
    users_file,
)
from jaxid.core.errors import Fault, InputError
from jaxid.core.folder import FULL

NARROWEST = 40
"""Columns below which nothing is laid out: in one column it takes minutes and tells nothing."""
LOUD = ("jax._src.debugging", "jax._src.callback", "absl", "asyncio")
"""Loggers that write the traceback of what is then raised too: of callbacks, and of checkpoints."""
REPORT = (
    "this is a fault of jaxid, not of your file, and nothing was certified; please report it to "
    "its authors with your file, the command and this line"
)


def exit_code(name: str, work: Callable[[], int], *, last: bool = False) -> int:
    """What ``work`` returns, or the code of how it ended, said in one line on stderr.

    2 the input is wrong, also what a user's own file raises at whatever moment; 1 a fault of jaxid
    that it found itself, or a reader that closed the output; 130 interrupted; 0 after --help. Other
    faults pass through, with their traceback.

    Args:
      name: of the command, before each line.
      work: gives the exit code.
      last: whether the process ends then.
    """
    done: int | None = None
    forget()
    try:
        with interrupt.listening(command=True, last=last), _laid_out():
            done = work()
            sys.stdout.flush()
        return done
    except BrokenPipeError:
        return _unread()
    except KeyboardInterrupt:
        when = "before there was a result to write" if done is None else "when all was written"
        return _ends(name, f"interrupted {when}", interrupt.CODE)
    except Fault as fault:
        return _ends(name, f"{fault}; {REPORT}", 1)
    except SystemExit as stop:
        place = line_in_users_file(stop)
        if place is None:  # --help
            return stop.code if isinstance(stop.code, int) else 0
        line = f"{place} ends the program: sys.exit({stop.code!r}); leave that out"
    except InputError as wrong:
        return _ends(name, str(wrong), 2)
    except OSError as failed:
        if line_in_users_file(failed) is None and _of_stdout(failed):
            return _unwritten(name, failed)
        line = _why(failed)
    except Exception as failed:  # noqa: BLE001 - whatever a user's file raises
        line = _why(failed)
    return _ends(name, line, 2)


def _why(failed: Exception) -> str:
    """One line for an error that is not jaxid's.

    Raises:
      Exception: it again, if it is.
    """
    place, machine = line_in_users_file(failed), of_the_machine(failed)
    if machine is not None:
        return machine
    if place is None and (users_file() is None or raised_here(failed)):
        raise failed
    # Of code without a file, or of a library that the user's model is of.
    where = place.failed if place else f"{users_file()} failed"
    return f"{where}: {described(failed)}"


def _ends(name: str, line: str, code: int) -> int:
    with contextlib.suppress(OSError):
        # A user's file may have put another stream there.
        stream = sys.stderr if sys.stderr is not None else sys.__stderr__
        print(one_line(f"{name}: {line}"), file=stream, flush=True)
    return code


def _unread() -> int:
    """Whoever read the output has closed it; Python must not try to flush the rest."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _unwritten(name: str, failed: OSError) -> int:
    _unread()
    why = f"the output can't be written ({failed.strerror}); let it go elsewhere"
    return _ends(name, why, 2)


def _of_stdout(failed: OSError) -> bool:
    """Whether it is of no named file: every other place that has no room is told by its name."""
    return failed.filename is None and failed.errno in FULL | {errno.EIO, errno.EBADF}


@contextlib.contextmanager
def _laid_out() -> Iterator[None]:
    """Streams and columns that everything printed fits in."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Closed by whoever started it.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a letter shows a question mark.
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    for logger in LOUD:
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    before = os.environ.get("COLUMNS")
    if shutil.get_terminal_size().columns < NARROWEST:
        os.environ["COLUMNS"] = str(NARROWEST)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("COLUMNS", None)
        else:
            os.environ["COLUMNS"] = before
