"""A traced network in the form that compiled bounds take: structure apart from numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np

from jaxid.core.precision import float64
from jaxid.core.types import Array
from jaxid.tracing import Affine, Curve, Graph, Pointwise, Straight, Table, read_graph
from jaxid.tracing.graph import Instruction
from jaxid.verification import curves, tables
from jaxid.verification.functions import FUNCTIONS, Function

Numbers: TypeAlias = tuple[Any, ...]
"""For each node after the input: ((W_k, ...), b) of an affine map, () of a named function, its
table of straight pieces, (constants, tables) of a curve, how far a product may reach."""


class AffineStep(NamedTuple):
    """The node is sum_k h_k W_k + b, perhaps the maximum of two others, perhaps never negative."""

    parents: tuple[int, ...]
    larger: tuple[int, int] | None = None
    natural: bool = False


class PointwiseStep(NamedTuple):
    """The node is g(h), g by name."""

    parent: int
    name: str

    @property
    def function(self) -> Function:
        """g."""
        return FUNCTIONS[self.name]


class StraightStep(NamedTuple):
    """The node is p(h), p of straight pieces; ``places`` where they meet, ``jumps`` if they do."""

    parent: int
    places: int
    jumps: bool


class CurveStep(NamedTuple):
    """The node is g(h), g as instructions; ``line`` of the user's file."""

    parent: int
    program: tuple[Instruction, ...]
    line: str


class ProductStep(NamedTuple):
    """The node is h_k h_l, element by element."""

    parents: tuple[int, int]


UnaryStep: TypeAlias = PointwiseStep | StraightStep | CurveStep
Step: TypeAlias = AffineStep | UnaryStep | ProductStep


def parents(step: Step) -> tuple[int, ...]:
    """The nodes that a step reads."""
    return step.parents if isinstance(step, AffineStep | ProductStep) else (step.parent,)


class Structure(NamedTuple):
    """What is static under jit.

    Attributes:
      steps: node 1, node 2, ...; node 0 is the input.
      sizes: length of every node, node 0 included.
      guards: nodes that must have a value for the output to have one.
    """

    steps: tuple[Step, ...]
    sizes: tuple[int, ...]
    guards: tuple[int, ...] = ()

    @property
    def last(self) -> int:
        """The output's index."""
        return len(self.steps)

    @property
    def activated(self) -> tuple[int, ...]:
        """Nodes that something other than an affine map takes."""
        taken = (parents(step) for step in self.steps if not isinstance(step, AffineStep))
        return tuple(sorted({index for some in taken for index in some}))


class Network(NamedTuple):
    """A function of one example: its structure, its numbers, the shape of its input."""

    structure: Structure
    numbers: Numbers
    shape: tuple[int, ...]


def network(
    function: Callable[[Any], Any], shape: tuple[int, ...], dtype: Any = np.float64
) -> Network:
    """Read a function of a batch, (batch, *shape) -> (batch, m), as `jaxid.tracing` does.

    Args:
      function: traceable.
      shape: of one input.
      dtype: of the input with which the function is traced: float32 reads the program that runs
        in float32, its constants as they are there.

    Raises:
      InputError: for an operation that bounds don't know, and for numbers that are not finite.
    """
    return from_graph(read_graph(function, np.zeros((1, *shape), dtype)))


def from_graph(graph: Graph) -> Network:
    """The same graph with its numbers on the device."""
    steps: list[Step] = []
    numbers: list[Any] = []
    with float64():
        for node in graph.nodes:
            if isinstance(node, Affine):
                steps.append(AffineStep(node.parents, node.larger, node.natural))
                weights = tuple(None if w is None else jnp.asarray(w) for w in node.weights)
                numbers.append((weights, jnp.asarray(node.bias)))
            elif isinstance(node, Pointwise):
                steps.append(PointwiseStep(node.parent, node.name))
                numbers.append(())
            elif isinstance(node, Straight):
                steps.append(StraightStep(node.parent, len(node.table.places), jumps(node.table)))
                numbers.append(_on_device(node.table))
            elif isinstance(node, Curve):
                steps.append(CurveStep(node.parent, node.program, node.line))
                held = tuple(_on_device(table) for table in node.tables)
                numbers.append((jnp.asarray(node.constants), held))
            else:
                steps.append(ProductStep(node.parents))
                numbers.append(jnp.asarray(node.reach))
    return Network(Structure(tuple(steps), graph.sizes, graph.guards), tuple(numbers), graph.shape)


def _on_device(table: Table) -> Table:
    held: Any = (jnp.asarray(part) for part in table)
    return Table(*held)


def jumps(table: Table) -> bool:
    """Whether it may jump: the pieces beside a place don't meet there to rounding."""
    places = np.where(np.isfinite(table.places), table.places, 0.0)
    sides = [
        table.slopes[k] * places + table.constants[k] for k in (slice(None, -1), slice(1, None))
    ]
    size = 1e-12 * (np.abs(table.slopes[1:] * places) + np.abs(table.constants[1:]) + 1e-300)
    apart = [np.abs(side - table.values) > size for side in sides]
    return bool(np.any((apart[0] | apart[1]) & np.isfinite(table.places)))


def value(step: UnaryStep, own: Any, z: Array) -> Array:
    """g(z) of a step with one parent, elementwise."""
    if isinstance(step, PointwiseStep):
        return step.function.value(z)
    if isinstance(step, StraightStep):
        return tables.value(own, z)
    constants, held = own
    return curves.value(step.program, constants, held, z)


def run(structure: Structure, numbers: Numbers, x: Array) -> list[Array]:
    """Every node for a batch, (batch, inputs) -> [(batch, size), ...]."""
    values = [x]
    for step, own in zip(structure.steps, numbers, strict=True):
        if isinstance(step, ProductStep):
            first, second = step.parents
            values.append(values[first] * values[second])
            continue
        if not isinstance(step, AffineStep):
            values.append(value(step, own, values[step.parent]))
            continue
        weights, bias = own
        total = jnp.broadcast_to(bias[None, :], (x.shape[0], bias.shape[0]))
        for parent, weight in zip(step.parents, weights, strict=True):
            total = total + times(values[parent], weight)
        values.append(total)
    return values


def times(rows: Array, weight: Array | None) -> Array:
    """rows W, (..., inputs) -> (..., outputs): W dense (inputs, outputs), diagonal (outputs,),
    integers (outputs,), which input each output is, or None, the identity."""
    if weight is None:
        return rows
    if weight.ndim == 2:
        return rows @ weight
    if jnp.issubdtype(weight.dtype, jnp.integer):
        return rows[..., weight]
    return rows * along(weight, rows)


def transposed(rows: Array, weight: Array | None, inputs: int) -> Array:
    """rows W^T, (..., outputs) -> (..., inputs)."""
    if weight is not None and jnp.issubdtype(weight.dtype, jnp.integer):
        nothing = jnp.zeros((*rows.shape[:-1], inputs), rows.dtype)
        return nothing.at[..., weight].add(rows)
    return times(rows, weight if weight is None or weight.ndim == 1 else weight.T)


def absolute(weight: Array | None) -> Array | None:
    """|W|, in the same form."""
    return (
        weight if weight is None or jnp.issubdtype(weight.dtype, jnp.integer) else jnp.abs(weight)
    )


def along(vector: Array, rows: Array) -> Array:
    """(n,) with the leading axes of (..., n)."""
    return vector.reshape((1,) * (rows.ndim - 1) + vector.shape)
