"""Bounds on a function of one variable by cutting its interval into cells.

On a cell [a, b] the function g lies above three lines: the least value; from g(a) down or up
with the least derivative; from g(b) back with the largest,

  g(z) >= m,   g(z) >= g(a) + d (z - a),   g(z) >= g(b) - D (b - z),   g' in [d, D].

Where the derivative is known this is off by the square of the cell's width. Between the cell's
ends and two places inside, the same for both sides of g, on each of three stretches the line
that is highest in the middle counts: whatever the places, its ends bound g there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxid.expressivity import tables
from jaxid.expressivity.enclosures import Jet, enclose
from jaxid.expressivity.ranges import ELEMENTARY, INFINITE, Range, lowered, minus, raised_to
from jaxid.expressivity.rounding import TINY, UNIT
from jaxid.expressivity.tables import Points
from jaxid.tracing.graph import Instruction, Table
from jaxid.types import Array

CELLS = 128
"""Uniform cells. With so many 99 % of what is lost by 1 is gained back; see `points`."""
Program = tuple[Instruction, ...]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def value(program: Program, constants: Array, leaves: Sequence[Table], z: Array) -> Array:
    """g(z), (..., n), each constant in the middle of what it may be.

    Its derivative is taken forward, so that a branch not taken is no 0 times infinity; it is 0
    where it is infinite.
    """
    return _value(program, constants, leaves, z)


@value.defjvp
def _value_jvp(program: Program, primals: Any, tangents: Any) -> tuple[Array, Array]:
    constants, leaves, z = primals
    g, slope = jax.jvp(partial(_value, program, constants, leaves), (z,), (jnp.ones_like(z),))
    return g, jnp.where(jnp.isfinite(slope), slope, 0.0) * tangents[2]


def _value(program: Program, constants: Array, leaves: Sequence[Table], z: Array) -> Array:
    found: list[Array] = []
    middle = 0.5 * (constants[:, 0] + constants[:, 1])
    for step in program:
        operands = [found[k] for k in step.operands]
        if step.name == "pieces":
            found.append(tables.value(leaves[step.numbers[0]], z))
        elif step.name == "sum":
            terms = [middle[k] * f for k, f in zip(step.numbers, operands, strict=True)]
            found.append(sum(terms[1:], terms[0]))
        elif step.name == "power":
            found.append(raised_to(operands[0], step.power))
        elif step.name in OPERATIONS:
            found.append(OPERATIONS[step.name](*operands))
        else:
            found.append(ELEMENTARY[step.name].value(*operands))
    return found[-1]


OPERATIONS: dict[str, Any] = {
    "mul": lambda f, g: f * g,
    "reciprocal": lambda f: 1 / f,
    "max": jnp.maximum,
    "min": jnp.minimum,
    "floor": jnp.floor,
    "select": lambda which, off, on: jnp.where(which > 0.5, on, off),
    "positive": lambda f: (f > 0).astype(f.dtype),
    "natural": lambda f: (f >= 0).astype(f.dtype),
    "zero": lambda f: (f == 0).astype(f.dtype),
    "within": lambda f: f,
    "sin": jnp.sin,
    "cos": jnp.cos,
}
"""What instructions do to numbers, where `ELEMENTARY` doesn't say it."""


class Cells(NamedTuple):
    """g on K cells, from below and from above.

    Attributes:
      nodes: (K, 4, n), the cell's ends and two places between them, ascending.
      below, above: (K, 4, n) at the nodes; see `Points`.
      least, most: (K, n), bounds on the values.
    """

    nodes: Array
    below: Array
    above: Array
    least: Array
    most: Array


