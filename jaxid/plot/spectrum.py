"""Every eigenvalue of the last layer's Hessian, at the start and at the end."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jaxid.core.wording import number, percent
from jaxid.diagnosis.head_curvature import Blocks
from jaxid.identity.diagnosis import Diagnosis
from jaxid.plot.style import BLUE, GREY, RED, new_figure, note, plain, thinned


class Split(NamedTuple):
    """One spectrum split by its threshold.

    Attributes:
      above: eigenvalues above their own block's threshold, falling.
      zero, negative, size: counts within it, below minus it, and of all.
      edge: the threshold (the largest of the blocks').
    """

    above: np.ndarray
    zero: int
    negative: int
    size: int
    edge: float


def split(found: Blocks) -> Split:
    """A spectrum, block by block at each one's own threshold."""
    values, edges = np.asarray(found.eigenvalues, float), np.asarray(found.thresholds)[:, None]
    negative = int(np.count_nonzero(values < -edges))
    above = np.sort(values[values > edges])[::-1]
    zero = values.size - above.size - negative
    return Split(above, zero, negative, values.size, float(edges.max()))


def draw(diagnosis: Diagnosis) -> Figure | None:
    """Eigenvalues above the threshold in falling order; None without spectra."""
    parts = _parts(diagnosis)
    if not any(part.above.size for part, _, _ in parts):
        return None
    figure = new_figure(4.4, _title(parts[-1][0]))
    axes = plain(
        figure.add_subplot(),
        "eigenvalues of all output units, in falling order",
        "eigenvalue (curvature of the loss)",
    )
    axes.set_yscale("log")
    size = max(part.size for part, _, _ in parts)
    edge = max(part.edge for part, _, _ in parts)
    lowest = min(float(part.above[-1]) for part, _, _ in parts if part.above.size)
    highest = max(float(part.above[0]) for part, _, _ in parts if part.above.size)
    bottom = min(lowest, edge if edge > 0 else lowest) / 4
    for row, (part, name, colour) in enumerate(parts):
        shown = thinned(part.above.size)
        axes.plot(shown + 1, part.above[shown], color=colour, linewidth=2.0)
        if part.above.size:
            axes.plot(
                [part.above.size] * 2,
                [part.above[-1], bottom],
                color=colour,
                linewidth=1.0,
                linestyle=":",
            )
        note(
            axes,
            0.99,
            0.98 - 0.07 * row,
            _counts(name, part),
            colour,
            ha="right",
            va="top",
            fontweight="bold",
        )
    if edge > 0:
        axes.axhline(edge, color=GREY, linewidth=1.0, linestyle=(0, (4, 2)))
        axes.text(
            0.01,
            edge,
            "the largest threshold below which an output's eigenvalue counts as zero",
            va="bottom",
            transform=axes.get_yaxis_transform(),
            fontsize=8.5,
            color=GREY,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )
    axes.set_xlim(0, size * 1.005)
    # Room above the curves for the counts.
    axes.set_ylim(bottom, highest * (highest / bottom) ** (0.08 + 0.07 * len(parts)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return figure


def _parts(diagnosis: Diagnosis) -> list[tuple[Split, str, str]]:
    """(spectrum, when, colour) of those that were computed."""
    found = diagnosis.conditioning
    times = (
        (found.spectrum_init, "at the start", BLUE),
        (found.spectrum_end, "at the end", RED),
    )
    return [(split(blocks), name, colour) for blocks, name, colour in times if blocks is not None]


def _counts(name: str, part: Split) -> str:
    words = [f"{part.above.size:,} positive", f"{part.zero:,} zero"]
    words += [f"{part.negative:,} negative"] if part.negative else []
    return f"{name}: {', '.join(words)}, of {part.size:,}"


def _title(part: Split) -> str:
    if part.above.size == 0:
        return "At the end every direction is flat"
    ratio = number(float(part.above[0] / part.above[-1]))
    if not part.zero:
        return f"Curvatures differ by a factor of {ratio}"
    flat = percent(part.zero / part.size)
    return f"{flat} of directions are flat, the rest differ in curvature by {ratio}"


def caption(diagnosis: Diagnosis) -> str:
    """What to see, with this run's numbers."""
    counts = [
        f"{name} {part.zero:,} of {part.size:,} directions are flat"
        for part, name, _ in _parts(diagnosis)
    ]
    return (
        "Each eigenvalue is how steeply the loss rises in one direction of the last layer's "
        "parameters. Gradient descent needs about as many steps as the largest is times the "
        "smallest that matters, and along a flat direction it never moves: "
        f"{'; '.join(counts)}."
    )
