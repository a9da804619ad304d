"""Interval arithmetic in float64 whose results are moved outward by more than they may be off.

A `Range` says that a number is real and lies in [low, high]; an end may be infinite. One that
is infinite at both ends also stands for what may have no value at all, like log(-1), and stays
so in whatever is computed from it (`jaxid.expressivity.enclosures`). The functions of one
variable are monotone on either side of 0, and so are their derivatives; sin and cos have a
rule of their own. Numbers below the least normal one, 2e-308, count as 0, as they do in XLA.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.expressivity.rounding import TINY, UNIT
from jaxid.types import Array

INFINITE = float("inf")
HUGE = 2.0**1023
"""A lower end that overflows is lowered to this."""
ALLOWED = 64
"""Relative error of an elementary function, in units of u."""
ROUGH = 4096
"""The same for those that XLA computes roughly, or from a rounded operand, as in exp(-z^2)."""
TURNS = 1e8
"""Beyond it nothing is said of sin and cos."""


class Range(NamedTuple):
    """low <= h <= high, each (..., n)."""

    low: Array
    high: Array


def lowered(value: Array, error: Array | float) -> Array:
    """A lower end: ``value`` less ``error``; what is no number says nothing."""
    beyond = jnp.where(value > 0, HUGE, -INFINITE)
    return jnp.where(jnp.isfinite(value), value - error, beyond)


def raised(value: Array, error: Array | float) -> Array:
    """An upper end."""
    return -lowered(-value, error)


def widened(low: Array, high: Array) -> Range:
    """What one correctly rounded operation gave for each end, and the next numbers outward."""
    return Range(
        lowered(low, 4 * UNIT * jnp.abs(low) + TINY), raised(high, 4 * UNIT * jnp.abs(high) + TINY)
    )


def unknown(like: Array) -> Range:
    """Everything."""
    return Range(jnp.full_like(like, -INFINITE), jnp.full_like(like, INFINITE))


def lost(a: Range) -> Array:
    """Whether nothing is known, perhaps not even that there is a number."""
    return (a.low == -INFINITE) & (a.high == INFINITE)


def either(mask: Array, a: Range, b: Range) -> Range:
    """``a`` where the mask holds, else ``b``."""
    return Range(jnp.where(mask, a.low, b.low), jnp.where(mask, a.high, b.high))


def hull(a: Range, b: Range) -> Range:
    """The least range that holds both."""
    return Range(jnp.minimum(a.low, b.low), jnp.maximum(a.high, b.high))


def signed(found: Range, positive: Array, negative: Array) -> Range:
    """Signs are exact: rounding takes nothing across 0."""
    return Range(
        jnp.where(positive, jnp.maximum(found.low, 0.0), found.low),
        jnp.where(negative, jnp.minimum(found.high, 0.0), found.high),
    )


def plus(a: Range, b: Range) -> Range:
    """a + b."""
    found = widened(a.low + b.low, a.high + b.high)
    return signed(found, (a.low >= 0) & (b.low >= 0), (a.high <= 0) & (b.high <= 0))


def minus(a: Range) -> Range:
    """-a."""
    return Range(-a.high, -a.low)


def times(a: Range, b: Range) -> Range:
    """a b; unknown where 0 meets an infinite end."""
    products = (a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high)
    least = jnp.minimum(jnp.minimum(*products[:2]), jnp.minimum(*products[2:]))
    most = jnp.maximum(jnp.maximum(*products[:2]), jnp.maximum(*products[2:]))
    alike = ((a.low >= 0) & (b.low >= 0)) | ((a.high <= 0) & (b.high <= 0))
    opposite = ((a.low >= 0) & (b.high <= 0)) | ((a.high <= 0) & (b.low >= 0))
    found = signed(widened(least, most), alike, opposite)
    return either(jnp.isnan(least), unknown(least), found)


def reciprocal(a: Range) -> Range:
    """1 / a; unknown where a may be 0."""
    found = signed(widened(1 / a.high, 1 / a.low), a.low > 0, a.high < 0)
    return either((a.low > 0) | (a.high < 0), found, unknown(a.low))


def power(a: Range, n: int) -> Range:
    """a^n, n >= 1."""
    if n == 1:
        return a
    ends = a
    if n % 2 == 0:
        size = Range(jnp.abs(a.low), jnp.abs(a.high))
        within = (a.low <= 0) & (a.high >= 0)
        least = jnp.where(within, 0.0, jnp.minimum(*size))
        ends = Range(least, jnp.maximum(*size))
    low, high = raised_to(ends.low, n), raised_to(ends.high, n)
    # Each of at most 2 log2 n products is rounded; in the end no more than n of them count.
    rough = (2 * n + 8) * UNIT
    found = Range(
        lowered(low, rough * jnp.abs(low) + TINY), raised(high, rough * jnp.abs(high) + TINY)
    )
    return signed(found, ends.low >= 0, ends.high <= 0)


def raised_to(z: Array, n: int) -> Array:
    """z^n, by squares; n >= 1."""
    result = None
    while True:
        if n % 2:
            result = z if result is None else result * z
        n //= 2
        if not n:
            break
        z = z * z
    assert result is not None
    return result


class Elementary(NamedTuple):
    """A function of one variable.

    Attributes:
      value, slope: it and its derivative, each monotone on z <= 0 and on z >= 0.
      domain: it has no value outside; at an end it may be infinite.
      image: it lies in there.
      signed: whether it has its operand's sign.
      rough, steep: allowed relative errors of value and slope, in units of u; many times what
        `tests/expressivity/test_enclosures.py` finds.
    """

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    domain: tuple[float, float] = (-INFINITE, INFINITE)
    image: tuple[float, float] = (-INFINITE, INFINITE)
    signed: bool = False
    rough: float = ALLOWED
    steep: float = ALLOWED


def _bell(z: Array) -> Array:
    return 2 / np.sqrt(np.pi) * jnp.exp(-z * z)


def _logistic_slope(z: Array) -> Array:
    e = jnp.exp(-jnp.abs(z))
    return e / ((1 + e) * (1 + e))


# Two roots rather than that of 1 - z^2, which cancels, or of z^2 - 1, which overflows.
def _arc(z: Array) -> Array:
    return 1 / (jnp.sqrt(1 - z) * jnp.sqrt(1 + z))


POSITIVE = (0.0, INFINITE)
ELEMENTARY: dict[str, Elementary] = {
    "exp": Elementary(jnp.exp, jnp.exp, image=POSITIVE),
    "exp2": Elementary(
        jnp.exp2, lambda z: np.log(2) * jnp.exp2(z), image=POSITIVE, rough=ROUGH, steep=ROUGH
    ),
    "expm1": Elementary(jnp.expm1, jnp.exp, image=(-1.0, INFINITE), signed=True),
    "log": Elementary(jnp.log, lambda z: 1 / z, POSITIVE),
    "log1p": Elementary(
        jnp.log1p, lambda z: 1 / (1 + z), (-1.0, INFINITE), signed=True, rough=ROUGH
    ),
    "sqrt": Elementary(jnp.sqrt, lambda z: 0.5 / jnp.sqrt(z), POSITIVE, POSITIVE),
    "rsqrt": Elementary(jax.lax.rsqrt, lambda z: -0.5 * jax.lax.rsqrt(z) / z, POSITIVE, POSITIVE),
    "cbrt": Elementary(jnp.cbrt, lambda z: 1 / (3 * jnp.cbrt(z) ** 2), signed=True),
    "tanh": Elementary(
        jnp.tanh, lambda z: 4 * _logistic_slope(2 * z), image=(-1.0, 1.0), signed=True
    ),
    "logistic": Elementary(jax.nn.sigmoid, _logistic_slope, image=(0.0, 1.0)),
    "softplus": Elementary(jax.nn.softplus, jax.nn.sigmoid, image=POSITIVE),
    "erf": Elementary(jax.lax.erf, _bell, image=(-1.0, 1.0), signed=True, steep=ROUGH),
    "erfc": Elementary(
        jax.lax.erfc, lambda z: -_bell(z), image=(0.0, 2.0), rough=ROUGH, steep=ROUGH
    ),
    "sinh": Elementary(jnp.sinh, jnp.cosh, signed=True, rough=ROUGH, steep=ROUGH),
    "cosh": Elementary(jnp.cosh, jnp.sinh, image=(1.0, INFINITE), rough=ROUGH, steep=ROUGH),
    "asin": Elementary(jnp.arcsin, _arc, (-1.0, 1.0), signed=True),
    "acos": Elementary(jnp.arccos, lambda z: -_arc(z), (-1.0, 1.0), POSITIVE),
    "atan": Elementary(jnp.arctan, lambda z: 1 / (1 + z * z), signed=True),
    "asinh": Elementary(
        jnp.arcsinh, lambda z: 1 / jnp.hypot(jnp.ones_like(z), z), signed=True
    ),
    "acosh": Elementary(
        jnp.arccosh, lambda z: 1 / (jnp.sqrt(z - 1) * jnp.sqrt(z + 1)), (1.0, INFINITE), POSITIVE
    ),
    "atanh": Elementary(
        jnp.arctanh, lambda z: 1 / ((1 - z) * (1 + z)), (-1.0, 1.0), signed=True, rough=ROUGH
    ),
}  # fmt: skip
"""By the name of the primitive. Adding one is adding an entry, here and in the test's list."""


