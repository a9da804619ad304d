"""Straight lines below and above an activation on an interval.

For any slope s the line s z + t with t = min of g(z) - s z over [low, high] lies below g
there, and touches it. The minimum is at an end of the interval, at an end of the piece on
which g is convex, or on that piece where g' = s; there the tangent bounds it even if the
place is only nearly right, since a convex function lies above its tangents. So every slope
is allowed, which is what optimising them needs, and rounding is covered. Above g the same
with the concave pieces.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxid.core.types import Array
from jaxid.verification.functions import ALLOWED, Function, Side, touching, value_error
from jaxid.verification.rounding import UNIT, up

SEARCH = 50
"""Halvings of the range of slopes."""


class Slopes(NamedTuple):
    """Slopes of the lines below and above, each (..., n)."""

    below: Array
    above: Array


class Lines(NamedTuple):
    """slope z + intercept, below and above, each (..., n)."""

    slopes: Slopes
    below: Array
    above: Array


def lines(function: Function, slopes: Slopes, low: Array, high: Array) -> Lines:
    """The lines of those slopes that touch g on [low, high], moved outward by rounding."""
    below, _ = support(function, slopes.below, low, high, above=False)
    above, _ = support(function, slopes.above, low, high, above=True)
    return Lines(slopes, below, above)


def support(
    function: Function, slope: Array, low: Array, high: Array, *, above: bool
) -> tuple[Array, Array]:
    """(intercept, the z where the line touches); all (..., n), axes of length 1 stretched.

    The intercept's derivative by the slope is -z, as it is for the true minimum.
    """
    left, right = function.convex
    sign = -1.0 if above else 1.0
    pieces: list[tuple[Side, float, float]] = [("convex", left, right)]
    if above:
        pieces = [("left", -jnp.inf, left), ("right", right, jnp.inf)]
    places: list[Array] = [low, high]
    extra: list[Array] = [jnp.zeros_like(low), jnp.zeros_like(low)]
    for side, start, end in pieces:
        a, b = jnp.clip(start, low, high), jnp.clip(end, low, high)
        if function.kink:
            places.append(jnp.clip(0.0, low, high))
            extra.append(jnp.zeros_like(low))
            continue
        if start == end or (start, end) in ((-jnp.inf, -jnp.inf), (jnp.inf, jnp.inf)):
            continue
        # Stopped on the way in: no derivative is taken of the search.
        fixed = jax.lax.stop_gradient(slope)
        z = jnp.clip(touching(function, fixed, side), a, b)
        tilt = sign * (function.derivative(z) - fixed)
        off = jnp.maximum(-tilt, 0.0) * (b - z) + jnp.maximum(tilt, 0.0) * (z - a)
        rough = ALLOWED * UNIT * (1 + jnp.abs(fixed)) * (b - a)
        places += [z, a, b]
        extra += [off + rough, jnp.zeros_like(a), jnp.zeros_like(a)]
    shape = jnp.broadcast_shapes(slope.shape, low.shape)
    z = jnp.stack([jnp.broadcast_to(place, shape) for place in places])
    more = jnp.stack([jnp.broadcast_to(each, shape) for each in extra])
    value, rise = function.value(z), jnp.broadcast_to(slope, shape)[None] * z
    heights = value - rise
    size = jnp.abs(value) + jnp.abs(rise)
    more = up(more + value_error(function, z, value) + 4 * UNIT * size)
    bounds = sign * heights - jax.lax.stop_gradient(more)
    best = jnp.argmin(bounds, axis=0)[None]
    intercept = sign * jnp.take_along_axis(bounds, best, axis=0)[0]
    return intercept, jnp.take_along_axis(z, best, axis=0)[0]


def slope_range(function: Function, low: Array, high: Array) -> Slopes:
    """The least and the largest derivative on [low, high]: other slopes serve nothing."""
    if function.kink:
        ends = jnp.stack([function.derivative(low), function.derivative(high)])
        return Slopes(ends.min(axis=0), ends.max(axis=0))
    turns = [jnp.clip(place, low, high) for place in function.convex]
    slopes = jnp.stack([function.derivative(place) for place in (low, high, *turns)])
    return Slopes(slopes.min(axis=0), slopes.max(axis=0))


def free_slopes(function: Function, low: Array, high: Array) -> tuple[Slopes, Slopes]:
    """((least, largest) slope below, the same above) that may be best for some combination.

    Where g is convex on all of [low, high], no line above it is lower anywhere than its chord;
    where it is concave, none below it is higher: there is nothing to choose.
    """
    least, most = slope_range(function, low, high)
    chord = jnp.clip(_chord(function, low, high), least, most)
    left, right = function.convex
    convex = (low >= left) & (high <= right)
    concave = ((high <= left) | (low >= right)) & ~convex
    below = Slopes(jnp.where(concave, chord, least), jnp.where(concave, chord, most))
    above = Slopes(jnp.where(convex, chord, least), jnp.where(convex, chord, most))
    return below, above


def least_area(function: Function, low: Array, high: Array) -> Slopes:
    """The slopes whose lines enclose the least area with g: those of the lines below and above
    that are best in the middle of [low, high]."""
    middle = 0.5 * (low + high)
    chord = _chord(function, low, high)
    if function.kink:
        ends = slope_range(function, low, high)
        side = function.derivative(jnp.where(middle > 0, high, low))
        return Slopes(jnp.clip(side, *ends), chord)
    start = slope_range(function, low, high)

    def search(above: bool) -> Array:
        def halve(_: int, ends: Slopes) -> Slopes:
            slope = 0.5 * (ends.below + ends.above)
            z = support(function, slope, low, high, above=above)[1]
            # A line that touches right of the middle is too steep from below.
            steep = (z > middle) != above
            return Slopes(jnp.where(steep, ends.below, slope), jnp.where(steep, slope, ends.above))

        found: Slopes = jax.lax.fori_loop(0, SEARCH, halve, start)
        return 0.5 * (found.below + found.above)

    everywhere = function.convex == (-jnp.inf, jnp.inf)
    return Slopes(search(False), chord if everywhere else search(True))


def _chord(function: Function, low: Array, high: Array) -> Array:
    wide = high > low
    rise = function.value(high) - function.value(low)
    return jnp.where(wide, rise / jnp.where(wide, high - low, 1.0), function.derivative(low))
