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

from typing import NamedTuple

import jax.numpy as jnp

from jaxid.expressivity.functions import FUNCTIONS
from jaxid.expressivity.intervals import Interval
from jaxid.expressivity.lines import Lines, Slopes, least_area, lines
from jaxid.expressivity.network import Numbers, PointwiseStep, Structure, times, transposed
from jaxid.expressivity.rounding import UNIT, gamma, up
from jaxid.types import Array


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
    drawn: dict[int, Lines],
) -> Linear:
    """A lower bound on C h_at over the box.

    Args:
      structure, numbers: the network.
      at: index of the node.
      spec: C, (specs, size of the node).
      known: bounds on the nodes up to ``at``, the box first.
      drawn: for each activation before ``at`` its lines, (1, n) or (specs, n), valid on the
        bounds of its parent.
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
        if isinstance(step, PointwiseStep):
            rising, falling = jnp.maximum(a, 0.0), jnp.minimum(a, 0.0)
            line = drawn[index]
            terms = rising * line.below + falling * line.above
            moved = rising * line.slopes.below + falling * line.slopes.above
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
                n = a.shape[-1] if weight.ndim == 2 else 1
                reach = times(known[parent].size, jnp.abs(weight))
                slack = slack + gamma(n) * (jnp.abs(a) @ reach)
            give(parent, transposed(a, weight))
    box = known[0]
    ends = (box.low[None, :], box.high[None, :])
    a = held.get(0, jnp.zeros((spec.shape[0], box.low.shape[-1]), spec.dtype))
    least = jnp.where(a > 0, a * ends[0], a * ends[1]).sum(axis=-1)
    sizes = sizes + jnp.abs(a) @ box.size
    slack = up(slack + gamma(count + a.shape[-1]) * sizes)
    return Linear(a, constant, slack, least + constant - slack)


def both_sides(
    structure: Structure,
    numbers: Numbers,
    at: int,
    known: list[Interval],
    drawn: dict[int, Lines],
) -> Interval:
    """Bounds on every component of a node: C = I and -I, in one pass, which compiles in half
    the time of two."""
    eye = jnp.eye(structure.sizes[at], dtype=known[0].low.dtype)
    least = below(structure, numbers, at, jnp.concatenate([eye, -eye]), known, drawn).least
    low, high = jnp.split(least, 2)
    return Interval(low, -high)


def start_lines(name: str, parent: Interval) -> Lines:
    """The lines of least area on the parent's bounds, (1, n)."""
    function, ends = FUNCTIONS[name], (parent.low[None, :], parent.high[None, :])
    return lines(function, least_area(function, *ends), *ends)


def with_slopes(name: str, slopes: Slopes, parent: Interval) -> Lines:
    """Lines of given slopes, (specs, n), valid on the parent's bounds."""
    return lines(FUNCTIONS[name], slopes, parent.low[None, :], parent.high[None, :])
