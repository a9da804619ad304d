"""What the optimizer sees of the curvature, beside the limit of its own update."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from jaxid.core.wording import estimate, number
from jaxid.plot.density import LEAST, drawn, sides
from jaxid.plot.style import BLUE, GREY, INK, ORANGE, RED, new_figure, note, plain
from jaxid.spectra.point import PointSpectrum
from jaxid.spectra.spectrum import Spectrum
from jaxid.spectra.words import STAGES, moments


def draw(result: Spectrum) -> Figure | None:
    """The density of R^(1/2) H R^(1/2) at each point; None without an optimizer's view."""
    points = [point for point in result.points if drawn(point.preconditioned) is not None]
    if not points:
        return None
    figure = new_figure(3.8, _title(points[-1]))
    axes = plain(figure.add_subplot(), "rate times curvature, positive part", "share in a bin")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for row, (point, colour) in enumerate(zip(points, (BLUE, ORANGE), strict=False)):
        found = point.preconditioned
        assert found is not None and found.density is not None
        both = sides(found.density.nodes, found.density.weights, found.density.blur)
        if 1 not in both:
            continue
        side = both[1]
        axes.stairs(np.maximum(side.share, LEAST), 10**side.edges, color=colour, lw=1.8)
        text = f"{STAGES[point.name]}: largest {estimate(found.lambda_max)}"
        note(axes, 0.99, 0.97 - 0.07 * row, text, colour, ha="right", va="top", fontweight="bold")
    limit = points[-1].optimizer.limit.value
    if limit is not None:
        axes.axvline(limit, color=RED, lw=1.4)
        axes.text(
            limit,
            0.03,
            f" limit {number(limit)}",
            color=RED,
            fontsize=8.5,
            va="bottom",
            transform=axes.get_xaxis_transform(),
        )
    axes.set_ylim(LEAST, 300)
    below = 0.97 - 0.07 * len(points)
    note(axes, 0.99, below, moments(points[-1].optimizer), GREY, ha="right", va="top")
    text = "right of the limit: those modes grow"
    note(axes, 0.99, below - 0.07, text, INK, ha="right", va="top")
    return figure


def _title(point: PointSpectrum) -> str:
    found, name = point.preconditioned, STAGES[point.name]
    limit, top = point.optimizer.limit.value, None if found is None else found.lambda_max.value
    if limit is None or top is None:
        return f"What the optimizer sees {name}"
    side = "above" if top > limit else "below"
    return (
        f"What the optimizer sees {name}: rate times curvature up to {number(top)}, {side} the "
        f"limit of {number(limit)}"
    )


def caption(result: Spectrum) -> str:
    """What to see."""
    del result
    return (
        "Eigenvalues of the Hessian between the square roots of the optimizer's effective rates. "
        "On a quadratic with its second moments frozen, modes beyond the limit, which is read off "
        "the optimizer's own update, grow from step to step; below it all shrink."
    )
