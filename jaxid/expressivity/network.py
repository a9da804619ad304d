"""A traced network in the form that compiled bounds take: structure apart from numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np

from jaxid.expressivity.functions import FUNCTIONS, Function
from jaxid.precision import float64
from jaxid.tracing import Affine, Graph, read_graph
from jaxid.types import Array

Numbers: TypeAlias = tuple[Any, ...]
"""For each node after the input ((W_k, ...), b), or () for an activation."""


class AffineStep(NamedTuple):
    """The node is sum_k h_k W_k + b."""

    parents: tuple[int, ...]


class PointwiseStep(NamedTuple):
    """The node is g(h), g by name."""

    parent: int
    name: str

    @property
    def function(self) -> Function:
        """g."""
        return FUNCTIONS[self.name]


class Structure(NamedTuple):
    """What is static under jit.

    Attributes:
      steps: node 1, node 2, ...; node 0 is the input.
      sizes: length of every node, node 0 included.
    """

    steps: tuple[AffineStep | PointwiseStep, ...]
    sizes: tuple[int, ...]

    @property
    def last(self) -> int:
        """The output's index."""
        return len(self.steps)

    @property
    def activated(self) -> tuple[int, ...]:
        """Nodes that some activation takes."""
        steps = self.steps
        return tuple(sorted({s.parent for s in steps if isinstance(s, PointwiseStep)}))


class Network(NamedTuple):
    """A function of one example: its structure, its numbers, the shape of its input."""

    structure: Structure
    numbers: Numbers
    shape: tuple[int, ...]


def network(function: Callable[[Any], Any], shape: tuple[int, ...]) -> Network:
    """Read a function of a batch, (batch, *shape) -> (batch, m), as `jaxid.tracing` does.

    Raises:
      InputError: for what is neither affine nor one of `FUNCTIONS`, and for numbers that are
        not finite.
    """
    known = {name: f.value for name, f in FUNCTIONS.items() if name != "linear"}
    return from_graph(read_graph(function, np.zeros((1, *shape)), known))


def from_graph(graph: Graph) -> Network:
    """The same graph with its numbers on the device."""
    steps: list[AffineStep | PointwiseStep] = []
    numbers: list[Any] = []
    with float64():
        for node in graph.nodes:
            if isinstance(node, Affine):
                steps.append(AffineStep(node.parents))
                weights = tuple(None if w is None else jnp.asarray(w) for w in node.weights)
                numbers.append((weights, jnp.asarray(node.bias)))
            else:
                steps.append(PointwiseStep(node.parent, node.name))
                numbers.append(())
    return Network(Structure(tuple(steps), graph.sizes), tuple(numbers), graph.shape)


def run(structure: Structure, numbers: Numbers, x: Array) -> list[Array]:
    """Every node for a batch, (batch, inputs) -> [(batch, size), ...]."""
    values = [x]
    for step, own in zip(structure.steps, numbers, strict=True):
        if isinstance(step, PointwiseStep):
            values.append(step.function.value(values[step.parent]))
            continue
        weights, bias = own
        total = jnp.broadcast_to(bias[None, :], (x.shape[0], bias.shape[0]))
        for parent, weight in zip(step.parents, weights, strict=True):
            total = total + times(values[parent], weight)
        values.append(total)
    return values


def times(rows: Array, weight: Array | None) -> Array:
    """rows W, (..., inputs) -> (..., outputs): W dense (inputs, outputs), diagonal (outputs,),
    or None, the identity."""
    if weight is None:
        return rows
    return rows * along(weight, rows) if weight.ndim == 1 else rows @ weight


def transposed(rows: Array, weight: Array | None) -> Array:
    """rows W^T."""
    return times(rows, weight if weight is None or weight.ndim == 1 else weight.T)


def along(vector: Array, rows: Array) -> Array:
    """(n,) with the leading axes of (..., n)."""
    return vector.reshape((1,) * (rows.ndim - 1) + vector.shape)
