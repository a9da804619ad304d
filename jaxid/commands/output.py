"""How a command begins and ends: its folder checked before anything is computed, filled after."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxid.errors import InputError
from jaxid.report.json_file import write_json


def named_first(argv: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """(FILE.py:NAME or None, the flags)."""
    if argv and not argv[0].startswith("-"):
        return argv[0], argv[1:]
    return None, argv


def check_out(out: Path, overwrite: bool) -> None:
    """Refuse a folder that can't be written or holds something, and write nothing.

    Raises:
      InputError: one line with the fix.
    """
    try:
        if out.exists() and not out.is_dir():
            raise InputError(f"--out {out} is a file; name a folder")
        if out.is_dir() and any(out.iterdir()) and not overwrite:
            raise InputError(f"--out {out} is not empty; add --overwrite or name another folder")
        parent = out
        while not parent.exists():
            parent = parent.parent
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as failed:
        raise InputError(
            f"--out {out} can't be written ({failed.strerror}); name a folder you may write to"
        ) from None


def write_numbers(
    record: dict[str, Any], arrays: dict[str, np.ndarray], out: Path, name: str
) -> None:
    """``out``/NAME.json, strict, and ``out``/NAME.npz, its arrays in order."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(record, out, f"{name}.json")
    named: Any = {key: arrays[key] for key in sorted(arrays)}
    np.savez_compressed(out / f"{name}.npz", **named)


def finish(
    record: dict[str, Any],
    arrays: dict[str, np.ndarray],
    out: Path,
    name: str,
    draw: Callable[[dict[str, Any], dict[str, np.ndarray], Path], dict[str, Path]],
    show: Callable[[dict[str, Any]], None],
    notes: Console,
) -> int:
    """Write ``out``/NAME.json, .npz and the figures, print, and give the exit code.

    Args:
      record: with ``interrupted``, where an interrupt came, or None.
      arrays, out, name: as in `write_numbers`.
      draw: (record, arrays, folder) -> the figures that were drawn.
      show: prints the record.
      notes: for what is not the result.
    """
    write_numbers(record, arrays, out, name)
    drawn = draw(record, arrays, out / "figures")
    show(record)
    if record["interrupted"]:
        what = f"interrupted ({record['interrupted']}); what was finished is written"
        notes.print(what, highlight=False, style="dim")
    figures = f"   figures: {out / 'figures'}" if drawn else ""
    print(f"\ndata: {out / name}.json, .npz{figures}")
    return 130 if record["interrupted"] else 0
