"""Each layer's own block of the Hessian, side by side."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from jaxid.core.wording import estimate, number
from jaxid.plot.density import drawn
from jaxid.plot.style import BLUE, GREY, RED, new_figure, note, plain
from jaxid.spectra.point import PointSpectrum
from jaxid.spectra.spectrum import Spectrum
from jaxid.spectra.words import STAGES


def draw(result: Spectrum) -> Figure | None:
    """One row for each layer: nodes of its density, sized by weight; None without layers."""
    if not result.points:
        return None
    point = result.points[-1]
    found = [(layer, drawn(layer)) for layer in point.layers]
    shown = [(layer, density) for layer, density in found if density is not None]
    if not shown:
        return None
    figure = new_figure(1.6 + 0.55 * len(shown), _title(point))
    axes = plain(figure.add_subplot(), "|eigenvalue| of the layer's block")
    axes.set_xscale("log")
    axes.grid(axis="y", visible=False)
    for place, (layer, density) in enumerate(shown):
        floor, nodes = density.blur, density.nodes
        weights = density.weights / density.weights.shape[0]
        for sign, colour in ((1, BLUE), (-1, RED)):
            inside = sign * nodes > floor
            sizes = 6 + 160 * weights[inside] ** 0.5
            axes.scatter(
                np.abs(nodes[inside]),
                np.full(inside.sum(), place + (0.0 if sign > 0 else 0.18)),
                s=sizes,
                color=colour,
                alpha=0.3,
                linewidths=0,
            )
        axes.plot([floor] * 2, [place - 0.3, place + 0.3], color=GREY, lw=1.0)
        note(
            axes,
            float(np.abs(nodes).max()) * 1.6,
            place,
            estimate(layer.lambda_max),
            BLUE,
            coordinates="data",
            va="center",
        )
    axes.set_yticks(range(len(shown)), [layer.name for layer, _ in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * 30)
    return figure


def _title(point: PointSpectrum) -> str:
    tops = [(layer.lambda_max.value or 0.0, layer.name) for layer in point.layers]
    highest, lowest = max(tops), min(tops)
    name = STAGES[point.name]
    if lowest[0] <= 0:
        return f"Layers' own curvature {name}: the steepest is {highest[1]}"
    ratio = number(highest[0] / lowest[0])
    return f"Layers' own curvature {name} differs by a factor of {ratio}: most in {highest[1]}"


def caption(result: Spectrum) -> str:
    """What to see."""
    del result
    return (
        "The diagonal block of the Hessian that belongs to each layer's own weights, the others "
        "held. Dots are nodes of its density, larger where more eigenvalues are (blue positive, "
        "red negative); the number is the largest. Left of the grey mark they can't be told from "
        "0 and are not drawn."
    )
