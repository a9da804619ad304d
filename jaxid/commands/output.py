"""The folder that a command writes to: checked before anything is computed, filled after."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from jaxid.errors import InputError
from jaxid.report.json_file import write_json


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