def cells(leaves: Sequence[Table], low: Array, high: Array, count: int = CELLS) -> Array:
    """Ends of cells, (K + 1, n) ascending from low to high: ``count`` uniform ones, and two ends
    close to every place of the tables, so that what happens there has a cell of its own."""
    share = (jnp.arange(count + 1) / count)[:, None]
    ends = [low[None] * (1 - share) + high[None] * share, low[None], high[None]]
    for table in leaves:
        earliest, latest = tables.reach(table)
        ends.append(earliest - (16 * UNIT * jnp.abs(earliest) + TINY))
        ends.append(latest + (16 * UNIT * jnp.abs(latest) + TINY))
    ends = [jnp.broadcast_to(each, (each.shape[0], low.shape[0])) for each in ends]
    # Beyond the interval, and where an unused place is infinite, nothing is left of a cell.
    clipped = jnp.clip(jnp.concatenate(ends), low[None], high[None])
    clipped = jnp.where(jnp.isnan(clipped), high[None], clipped)
    return jnp.sort(clipped, axis=0)


def points(
    program: Program,
    constants: Array,
    leaves: Sequence[Table],
    low: Array,
    high: Array,
    count: int = CELLS,
) -> Points:
    """Points that bound g on [low, high] for every slope, (3 K + 1, n).

    For every slope s: min of g(z) - s z >= min_k below_k - s z_k, max <= max_k above_k - s z_k.
    """
    known, low, high, middle = _finite(low, high)
    found = on_cells(program, constants, leaves, cells(leaves, low, high, count))
    z, below, above = (jnp.swapaxes(each, 0, 1) for each in found[:3])
    # Neighbours share an end, whose bound is the lower one of theirs.
    under = jnp.minimum(below[0, 1:], below[3, :-1])
    over = jnp.maximum(above[0, 1:], above[3, :-1])
    stacked = Points(
        jnp.concatenate([z[0], z[3, -1:], z[1], z[2]]),
        jnp.concatenate([below[0, :1], under, below[3, -1:], below[1], below[2]]),
        jnp.concatenate([above[0, :1], over, above[3, -1:], above[1], above[2]]),
    )
    return Points(
        jnp.where(known, stacked.z, middle),
        jnp.where(known, stacked.below, -INFINITE),
        jnp.where(known, stacked.above, INFINITE),
    )


def bounds(
    program: Program,
    constants: Array,
    leaves: Sequence[Table],
    low: Array,
    high: Array,
    count: int = CELLS,
) -> Range:
    """The least and the largest value on [low, high], (n,)."""
    known, low, high, _ = _finite(low, high)
    found = on_cells(program, constants, leaves, cells(leaves, low, high, count))
    least = jnp.maximum(found.least, found.below.min(axis=1)).min(axis=0)
    most = jnp.minimum(found.most, found.above.max(axis=1)).max(axis=0)
    return Range(jnp.where(known[0], least, -INFINITE), jnp.where(known[0], most, INFINITE))


def on_cells(program: Program, constants: Array, leaves: Sequence[Table], ends: Array) -> Cells:
    """g on the cells between ``ends``, (K + 1, n)."""
    count = ends.shape[0] - 1

    # One cell after the other: as one large program XLA would compute much of it many times.
    def enclosed(cell: tuple[Array, Array]) -> tuple[Jet, Array]:
        places = [tables.meets_place(table, *cell) for table in leaves]
        place = reduce(jnp.logical_or, places, jnp.zeros(cell[0].shape, bool))
        return enclose(program, constants, leaves, *cell), place

    def bounded(own: tuple[Array, Array, Jet, Jet, Jet, Array]) -> Cells:
        a, b, first, last, inside, place = own
        # At a table's place there may be a jump as small as its numbers' rounding.
        slopes = Range(
            jnp.where(place, -INFINITE, inside.slope_low),
            jnp.where(place, INFINITE, inside.slope_high),
        )
        under = _Side(first.low, last.low, inside.low, slopes)
        over = _Side(-first.high, -last.high, -inside.high, minus(slopes))
        nodes = _nodes(a, b, under, over)
        below, above = _below(nodes, under), [-each for each in _below(nodes, over)]
        return Cells(*(jnp.stack(each) for each in (nodes, below, above)), inside.low, inside.high)

    a, b = ends[:-1], ends[1:]
    both = (jnp.concatenate([a, ends]), jnp.concatenate([b, ends]))
    jet, place = jax.lax.map(enclosed, both)
    inside, at = (jax.tree.map(lambda each, part=part: each[part], jet)
                  for part in (slice(0, count), slice(count, None)))  # fmt: skip
    first, last = (jax.tree.map(lambda each, part=part: each[part], at)
                   for part in (slice(0, -1), slice(1, None)))  # fmt: skip
    return jax.lax.map(bounded, (a, b, first, last, inside, place[:count]))


