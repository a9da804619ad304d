"""Functions of straight pieces: their values, and what bounds them on an interval.

Piece j is s_j z + c_j between places j - 1 and j. A stored place q may be off by its spread r:
piece j reaches at most from q_(j-1) - r to q_j + r, and on an interval it is bounded by its two
ends there. For every slope s the least of p(z) - s z is at such an end, or at a place:

  min over [low, high] of p(z) - s z >= min_k below_k - s z_k,

which holds whichever of the numbers next to the stored ones are true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from jaxid.core.types import Array
from jaxid.tracing.graph import Table
from jaxid.verification.arrays import of_jax, xp
from jaxid.verification.ranges import INFINITE, Range, hull, lowered, raised, signed, unknown
from jaxid.verification.rounding import TINY, UNIT, up

FEW = 16
"""Up to so many places, comparisons with all of them are faster than a search."""
LARGEST = 1.7976931348623157e308
State = TypeVar("State")


class Points(NamedTuple):
    """Points that bound a function on an interval, each (P, ..., n).

    For every slope s the function less s z is at least the least of ``below`` - s z, and at
    most the largest of ``above`` - s z.
    """

    z: Array
    below: Array
    above: Array


class _Piece(NamedTuple):
    """One piece with the places at both its ends; all (e,), or (k + 1, e) for every piece.

    Attributes:
      slope, constant: of its line.
      start: (earliest, latest) where the place at its start may be; infinite without one.
      end: the same for the place at its end.
      values: of the function at these two places.
      jump: whether it is discontinuous at its end.
    """

    slope: Array
    constant: Array
    start: tuple[Array, Array]
    end: tuple[Array, Array]
    values: tuple[Array, Array]
    jump: Array


def value(table: Table, z: Array) -> Array:
    """p(z), (..., n); its derivative is that of the piece, at a place the one to the right."""
    slope, constant, at, own = _found(table, z)
    # Neither 0 times infinity, nor a derivative lost at a place.
    line = jnp.where(slope == 0, 0.0, slope * jnp.where(slope == 0, 0.0, z)) + constant
    fixed = jax.lax.stop_gradient(jnp.where(at, z, 0.0))
    return jnp.where(at, own + slope * (jnp.where(at, z, 0.0) - fixed), line)


def derivative(table: Table, z: Array) -> Array:
    """p'(z), (..., n); at a place that of the piece to the right."""
    return _found(table, z)[0]


def points(table: Table, low: Array, high: Array) -> Points:
    """Two for each piece, 2 k + 2 in all; at an infinite end nothing is known of any slope."""
    pieces = jax.tree.map(lambda part: _along(part, low.ndim), _pieces(table))
    one, other = _ends(pieces, low[None], high[None])
    z, below, above, counts = (
        xp.concatenate(pair) for pair in zip(one, other, strict=True)
    )  # fmt: skip
    # What lies outside repeats a point that does not.
    first = xp.argmax(counts, axis=0)[None]

    def kept(each: Array) -> Array:
        return xp.where(counts, each, xp.take_along_axis(each, first, axis=0))

    z, below, above = kept(z), kept(below), kept(above)
    finite = xp.isfinite(z)
    spare = xp.clip(0.0, low, high)[None]
    return Points(
        xp.where(finite, z, spare),
        xp.where(finite, below, -INFINITE),
        xp.where(finite, above, INFINITE),
    )


def bounds(table: Table, low: Array, high: Array) -> Range:
    """The least and the largest value on [low, high]."""

    def wider(found: Range, piece: _Piece) -> Range:
        for _, below, above, counts in _ends(piece, low, high):
            least, most = xp.where(counts, below, INFINITE), xp.where(counts, above, -INFINITE)
            found = hull(found, Range(least, most))
        return found

    return _over(table, low.ndim, wider, Range(*unknown(low)[::-1]))


def slopes(table: Table, low: Array, high: Array) -> Range:
    """The least and the largest slope of the pieces that [low, high] meets, infinite with a jump.

    A jump that numbers next to the stored ones explain counts as none.
    """

    def wider(found: Range, piece: _Piece) -> Range:
        near = 4 * UNIT * xp.abs(piece.slope)
        meets = (piece.start[0] <= high) & (piece.end[1] >= low)
        jump = _inside(piece.end, low, high) & piece.jump
        least = xp.where(meets, piece.slope - near, INFINITE)
        most = xp.where(meets, piece.slope + near, -INFINITE)
        found = hull(found, Range(least, most))
        return hull(found, Range(*(xp.where(jump, end, -end) for end in unknown(low))))

    return _over(table, low.ndim, wider, Range(*unknown(low)[::-1]))


def meets_place(table: Table, low: Array, high: Array) -> Array:
    """Whether a place may lie in [low, high]."""

    def wider(found: Array, piece: _Piece) -> Array:
        return found | _inside(piece.end, low, high)

    return _over(table, low.ndim, wider, xp.zeros(low.shape, bool))


def reach(table: Table) -> tuple[Array, Array]:
    """(earliest, latest) where each place may be, (k, e)."""
    places, spread = xp.asarray(table.places), xp.asarray(table.spread)
    known = (spread == 0) | ~xp.isfinite(places)
    far = xp.where(known, 0.0, spread + 2 * UNIT * (xp.abs(places) + spread))
    return places - far, places + far


def _inside(place: tuple[Array, Array], low: Array, high: Array) -> Array:
    return (place[0] <= high) & (place[1] >= low) & xp.isfinite(place[0])


