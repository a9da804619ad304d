"""Hadamard's second question: two exact solutions and an input on which they differ."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from jaxid.core.wording import number
from jaxid.plot.images import show
from jaxid.plot.style import BLUE, INK, NORMAL, ORANGE, Arrays, Record, new_figure, note, plain

MOST = 3
"""Inputs shown."""


def draw(record: Record, arrays: Arrays) -> Figure | None:
    """The input, both answers and their difference; None without two solutions."""
    if "solutions/input" not in arrays:
        return None
    inputs, first, second = (
        np.atleast_2d(np.asarray(arrays[f"solutions/{name}"], float))[:MOST]
        for name in ("input", "a", "b")
    )
    same = "both exact" if _exact(record) else "both of the least loss"
    title = f"Two solutions, {same} on all training data, disagree elsewhere"
    if "solutions/shape" not in arrays:
        return _as_lines(title, inputs[0], first[0], second[0])
    shape = tuple(int(side) for side in arrays["solutions/shape"])
    rows = inputs.shape[0]
    figure = new_figure(0.75 + 1.75 * rows, title)
    grid = figure.subplots(rows, 4, squeeze=False)
    top = float(inputs.max()) or 1.0
    names = ("input, unlike the data", "solution A's answer", "solution B's answer", "B minus A")
    for column, name in enumerate(names):
        grid[0, column].set_title(name, fontsize=NORMAL, color=INK)
    unique = (record.get("well_posed") or {}).get("unique") or {}
    labels = (unique.get("two_solutions") or {}).get("names") or [""] * rows
    for row in range(rows):
        grid[row, 0].set_ylabel(labels[row], fontsize=NORMAL, color=INK)
        for column, values in enumerate((inputs[row], first[row], second[row])):
            show(grid[row, column], values, shape, vmin=0, vmax=top, cmap="gray")
        gap = second[row] - first[row]
        size = float(np.abs(gap).max()) or 1.0
        picture = show(grid[row, 3], gap, shape, vmin=-size, vmax=size, cmap="RdBu_r")
        bar = figure.colorbar(picture, ax=grid[row, 3], shrink=0.85)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8)
    return figure


def _exact(record: Record) -> bool:
    return (record.get("representation") or {}).get("verdict", "exact") == "exact"


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


def caption(record: Record, arrays: Arrays) -> str:
    """What to see, with this run's numbers."""
    unique = (record.get("well_posed") or {}).get("unique") or {}
    flat = unique.get("null_dim")
    gap = np.asarray(arrays["solutions/b"], float) - np.asarray(arrays["solutions/a"], float)
    reach = "give the training data back exactly"
    if not _exact(record):
        reach = "answer all training data alike"
    text = (
        f"Both sets of parameters {reach}, so no loss can tell them apart; on an input outside "
        f"the span of the data they differ by up to {number(float(np.abs(gap).max()))}"
    )
    return f"{text}. {number(flat)} directions are free in this way." if flat else f"{text}."
