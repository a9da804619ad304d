"""Between which errors the worst one lies, against the width of the interval."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from jaxid.certification.certified import Certification
from jaxid.certification.regions import RegionKind
from jaxid.certification.words import headline
from jaxid.plot.style import BLUE, GREY, RED, SMALL, new_figure, plain


def draw(result: Certification) -> Figure | None:
    """Certified and attained worst error over the half width of the box; None without a curve."""
    rows = [row for row in result.regions if row.kind is RegionKind.CURVE]
    if not rows:
        return None
    width = np.array([row.half_width for row in rows])
    # None where there is no bound: no line there.
    upper = np.array([row.upper.value for row in rows], float)
    lower = np.array([row.lower.value for row in rows], float)
    figure = new_figure(4.0, headline(result))
    axes = plain(
        figure.subplots(),
        "half width of the interval about the middle of the data's range, every feature in it",
        "worst error of one output",
    )
    axes.plot(width, upper, "o-", color=RED, lw=1.6, ms=4, label="no input does worse (certified)")
    axes.plot(width, lower, "s-", color=BLUE, lw=1.6, ms=4, label="an input does this (attack)")
    axes.fill_between(width, lower, upper, color=GREY, alpha=0.15, lw=0)
    edge = next((row.half_width for row in rows if row.share == 1.0), None)
    axes.set_xscale("log")
    if np.all(lower > 0):
        axes.set_yscale("log")
    if edge is not None:
        axes.axvline(edge, color=GREY, lw=1.0, ls="--")
        axes.text(edge, 0.02, " edge of the data", color=GREY, fontsize=SMALL, va="bottom",
                  transform=axes.get_xaxis_transform())  # fmt: skip
    axes.legend(frameon=False, fontsize=SMALL, loc="upper left")
    return figure