def _ends(piece: _Piece, low: Array, high: Array) -> tuple[tuple[Array, ...], ...]:
    """(z, below, above, whether it counts) at the start of a piece on [low, high], and at its end.

    The place there lies between this piece's last point and the next one's first: its own value
    at both bounds it wherever it is.
    """
    active = (piece.start[0] < high) & (piece.end[1] > low)
    found = []
    for place, reached, own in (
        (piece.start, piece.start[0], piece.values[0]),
        (piece.end, piece.end[1], piece.values[1]),
    ):
        z = xp.clip(reached, low, high)
        low_line, high_line = _line(piece, z)
        near = 4 * UNIT * xp.abs(own)
        at = _inside(place, low, high)
        below = xp.minimum(xp.where(active, low_line, INFINITE), xp.where(at, own - near, INFINITE))
        above = xp.maximum(
            xp.where(active, high_line, -INFINITE), xp.where(at, own + near, -INFINITE)
        )
        found.append((z, below, above, active | at))
    return tuple(found)


def _line(piece: _Piece, z: Array) -> Range:
    """slope z + constant, with what rounding and numbers next to the stored ones may do."""
    slope, constant = piece.slope, piece.constant
    rise = slope * xp.where(slope == 0, 0.0, z)  # never 0 times infinity
    # 2 for the numbers, 3 for product, sum and what is done to it.
    error = 6 * UNIT * (xp.abs(rise) + xp.abs(constant)) + TINY
    found = Range(lowered(rise + constant, error), raised(rise + constant, error))
    alike = ((slope >= 0) & (z >= 0)) | ((slope <= 0) & (z <= 0))
    opposite = ((slope >= 0) & (z <= 0)) | ((slope <= 0) & (z >= 0))
    return signed(found, alike & (constant >= 0), opposite & (constant <= 0))


def _pieces(table: Table) -> _Piece:
    slope, constant = xp.asarray(table.slopes), xp.asarray(table.constants)
    places, values = xp.asarray(table.places), xp.asarray(table.values)
    earliest, latest = reach(table)
    at = xp.where(xp.isfinite(places), places, 0.0)
    rises = (slope[:-1] * at, slope[1:] * at)
    sides = (rises[0] + constant[:-1], rises[1] + constant[1:])
    size = sum(xp.abs(each) for each in (*rises, constant[:-1], constant[1:], values))
    steep = xp.abs(slope[:-1]) + xp.abs(slope[1:])
    rounding = up(4 * UNIT * size + steep * xp.where(xp.isfinite(places), latest - at, 0.0))
    jump = (xp.abs(sides[1] - sides[0]) > rounding) | (xp.abs(values - sides[0]) > rounding)
    none = xp.full_like(slope[:1], INFINITE)
    blank = xp.zeros_like(none)
    return _Piece(
        slope,
        constant,
        (xp.concatenate([-none, earliest]), xp.concatenate([-none, latest])),
        (xp.concatenate([earliest, none]), xp.concatenate([latest, none])),
        (xp.concatenate([blank, values]), xp.concatenate([values, blank])),
        xp.concatenate([jump, xp.zeros(none.shape, bool)]),
    )


def _over(table: Table, axes: int, wider: Callable[[State, _Piece], State], start: State) -> State:
    """``wider`` with one piece after the other, their last axis along that of the interval."""
    pieces = jax.tree.map(lambda part: _along(part, axes), _pieces(table))
    count = pieces.slope.shape[0]
    if count <= FEW + 1 or not of_jax(*pieces[:2], start):
        for j in range(count):
            start = wider(start, jax.tree.map(lambda each, j=j: each[j], pieces))
        return start
    return jax.lax.scan(lambda found, piece: (wider(found, piece), None), start, pieces)[0]


def _found(table: Table, z: Array) -> tuple[Array, Array, Array, Array]:
    """Of the piece at z, or right of it at a place: slope, constant; whether z is a place, and
    the value there."""
    z = jnp.clip(z, -LARGEST, LARGEST)  # the padding's places are never reached
    table = jax.tree.map(jnp.asarray, table)
    count, width = table.places.shape
    if count > FEW:
        if width == 1:
            return _looked_up(jax.tree.map(lambda part: part[:, 0], table), z)
        return jax.vmap(_looked_up, in_axes=(1, -1), out_axes=-1)(table, z)
    places, _, slope, constant, values = (_along(jnp.asarray(part), z.ndim) for part in table)
    found = [jnp.broadcast_to(part[0], z.shape) for part in (slope, constant)]
    at, own = jnp.zeros(z.shape, bool), jnp.zeros_like(z)
    for j in range(count):
        right, here = z >= places[j], z == places[j]
        found = [
            jnp.where(right, part[j + 1], kept)
            for part, kept in zip((slope, constant), found, strict=True)
        ]
        at, own = at | here, jnp.where(here, values[j], own)
    return found[0], found[1], at, own


def _looked_up(table: Table, z: Array) -> tuple[Array, Array, Array, Array]:
    """The same for one function, the table's arrays without their last axis."""
    piece = jnp.searchsorted(table.places, z, side="right")
    last = jnp.maximum(piece - 1, 0)
    at = table.places[last] == z
    return table.slopes[piece], table.constants[piece], at, table.values[last]


def _along(rows: Array, axes: int) -> Array:
    """(k, e) with axes of length 1 between, for arrays (..., n) of so many."""
    return rows[:, *(None,) * (axes - 1), :]
