"""Hadamard's second question: two exact solutions and an input on which they differ."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from jaxid.core.wording import number
from jaxid.identity.diagnosis import Diagnosis
from jaxid.identity.representation import Reach
from jaxid.identity.solutions import TwoSolutions
from jaxid.plot.images import show
from jaxid.plot.style import BLUE, INK, NORMAL, ORANGE, new_figure, note, plain

MOST = 3
"""Inputs shown."""


def draw(diagnosis: Diagnosis) -> Figure | None:
    """The input, both answers and their difference; None without two solutions."""
    pair = _pair(diagnosis)
    if pair is None:
        return None
    inputs, first, second = (
        np.asarray(values, float)[:MOST] for values in (pair.inputs, pair.a, pair.b)
    )
    same = "both exact" if _exact(diagnosis) else "both of the least loss"
    title = f"Two solutions, {same} on all training data, disagree elsewhere"
    if pair.shape is None:
        return _as_lines(title, inputs[0], first[0], second[0])
    shape = pair.shape
    rows = inputs.shape[0]
    figure = new_figure(0.75 + 1.75 * rows, title)
    grid = figure.subplots(rows, 4, squeeze=False)
    top = float(inputs.max()) or 1.0
    names = ("input, unlike the data", "solution A's answer", "solution B's answer", "B minus A")
    for column, name in enumerate(names):
        grid[0, column].set_title(name, fontsize=NORMAL, color=INK)
    for row in range(rows):
        grid[row, 0].set_ylabel(pair.names[row], fontsize=NORMAL, color=INK)
        for column, values in enumerate((inputs[row], first[row], second[row])):
            show(grid[row, column], values, shape, vmin=0, vmax=top, cmap="gray")
        gap = second[row] - first[row]
        size = float(np.abs(gap).max()) or 1.0
        picture = show(grid[row, 3], gap, shape, vmin=-size, vmax=size, cmap="RdBu_r")
        bar = figure.colorbar(picture, ax=grid[row, 3], shrink=0.85)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8)
    return figure


def _pair(diagnosis: Diagnosis) -> TwoSolutions | None:
    posed = diagnosis.well_posed
    return None if posed is None else posed.unique.two_solutions


def _exact(diagnosis: Diagnosis) -> bool:
    found = diagnosis.representation
    return found is None or found.verdict is Reach.EXACT


def _as_lines(title: str, given: np.ndarray, first: np.ndarray, second: np.ndarray) -> Figure:
    figure = new_figure(3.4, title)
    axes = plain(figure.add_subplot(), "feature", "value")
    place = np.arange(given.size)
    axes.plot(place, given, color=INK, linewidth=1.0, linestyle=":")
    axes.plot(place, first, color=BLUE, linewidth=1.6)
    axes.plot(place, second, color=ORANGE, linewidth=1.6)
    for row, (text, colour) in enumerate(
        (("dotted: the input", INK), ("solution A", BLUE), ("solution B", ORANGE))
    ):
        note(axes, 1.02, 0.95 - 0.1 * row, text, colour, va="top")
    return figure


def caption(diagnosis: Diagnosis) -> str:
    """What to see, with this run's numbers."""
    pair = _pair(diagnosis)
    assert pair is not None and diagnosis.well_posed is not None, "there is no such figure"
    flat = diagnosis.well_posed.unique.null_dim
    gap = np.asarray(pair.b, float) - np.asarray(pair.a, float)
    reach = "give the training data back exactly"
    if not _exact(diagnosis):
        reach = "answer all training data alike"
    text = (
        f"Both sets of parameters {reach}, so no loss can tell them apart; on an input outside "
        f"the span of the data they differ by up to {number(float(np.abs(gap).max()))}"
    )
    return f"{text}. {number(flat)} directions are free in this way." if flat else f"{text}."
