"""A user's own Problem out of a Python file: FILE.py:NAME."""

from __future__ import annotations

import contextlib
import runpy
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

from jaxid.admission import admit
from jaxid.errors import InputError
from jaxid.problem import Problem


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
    with _run(path) as names:
        found = _named(path, names, name, Problem)
        if not isinstance(found, (Problem, type)) and callable(found):
            found = found()
        if isinstance(found, Problem):
            # Inside, so that what the model or loss raises is one line too.
            remarks = admit(found, gradient=gradient)
    if not isinstance(found, Problem):
        raise InputError(f"{name} in {path} is a {type(found).__name__}; make it a jaxid.Problem")
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
    with _run(path) as names:
        found = _named(path, names, name, FunctionType)
    if not callable(found):
        raise InputError(f"{name} in {path} is a {type(found).__name__}; make it a function")
    function: Callable[[Any], Any] = found
    return function


def _split(target: str) -> tuple[Path, str]:
    path_text, colon, name = target.rpartition(":")
    path = Path(path_text)
    if not colon or path.suffix != ".py":
        raise InputError(f"{target} is not FILE.py:NAME; name a file and what to take from it")
    if not path.is_file():
        raise InputError(f"there is no file {path}; give the path of the file that has {name}")
    return path, name


@contextlib.contextmanager
def _run(path: Path) -> Iterator[dict[str, Any]]:
    """The file's names; what fails in it, then or inside the block, is one line."""
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        yield runpy.run_path(str(path), run_name="jaxid_problem")
    except InputError:
        raise
    except Exception as failed:  # noqa: BLE001 - whatever a user's file raises
        # The user's line, not jaxid's: the last frame in their file.
        frames = traceback.extract_tb(failed.__traceback__)
        lines = [f.lineno for f in frames if Path(f.filename).name == path.name]
        where = f" at line {lines[-1]}" if lines else ""
        message = str(failed).splitlines()[0] if str(failed) else ""
        raise InputError(f"{path} failed{where}: {type(failed).__name__}: {message}") from None
    finally:
        sys.path.pop(0)


def _named(path: Path, names: dict[str, Any], name: str, kind: type) -> Any:
    if name in names:
        return names[name]
    known = [n for n, value in names.items() if isinstance(value, kind)]
    what = "Problem" if kind is Problem else "function"
    there = f"it has {', '.join(known)}" if known else f"it has no {what} at all"
    raise InputError(f"{path} has no {name}; {there}")
