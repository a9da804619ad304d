"""Interval arithmetic in float64 whose results are moved outward by more than they may be off.

A `Range` says that a number is real and lies in [low, high]; an end may be infinite. One that
is infinite at both ends also stands for what may have no value at all, like log(-1), and stays
so in whatever is computed from it (`jaxid.verification.enclosures`). The functions of one
variable are monotone on either side of 0, and so are their derivatives; sin and cos have a
rule of their own. Numbers below the least normal one, 2e-308, count as 0, as they do in XLA.
All of it is for NumPy's arrays and JAX's alike.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import numpy as np

from jaxid.core.types import Array
from jaxid.verification import arrays
from jaxid.verification.arrays import xp
from jaxid.verification.rounding import TINY, UNIT

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
    beyond = xp.where(value > 0, HUGE, -INFINITE)
    return xp.where(xp.isfinite(value), value - error, beyond)


def raised(value: Array, error: Array | float) -> Array:
    """An upper end."""
    return -lowered(-value, error)


def widened(low: Array, high: Array) -> Range:
    """What one correctly rounded operation gave for each end, and the next numbers outward."""
    return Range(
        lowered(low, 4 * UNIT * xp.abs(low) + TINY), raised(high, 4 * UNIT * xp.abs(high) + TINY)
    )


def unknown(like: Array) -> Range:
    """Everything."""
    return Range(xp.full_like(like, -INFINITE), xp.full_like(like, INFINITE))


def lost(a: Range) -> Array:
    """Whether nothing is known, perhaps not even that there is a number."""
    return (a.low == -INFINITE) & (a.high == INFINITE)


def either(mask: Array, a: Range, b: Range) -> Range:
    """``a`` where the mask holds, else ``b``."""
    return Range(xp.where(mask, a.low, b.low), xp.where(mask, a.high, b.high))


def hull(a: Range, b: Range) -> Range:
    """The least range that holds both."""
    return Range(xp.minimum(a.low, b.low), xp.maximum(a.high, b.high))


def signed(found: Range, positive: Array, negative: Array) -> Range:
    """Signs are exact: rounding takes nothing across 0."""
    return Range(
        xp.where(positive, xp.maximum(found.low, 0.0), found.low),
        xp.where(negative, xp.minimum(found.high, 0.0), found.high),
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
    least = xp.minimum(xp.minimum(*products[:2]), xp.minimum(*products[2:]))
    most = xp.maximum(xp.maximum(*products[:2]), xp.maximum(*products[2:]))
    alike = ((a.low >= 0) & (b.low >= 0)) | ((a.high <= 0) & (b.high <= 0))
    opposite = ((a.low >= 0) & (b.high <= 0)) | ((a.high <= 0) & (b.low >= 0))
    found = signed(widened(least, most), alike, opposite)
    return either(xp.isnan(least), unknown(least), found)


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
        size = Range(xp.abs(a.low), xp.abs(a.high))
        within = (a.low <= 0) & (a.high >= 0)
        least = xp.where(within, 0.0, xp.minimum(*size))
        ends = Range(least, xp.maximum(*size))
    low, high = raised_to(ends.low, n), raised_to(ends.high, n)
    # Each of at most 2 log2 n products is rounded; in the end no more than n of them count.
    rough = (2 * n + 8) * UNIT
    found = Range(
        lowered(low, rough * xp.abs(low) + TINY), raised(high, rough * xp.abs(high) + TINY)
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
        `tests/expressivity/test_ranges.py` finds.
    """

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    domain: tuple[float, float] = (-INFINITE, INFINITE)
    image: tuple[float, float] = (-INFINITE, INFINITE)
    signed: bool = False
    rough: float = ALLOWED
    steep: float = ALLOWED


def _bell(z: Array) -> Array:
    return 2 / np.sqrt(np.pi) * xp.exp(-z * z)


def _logistic_slope(z: Array) -> Array:
    e = xp.exp(-xp.abs(z))
    return e / ((1 + e) * (1 + e))


# Two roots rather than that of 1 - z^2, which cancels, or of z^2 - 1, which overflows.
def _arc(z: Array) -> Array:
    return 1 / (xp.sqrt(1 - z) * xp.sqrt(1 + z))


