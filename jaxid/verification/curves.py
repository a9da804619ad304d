"""Bounds on a function of one variable by cutting its interval into cells.

Uniform cells, and small ones of their own about every place where a table has a kink or a jump.
On each the function's values and slopes are enclosed (`jaxid.verification.enclosures`), and lines
drawn below and above it (`jaxid.verification.envelopes`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core.types import Array
from jaxid.tracing.graph import Instruction, Table
from jaxid.verification import tables
from jaxid.verification.arrays import xp
from jaxid.verification.enclosures import Jet, enclose
from jaxid.verification.envelopes import Side, below, places
from jaxid.verification.ranges import ELEMENTARY, INFINITE, Range, minus, raised_to
from jaxid.verification.rounding import TINY, UNIT
from jaxid.verification.tables import Points

CELLS = 128
"""Uniform cells. With so many, lines of any slope come to within 1 % of exp(-z^2 / 25) on an
interval of 255 (`tests/expressivity/test_curves.py`)."""
Program = tuple[Instruction, ...]
STEPS = 32
"""Steps of a floor that have cells of their own, of each straight piece."""


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


def cells(
    program: Program, leaves: Sequence[Table], low: Array, high: Array, count: int = CELLS
) -> Array:
    """Ends of cells, (K + 1, n) ascending from low to high: ``count`` uniform ones, and two ends
    close to every place of the tables and to the first steps of every floor of straight pieces,
    so that what happens there has a cell of its own."""
    share = (xp.arange(count + 1) / count)[:, None]
    ends = [low[None] * (1 - share) + high[None] * share, low[None], high[None]]
    for table in leaves:
        earliest, latest = tables.reach(table)
        ends.append(earliest - (16 * UNIT * xp.abs(earliest) + TINY))
        ends.append(latest + (16 * UNIT * xp.abs(latest) + TINY))
    for step in program:
        for slope, constant in _floored(program, step, leaves):
            ends += _steps(slope, constant, low, high)
    ends = [xp.broadcast_to(each, (each.shape[0], low.shape[0])) for each in ends]
    # Beyond the interval, and where an unused place is infinite, nothing is left of a cell.
    clipped = xp.clip(xp.concatenate(ends), low[None], high[None])
    clipped = xp.where(xp.isnan(clipped), high[None], clipped)
    return xp.sort(clipped, axis=0)


def _floored(program: Program, step: Instruction, leaves: Sequence[Table]) -> list[tuple[Any, Any]]:
    """(slope, constant) of every piece of what a floor is taken of, if it is straight pieces."""
    if step.name != "floor":
        return []
    inner, shift = program[step.operands[0]], 0.0
    if inner.name == "sum" and len(inner.operands) == 2:
        # Rounding is the floor of something and a half.
        inner, shift = program[inner.operands[0]], 0.5
    if inner.name != "pieces":
        return []
    table = leaves[inner.numbers[0]]
    count = table.slopes.shape[0]
    return [(table.slopes[j, 0], table.constants[j, 0] + shift) for j in range(count)]


def _steps(slope: Any, constant: Any, low: Array, high: Array) -> list[Array]:
    """Two ends about each of the first places where slope z + constant is an integer, (S, n);
    that they are near is not relied upon."""
    least = xp.floor(xp.minimum(slope * low, slope * high) + constant)
    integers = least[None] + xp.arange(1, STEPS + 1)[:, None]
    rising = slope != 0
    places = (integers - constant) / (slope if rising else 1.0)
    places = places if rising else xp.broadcast_to(low[None], places.shape)
    near = 64 * UNIT * (xp.abs(places) + (xp.abs(integers) + abs(constant)) / (abs(slope) or 1.0))
    return [places - near, places + near]


def points(
    program: Program, constants: Array, leaves: Sequence[Table], low: Array, high: Array
) -> Points:
    """Points that bound g on [low, high] for every slope, (3 K + 1, n).

    For every slope s: min of g(z) - s z >= min_k below_k - s z_k, max <= max_k above_k - s z_k.
    Computed on the host, also from inside compiled programs, where ``program`` would cost more to
    compile than to compute.
    """
    steps = STEPS * sum(len(_floored(program, step, leaves)) for step in program)
    count = 3 * (CELLS + 2 + 2 * (steps + sum(t.places.shape[0] for t in leaves))) + 1
    shapes = ((count, *low.shape),) * 3
    return Points(*_on_host(_points, program, shapes, constants, leaves, low, high))


def bounds(
    program: Program, constants: Array, leaves: Sequence[Table], low: Array, high: Array
) -> Range:
    """The least and the largest value on [low, high], (n,); on the host, as `points`."""
    shapes = (low.shape,) * 2
    return Range(*_on_host(_bounds, program, shapes, constants, leaves, low, high))


def _on_host(
    function: Callable[..., tuple[Any, ...]],
    program: Program,
    shapes: tuple[tuple[int, ...], ...],
    *operands: Any,
) -> list[Array]:
    """``function`` of NumPy's arrays: called back where operands are traced."""

    if not any(isinstance(each, jax.core.Tracer) for each in jax.tree.leaves(operands)):
        return [jnp.asarray(each) for each in _by_numpy(function, program, *operands)]
    # As halves, there and back: the thread that calls back knows nothing of double precision,
    # and would make float32 of all that it hands on.
    leaves, tree = jax.tree.flatten(operands)
    held = [jax.lax.bitcast_convert_type(jnp.asarray(leaf), jnp.uint32) for leaf in leaves]

    def halves(*parts: Any) -> list[np.ndarray]:
        whole = [_joined(np.asarray(part)) for part in parts]
        found = _by_numpy(function, program, *jax.tree.unflatten(tree, whole))
        return [each.view(np.uint32).reshape(*each.shape, 2) for each in found]

    kinds = [jax.ShapeDtypeStruct((*shape, 2), jnp.uint32) for shape in shapes]  # type: ignore[no-untyped-call]
    returned = jax.pure_callback(halves, kinds, *held, vmap_method="sequential")
    return [jax.lax.bitcast_convert_type(each, jnp.float64) for each in returned]


