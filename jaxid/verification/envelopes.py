"""Straight lines below and above a function on cells, from its values and slopes there.

On a cell [a, b] a function g whose derivatives are in [d, D] lies above three lines,

  g(z) >= m,   g(z) >= g(a) + d (z - a),   g(z) >= g(b) - D (b - z),

m the least value. Where d and D are finite this is off by the square of the cell's width. Between
the cell's ends and two places inside, the same for both sides of g, on each of three stretches the
line that is highest in the middle counts: whatever the places, its ends bound g there. What is
above a function is below its negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from jaxid.core.types import Array
from jaxid.verification.arrays import xp
from jaxid.verification.ranges import INFINITE, Range, lowered
from jaxid.verification.rounding import TINY, UNIT


class Side(NamedTuple):
    """What bounds a function from below on a cell: at a, at b, everywhere, and its slopes."""

    first: Array
    last: Array
    least: Array
    slopes: Range


def places(a: Array, b: Array, under: Side, over: Side) -> list[Array]:
    """Where the lines cross that bound the function, (4, K, n); only a good guess is needed."""
    (x, x_depth), (y, y_depth) = _crossings(b - a, under), _crossings(b - a, over)
    # Where one side is cut off at its least value, that side's: the one whose extreme lies inside.
    first, second = x_depth > y_depth, y_depth >= 0
    one = xp.where(first, x[0], xp.where(second, y[0], xp.minimum(x[0], y[0])))
    two = xp.where(first, x[1], xp.where(second, y[1], xp.maximum(x[1], y[1])))
    z = xp.clip(a + one, a, b)
    return [a, z, xp.clip(a + two, z, b), b]


def _crossings(width: Array, side: Side) -> tuple[tuple[Array, Array], Array]:
    """((where the line from a is at the least value, where that to b is), how far that is below
    both ends), places counted from a; twice where they cross, and -1, where they do above it."""
    steep, flat = side.slopes.high, side.slopes.low
    rise = side.last - side.first
    cross = xp.where(steep == INFINITE, width, (steep * width - rise) / (steep - flat))
    cross = xp.where(flat == -INFINITE, 0.0, cross)
    cross = xp.clip(xp.where(xp.isnan(cross), 0.5 * width, cross), 0.0, width)
    one = xp.where(flat < 0, (side.first - side.least) / -flat, width)
    two = width - xp.where(steep > 0, (side.last - side.least) / steep, width)
    one, two = (xp.clip(xp.where(xp.isnan(t), 0.0, t), 0.0, width) for t in (one, two))
    cut = one < two
    depth = xp.maximum(xp.minimum(side.first, side.last) - side.least, 0.0)
    found = (xp.where(cut, one, cross), xp.where(cut, two, cross))
    return found, xp.where(cut & ~xp.isnan(depth), depth, -1.0)


def below(nodes: Sequence[Array], side: Side) -> list[Array]:
    """Numbers at the nodes whose straight connections lie below the function, each (K, n)."""
    first, last = nodes[0], nodes[-1]
    forward = [line(side.first, side.slopes.low, z - first) for z in nodes]
    # Back from b the same line: its slope counts in the other direction.
    backward = [line(side.last, -side.slopes.high, last - z) for z in nodes]
    stretches = []
    for k in range(len(nodes) - 1):
        best = (side.least, side.least)
        for each in (forward, backward):
            higher = each[k] + each[k + 1] > best[0] + best[1]
            best = tuple(
                xp.where(higher, *pair) for pair in zip(each[k : k + 2], best, strict=True)
            )
        stretches.append(best)
    inner = [xp.minimum(one[1], two[0]) for one, two in pairwise(stretches)]
    return [stretches[0][0], *inner, stretches[-1][1]]


def line(value: Array, slope: Array, way: Array) -> Array:
    """At most value + slope way, where ``way`` is the rounded difference of two numbers."""
    rise = slope * way
    rise = lowered(rise, 4 * UNIT * xp.abs(rise) + TINY)
    total = value + rise
    total = lowered(total, 4 * UNIT * xp.abs(total) + TINY)
    return xp.where(way == 0, value, total)
