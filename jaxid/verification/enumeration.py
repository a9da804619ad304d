"""The exact extremes of a piecewise linear network of one or two inputs.

Such a network is linear on each of finitely many cells, whose corners are enough: an extreme
of a linear function on a polygon is at a corner. The cells are found layer by layer: where a
unit's argument changes its sign inside a cell, the cell is cut there. In one dimension cells
are intervals, in two convex polygons (Montufar et al. 2014 count them).

Corners come from divisions in float64 and are off by rounding; the values there are those of
inputs next to the true corners, so the extremes are right to about 1e-14 of the numbers that
occur. They are no certificate: an oracle, and the truth for pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxid.core.errors import InputError
from jaxid.core.precision import float64
from jaxid.verification.intervals import Interval
from jaxid.verification.network import (
    CurveStep,
    Network,
    PointwiseStep,
    ProductStep,
    StraightStep,
    run,
)

CELLS = 200_000
"""Cells beyond which it is given up."""
PLACES = 8
"""Kinks of one function up to which it is enumerated."""


class Extremes(NamedTuple):
    """Of every output over the box.

    Attributes:
      low, high: (outputs,).
      at_low, at_high: (outputs, inputs), where.
      cells: on how many the network is linear.
    """

    low: np.ndarray
    high: np.ndarray
    at_low: np.ndarray
    at_high: np.ndarray
    cells: int


def enumerable(net: Network) -> str | None:
    """Why not, in words; None if the extremes can be enumerated."""
    inputs = net.structure.sizes[0]
    if inputs > 2:
        return f"{inputs} inputs; cells are enumerated for one or two"
    for step in net.structure.steps:
        if isinstance(step, PointwiseStep) and not step.function.kink:
            return f"{step.name} is not piecewise linear"
        if isinstance(step, CurveStep | ProductStep):
            return "a product or curved function is not piecewise linear"
        if isinstance(step, StraightStep) and (step.jumps or step.places > PLACES):
            return "a function that jumps, or has many pieces, is not enumerated"
    return None


def extremes(net: Network, box: Interval) -> Extremes:
    """Least and largest value of every output over the box.

    Raises:
      InputError: where `enumerable` says why not, or for more than `CELLS` cells.
    """
    why = enumerable(net)
    if why is not None:
        raise InputError(f"{why}; bounds and attacks work for any network")
    low, high = (np.asarray(end, np.float64).ravel() for end in box)
    if low.size == 1:
        corners, cells = _breakpoints(net, low, high)
    else:
        corners, cells = _polygons(net, low, high)
    values = _values(net, corners)[-1]
    least, most = values.argmin(axis=0), values.argmax(axis=0)
    return Extremes(values.min(axis=0), values.max(axis=0), corners[least], corners[most], cells)


def _values(net: Network, points: np.ndarray) -> list[np.ndarray]:
    with float64():
        return [np.asarray(v) for v in run(net.structure, net.numbers, jnp.asarray(points))]


def _kinks(net: Network) -> Iterator[tuple[int, np.ndarray]]:
    """(node, values of it at which a function of it bends, one for each element), in order."""
    for step, own in zip(net.structure.steps, net.numbers, strict=True):
        if isinstance(step, PointwiseStep) and step.name != "linear":
            yield step.parent, np.zeros(net.structure.sizes[step.parent])
        elif isinstance(step, StraightStep):
            for place in np.asarray(own.places):
                yield step.parent, np.broadcast_to(place, net.structure.sizes[step.parent])


def _breakpoints(net: Network, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, int]:
    """((k, 1) ascending, k - 1): both ends and all places where a unit's argument is 0."""
    points = np.array([low, high])
    for parent, place in _kinks(net):
        values = _values(net, points)[parent] - place
        left, right = values[:-1], values[1:]
        cell, unit = np.nonzero(left * right < 0)
        a, b = left[cell, unit], right[cell, unit]
        start, end = points[cell, 0], points[cell + 1, 0]
        cuts = start + (end - start) * (a / (a - b))
        points = np.unique(np.concatenate([points[:, 0], cuts]))[:, None]
        _check(len(points))
    return points, len(points) - 1


def _polygons(net: Network, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, int]:
    """(all corners, the number of cells)."""
    cells = [np.array([low, [high[0], low[1]], high, [low[0], high[1]]])]
    for parent, place in _kinks(net):
        for unit in range(net.structure.sizes[parent]):
            values = _values(net, np.concatenate(cells))[parent][:, unit] - place[unit]
            ends = np.cumsum([len(cell) for cell in cells])[:-1]
            pairs = zip(cells, np.split(values, ends), strict=True)
            cells = [part for cell, own in pairs for part in _cut(cell, own)]
            _check(len(cells))
    return np.concatenate(cells), len(cells)


def _cut(cell: np.ndarray, values: np.ndarray) -> list[np.ndarray]:
    """A convex polygon on either side of the line where a linear function of it is 0."""
    if values.min() >= 0 or values.max() <= 0:
        return [cell]
    above: list[Any] = []
    below: list[Any] = []
    for k in range(len(cell)):
        here, there = values[k], values[(k + 1) % len(cell)]
        if here >= 0:
            above.append(cell[k])
        if here <= 0:
            below.append(cell[k])
        if here * there < 0:
            cut = cell[k] + (cell[(k + 1) % len(cell)] - cell[k]) * (here / (here - there))
            above.append(cut)
            below.append(cut)
    return [np.array(above), np.array(below)]


def _check(count: int) -> None:
    if count > CELLS:
        raise InputError(f"more than {CELLS:,} cells; take a smaller network or a smaller box")
