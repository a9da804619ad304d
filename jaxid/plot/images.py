"""What the network makes of test images, and which pixels it never learned."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from jaxid.core.wording import number
from jaxid.identity.diagnosis import DeadAnswer, Diagnosis
from jaxid.identity.pictures import Images
from jaxid.plot.style import GREY, INK, NORMAL, RED, SMALL, WIDTH, new_figure

KINDS = (("learns", "#F4F4F4"), ("dead, but never varies", "#9A9A9A"), ("dead, and matters", RED))
ANSWERS = {
    DeadAnswer.SKIP: ("is its input", "are their inputs"),
    DeadAnswer.ZERO: ("stays black", "stay black"),
    DeadAnswer.CONSTANT: ("stays the same", "stay the same"),
}
"""What one dead output's pixel does, and what several do."""


def draw(diagnosis: Diagnosis) -> Figure | None:
    """Inputs above outputs, the error by pixel, the dead pixels; None without images."""
    found = diagnosis.images
    if found is None or found.shape is None:
        return None
    shape, inputs, outputs = found.shape, found.input, found.output
    count = inputs.shape[0]
    kinds = _kinds(diagnosis, found)
    small = (WIDTH - 0.7) / count
    figure = new_figure(2 * small + 3.4, _title(diagnosis, kinds))
    parts = np.asarray(figure.subfigures(2, 1, height_ratios=(2 * small + 0.1, 2.7)))
    above, below = parts.flat
    grid = above.subplots(2, count, squeeze=False)
    top = found.maximum
    for row, (values, name) in enumerate(((inputs, "input"), (outputs, "output"))):
        for column in range(count):
            show(grid[row, column], values[column], shape, vmin=0, vmax=top, cmap="gray")
        grid[row, 0].set_ylabel(name, fontsize=NORMAL, color=INK)
    errors, map_axes = below.subplots(1, 2)
    picture = show(errors, found.error, shape, cmap="cividis", vmin=0)
    errors.set_title("error by pixel (root mean square)", fontsize=NORMAL, loc="left")
    bar = below.colorbar(picture, ax=errors, shrink=0.9, pad=0.03)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label(f"grey levels, of {number(top)}", fontsize=SMALL)
    _draw_kinds(map_axes, kinds, shape)
    return figure


def show(axes: Axes, values: np.ndarray, shape: tuple[int, ...], **keywords: Any) -> Any:
    """One flat image without ticks."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("#BDBDBD")
    return axes.imshow(
        np.asarray(values, float).reshape(shape), interpolation="nearest", **keywords
    )


def _kinds(diagnosis: Diagnosis, found: Images) -> np.ndarray:
    """(d,): 0 learns, 1 dead where the target is constant, 2 dead where it varies.

    A unit that is never positive learns all the same where its activation has a slope there.
    """
    dead = np.asarray(found.dead, bool)
    if diagnosis.dead is not None and not diagnosis.dead.stops_gradient:
        dead = np.zeros_like(dead)
    return np.where(dead, np.where(found.constant, 1, 2), 0)


def _draw_kinds(axes: Axes, kinds: np.ndarray, shape: tuple[int, ...]) -> None:
    colours = [colour for _, colour in KINDS]
    show(axes, kinds, shape, cmap=ListedColormap(colours), vmin=-0.5, vmax=2.5)
    axes.set_title("output units by pixel", fontsize=NORMAL, loc="left")
    for row, (name, colour) in enumerate(KINDS):
        total = int(np.count_nonzero(kinds == row))
        y = 0.9 - 0.16 * row
        axes.plot(
            [1.08],
            [y],
            marker="s",
            markersize=9,
            color=colour,
            markeredgecolor=GREY,
            markeredgewidth=0.6,
            transform=axes.transAxes,
            clip_on=False,
        )
        axes.text(
            1.14,
            y,
            f"{total}\u2002{name}",
            transform=axes.transAxes,
            va="center",
            fontsize=SMALL,
            color=RED if row == 2 else INK,
        )


def _title(diagnosis: Diagnosis, kinds: np.ndarray) -> str:
    stays, stay = ANSWERS[diagnosis.problem.dead_answer]
    lost = int(np.count_nonzero(kinds == 2))
    if lost == 0:
        return "Test images and what the network makes of them"
    if lost == 1:
        return f"1 output pixel {stays} whatever the image: its unit is dead"
    return f"{lost} output pixels {stay} whatever the image: their units are dead"


def caption(diagnosis: Diagnosis) -> str:
    """What to see, with this run's numbers."""
    found = diagnosis.images
    assert found is not None, "there is no such figure"
    worst, top = number(float(found.error.max())), number(found.maximum)
    text = (
        "Test images above what the network returns for them (the first seed's run), half of "
        "them spread over the set, half those with the largest errors. Below, the "
        f"error of each pixel over the whole test set: up to {worst} of {top} grey levels"
    )
    if np.any(_kinds(diagnosis, found) == 2):
        text += ", worst where the output unit is dead"
    return text + "."
