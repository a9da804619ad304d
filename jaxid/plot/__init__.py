"""Figures: results become pictures; nothing is computed here.

One module per figure, each with ``draw(result) -> Figure | None`` (None where the data are not
there) and ``caption(result) -> str``. Those of a diagnosis are listed here. Matplotlib's object
API only: no current figure is made, and none of the caller's is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from matplotlib.figure import Figure

from jaxid.identity.diagnosis import Diagnosis
from jaxid.plot import (
    budget,
    dead_units,
    effective_kappa,
    images,
    loss_curves,
    remedies,
    spectrum,
    stability,
    two_solutions,
)
from jaxid.plot.style import DPI, save_figures

_MODULES = {
    "loss_curves": loss_curves,
    "budget": budget,
    "dead_units": dead_units,
    "images": images,
    "spectrum": spectrum,
    "effective_kappa": effective_kappa,
    "stability": stability,
    "two_solutions": two_solutions,
    "remedies": remedies,
}
FIGURES: Mapping[str, Callable[[Diagnosis], Figure | None]] = {
    name: module.draw for name, module in _MODULES.items()
}
"""Every figure by name, in reading order."""
CAPTIONS: Mapping[str, Callable[[Diagnosis], str]] = {
    name: module.caption for name, module in _MODULES.items()
}
"""What to see in each; to be called only where the figure exists."""


def draw(diagnosis: Diagnosis, folder: Path) -> dict[str, Path]:
    """Save every figure whose data are there; name -> the PNG's path, in reading order."""
    return save_figures(FIGURES, diagnosis, folder)


def captions(diagnosis: Diagnosis, names: Iterable[str]) -> dict[str, str]:
    """The captions of these figures, which `draw` made of the same diagnosis."""
    return {name: CAPTIONS[name](diagnosis) for name in names}


__all__ = ["CAPTIONS", "DPI", "FIGURES", "captions", "draw"]
