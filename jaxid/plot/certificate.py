"""The figures of a Certification."""

from __future__ import annotations

from pathlib import Path

from jaxid.certification.certified import Certification
from jaxid.plot import certified_error, worst_inputs
from jaxid.plot.style import save_figures

_MODULES = {"certified_error": certified_error, "worst_inputs": worst_inputs}


def draw_certificate(result: Certification, folder: Path) -> dict[str, Path]:
    """Save every figure whose data are there as PNG and SVG; name -> the PNG's path."""
    figures = {name: module.draw for name, module in _MODULES.items()}
    return save_figures(figures, result, folder)
