"""What a traced function holds while it is read, and how that becomes nodes of a graph."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from jaxid.tracing import expressions as one
from jaxid.tracing.expressions import Expression
from jaxid.tracing.graph import (
    Affine,
    Curve,
    Node,
    Pointwise,
    Product,
    Straight,
    Weight,
    parents,
)
from jaxid.tracing.pieces import Pieces
from jaxid.tracing.program import known, program, table
from jaxid.tracing.validity import forgotten, partial

Shape = tuple[int, ...]


class Value(NamedTuple):
    """A traced value: element e is g(h_i), i = places[e], of a node h.

    Attributes:
      node: h.
      places: integers in the value's shape, the batch of one included.
      expression: g.
    """

    node: int
    places: np.ndarray
    expression: Expression = one.Z

    @property
    def shape(self) -> Shape:
        """With the batch."""
        return self.places.shape

    def aligned(self, other: Value) -> bool:
        """Whether each element is a function of the same number as the other's."""
        return self.node == other.node and np.array_equal(self.places, other.places)


class Complex(NamedTuple):
    """A complex value, by its parts."""

    real: Any
    imag: Any

    @property
    def shape(self) -> Shape:
        """With the batch."""
        shape: Shape = np.shape(self.real) if not isinstance(self.real, Value) else self.real.shape
        return shape


