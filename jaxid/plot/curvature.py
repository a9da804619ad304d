"""The figures of ``jaxid spectrum``."""

from __future__ import annotations

from pathlib import Path

from jaxid.plot import along_training, density, layer_spectra, optimizer_limit
from jaxid.plot.style import save_figures
from jaxid.spectra.spectrum import Spectrum

_MODULES = {
    "density": density,
    "layer_spectra": layer_spectra,
    "optimizer_limit": optimizer_limit,
    "along_training": along_training,
}


def draw_curvature(result: Spectrum, folder: Path) -> dict[str, Path]:
    """Save every figure whose data are there as PNG and SVG; name -> the PNG's path."""
    figures = {name: module.draw for name, module in _MODULES.items()}
    return save_figures(figures, result, folder)
