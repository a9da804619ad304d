"""How every figure looks: colours, sizes, and labels that don't overlap."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator, NullFormatter
from scipy.optimize import isotonic_regression

T = TypeVar("T")

# Okabe and Ito's palette, told apart with any colour vision.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY = "#B0578D", "#56B4E9"
INK, GREY, PALE, FAINT = "#222222", "#6B6B6B", "#BDBDBD", "#E9E9E9"

_DARKER = {ORANGE: "#966200", SKY: "#1F78A8"}
"""Colours too light for text on white, as text."""

WIDTH = 7.4
"""Inches; every figure is as wide, so that text has one size on a page."""
SMALL, NORMAL, LARGE = 8.5, 9.5, 12.0
"""Points."""
_CHARACTERS = 70
"""Of a bold title of LARGE size on one line of WIDTH."""


DPI = 150


def save_figures(
    figures: Mapping[str, Callable[[T], Figure | None]], result: T, folder: Path
) -> dict[str, Path]:
    """Save every figure whose data are there as PNG (150 dpi) and SVG.

    Args:
      figures: functions of the result by name; one that gives None is left out.
      result: what is drawn.
      folder: made if missing.

    Returns:
      Name -> the PNG's path, in the order given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    # Whatever matplotlib was told to do elsewhere, by TeX say; the backend is not touched.
    plain = {k: v for k, v in mpl.rcParamsDefault.items() if not k.startswith("backend")}
    for name, function in figures.items():
        # No date and no random ids, so that the same result gives the same file.
        with mpl.rc_context(plain | {"svg.hashsalt": name}):
            figure = function(result)
            if figure is None:
                continue
            paths[name] = folder / f"{name}.png"
            figure.savefig(paths[name], dpi=DPI)
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    return paths


class End(NamedTuple):
    """A label beside an axis: where it points, what it says."""

    y: float
    text: str
    colour: str


def new_figure(height: float, title: str) -> Figure:
    """An empty figure of the usual width whose title, wrapped, starts at its left edge."""
    layout = ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.07)
    figure = Figure(figsize=(WIDTH, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(
        textwrap.fill(title, _CHARACTERS),
        x=0.012,
        ha="left",
        fontsize=LARGE,
        fontweight="bold",
        color=INK,
    )
    return figure


def plain(axes: Axes, xlabel: str = "", ylabel: str = "") -> Axes:
    """Two thin spines, quiet ticks, a faint grid of the y axis, labelled axes."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)
    axes.tick_params(labelsize=SMALL, color=PALE, labelcolor=INK, which="both")
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(xlabel, fontsize=NORMAL, color=INK)
    axes.set_ylabel(ylabel, fontsize=NORMAL, color=INK)
    return axes


def note(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    colour: str = GREY,
    *,
    coordinates: str = "axes",
    **keywords: Any,
) -> None:
    """Small text at (x, y) in ``axes`` or ``data`` coordinates."""
    transform = axes.transAxes if coordinates == "axes" else axes.transData
    axes.text(x, y, text, transform=transform, color=readable(colour), fontsize=SMALL, **keywords)


def readable(colour: str) -> str:
    """The colour, or a darker one of the same hue where text in it would be too faint."""
    return _DARKER.get(colour, colour)


def plain_numbers(axis: Axis, subdivisions: Sequence[float] = (1.0,)) -> None:
    """Label a log axis with 0.1, 1, 10 in place of powers, where it spans few decades."""
    low, high = axis.get_view_interval()
    if high > 1e5 * low or high > 1e5 or low < 1e-4:
        return
    axis.set_major_locator(LogLocator(subs=subdivisions))
    axis.set_major_formatter(lambda value, _: f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}")
    axis.set_minor_formatter(NullFormatter())


def label_ends(axes: Axes, ends: Sequence[End]) -> None:
    """Write labels right of the axes, each at its height, moved apart where they'd overlap.

    The axes' limits must be final. The displaced heights are the nearest ones in least
    squares whose gaps leave room for the text.
    """
    if not ends:
        return
    figure = axes.get_figure()
    assert figure is not None
    ends = sorted(ends, key=lambda end: end.y)
    points = np.array([[axes.get_xlim()[1], end.y] for end in ends])
    # On a log axis what is 0 lies below any limit.
    points[:, 1] = np.maximum(points[:, 1], min(axes.get_ylim()))
    true = axes.transAxes.inverted().transform(axes.transData.transform(points))[:, 1]
    height = figure.bbox.height / figure.get_dpi() * 0.75 * axes.get_position().height / 0.77
    placed = spread(np.clip(true, 0, 1), SMALL / 72 * 1.3 / height)
    for end, low, high in zip(ends, true, placed, strict=True):
        axes.plot(
            [1.0, 1.015],
            [low, high],
            transform=axes.transAxes,
            color=end.colour,
            linewidth=0.8,
            clip_on=False,
        )
        note(axes, 1.02, high, end.text, end.colour, va="center")


def spread(places: np.ndarray, gap: float) -> np.ndarray:
    """Ascending places moved as little as possible (squares) so that neighbours are ``gap``
    apart."""
    steps = gap * np.arange(places.size)
    return np.asarray(isotonic_regression(places - steps).x) + steps


def finite_mean(values: np.ndarray) -> np.ndarray:
    """(seeds, times) -> (times,): over the seeds that are finite, nan where none is."""
    result = np.full(values.shape[1], np.nan)
    finite = np.where(np.isfinite(values), values, np.nan).astype(float)
    some = np.isfinite(finite).any(axis=0)
    result[some] = np.nanmean(finite[:, some], axis=0)
    return result


def thinned(count: int, most: int = 4000) -> np.ndarray:
    """Indices of at most ``most`` of ``count`` points, both ends kept."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))
