"""How a Spectrum prints and what it draws."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from jaxid.core.result import Presenter, present
from jaxid.spectra.spectrum import Spectrum


def show(result: Spectrum, console: Console) -> None:
    """Print everything that was measured."""
    from jaxid.report.curvature import print_curvature

    print_curvature(result, console)


def draw(result: Spectrum, folder: Path) -> dict[str, Path]:
    """Save every figure whose data are there; name -> the PNG's path."""
    # Matplotlib takes a second to import.
    from jaxid.plot.curvature import draw_curvature

    return draw_curvature(result, folder)


def title(result: Spectrum) -> str:
    """In a few words."""
    from jaxid.report.curvature import title

    return title(result)


present(Spectrum, Presenter(show, draw, title))
