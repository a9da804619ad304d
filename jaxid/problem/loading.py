"""A user's own Problem out of a Python file: FILE.py:NAME."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import os
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, NoReturn
from unittest import mock

from jaxid.core import interrupt
from jaxid.core.blame import (
    described,
    line_in_users_file,
    of_the_machine,
    owned,
    raised_here,
)
from jaxid.core.errors import Fault, InputError
from jaxid.problem.admission import admit
from jaxid.problem.problem import Problem


def load_problem(
    target: str, tell: Callable[[str], None] = lambda line: None, *, gradient: bool = True
) -> Problem:
    """Run the file and take the Problem of that name, or call it if it makes one.

    Args:
      target: ``path/to/file.py:NAME``; NAME is a `Problem` or a function without arguments
        that returns one. The file's folder is importable while it runs.
      tell: is given what is worth saying of it, a line each.
      gradient: whether anything of it is to be differentiated.

    Raises:
      InputError: one line, for a missing file, a name that is not there, anything that is no
        Problem, or a file that fails; the last names the line that did.
    """
    path, name = _split(target)
    remarks: list[str] = []
    with _users(path):
        names = _run(path)
        found = _named(path, names, name, Problem)
        if not isinstance(found, (Problem, type)) and callable(found):
            try:
                inspect.signature(found).bind()
            except TypeError as wrong:
                raise InputError(
                    f"{name} in {path} can't be called without arguments ({wrong}); give it none"
                ) from None
            found = found()
        if not isinstance(found, Problem):
            raise InputError(
                f"{name} in {path} is a {type(found).__name__}; make it a jaxid.Problem"
            )
        # Inside, so that what the model or loss raises is one line too.
        remarks = admit(found, gradient=gradient)
    for line in remarks:
        tell(line)
    return found


def load_function(target: str) -> Callable[[Any], Any]:
    """Run the file and take the function of that name.

    Args:
      target: ``path/to/file.py:NAME``.

    Raises:
      InputError: as in `load_problem`.
    """
    path, name = _split(target)
    with _users(path):
        found = _named(path, _run(path), name, FunctionType)
    if not callable(found):
        raise InputError(f"{name} in {path} is a {type(found).__name__}; make it a function")
    function: Callable[[Any], Any] = found
    return function


def _split(target: str) -> tuple[Path, str]:
    path_text, colon, name = target.rpartition(":")
    path = Path(path_text)
    if not colon or path.suffix != ".py":
        raise InputError(f"{target} is not FILE.py:NAME; name a file and what to take from it")
    try:
        there = path.is_file()
    except (OSError, ValueError):
        there = False
    if not there:
        raise InputError(f"there is no file {path}; give the path of the file that has {name}")
    return path, name


def _run(path: Path) -> dict[str, Any]:
    """The file's names. It is run as a script without arguments, whoever parses them."""
    arguments, sys.argv, here = sys.argv, [str(path)], os.getcwd()
    streams = sys.stdout, sys.stderr
    try:
        return runpy.run_path(str(path), run_name="jaxid_problem")
    finally:
        sys.argv = arguments
        sys.stdout, sys.stderr = streams
        interrupt.retake()
        # What jaxid writes goes where it was asked to.
        os.chdir(here)


class _Exit(Exception):
    """What argparse would have ended the program for."""


def _refused(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    raise _Exit(message)


def _exited(parser: argparse.ArgumentParser, status: int = 0, message: str | None = None) -> None:
    raise _Exit(message or f"status {status}")


@contextlib.contextmanager
def _users(path: Path) -> Iterator[None]:
    """Whatever the user's code raises inside of the block is one line with its place."""
    owned(path)
    beside = str(path.parent.resolve())
    sys.path.insert(0, beside)
    try:
        with (
            # Ctrl-C is the user's code's, wherever it stands.
            interrupt.immediate(),
            mock.patch.object(argparse.ArgumentParser, "error", _refused),
            mock.patch.object(argparse.ArgumentParser, "exit", _exited),
        ):
            yield
    except InputError as wrong:
        place = line_in_users_file(wrong)
        raise InputError(f"{place}: {wrong}" if place else str(wrong)) from None
    except _Exit as wrong:
        raise InputError(
            f"{line_in_users_file(wrong) or path} parses arguments, and jaxid gives it none "
            f"({wrong}); give each a default, or parse under if __name__ == '__main__'"
        ) from None
    except SystemExit as stop:
        raise InputError(
            f"{line_in_users_file(stop) or path} ends the program: sys.exit({stop.code!r}); put "
            "that under if __name__ == '__main__'"
        ) from None
    except KeyboardInterrupt:
        raise
    except Fault:
        raise
    except BaseException as failed:
        place, machine = line_in_users_file(failed), of_the_machine(failed)
        if place is None and machine is None and raised_here(failed):
            raise
        where = place.failed if place else f"{path} failed"
        raise InputError(machine or f"{where}: {described(failed)}") from None
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(beside)


def _named(path: Path, names: dict[str, Any], name: str, kind: type) -> Any:
    if name in names:
        return names[name]
    known = [n for n, value in names.items() if isinstance(value, kind)]
    what = "Problem" if kind is Problem else "function"
    there = f"it has {', '.join(known)}" if known else f"it has no {what} at all"
    raise InputError(f"{path} has no {name}; {there}")