POSITIVE = (0.0, INFINITE)
LEAST = 2.0**-1022
"""The least normal number."""
ELEMENTARY: dict[str, Elementary] = {
    "exp": Elementary(xp.exp, xp.exp, image=POSITIVE),
    "exp2": Elementary(
        xp.exp2, lambda z: np.log(2) * xp.exp2(z), image=POSITIVE, rough=ROUGH, steep=ROUGH
    ),
    "expm1": Elementary(xp.expm1, xp.exp, image=(-1.0, INFINITE), signed=True),
    "log": Elementary(xp.log, lambda z: 1 / z, POSITIVE),
    "log1p": Elementary(
        xp.log1p, lambda z: 1 / (1 + z), (-1.0, INFINITE), signed=True, rough=ROUGH
    ),
    "sqrt": Elementary(xp.sqrt, lambda z: 0.5 / xp.sqrt(z), POSITIVE, POSITIVE),
    # Not at 0: of -0 it is -inf.
    "rsqrt": Elementary(
        arrays.rsqrt, lambda z: -0.5 * arrays.rsqrt(z) / z, (LEAST, INFINITE), POSITIVE
    ),
    "cbrt": Elementary(xp.cbrt, lambda z: 1 / (3 * xp.cbrt(z) ** 2), signed=True),
    "tanh": Elementary(
        xp.tanh, lambda z: 4 * _logistic_slope(2 * z), image=(-1.0, 1.0), signed=True
    ),
    "logistic": Elementary(arrays.sigmoid, _logistic_slope, image=(0.0, 1.0)),
    "softplus": Elementary(arrays.softplus, arrays.sigmoid, image=POSITIVE),
    "erf": Elementary(arrays.erf, _bell, image=(-1.0, 1.0), signed=True, steep=ROUGH),
    "erfc": Elementary(
        arrays.erfc, lambda z: -_bell(z), image=(0.0, 2.0), rough=ROUGH, steep=ROUGH
    ),
    "sinh": Elementary(xp.sinh, xp.cosh, signed=True, rough=ROUGH, steep=ROUGH),
    "cosh": Elementary(xp.cosh, xp.sinh, image=(1.0, INFINITE), rough=ROUGH, steep=ROUGH),
    "asin": Elementary(xp.arcsin, _arc, (-1.0, 1.0), signed=True),
    "acos": Elementary(xp.arccos, lambda z: -_arc(z), (-1.0, 1.0), POSITIVE),
    "atan": Elementary(xp.arctan, lambda z: 1 / (1 + z * z), signed=True),
    "asinh": Elementary(
        xp.arcsinh, lambda z: 1 / xp.hypot(xp.ones_like(z), z), signed=True
    ),
    "acosh": Elementary(
        xp.arccosh, lambda z: 1 / (xp.sqrt(z - 1) * xp.sqrt(z + 1)), (1.0, INFINITE), POSITIVE
    ),
    "atanh": Elementary(
        xp.arctanh, lambda z: 1 / ((1 - z) * (1 + z)), (-1.0, 1.0), signed=True, rough=ROUGH
    ),
}  # fmt: skip
"""By the name of the primitive. Adding one is adding an entry, here and in the test's list."""


def image(function: Elementary, a: Range) -> tuple[Range, Range]:
    """(values, derivatives) on a; unknown where a may leave the domain."""
    # Where both are monotone on either side of 0, nothing exceeds what is found at these three.
    places = [a.low, a.high, xp.clip(0.0, a.low, a.high)]
    # 1 / -0 is not what 1 / z tends to where z > 0.
    places = [xp.where(z == 0, 0.0, z) for z in places]
    values = reduce(hull, [_about(function.value(z), function.rough) for z in places])
    slopes = reduce(hull, [_about(function.slope(z), function.steep) for z in places])
    low, high = (xp.clip(end, *function.image) for end in values)
    found = Range(low, high)
    if function.signed:
        found = signed(found, a.low >= 0, a.high <= 0)
    inside = (a.low >= function.domain[0]) & (a.high <= function.domain[1])
    return either(inside, found, unknown(low)), either(inside, slopes, unknown(low))


def _about(value: Array, rough: float) -> Range:
    error = rough * UNIT * xp.abs(value) + TINY
    return Range(lowered(value, error), raised(value, error))


def wave(function: Callable[[Array], Array], peak: float, a: Range) -> Range:
    """sin (``peak`` pi / 2) or cos (0) on a; of what may be infinite they have no value."""
    found = []
    for z in a:
        value = function(z)
        error = ALLOWED * UNIT * (xp.abs(value) + xp.minimum(xp.abs(z), 1.0)) + TINY
        found.append(Range(lowered(value, error), raised(value, error)))
    least, most = hull(*found)
    far = ~((a.low >= -TURNS) & (a.high <= TURNS))

    def reached(place: float) -> Array:
        # Turns are off by a few roundings: an extreme that close counts, as it nearly does.
        turns = Range(*((z - place) / (2 * np.pi) for z in a))
        slack = [8 * UNIT * (xp.abs(each) + 1) for each in turns]
        last, first = xp.floor(turns.high + slack[1]), xp.ceil(turns.low - slack[0])
        return (last >= first) | far

    low = xp.where(reached(peak + np.pi), -1.0, xp.maximum(least, -1.0))
    high = xp.where(reached(peak), 1.0, xp.minimum(most, 1.0))
    return either(xp.isfinite(a.low) & xp.isfinite(a.high), Range(low, high), unknown(low))
