"""How a command begins and ends: its folder checked before anything is computed, filled after."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxid.core import interrupt
from jaxid.core.arrays import write_arrays
from jaxid.core.folder import Folder, claimed
from jaxid.core.io import write_values


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


def write_numbers(
    record: dict[str, Any], arrays: dict[str, np.ndarray], folder: Path, name: str
) -> None:
    """``folder``/NAME.json, strict, and ``folder``/NAME.npz, its arrays in order."""
    write_values(record, folder / f"{name}.json")
    write_arrays(arrays, folder / f"{name}.npz")


def finish(
    record: dict[str, Any],
    arrays: dict[str, np.ndarray],
    out: Folder,
    name: str,
    draw: Callable[[dict[str, Any], dict[str, np.ndarray], Path], dict[str, Path]],
    show: Callable[[dict[str, Any]], None],
    notes: Console,
) -> int:
    """Write NAME.json, .npz and the figures, print, and give the exit code.

    Args:
      record: with ``interrupted``, where an interrupt came, or None.
      arrays, name: as in `write_numbers`.
      out: the folder.
      draw: (record, arrays, folder) -> the figures that were drawn.
      show: prints the record.
      notes: for what is not the result.
    """
    with out.adding(f"{name}.json and {name}.npz", last=False) as stage:
        write_numbers(record, arrays, stage, name)
    with out.adding("the figures") as stage:
        drawn = draw(record, arrays, stage / "figures")
    show(record)
    if record["interrupted"]:
        what = f"interrupted ({record['interrupted']}); what was finished is written"
        notes.print(what, highlight=False, style="dim")
    figures = f"   figures: {out.path / 'figures'}" if drawn else ""
    print(f"\ndata: {out.path / name}.json, .npz{figures}")
    return interrupt.CODE if record["interrupted"] else 0
