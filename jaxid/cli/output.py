"""How a command begins and ends: its folder checked before anything is computed, filled after."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from jaxid.core import interrupt
from jaxid.core.folder import Folder, claimed
from jaxid.core.result import WIDTH, Result

R = TypeVar("R", bound=Result)


def named_first(argv: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """(FILE.py:NAME or None, the flags)."""
    if argv and not argv[0].startswith("-"):
        return argv[0], argv[1:]
    return None, argv


def claimed_out(
    out: Path, overwrite: bool, notes: Console
) -> contextlib.AbstractContextManager[Folder]:
    """``--out`` for the length of a command, checked before anything is computed.

    Raises:
      InputError: one line with the fix.
    """

    def tell(line: str) -> None:
        notes.print(line, highlight=False)

    return claimed(out, overwrite=overwrite, tell=tell)


def results() -> Console:
    """Where results are printed; where that is no terminal it is `WIDTH` wide."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def finished(
    result: R,
    interrupted: str | None,
    out: Folder,
    notes: Console,
    show: Callable[[R, Console], None] | None = None,
) -> int:
    """Write a result and its figures, print it, and give the exit code.

    Args:
      result: what the command found.
      interrupted: where an interrupt came, in words; None if none came.
      out: the folder.
      notes: for what is not the result.
      show: prints what of it has not been printed yet; all of it if None.
    """
    drawn = result.write(out)
    if show is None:
        result.print(results())
    else:
        show(result, results())
    if interrupted is not None:
        what = f"interrupted ({interrupted}); what was finished is written"
        notes.print(what, highlight=False, style="dim")
    figures = f"   figures: {out.path / 'figures'}" if drawn else ""
    print(f"\ndata: {out.path / result.STEM}.json, .npz{figures}")
    return 0 if interrupted is None else interrupt.CODE
