"""Linear bounds by backward substitution, CROWN (Zhang et al. 2018, section 3).

A combination C h of a node is bounded below by replacing each activation by a line, from
below where its coefficient is positive, from above where it is negative, and each affine map
by itself, back to the input, where the least of a linear function on a box is known. Since
f(x) and the target are nodes of one graph, the bound is on their difference: what they
share cancels.

What rounding may have changed: coefficients A that should be exact are off by at most
gamma_n |A| |W|, and so the bound by that times the largest |h|, which is known; the sum of
the terms by gamma of the sum of their sizes.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp

from jaxid.core.types import Array
from jaxid.verification import curves, tables
from jaxid.verification.intervals import Interval
from jaxid.verification.lines import Lines, Slopes, least_area, lines
from jaxid.verification.network import (
    AffineStep,
    CurveStep,
    Numbers,
    PointwiseStep,
    ProductStep,
    StraightStep,
    Structure,
    UnaryStep,
    absolute,
    times,
    transposed,
)
from jaxid.verification.outlines import Outline, outline_lines, outline_slopes
from jaxid.verification.products import Planes, planes
from jaxid.verification.rounding import UNIT, gamma, up

Drawn: TypeAlias = Lines | Planes
"""What stands in for a node that is not affine."""


class Linear(NamedTuple):
    """C h_at >= coefficients x + constant on the box, to ``slack``.

    Attributes:
      coefficients: (specs, inputs).
      constant: (specs,).
      slack: (specs,), what rounding may have added to the bound.
      least: (specs,), the bound: the least value on the box, slack taken off.
    """

    coefficients: Array
    constant: Array
    slack: Array
    least: Array


def below(
    structure: Structure,
    numbers: Numbers,
    at: int,
    spec: Array,
    known: list[Interval],
    drawn: dict[int, Drawn],
) -> Linear:
    """A lower bound on C h_at over the box.

    Args:
      structure, numbers: the network.
      at: index of the node.
      spec: C, (specs, size of the node).
      known: bounds on the nodes up to ``at``, the box first.
      drawn: for each node before ``at`` that is not affine its lines, (1, n) or (specs, n), or
        its planes, valid on the bounds of its parents.
    """
    held: dict[int, Array] = {at: spec}
    constant = jnp.zeros(spec.shape[0], spec.dtype)
    slack, sizes, count = constant, constant, 1

    def give(node: int, coefficients: Array) -> None:
        nonlocal slack
        if node in held:
            coefficients = held[node] + coefficients
            slack = slack + UNIT * (jnp.abs(coefficients) @ known[node].size)
        held[node] = coefficients

    for index in range(at, 0, -1):
        if index not in held:
            continue
        a, step = held.pop(index), structure.steps[index - 1]
        if isinstance(step, ProductStep):
            planes = drawn[index]
            assert isinstance(planes, Planes)
            shift, spread = times_known(a, planes.constant), times_known(abs(a), planes.radius)
            constant = constant + (shift - spread).sum(axis=-1)
            sizes = sizes + (jnp.abs(shift) + spread).sum(axis=-1)
            count += 2 * a.shape[-1]
            for parent, slope in zip(step.parents, planes.slopes, strict=True):
                moved = times_known(a, slope)
                slack = slack + 2 * UNIT * (jnp.abs(moved) @ known[parent].size)
                give(parent, moved)
            continue
        if not isinstance(step, AffineStep):
            rising, falling = jnp.maximum(a, 0.0), jnp.minimum(a, 0.0)
            line = drawn[index]
            assert isinstance(line, Lines)
            terms = times_known(rising, line.below) + times_known(falling, line.above)
            moved = times_known(rising, line.slopes.below) + times_known(falling, line.slopes.above)
            constant = constant + terms.sum(axis=-1)
            sizes = sizes + jnp.abs(terms).sum(axis=-1)
            count += a.shape[-1]
            slack = slack + 2 * UNIT * (jnp.abs(moved) @ known[step.parent].size)
            give(step.parent, moved)
            continue
        weights, bias = numbers[index - 1]
        constant = constant + a @ bias
        sizes = sizes + jnp.abs(a) @ jnp.abs(bias)
        count += a.shape[-1]
        for parent, weight in zip(step.parents, weights, strict=True):
            if weight is not None:
                dense = weight.ndim == 2 or jnp.issubdtype(weight.dtype, jnp.integer)
                n = a.shape[-1] if dense else 1
                reach = times(known[parent].size, absolute(weight))
                slack = slack + gamma(n) * (jnp.abs(a) @ reach)
            give(parent, transposed(a, weight, structure.sizes[parent]))
    box = known[0]
    ends = (box.low[None, :], box.high[None, :])
    a = held.get(0, jnp.zeros((spec.shape[0], box.low.shape[-1]), spec.dtype))
    least = jnp.where(a > 0, a * ends[0], a * ends[1]).sum(axis=-1)
    sizes = sizes + jnp.abs(a) @ box.size
    slack = up(slack + gamma(count + a.shape[-1]) * sizes)
    bound = least + constant - slack
    return Linear(a, constant, slack, jnp.where(jnp.isnan(bound), -jnp.inf, bound))


def times_known(coefficients: Array, numbers: Array) -> Array:
    """Their products; 0 where the coefficient is, whatever the number."""
    return jnp.where(coefficients == 0, 0.0, coefficients * numbers)


def both_sides(
    structure: Structure,
    numbers: Numbers,
    at: int,
    known: list[Interval],
    drawn: dict[int, Drawn],
) -> Interval:
    """Bounds on every component of a node: C = I and -I, in one pass, which compiles in half
    the time of two."""
    eye = jnp.eye(structure.sizes[at], dtype=known[0].low.dtype)
    least = below(structure, numbers, at, jnp.concatenate([eye, -eye]), known, drawn).least
    low, high = jnp.split(least, 2)
    return Interval(low, -high)


def start_lines(index: int, structure: Structure, numbers: Numbers, found: list[Interval]) -> Drawn:
    """The lines of least area of a node that is not affine, or its planes, (1, n)."""
    step, own = structure.steps[index - 1], numbers[index - 1]
    if isinstance(step, ProductStep):
        first, second = step.parents
        return planes(found[first], found[second], found[index])
    assert not isinstance(step, AffineStep)
    parent = found[step.parent]
    if isinstance(step, PointwiseStep):
        ends = (parent.low[None, :], parent.high[None, :])
        return lines(step.function, least_area(step.function, *ends), *ends)
    shape = outline(step, own, parent)
    return outline_lines(shape, outline_slopes(shape, *parent))


def with_slopes(step: UnaryStep, own: Any, slopes: Slopes, parent: Interval) -> Lines:
    """Lines of given slopes, (specs, n), valid on the parent's bounds."""
    if isinstance(step, PointwiseStep):
        return lines(step.function, slopes, parent.low[None, :], parent.high[None, :])
    return outline_lines(outline(step, own, parent), slopes)


def outline(step: StraightStep | CurveStep, own: Any, parent: Interval) -> Outline:
    """Points that hold a function of one variable on the parent's bounds."""
    if isinstance(step, StraightStep):
        return Outline(*tables.points(own, *parent))
    constants, held = own
    return Outline(*curves.points(step.program, constants, held, *parent))
