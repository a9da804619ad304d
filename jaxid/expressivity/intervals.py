"""Interval bound propagation: every node's least and largest value over a box (Gowal et al.
2018, section 3), in arithmetic that errs on the safe side."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxid.expressivity.functions import value_range
from jaxid.expressivity.network import AffineStep, Numbers, PointwiseStep, Structure, along, times
from jaxid.expressivity.rounding import gamma, up
from jaxid.types import Array


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


def propagate(structure: Structure, numbers: Numbers, box: Interval) -> list[Interval]:
    """Bounds on every node, the box first."""
    found = [box]
    for step, own in zip(structure.steps, numbers, strict=True):
        found.append(step_interval(step, own, found))
    return found


def step_interval(
    step: AffineStep | PointwiseStep, own: Numbers, found: list[Interval]
) -> Interval:
    """One node's bounds from its parents'."""
    if isinstance(step, PointwiseStep):
        return Interval(*value_range(step.function, *found[step.parent]))
    weights, bias = own
    middle: Array = along(bias, found[0].low)
    radius, size, terms = jnp.zeros_like(middle), jnp.abs(middle), 1
    for parent, weight in zip(step.parents, weights, strict=True):
        low, high = found[parent]
        centre = 0.5 * (low + high)
        half = jnp.maximum(high - centre, centre - low)
        absolute = None if weight is None else jnp.abs(weight)
        middle = middle + times(centre, weight)
        radius = radius + times(half, absolute)
        size = size + times(jnp.abs(centre) + half, absolute)
        terms += low.shape[-1] if weight is not None and weight.ndim == 2 else 1
    # The middle's sum and the radius's are each within gamma of the sum of sizes.
    error = up(2 * gamma(terms) * size)
    return Interval(middle - radius - error, middle + radius + error)
