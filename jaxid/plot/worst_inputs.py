"""The inputs on which a network of images is furthest off."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from jaxid.certification.certified import Certification
from jaxid.certification.regions import RegionKind
from jaxid.core.wording import number
from jaxid.plot.images import show
from jaxid.plot.style import INK, SMALL, WIDTH, new_figure

MOST = 5


def draw(result: Certification) -> Figure | None:
    """Inputs above outputs, the worst output marked; None where inputs are no images."""
    if result.images is None:
        return None
    shape = tuple(int(side) for side in result.images.shape)
    rows = [row for row in result.regions if row.kind is not RegionKind.CURVE][:MOST]
    small = (WIDTH - 0.9) / MOST
    figure = new_figure(
        2 * small + 1.3, "The worst inputs found, and what the network makes of them"
    )
    grid = figure.subplots(2, MOST, squeeze=False)
    top = float(result.images.maximum)
    for column in range(MOST):
        for axes in grid[:, column]:
            axes.set_axis_off()
    for column, row in enumerate(rows):
        for axes, values in zip(grid[:, column], (row.x, row.outputs), strict=True):
            if values is None:
                continue
            axes.set_axis_on()
            show(axes, values, shape, vmin=0, vmax=top, cmap="gray")
            place = np.unravel_index(row.output, shape)
            axes.plot(place[1], place[0], "s", mfc="none", mec="#D55E00", ms=6, mew=1.2)
        name = row.region.replace("_", " ")
        grid[0, column].set_title(f"{name}\noff by {number(row.lower.value)}",
                                  fontsize=SMALL, color=INK)  # fmt: skip
    grid[0, 0].set_ylabel("input", fontsize=SMALL)
    grid[1, 0].set_ylabel("output", fontsize=SMALL)
    return figure
