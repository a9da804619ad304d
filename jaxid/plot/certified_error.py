"""Between which errors the worst one lies, against the width of the interval."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from jaxid.core.wording import number
from jaxid.plot.style import BLUE, GREY, RED, SMALL, Arrays, Record, new_figure, plain


def draw(record: Record, arrays: Arrays) -> Figure | None:
    """Certified and attained worst error over the half width of the box; None without a curve."""
    del arrays
    rows = [row for row in record["regions"] if row["share"] is not None]
    if not rows:
        return None
    width = np.array([row["half_width"] for row in rows])
    # None where there is no bound: no line there.
    upper = np.array([row["upper"]["value"] for row in rows], float)
    lower = np.array([row["lower"]["value"] for row in rows])
    figure = new_figure(4.0, title(record))
    axes = plain(
        figure.subplots(),
        "half width of the interval about the middle of the data's range, every feature in it",
        "worst error of one output",
    )
    axes.plot(width, upper, "o-", color=RED, lw=1.6, ms=4, label="no input does worse (certified)")
    axes.plot(width, lower, "s-", color=BLUE, lw=1.6, ms=4, label="an input does this (attack)")
    axes.fill_between(width, lower, upper, color=GREY, alpha=0.15, lw=0)
    edge = next((row["half_width"] for row in rows if row["share"] == 1.0), None)
    axes.set_xscale("log")
    if np.all(lower > 0):
        axes.set_yscale("log")
    if edge is not None:
        axes.axvline(edge, color=GREY, lw=1.0, ls="--")
        axes.text(edge, 0.02, " edge of the data", color=GREY, fontsize=SMALL, va="bottom",
                  transform=axes.get_xaxis_transform())  # fmt: skip
    axes.legend(frameon=False, fontsize=SMALL, loc="upper left")
    return figure


def title(record: Record) -> str:
    """The range's worst error in one line."""
    row = record["regions"][0]
    low, high = row["lower"]["value"], row["upper"]["value"]
    if high is None:
        return f"With {row['words']} the worst error is at least {number(low)}; it has no bound"
    if high <= low * (1 + 1e-6):
        return f"With {row['words']} the worst error is {number(high)}, known exactly"
    return f"With {row['words']} the worst error is between {number(low)} and {number(high)}"
