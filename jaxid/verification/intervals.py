"""Interval bound propagation: every node's least and largest value over a box (Gowal et al.
2018, section 3), in arithmetic that errs on the safe side."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxid.core.types import Array
from jaxid.verification import curves, tables
from jaxid.verification.functions import value_range
from jaxid.verification.network import (
    CurveStep,
    Numbers,
    PointwiseStep,
    ProductStep,
    Step,
    StraightStep,
    Structure,
    absolute,
    along,
    times,
)
from jaxid.verification.rounding import TINY, UNIT, gamma, up

UNBOUNDED = 1e250
"""Bounds beyond it are none: they come of something endless."""


class Interval(NamedTuple):
    """low <= h <= high, each (n,) or (batch, n), NumPy's or JAX's."""

    low: Any
    high: Any

    @property
    def size(self) -> Array:
        """The largest |h|."""
        largest: Array = jnp.maximum(jnp.abs(self.low), jnp.abs(self.high))
        return largest

    def meet(self, other: Interval) -> Interval:
        """What both allow."""
        return Interval(jnp.maximum(self.low, other.low), jnp.minimum(self.high, other.high))

    def within(self, known: Interval) -> Interval:
        """What both allow; nothing where nothing is known, since there may be no number."""
        low, high = self.meet(known)
        nothing = lost(known)
        return Interval(jnp.where(nothing, -jnp.inf, low), jnp.where(nothing, jnp.inf, high))


def propagate(structure: Structure, numbers: Numbers, box: Interval) -> list[Interval]:
    """Bounds on every node, the box first."""
    found = [box]
    for step, own in zip(structure.steps, numbers, strict=True):
        found.append(step_interval(step, own, found))
    return found


def output_interval(structure: Structure, found: list[Interval]) -> Interval:
    """The last node's; nothing where a guard may have no value."""
    low, high = found[structure.last]
    if not structure.guards:
        return Interval(low, high)
    each = [lost(found[index]).any(axis=-1, keepdims=True) for index in structure.guards]
    nothing = functools.reduce(jnp.logical_or, each)
    return Interval(jnp.where(nothing, -jnp.inf, low), jnp.where(nothing, jnp.inf, high))


def step_interval(step: Step, own: Any, found: list[Interval]) -> Interval:
    """One node's bounds from its parents'; what is nowhere bounded is infinite."""
    if isinstance(step, ProductStep):
        first, second = step.parents
        return sane(_product(found[first], found[second], own))
    if isinstance(step, PointwiseStep | StraightStep | CurveStep):
        taken = found[step.parent]
        if isinstance(step, PointwiseStep):
            made = Interval(*value_range(step.function, *taken))
        else:
            made = _of_one(step, own, taken)
        # What may have no value at all has none in a function of it either.
        low, high = sane(made)
        nothing = lost(taken)
        return Interval(jnp.where(nothing, -jnp.inf, low), jnp.where(nothing, jnp.inf, high))
    weights, bias = own
    middle: Array = along(bias, found[0].low)
    radius, size, terms = jnp.zeros_like(middle), jnp.abs(middle), 1
    least, endless = middle, jnp.zeros_like(middle)
    for parent, weight in zip(step.parents, weights, strict=True):
        low, high = found[parent]
        infinite = ~(jnp.isfinite(low) & jnp.isfinite(high))
        low, high = (jnp.where(infinite, 0.0, end) for end in (low, high))
        centre = 0.5 * (low + high)
        half = jnp.maximum(high - centre, centre - low)
        positive = absolute(weight)
        middle = middle + times(centre, weight)
        radius = radius + times(half, positive)
        size = size + times(jnp.abs(centre) + half, positive)
        least = least + times(low, weight)
        endless = endless + times(infinite.astype(low.dtype), touched(weight))
        terms += low.shape[-1] if weight is not None and weight.ndim == 2 else 1
    # The middle's sum and the radius's are each within gamma of the sum of sizes.
    error = up(2 * gamma(terms) * size)
    low, high = middle - radius - error, middle + radius + error
    if step.natural:
        # A sum of what is >= 0: its own least value is off by no more than its share.
        least = least * (1 - 4 * gamma(terms)) - TINY
        low, high = jnp.maximum(low, jnp.maximum(least, 0.0)), jnp.maximum(high, 0.0)
    # What adds up something infinite is not known at all.
    nothing = endless > 0
    low, high = jnp.where(nothing, -jnp.inf, low), jnp.where(nothing, jnp.inf, high)
    own_bounds = sane(Interval(low, high))
    if step.larger is None:
        return own_bounds
    one, other = (found[index] for index in step.larger)
    larger = Interval(jnp.maximum(one.low, other.low), jnp.maximum(one.high, other.high))
    return own_bounds.meet(larger)


def lost(found: Interval) -> Array:
    """Whether nothing is known, perhaps not even that there is a number: log(-1) is none."""
    nothing: Array = (found.low == -jnp.inf) & (found.high == jnp.inf)
    return nothing


def touched(weight: Array | None) -> Array | None:
    """1 where a weight is not 0, in the same form."""
    if weight is None or jnp.issubdtype(weight.dtype, jnp.integer):
        return weight
    return (weight != 0).astype(weight.dtype)


def _of_one(step: StraightStep | CurveStep, own: Any, parent: Interval) -> Interval:
    """Of a function of one variable, for boxes alone or in a batch."""

    def ends(low: Array, high: Array) -> tuple[Array, Array]:
        if isinstance(step, StraightStep):
            return tables.bounds(own, low, high)
        constants, held = own
        return curves.bounds(step.program, constants, held, low, high)

    return Interval(*(jax.vmap(ends) if parent.low.ndim == 2 else ends)(*parent))


def _product(first: Interval, second: Interval, reach: Array) -> Interval:
    """The largest and the least of the four products of ends, and no more than ``reach``."""
    ends = jnp.stack([a * b for a in first for b in second])
    # Infinity, or 0 times infinity: nothing is known.
    unknown = ~jnp.isfinite(ends).all(axis=0)
    error = up(2 * UNIT * jnp.abs(ends).max(axis=0))
    low = jnp.where(unknown, -jnp.inf, ends.min(axis=0) - error)
    high = jnp.where(unknown, jnp.inf, ends.max(axis=0) + error)
    limit = along(reach, low)
    # How far a product reaches is said of numbers; what may be none stays so.
    limit = jnp.where(lost(first) | lost(second), jnp.inf, limit)
    return Interval(jnp.maximum(low, -limit), jnp.minimum(high, limit))


def sane(found: Interval) -> Interval:
    """Nothing known in place of what is no number."""
    low, high = found
    return Interval(
        jnp.where(jnp.isnan(low), -jnp.inf, low), jnp.where(jnp.isnan(high), jnp.inf, high)
    )
