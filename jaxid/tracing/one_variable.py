"""Functions of one variable while a network is read: followed on a grid, known by their values.

A value is g(h) of a node h, element by element. What g is shows in its numbers on `GRID`: a
known function, or straight pieces, which are a line and a ReLU at every kink.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

NEAR = 30.0
FAR = 2.0 ** np.arange(5, 61)
SPACED = np.concatenate([-FAR[::-1], np.linspace(-NEAR, NEAR, 2001), FAR])
"""Ascending; far out too, where a clipped output shows what it is."""
POWERS = 2.0 ** np.arange(5)
GRID = np.concatenate([SPACED, np.linspace(-2.0, 2.0, 1000), -POWERS, POWERS])
"""Numbers on which functions of one variable are compared."""
SAME = 1e-11
"""Largest difference, over 1 + |value|, of two ways to compute one function in float64."""
LINES = 12
"""Lines that are tried, of those that a function was begun as."""
KINKS = 8
"""Straight pieces beyond the first that are tried."""
ELEMENTWISE = {"abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2",
    "atanh", "cbrt", "ceil", "clamp", "convert_element_type", "cos", "cosh", "div", "eq", "erf",
    "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite",
    "le", "log", "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg", "not", "or", "pow",
    "rem", "round", "rsqrt", "select_n", "sign", "sin", "sinh", "sqrt", "square", "sub", "tan",
    "tanh", "xor"}  # fmt: skip
"""Primitives that compute each element from the same element of their operands."""


class Value(NamedTuple):
    """A traced value: g(h) of a node h, element by element.

    Attributes:
      node: h.
      shape: with the batch of one.
      samples: g on `GRID`.
      line: (a, b) where g(z) = a z + b, else None.
      begun: the lines (a, b) that g was made from: g may be a known function of one of
        these a z + b.
      terms: where g is a sum of a constant and multiples of other values: (constant, (factor,
        value), ...); what is no known function may be a sum of such.
    """

    node: int
    shape: tuple[int, ...]
    samples: np.ndarray
    line: tuple[float, float] | None
    begun: tuple[tuple[float, float], ...] = ((1.0, 0.0),)
    terms: tuple[float, tuple[tuple[float, Any], ...]] | None = None


class Pieces(NamedTuple):
    """g(z) = slope z + constant + sum over kinks (c, t) of c relu(z - t)."""

    slope: float
    constant: float
    kinks: tuple[tuple[float, float], ...]


def itself(node: int, shape: tuple[int, ...]) -> Value:
    """The node's own value."""
    return Value(node, shape, GRID, (1.0, 0.0))


def combination(constant: float, terms: list[tuple[float, Value]], shape: tuple[int, ...]) -> Value:
    """constant + sum of factor times value, all of one node."""
    values = [value for _, value in terms]
    samples = np.full(GRID.shape, constant)
    for factor, value in terms:
        samples = samples + factor * value.samples
    line = None
    lines = [(factor, value.line) for factor, value in terms if value.line is not None]
    if len(lines) == len(terms):
        line = (sum(f * a for f, (a, _) in lines), constant + sum(f * b for f, (_, b) in lines))
    begun = _begun(values, line)
    return Value(values[0].node, shape, samples, line, begun, (constant, tuple(terms)))


def followed(
    primitive: Any, params: dict[str, Any], args: list[Any], shape: tuple[int, ...]
) -> Value | None:
    """What an elementwise primitive makes of values of one node and of numbers; None where it
    can't be followed."""
    values = [arg for arg in args if isinstance(arg, Value)]
    operands = [
        jnp.asarray(arg.samples)
        if isinstance(arg, Value)
        else jnp.broadcast_to(in_float64(np.ravel(np.asarray(arg))[0]), GRID.shape)
        for arg in args
    ]
    try:
        samples = np.asarray(primitive.bind(*operands, **params))
    except (TypeError, ValueError):
        return None
    if samples.shape != GRID.shape:
        return None
    return Value(values[0].node, shape, samples, None, _begun(values, None))


def reshaped(value: Value, shape: tuple[int, ...]) -> Value:
    """The value in another shape; numbers in place of truth values, which are 0 and 1."""
    return value._replace(shape=shape, samples=value.samples.astype(np.float64))


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two functions' numbers on `GRID` agree; far out only where neither overflows."""
    if one.dtype == bool:
        return False
    overflown = (np.abs(GRID) > NEAR) & ~(np.isfinite(one) & np.isfinite(other))
    with np.errstate(invalid="ignore"):
        alike = np.abs(one - other) <= SAME * (1 + np.abs(other))
    return bool(np.all(alike | overflown))


def straight_pieces(samples: np.ndarray) -> Pieces | None:
    """The line and ReLUs that a function of straight pieces is, else None.

    Slopes are those of the values themselves, to the last bit; kinks are where neighbouring
    pieces meet, rounded to ten digits if that is as good.
    """
    if samples.dtype == bool or not np.isfinite(samples).all():
        return None
    z, g = SPACED, samples[: SPACED.size].astype(np.float64)
    width = np.diff(z)
    slope = np.diff(g) / width
    bend = np.abs(np.diff(slope)) * np.minimum(width[:-1], width[1:])
    bent = np.flatnonzero(bend > SAME * (1 + np.abs(g[1:-1]))) + 1
    # A kink between two points bends both; one at a point bends it alone.
    groups = [] if not bent.size else np.split(bent, np.flatnonzero(np.diff(bent) > 1) + 1)
    if len(groups) > KINKS or any(len(group) > 2 for group in groups):
        return None
    starts = [0, *(int(group[-1]) for group in groups)]
    ends = [*(int(group[0]) for group in groups), z.size - 1]
    if any(start >= end for start, end in zip(starts, ends, strict=True)):
        return None
    pieces = [_line(z, g, a, b) for a, b in zip(starts, ends, strict=True)]
    kinks = []
    for (a, b), (c, d) in pairwise(pieces):
        place = (b - d) / (c - a)
        tidy = round(place, 10)
        kinks.append((c - a, tidy if abs(place - tidy) < SAME else place))
    # By the piece that each number lies on: the sum of ReLUs would cancel far out.
    where = np.searchsorted([place for _, place in kinks], GRID)
    slopes, constants = (np.array(part)[where] for part in zip(*pieces, strict=True))
    if not same(samples, slopes * GRID + constants):
        return None
    return Pieces(*pieces[0], tuple(kinks))


def _line(z: np.ndarray, g: np.ndarray, start: int, end: int) -> tuple[float, float]:
    """(a, b) through two of the points."""
    slope = float((g[end] - g[start]) / (z[end] - z[start]))
    near = start if abs(z[start]) < abs(z[end]) else end
    return slope, float(g[near] - slope * z[near])


def in_float64(constant: Any) -> Any:
    """In float64, if it is a floating-point number: the network may compute in float32 inside."""
    array = jnp.asarray(constant)
    return array.astype(jnp.float64) if jnp.issubdtype(array.dtype, jnp.floating) else array


def elements(shape: tuple[int, ...]) -> int:
    """How many an array of that shape has."""
    return int(np.prod(shape))


def uniform(values: np.ndarray) -> bool:
    """Whether there is one number only."""
    return bool(values.size) and bool(np.all(values == values[0]))


def _begun(
    values: list[Value], line: tuple[float, float] | None
) -> tuple[tuple[float, float], ...]:
    """All lines that the values, and what is made of them, were begun as; the first ones only."""
    found = [each for value in values for each in value.begun]
    return tuple(dict.fromkeys([*found, *([] if line is None else [line])]))[:LINES]
