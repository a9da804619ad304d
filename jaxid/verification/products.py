"""Planes below and above a product of two nodes (McCormick 1976).

For any centre (a, b), x y = b x + a y - a b + (x - a)(y - b), and on a box about the centre the
last term is at most r s, its half widths. With the box's middle as the centre this is the mean of
McCormick's two planes on either side.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from jaxid.core.types import Array
from jaxid.verification.intervals import Interval
from jaxid.verification.rounding import UNIT, up


class Planes(NamedTuple):
    """slopes[0] x + slopes[1] y + constant, to +-radius, each (1, n)."""

    slopes: tuple[Array, Array]
    constant: Array
    radius: Array


def planes(first: Interval, second: Interval, product: Interval) -> Planes:
    """Planes for x y on two intervals; level ones where ``product``, bounds on it, are nearer."""
    (a, r), (b, s) = (_centred(side) for side in (first, second))
    constant, radius = -a * b, up(r * s * (1 + 4 * UNIT) + 4 * UNIT * jnp.abs(a * b))
    middle, half = _centred(product)
    level = ~(radius < half)
    slopes = (jnp.where(level, 0.0, b), jnp.where(level, 0.0, a))
    constant, radius = jnp.where(level, middle, constant), jnp.where(level, half, radius)
    return Planes((slopes[0][None], slopes[1][None]), constant[None], radius[None])


def _centred(side: Interval) -> tuple[Array, Array]:
    """(a number inside, how far the ends are from it at most); (0, inf) if they are infinite."""
    low, high = side
    finite = jnp.isfinite(low) & jnp.isfinite(high)
    low, high = jnp.where(finite, low, -1.0), jnp.where(finite, high, 1.0)
    middle = jnp.clip(0.5 * low + 0.5 * high, low, high)
    half = up(jnp.maximum(high - middle, middle - low))
    return jnp.where(finite, middle, 0.0), jnp.where(finite, half, jnp.inf)