class Builder:
    """Collects nodes.

    Attributes:
      nodes: node 1, node 2, ...
      sizes: of every node, the input's first.
      place: the line of the user's file that is being read, for errors.
      latest: the last one that was known.
      guards: nodes that the output has no value without, though it may not be computed of them.
    """

    def __init__(self, inputs: int) -> None:
        self.nodes: list[Node] = []
        self.sizes = [inputs]
        self.place = ""
        self.latest = ""
        self.guards: dict[int, None] = {}
        self._made: dict[Hashable, int] = {}
        self._origins: dict[int, Value] = {}
        self._fails = {0: False}

    def add(self, node: Node) -> int:
        """Its index; an affine map that is there already is not made again."""
        if isinstance(node, Affine):
            parts = (*(w for w in node.weights if w is not None), node.bias)
            digests = tuple(hashlib.sha256(np.ascontiguousarray(p).data).digest() for p in parts)
            forms = tuple(None if w is None else (w.shape, w.dtype.str) for w in node.weights)
            key = ("affine", node.parents, forms, digests, node.larger)
            if key not in self._made:
                self._made[key] = self._added(node._replace(natural=self._natural(node)))
            return self._made[key]
        return self._added(node)

    def _added(self, node: Node) -> int:
        self.nodes.append(node)
        if isinstance(node, Affine):
            size = int(node.bias.size)
        else:
            size = self.sizes[node.parents[0] if isinstance(node, Product) else node.parent]
        self.sizes.append(size)
        return len(self.nodes)

    def _natural(self, node: Affine) -> bool:
        """Whether it adds up what is >= 0, with weights that are."""
        parts = (*(w for w in node.weights if w is not None), node.bias)
        return all(part.min(initial=0) >= 0 for part in parts) and all(
            self._never_negative(parent) for parent in node.parents
        )

    def _never_negative(self, node: int) -> bool:
        own = self.nodes[node - 1] if node else None
        if isinstance(own, Affine):
            return own.natural
        return node in self._origins and one.never_negative(self._origins[node].expression)

    def may_fail(self, node: int) -> bool:
        """Whether a node may have no value for some inputs."""
        if node not in self._fails:
            own = self.nodes[node - 1]
            made = self._origins.get(node)
            self._fails[node] = (
                partial(made.expression) if made is not None else isinstance(own, Curve)
            ) or any(self.may_fail(parent) for parent in parents(own))
        return self._fails[node]

    def guard(self, value: Value) -> None:
        """Where this has no value, neither has the output."""
        if partial(value.expression) or self.may_fail(value.node):
            self.guards[self.settled(value)] = None

    def remember(self, result: Value, operands: list[Value]) -> None:
        """Guard what an operation's result has forgotten of where its operands have a value."""
        for value in operands:
            for term in forgotten(result.expression, [value.expression]):
                self.guard(value._replace(expression=term))
        if result.expression.constant is not None and self.may_fail(operands[0].node):
            for value in operands:
                if value.expression.constant is None:
                    self.guard(value)

    def kept(self, key: Hashable, node: Node) -> int:
        """The node, made once however often it is used."""
        if key not in self._made:
            self._made[key] = self.add(node)
        return self._made[key]

    def itself(self, node: int, shape: Shape) -> Value:
        """The node's own value."""
        return Value(node, np.arange(self.sizes[node]).reshape(shape))

    def settled(self, value: Value) -> int:
        """The node that holds the value's elements in order, made if there is none yet."""
        node, places = value.node, value.places.ravel()
        alike = np.array_equal(places, np.arange(self.sizes[node]))
        if not alike and value.expression.line is None and self.sizes[node] <= places.size:
            # The function first, of fewer elements; then where they stand.
            return self.view(self.applied(node, value.expression), places)
        if not alike:
            node = self.view(node, places)
        return self.applied(node, value.expression)

    def view(self, node: int, places: np.ndarray) -> int:
        """h[places] as a node."""
        if np.array_equal(places, np.arange(self.sizes[node])):
            return node
        own = places.astype(np.int32)
        key = ("view", node, own.tobytes())
        return self.kept(key, Affine((node,), (own,), np.zeros(own.size)))

    def applied(self, node: int, e: Expression) -> int:
        """g(h) as a node."""
        if e.line is not None:
            return self.scaled(node, float(e.line[0]), float(e.line[1]))
        key = ("applied", node, e)
        if key not in self._made:
            made = self._made[key] = self._applied(node, e)
            own = Value(node, np.arange(self.sizes[node]), e)
            self._origins.setdefault(made, own)
        return self._made[key]

    def origin(self, node: int) -> Value:
        """What a node was made of: a function of another one's elements, or itself."""
        if node in self._origins:
            return self._origins[node]
        own = self.nodes[node - 1] if node else None
        if isinstance(own, Affine) and len(own.parents) == 1 and not own.bias.any():
            weight = own.weights[0]
            if weight is not None and np.issubdtype(weight.dtype, np.integer):
                inner = self.origin(own.parents[0])
                return inner._replace(places=inner.places[weight])
        return Value(node, np.arange(self.sizes[node]))

    def _applied(self, node: int, e: Expression) -> int:
        if not e.terms:
            return self.straight(node, e.straight)
        found = known(e)
        if found is None:
            return self.add(Curve(node, *program(e), self.place or self.latest))
        inner = self.scaled(node, *found.inner)
        unit = self.kept((found.name, inner), Pointwise(inner, found.name))
        slope, constant = (float(part) for part in found.rest)
        return self.weighed([(unit, found.factor), (node, slope)], constant)

    def straight(self, node: int, p: Pieces) -> int:
        """A function of straight pieces as a node: ReLUs where it has one kink."""
        if len(p.places) != 1 or not p.continuous:
            return self.add(Straight(node, table(p)))
        (place,), (value,) = p.places, p.values
        (left, b), (right, _) = p.lines
        if right != 0 and left * (right - left) < 0:
            # A line and a ReLU against each other: intervals would see their ends apart.
            return self.add(Straight(node, table(p)))
        rising = left == 0
        # v + a relu(z - t), v - a relu(t - z): without a difference of large numbers.
        if rising or right == 0:
            sign = 1 if rising else -1
            inner = self.scaled(node, float(sign), float(-sign * place))
            unit = self.kept(("relu", inner), Pointwise(inner, "relu"))
            return self.weighed([(unit, float(right if rising else -left))], float(value))
        inner = self.scaled(node, 1.0, float(-place))
        unit = self.kept(("relu", inner), Pointwise(inner, "relu"))
        return self.weighed([(node, float(left)), (unit, float(right - left))], float(b))

    def scaled(self, node: int, a: float, b: float) -> int:
        """a h + b as a node; h itself where that is the same."""
        return self.weighed([(node, a)], b)

    def weighed(self, parts: list[tuple[int, float]], constant: float) -> int:
        """sum of factor times node, and a constant, as a node."""
        parts = [(node, factor) for node, factor in parts if factor != 0] or parts[:1]
        if len(parts) == 1 and parts[0][1] == 1 and constant == 0:
            return parts[0][0]
        size = self.sizes[parts[0][0]]
        weights = tuple(None if f == 1 else np.full(size, f) for _, f in parts)
        parents = tuple(node for node, _ in parts)
        key = ("weighed", tuple(parts), constant)
        return self.kept(key, Affine(parents, weights, np.full(size, constant)))

    def affine(self, value: Value, weight: Weight, bias: np.ndarray, shape: Shape) -> Value:
        """A node of one parent."""
        parent, bias = self.settled(value), np.array(bias, np.float64).ravel()
        before = self.nodes[parent - 1] if parent else None
        if weight is None and isinstance(before, Affine) and not before.bias.any():
            # A layer's product and its bias are one map.
            node = before._replace(bias=bias, larger=None, natural=False)
            return self.itself(self.add(node), shape)
        return self.itself(self.add(Affine((parent,), (weight,), bias)), shape)

    def summed(self, constant: np.ndarray, terms: list[tuple[float, Value]], shape: Shape) -> Value:
        """constant + sum of factor times value, of different nodes."""
        parents: list[int] = []
        weights: list[Weight] = []
        size = int(np.prod(shape))
        bias = np.broadcast_to(np.asarray(constant, np.float64), shape).ravel().copy()
        shift = Fraction(0)
        for factor, value in terms:
            slope = factor
            line = value.expression.line
            if line is None:
                parent = self.settled(value)
            else:
                # A line of a node is that node again: no node in between.
                parent = self.view(value.node, value.places.ravel())
                slope = factor * float(line[0])
                shift += Fraction(factor) * line[1]
            if parent in parents:
                at = parents.index(parent)
                before = weights[at]
                total = slope + (1.0 if before is None else float(before[0]))
                weights[at] = np.full(size, total)
                continue
            parents.append(parent)
            weights.append(None if slope == 1.0 else np.full(size, slope))
        if shift:
            # What cancels does so exactly.
            numbers, places = np.unique(bias, return_inverse=True)
            bias = np.array([float(Fraction(float(n)) + shift) for n in numbers])[places]
        return self.itself(self.add(Affine(tuple(parents), tuple(weights), bias)), shape)

    def product(self, a: Value, b: Value, shape: Shape, reach: float | np.ndarray = np.inf
                ) -> Value:  # fmt: skip
        """Element by element."""
        parents = (self.settled(a), self.settled(b))
        limit = np.broadcast_to(np.asarray(reach, np.float64), shape).ravel()
        return self.itself(self.add(Product(parents, limit)), shape)

    def maximum(self, a: Value, b: Value, shape: Shape) -> Value:
        """The larger of two values of different nodes: b + relu(a - b)."""
        first, second = self.settled(a), self.settled(b)
        apart = self.weighed([(first, 1.0), (second, -1.0)], 0.0)
        unit = self.kept(("relu", apart), Pointwise(apart, "relu"))
        bias = np.zeros(self.sizes[second])
        node = Affine((second, unit), (None, None), bias, (first, second))
        return self.itself(self.kept(("max", first, second), node), shape)
