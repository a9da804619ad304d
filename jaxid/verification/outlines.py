"""Lines below and above any function of one variable that points hold.

Points (z_k, below_k) and (z_k, above_k) hold g on [low, high] if for every slope s
  min over [low, high] of g(z) - s z >= min_k (below_k - s z_k),
and the same from above. So every slope has its line, as in `jaxid.verification.lines`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxid.core.types import Array
from jaxid.verification.lines import Lines, Slopes
from jaxid.verification.rounding import UNIT, up

HALVINGS = 60
EDGE = 1 - 1e-9
"""Of the search's variable t in (-1, 1); slopes are t / (1 - |t|) times the mean one."""


class Outline(NamedTuple):
    """Points, each (points, n)."""

    z: Array
    below: Array
    above: Array


def outline_lines(held: Outline, slopes: Slopes) -> Lines:
    """The lines of those slopes, (..., n), that touch the points, moved outward by rounding."""
    below = _support(held.z, held.below, slopes.below)[0]
    above = _support(held.z, -held.above, -slopes.above)[0]
    return Lines(slopes, below, -above)


def _support(z: Array, heights: Array, slope: Array) -> tuple[Array, Array]:
    """(min_k (h_k - s z_k), moved down by rounding; the z_k where it is), (..., n)."""
    shape = slope.shape
    lead = (1,) * (slope.ndim - 1)
    z = z.reshape((z.shape[0], *lead, z.shape[1]))
    h = heights.reshape((heights.shape[0], *lead, heights.shape[1]))
    rise = slope[None] * z
    error = up(4 * UNIT * (jnp.abs(h) + jnp.abs(rise)))
    bounds = h - rise - jax.lax.stop_gradient(jnp.where(jnp.isfinite(h), error, 0.0))
    best = jnp.argmin(bounds, axis=0)[None]
    places = jnp.broadcast_to(z, bounds.shape)
    intercept = jnp.take_along_axis(bounds, best, axis=0)[0]
    place = jnp.take_along_axis(places, best, axis=0)[0]
    return intercept.reshape(shape), place.reshape(shape)


def outline_slopes(held: Outline, low: Array, high: Array) -> Slopes:
    """The slopes whose lines are best in the middle of [low, high], (1, n).

    The line below is highest there where it touches the points on both sides of the middle.
    """
    middle = (0.5 * (low + high))[None]
    width, height = high - low, held.above.max(axis=0) - held.below.min(axis=0)
    usable = (width > 0) & jnp.isfinite(width) & jnp.isfinite(height)
    mean = jnp.where(usable, height / jnp.where(usable, width, 1.0), 0.0)[None]

    def best(heights: Array) -> Array:
        def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            left, right = ends
            t = 0.5 * (left + right)
            place = _support(held.z, heights, _slope(t, mean))[1]
            steep = place > middle
            return jnp.where(steep, left, t), jnp.where(steep, t, right)

        start = (jnp.full_like(mean, -EDGE), jnp.full_like(mean, EDGE))
        left, right = jax.lax.fori_loop(0, HALVINGS, halve, start)
        return _slope(0.5 * (left + right), mean)

    return Slopes(best(held.below), -best(-held.above))


def _slope(t: Array, mean: Array) -> Array:
    return mean * t / (1 - jnp.abs(t))