class _Side(NamedTuple):
    """What bounds a function from below on a cell: at a, at b, everywhere, and its slopes."""

    first: Array
    last: Array
    least: Array
    slopes: Range


def _nodes(a: Array, b: Array, under: _Side, over: _Side) -> list[Array]:
    """Where the lines cross that bound the function, (4, K, n); only a good guess is needed."""
    (x, x_, gain), (y, y_, other) = _crossings(b - a, under), _crossings(b - a, over)
    one = jnp.where(gain > other, x, jnp.where(other > 0, y, jnp.minimum(x, y)))
    two = jnp.where(gain > other, x_, jnp.where(other > 0, y_, jnp.maximum(x_, y_)))
    z = jnp.clip(a + one, a, b)
    return [a, z, jnp.clip(a + two, z, b), b]


def _crossings(width: Array, side: _Side) -> tuple[Array, Array, Array]:
    """(where the line from a is lowest, where that to b is, how far they would go below least),
    places counted from a; one place, and 0, where they cross above the least value."""
    steep, flat = side.slopes.high, side.slopes.low
    rise = side.last - side.first
    cross = jnp.where(steep == INFINITE, width, (steep * width - rise) / (steep - flat))
    cross = jnp.where(flat == -INFINITE, 0.0, cross)
    cross = jnp.clip(jnp.where(jnp.isnan(cross), 0.5 * width, cross), 0.0, width)
    one = jnp.where(flat < 0, (side.first - side.least) / -flat, width)
    two = width - jnp.where(steep > 0, (side.last - side.least) / steep, width)
    one, two = (jnp.clip(jnp.where(jnp.isnan(t), 0.0, t), 0.0, width) for t in (one, two))
    cut = one < two
    deep = side.least - (side.first + flat * cross)
    gain = jnp.where(cut, jnp.where(jnp.isnan(deep), INFINITE, deep), 0.0)
    return jnp.where(cut, one, cross), jnp.where(cut, two, cross), jnp.maximum(gain, 0.0)


def _below(nodes: Sequence[Array], side: _Side) -> list[Array]:
    """Numbers at the nodes whose straight connections lie below the function, each (K, n)."""
    first, last = nodes[0], nodes[-1]
    forward = [_line(side.first, side.slopes.low, z - first) for z in nodes]
    # Back from b the same line: its slope counts in the other direction.
    backward = [_line(side.last, -side.slopes.high, last - z) for z in nodes]
    stretches = []
    for k in range(len(nodes) - 1):
        best = (side.least, side.least)
        for line in (forward, backward):
            higher = line[k] + line[k + 1] > best[0] + best[1]
            best = tuple(jnp.where(higher, *pair) for pair in zip(line[k : k + 2], best))
        stretches.append(best)
    inner = [jnp.minimum(one[1], two[0]) for one, two in pairwise(stretches)]
    return [stretches[0][0], *inner, stretches[-1][1]]


def _line(value: Array, slope: Array, way: Array) -> Array:
    """At most value + slope way, where ``way`` is the rounded difference of two numbers."""
    rise = slope * way
    rise = lowered(rise, 4 * UNIT * jnp.abs(rise) + TINY)
    total = value + rise
    total = lowered(total, 4 * UNIT * jnp.abs(total) + TINY)
    return jnp.where(way == 0, value, total)


def _finite(low: Array, high: Array) -> tuple[Array, Array, Array, Array]:
    """(whether the interval is finite, its ends, a place in it), the first and last (1, n); one
    place where it isn't."""
    known = jnp.isfinite(low) & jnp.isfinite(high)
    middle = jnp.clip(0.0, low, high)
    ends = (jnp.where(known, low, middle), jnp.where(known, high, middle))
    return known[None], *ends, middle[None]
