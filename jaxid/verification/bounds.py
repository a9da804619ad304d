"""Bounds on every node of a network over a box, by three methods of rising cost.

Each takes in the cheaper ones: an activation's parent is bounded first by intervals, then by
linear bounds, then by optimised ones, and the tightest of each side is what the lines of the
next layer stand on. How often the dearer method alone would have been looser is counted.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core.precision import float64
from jaxid.core.types import Array
from jaxid.verification.alpha import optimised_interval
from jaxid.verification.crown import both_sides, start_lines
from jaxid.verification.intervals import (
    UNBOUNDED,
    Interval,
    output_interval,
    propagate,
    step_interval,
)
from jaxid.verification.network import AffineStep, Network, Numbers, Structure

MethodName: TypeAlias = Literal["intervals", "crown", "alpha"]
METHODS: tuple[MethodName, ...] = ("intervals", "crown", "alpha")
STEPS = 60
"""Of the optimisation."""
SPECS = 512
"""Combinations optimised at once."""


class Bounds(NamedTuple):
    """Bounds on a network's output over a box.

    Attributes:
      method: the dearest that was used.
      output: for each output, NumPy float64.
      looser: share of the sides, over all activations' parents and outputs, on which the
        dearest method alone would have been looser than a cheaper one.
    """

    method: MethodName
    output: Interval
    looser: float


def output_bounds(
    net: Network, box: Interval, method: MethodName = "crown", *, steps: int = STEPS
) -> Bounds:
    """Bounds on every output over a box, float64.

    Args:
      net: from `jaxid.verification.network.network`.
      box: low and high, each (inputs,); both are float64 or exact in it.
      method: the dearest to use.
      steps: of the optimisation.

    Raises:
      ValueError: for an empty box, on which every statement would be true.
    """
    if np.any(np.asarray(box.low) > np.asarray(box.high)):
        raise ValueError("the box is empty: a low end lies above its high end")
    with float64():
        box = Interval(*(jnp.asarray(end, jnp.float64).ravel() for end in box))
        if method == "intervals":
            return Bounds(method, _held(_intervals(net.structure, net.numbers, box)), 0.0)
        known, looser = _linear(net.structure, net.numbers, box)
        if method == "alpha":
            known, looser = _optimised(net, box, known, steps)
        return Bounds(method, _held(output_interval(net.structure, known)), float(looser))


def _held(output: Interval) -> Interval:
    """As NumPy arrays, which stay float64 outside; infinite where nothing is bounded."""
    low, high = (np.asarray(end) for end in output)
    return Interval(
        np.where(low > -UNBOUNDED, low, -np.inf), np.where(high < UNBOUNDED, high, np.inf)
    )


@partial(jax.jit, static_argnums=0)
def _intervals(structure: Structure, numbers: Numbers, box: Interval) -> Interval:
    return output_interval(structure, propagate(structure, numbers, box))


@partial(jax.jit, static_argnums=0)
def _linear(structure: Structure, numbers: Numbers, box: Interval) -> tuple[list[Interval], Array]:
    """Every node's bounds, and how often intervals were tighter."""
    found, drawn = [box], {}
    counts: list[Array] = []
    chosen = wanted(structure)
    for index, step in enumerate(structure.steps, start=1):
        found.append(step_interval(step, numbers[index - 1], found))
        if not isinstance(step, AffineStep):
            drawn[index] = start_lines(index, structure, numbers, found)
        if index in chosen:
            own = both_sides(structure, numbers, index, found, drawn)
            counts.append(_looser(own, found[index]))
            found[index] = own.within(found[index])
    return found, jnp.concatenate(counts).mean() if counts else jnp.zeros(())


def _optimised(
    net: Network, box: Interval, linear: list[Interval], steps: int
) -> tuple[list[Interval], Array]:
    """The same with optimised slopes; ``linear`` are the bounds to improve on."""
    structure, numbers = net.structure, net.numbers
    found, counts = [box], []
    chosen = wanted(structure)
    for index, step in enumerate(structure.steps, start=1):
        own = _step(step, numbers[index - 1], found)
        found.append(linear[index].within(own))
        if index not in chosen or not _beyond_an_activation(structure, index):
            continue
        eye = jnp.eye(structure.sizes[index])
        parts = [
            optimised_interval(structure, numbers, index, eye[k : k + SPECS], found, steps)
            for k in range(0, structure.sizes[index], SPECS)
        ]
        best = Interval(*(jnp.concatenate(ends) for ends in zip(*parts, strict=True)))
        counts.append(_looser(best, found[index]))
        found[index] = best.within(found[index])
    return found, jnp.concatenate(counts).mean() if counts else jnp.zeros(())


_step = jax.jit(step_interval, static_argnums=0)


def _looser(own: Interval, other: Interval) -> Array:
    return jnp.concatenate([own.low < other.low, own.high > other.high])


def wanted(structure: Structure) -> set[int]:
    """Nodes whose bounds are worth more than intervals: activations' parents, the output;
    but not what is one affine map of the input, on which intervals are exact."""
    chosen = {*structure.activated, structure.last}
    return {
        index
        for index in chosen
        if index > 0
        and not (
            isinstance(step := structure.steps[index - 1], AffineStep) and step.parents == (0,)
        )
    }


def _beyond_an_activation(structure: Structure, index: int) -> bool:
    """Whether there is a line to optimise."""
    return any(not isinstance(step, AffineStep) for step in structure.steps[:index])
