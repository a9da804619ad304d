"""Figures: a record and its arrays become pictures; nothing is computed here.

One module per figure, each with ``draw(record, arrays) -> Figure | None`` (None where the
data are not there) and ``caption(record, arrays) -> str``. Matplotlib's object API only: no
current figure is made, and none of the caller's is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

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
from jaxid.plot.style import DPI, Arrays, Caption, Draw, Record, save

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
FIGURES: Mapping[str, Draw] = {name: module.draw for name, module in _MODULES.items()}
"""Every figure by name, in reading order."""
CAPTIONS: Mapping[str, Caption] = {name: module.caption for name, module in _MODULES.items()}
"""What to see in each; to be called only where the figure exists."""


def draw(record: Record, arrays: Arrays, folder: Path) -> dict[str, Path]:
    """Save every figure whose data are there as PNG (150 dpi) and SVG.

    Args:
      record: the diagnosis.
      arrays: what lies behind the figures, by the names that `jaxid.diagnosis` gives them.
      folder: made if missing.

    Returns:
      Name -> the PNG's path, in reading order.
    """
    return save(FIGURES, record, arrays, folder)


def captions(record: Record, arrays: Arrays, names: Iterable[str]) -> dict[str, str]:
    """The captions of these figures, which `draw` made of the same data."""
    return {name: CAPTIONS[name](record, arrays) for name in names}


__all__ = ["CAPTIONS", "DPI", "FIGURES", "captions", "draw"]