def _by_numpy(
    function: Callable[..., tuple[Any, ...]], program: Program, *operands: Any
) -> list[np.ndarray]:
    held = jax.tree.map(np.asarray, operands)
    with np.errstate(all="ignore"):
        found = function(program, *held)
    return [np.ascontiguousarray(each, np.float64) for each in found]


def _joined(halves: np.ndarray) -> np.ndarray:
    """(..., 2) uint32, as JAX splits them, -> (...) float64."""
    return np.ascontiguousarray(halves).view(np.float64)[..., 0]


def _points(
    program: Program,
    constants: Array,
    leaves: Sequence[Table],
    low: Array,
    high: Array,
) -> Points:
    """`points`, by NumPy."""
    known, low, high, middle = _finite(low, high)
    found = on_cells(program, constants, leaves, cells(program, leaves, low, high))
    z, below, above = (xp.swapaxes(each, 0, 1) for each in found[:3])
    # Neighbours share an end, whose bound is the lower one of theirs.
    under = xp.minimum(below[0, 1:], below[3, :-1])
    over = xp.maximum(above[0, 1:], above[3, :-1])
    stacked = Points(
        xp.concatenate([z[0], z[3, -1:], z[1], z[2]]),
        xp.concatenate([below[0, :1], under, below[3, -1:], below[1], below[2]]),
        xp.concatenate([above[0, :1], over, above[3, -1:], above[1], above[2]]),
    )
    return Points(
        xp.where(known, stacked.z, middle),
        xp.where(known, stacked.below, -INFINITE),
        xp.where(known, stacked.above, INFINITE),
    )


def _bounds(
    program: Program,
    constants: Array,
    leaves: Sequence[Table],
    low: Array,
    high: Array,
) -> Range:
    """`bounds`, by NumPy."""
    known, low, high, _ = _finite(low, high)
    found = on_cells(program, constants, leaves, cells(program, leaves, low, high))
    least = xp.maximum(found.least, found.below.min(axis=1)).min(axis=0)
    most = xp.minimum(found.most, found.above.max(axis=1)).max(axis=0)
    return Range(xp.where(known[0], least, -INFINITE), xp.where(known[0], most, INFINITE))


def on_cells(program: Program, constants: Array, leaves: Sequence[Table], ends: Array) -> Cells:
    """g on the cells between ``ends``, (K + 1, n)."""
    a, b = ends[:-1], ends[1:]
    inside = enclose(program, constants, leaves, a, b)
    at = enclose(program, constants, leaves, ends, ends)
    first, last = (Jet(*(each[part] for each in at)) for part in (slice(0, -1), slice(1, None)))
    # At a table's place there may be a jump as small as its numbers' rounding.
    meets = [tables.meets_place(table, a, b) for table in leaves]
    place = reduce(xp.logical_or, meets, xp.zeros(a.shape, bool))
    slopes = Range(
        xp.where(place, -INFINITE, inside.slope_low), xp.where(place, INFINITE, inside.slope_high)
    )
    under = Side(first.low, last.low, inside.low, slopes)
    over = Side(-first.high, -last.high, -inside.high, minus(slopes))
    nodes = places(a, b, under, over)
    lower, upper = below(nodes, under), [-each for each in below(nodes, over)]
    z, under_z, over_z = (xp.stack(each, axis=1) for each in (nodes, lower, upper))
    return Cells(z, under_z, over_z, inside.low, inside.high)


def _finite(low: Array, high: Array) -> tuple[Array, Array, Array, Array]:
    """(whether the interval is finite, its ends, a place in it), the first and last (1, n); one
    place where it isn't."""
    known = xp.isfinite(low) & xp.isfinite(high)
    middle = xp.clip(0.0, low, high)
    ends = (xp.where(known, low, middle), xp.where(known, high, middle))
    return known[None], *ends, middle[None]
