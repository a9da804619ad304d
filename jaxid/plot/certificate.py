"""The figures of ``jaxid certify``."""

from __future__ import annotations

from pathlib import Path

from jaxid.plot import certified_error, worst_inputs
from jaxid.plot.style import Arrays, Record, save

_MODULES = {"certified_error": certified_error, "worst_inputs": worst_inputs}


def draw_certificate(record: Record, arrays: Arrays, folder: Path) -> dict[str, Path]:
    """Save every figure whose data are there as PNG and SVG; name -> the PNG's path."""
    return save({name: module.draw for name, module in _MODULES.items()}, record, arrays, folder)
