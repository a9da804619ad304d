"""The density of a matrix's eigenvalues on logarithmic axes, both ends of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from jaxid.core.wording import estimate, number, percent
from jaxid.plot.style import BLUE, GREY, INK, RED, new_figure, note, plain
from jaxid.spectra.matrix import DensityFound, MatrixSpectrum, Share
from jaxid.spectra.point import PointSpectrum
from jaxid.spectra.spectrum import Spectrum
from jaxid.spectra.words import STAGES

BINS_PER_DECADE = 4
LEAST = 1e-7
"""Shares below this are not drawn."""


class Side(NamedTuple):
    """One sign's histogram: log10 of the bins' edges, shares, their standard errors."""

    edges: np.ndarray
    share: np.ndarray
    error: np.ndarray


def sides(nodes: np.ndarray, weights: np.ndarray, floor: float) -> dict[int, Side]:
    """Histograms of the positive (1) and the negative (-1) nodes beyond the floor.

    Args:
      nodes, weights: (probes, k), quadratures of the density.
      floor: what counts as zero.
    """
    found = {}
    largest = float(np.abs(nodes).max(initial=0.0))
    if not largest > floor > 0:
        return {}
    low, high = np.floor(np.log10(floor)), np.ceil(np.log10(largest) + 0.1)
    edges = np.linspace(low, high, int((high - low) * BINS_PER_DECADE) + 1)
    for sign in (1, -1):
        inside = sign * nodes > floor
        if not inside.any():
            continue
        size = np.log10(np.where(inside, np.abs(nodes), 1.0))
        masses = np.stack(
            [
                np.histogram(row, edges, weights=np.where(keep, weight, 0.0))[0]
                for row, weight, keep in zip(size, weights, inside, strict=True)
            ]
        )
        probes = masses.shape[0]
        error = masses.std(axis=0, ddof=1) / probes**0.5 if probes > 1 else 0 * masses[0]
        found[sign] = Side(edges, masses.mean(axis=0), error)
    return found


def drawn(found: MatrixSpectrum | None) -> DensityFound | None:
    """A matrix's density, if there are nodes to draw."""
    if found is None or found.density is None or not found.density.nodes.size:
        return None
    return found.density


def draw(result: Spectrum) -> Figure | None:
    """One row of axes for each point: negative left, positive right; None without a density."""
    densities = [(point, drawn(point.hessian)) for point in result.points]
    points = [(point, density) for point, density in densities if density is not None]
    if not points:
        return None
    figure = new_figure(1.0 + 3.2 * len(points), _title(points[-1][0]))
    grid = figure.add_gridspec(len(points), 2, width_ratios=[1, 2])
    for row, (point, density) in enumerate(points):
        floor = density.blur
        both = sides(density.nodes, density.weights, floor)
        if not both:
            continue
        left, right = (figure.add_subplot(grid[row, k]) for k in (0, 1))
        for axes, sign in ((left, -1), (right, 1)):
            _side(axes, both.get(sign), sign, point.hessian, floor)
        left.set_ylabel("share of all eigenvalues in a bin")
        right.tick_params(labelleft=False)
        right.sharey(left)
        left.set_ylim(LEAST, 2)
        text = f"{STAGES[point.name]}: {_zero(density.zero)} too near 0 to tell from it"
        note(right, 0.0, 1.03, text, INK, va="bottom")
        right.set_xlabel("positive eigenvalues")
        left.set_xlabel("negative eigenvalues")
    return figure


def _zero(zero: Share) -> str:
    error = "" if zero.error is None else f" ± {percent(zero.error)}"
    return f"{percent(zero.share)}{error}"


def _side(axes: Axes, side: Side | None, sign: int, found: MatrixSpectrum, floor: float) -> None:
    plain(axes)
    axes.set_xscale("log")
    axes.set_yscale("log")
    colour = BLUE if sign > 0 else RED
    if side is not None:
        centres = 10 ** ((side.edges[1:] + side.edges[:-1]) / 2)
        shown = side.share > LEAST
        axes.stairs(
            np.maximum(side.share, LEAST), 10**side.edges, color=colour, fill=True, alpha=0.35
        )
        low = np.maximum(side.share - side.error, LEAST)[shown]
        axes.vlines(centres[shown], low, (side.share + side.error)[shown], color=colour, lw=1.2)
    if found.exact is not None:
        _exact(axes, sign * found.exact.eigenvalues, found.exact.threshold)
    for end in found.top if sign > 0 else found.bottom:
        if sign * end.value > floor:
            style = "-" if end.converged else ":"
            axes.axvline(abs(end.value), ymax=0.08, color=colour, lw=1.2, ls=style)
    if side is not None:
        axes.axvline(floor, color=GREY, lw=1.0, ls=(0, (4, 2)))
    if sign < 0:
        axes.invert_xaxis()
    if side is None:
        axes.set_xlim((floor * 10, floor / 10) if sign < 0 else (floor / 10, floor * 10))
        note(axes, 0.03, 0.95, "none that can be told from 0", GREY, va="top")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _exact(axes: Axes, signed: np.ndarray, threshold: float) -> None:
    """Every eigenvalue of one sign, down to what float64 does not tell from 0 either."""
    places = np.log10(signed[signed > threshold])
    if not places.size:
        return
    low, high = np.floor(places.min()), np.ceil(places.max() + 0.1)
    edges = np.linspace(low, high, int((high - low) * BINS_PER_DECADE) + 1)
    share = np.histogram(places, edges)[0] / signed.size
    axes.stairs(np.maximum(share, LEAST), 10**edges, color=INK, lw=1.0)
    note(axes, 0.02, 0.97, "line: every eigenvalue, float64", INK, va="top")


def _title(point: PointSpectrum) -> str:
    found = point.hessian
    text = f"Hessian {STAGES[point.name]}: largest eigenvalue {estimate(found.lambda_max)}"
    if found.density is not None:
        share = percent(found.density.zero.share)
        text += f", {share} of eigenvalues too near 0 to tell"
    return text


def caption(result: Spectrum) -> str:
    """What to see, with this run's numbers; only where the figure is drawn."""
    found = result.points[-1].hessian
    density = found.density
    assert density is not None
    return (
        f"Shares of the {found.order:,} eigenvalues in bins of a quarter of a decade, by "
        f"{density.method}; bars are standard errors over the probes. Marks at the "
        "bottom are eigenvalues found one by one, dotted where they have not converged. Nearer "
        f"to 0 than the dashed line, {number(density.blur)}, so many products don't tell "
        "eigenvalues from 0; the line of all eigenvalues, where they were computed, does."
    )