def image(function: Elementary, a: Range) -> tuple[Range, Range]:
    """(values, derivatives) on a; unknown where a may leave the domain."""
    # Where both are monotone on either side of 0, nothing exceeds what is found at these three.
    places = [a.low, a.high, jnp.clip(0.0, a.low, a.high)]
    # 1 / -0 is not what 1 / z tends to where z > 0.
    places = [jnp.where(z == 0, 0.0, z) for z in places]
    inside = (a.low >= function.domain[0]) & (a.high <= function.domain[1])
    values = _extremes(function.value, places, function.rough)
    slopes = _extremes(function.slope, places, function.steep)
    low, high = (jnp.clip(end, *function.image) for end in values)
    found = Range(low, high)
    if function.signed:
        found = signed(found, a.low >= 0, a.high <= 0)
    return either(inside, found, unknown(low)), either(inside, slopes, unknown(low))


def _extremes(function: Callable[[Array], Array], places: list[Array], rough: float) -> Range:
    # Not stacked: of what is stacked, XLA computes everything once for each.
    found = []
    for z in places:
        value = function(z)
        error = rough * UNIT * jnp.abs(value) + TINY
        found.append(Range(lowered(value, error), raised(value, error)))
    return reduce(hull, found)


def wave(function: Callable[[Array], Array], peak: float, a: Range) -> Range:
    """sin (``peak`` pi / 2) or cos (0) on a."""
    found = []
    for z in a:
        value = function(z)
        error = ALLOWED * UNIT * (jnp.abs(value) + jnp.minimum(jnp.abs(z), 1.0)) + TINY
        found.append(Range(lowered(value, error), raised(value, error)))
    least, most = hull(*found)
    far = ~((a.low >= -TURNS) & (a.high <= TURNS))

    def reached(place: float) -> Array:
        # Turns are off by a few roundings: an extreme that close counts, as it nearly does.
        turns = Range(*((z - place) / (2 * np.pi) for z in a))
        slack = [8 * UNIT * (jnp.abs(each) + 1) for each in turns]
        last, first = jnp.floor(turns.high + slack[1]), jnp.ceil(turns.low - slack[0])
        return (last >= first) | far

    low = jnp.where(reached(peak + np.pi), -1.0, jnp.maximum(least, -1.0))
    return Range(low, jnp.where(reached(peak), 1.0, jnp.minimum(most, 1.0)))
