"""From any traceable function of a batch to the graph of one example (`jaxid.tracing.graph`).

The function is traced with a batch of one, in float64, its parameters as constants. Linear
primitives become affine nodes, read off by applying them to unit vectors, which is exact:
each entry is a stored number times 1. What is computed element by element from one node is
followed on a grid of numbers (`jaxid.tracing.one_variable`), until something else needs it;
then it must be a known function of one variable, up to a factor and a constant, or made of
straight pieces. So an activation is known by what it does, not by who wrote it:
`jax.nn.gelu`, Flax's, or its formula typed out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.errors import InputError
from jaxid.precision import float64
from jaxid.tracing.graph import Affine, Graph, Pointwise, Weight
from jaxid.tracing.one_variable import (
    ELEMENTWISE,
    GRID,
    Pieces,
    Value,
    combination,
    elements,
    followed,
    in_float64,
    itself,
    reshaped,
    same,
    straight_pieces,
    uniform,
)

CALLS = {"jit", "pjit", "closed_call", "core_call", "remat", "checkpoint", "custom_jvp_call",
         "custom_vjp_call", "custom_vjp_call_jaxpr"}  # fmt: skip
"""Primitives that only call a function."""
SHAPED = {"reshape", "squeeze", "expand_dims", "copy", "copy_p", "convert_element_type",
          "stop_gradient", "broadcast_in_dim", "reduce_precision"}  # fmt: skip
"""Primitives that keep the elements and their order, if they keep the number of elements."""
LINEAR = {"dot_general", "conv_general_dilated", "reduce_sum", "transpose", "slice", "pad", "rev",
          "concatenate", "stack", "gather", "cumsum", "reduce_window_sum", "dynamic_slice",
          *SHAPED}  # fmt: skip
"""Primitives that are linear in any one operand."""

JOINED = {"concatenate", "stack"}
"""Those that are linear in all operands together."""
MIXING = {"reduce_max", "reduce_min", "argmax", "sort", "cummax", "div", "mul", "integer_pow"}
"""What softmax, pooling by maxima, attention and normalisation show up as."""

Functions = Mapping[str, Callable[[Any], Any]]


def read_graph(function: Callable[[Any], Any], example: Any, known: Functions) -> Graph:
    """The graph of ``function``, (batch, ...) -> (batch, m).

    Args:
      function: traceable, treating examples alike and apart.
      example: one input, (1, ...).
      known: functions of one variable by name, in float64.

    Raises:
      InputError: for what is neither affine nor a known function of one variable, naming it.
    """
    with float64():
        x = jnp.asarray(example, jnp.float64)
        closed = jax.make_jaxpr(function)(x)
        reader = _Reader(known, int(x.size))
        (out,) = reader.run(closed.jaxpr, closed.consts, [itself(0, x.shape)])
        if not isinstance(out, Value):
            raise InputError("the function's output doesn't depend on its input; nothing to bound")
        last = reader.node_of(out)
        if last == 0:
            last = reader.add(Affine((0,), (None,), np.zeros(reader.sizes[0])))
    return _pruned(reader.nodes, reader.sizes, last, x.shape[1:])


def _pruned(
    nodes: list[Affine | Pointwise], sizes: list[int], last: int, shape: tuple[int, ...]
) -> Graph:
    """The graph of what the node ``last`` needs, which becomes the last one."""
    needed = {last}
    for index in range(last, 0, -1):
        if index in needed:
            needed |= set(_parents(nodes[index - 1]))
    order = sorted(needed | {0})
    place = {old: new for new, old in enumerate(order)}
    kept: list[Affine | Pointwise] = []
    for index in order[1:]:
        node = nodes[index - 1]
        if isinstance(node, Pointwise):
            kept.append(node._replace(parent=place[node.parent]))
        else:
            kept.append(node._replace(parents=tuple(place[p] for p in node.parents)))
    return Graph(tuple(kept), tuple(sizes[index] for index in order), shape)


def _parents(node: Affine | Pointwise) -> tuple[int, ...]:
    return (node.parent,) if isinstance(node, Pointwise) else node.parents


class _Reader:
    """Walks a jaxpr and collects nodes."""

    def __init__(self, known: Functions, inputs: int) -> None:
        self.known = known
        self.nodes: list[Affine | Pointwise] = []
        self.sizes = [inputs]
        self.made: dict[Any, int] = {}

    def add(self, node: Affine | Pointwise) -> int:
        """Its index."""
        self.nodes.append(node)
        size = node.bias.size if isinstance(node, Affine) else self.sizes[node.parent]
        self.sizes.append(size)
        return len(self.nodes)

    def run(self, jaxpr: Any, consts: Any, args: list[Any]) -> list[Any]:
        """The outputs, each a `Value` or, where it does not depend on the input, an array."""
        found: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
        found |= dict(zip(jaxpr.invars, args, strict=True))

        def read(var: Any) -> Any:
            return var.val if hasattr(var, "val") else found[var]

        for equation in jaxpr.eqns:
            results = self.equation(equation, [read(var) for var in equation.invars])
            found |= dict(zip(equation.outvars, results, strict=True))
        return [read(var) for var in jaxpr.outvars]

    def equation(self, equation: Any, args: list[Any]) -> list[Any]:
        """One equation's outputs."""
        name, params = str(equation.primitive), equation.params
        if name in CALLS:
            inner = next(v for k, v in params.items() if k.endswith("jaxpr") and v is not None)
            return self.run(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), args)
        traced = [arg for arg in args if isinstance(arg, Value)]
        if not traced:
            out = equation.primitive.bind(*args, **params)
            return list(out) if equation.primitive.multiple_results else [out]
        if name == "split":
            shapes = [out.aval.shape for out in equation.outvars]
            return [
                self.linear(equation.primitive, params, args, shape, k)
                for k, shape in enumerate(shapes)
            ]
        if len(equation.outvars) != 1:
            raise _unreadable(name)
        shape = equation.outvars[0].aval.shape
        if jnp.issubdtype(params.get("new_dtype", jnp.float64), jnp.integer):
            # Rounding to whole numbers keeps no element.
            return [self.pointwise(equation.primitive, params, args, shape)]
        if name in SHAPED and elements(shape) == elements(traced[0].shape):
            return [reshaped(traced[0], shape)]
        if name in ("add", "sub", "mul", "div", "neg", "add_any"):
            return [self.arithmetic(name, args, shape)]
        if name == "select_n" and not isinstance(args[0], Value):
            return [self.chosen(args, shape)]
        if name in LINEAR and (len(traced) == 1 or name in JOINED):
            return [self.linear(equation.primitive, params, args, shape)]
        return [self.pointwise(equation.primitive, params, args, shape)]

    def arithmetic(self, name: str, args: list[Any], shape: tuple[int, ...]) -> Value:
        """Sums, differences, products, quotients."""
        values = [arg for arg in args if isinstance(arg, Value)]
        if name == "neg":
            return self.combined(0.0, [(-1.0, args[0])], shape)
        if len(values) == 2:
            if name in ("mul", "div"):
                return self.pointwise(getattr(jax.lax, f"{name}_p"), {}, args, shape)
            sign = -1.0 if name == "sub" else 1.0
            return self.combined(0.0, [(1.0, args[0]), (sign, args[1])], shape)
        first = isinstance(args[0], Value)
        value, other = (args[0], args[1]) if first else (args[1], args[0])
        constant = np.broadcast_to(np.asarray(other, np.float64), shape).ravel()
        if name == "div" and not first:
            return self.pointwise(jax.lax.div_p, {}, args, shape)
        if name in ("mul", "div"):
            factors = constant if name == "mul" else 1.0 / constant
            if uniform(factors):
                return self.combined(0.0, [(float(factors[0]), value)], shape)
            return self.affine(value, [factors], np.zeros(factors.size), shape)
        signs = (1.0, 1.0) if name != "sub" else ((1.0, -1.0) if first else (-1.0, 1.0))
        if uniform(constant):
            return self.combined(signs[1] * float(constant[0]), [(signs[0], value)], shape)
        weight = None if signs[0] > 0 else np.full(constant.size, -1.0)
        return self.affine(value, [weight], signs[1] * constant, shape)

    def chosen(self, args: list[Any], shape: tuple[int, ...]) -> Value:
        """Elements of several values, chosen by constants."""
        which = np.broadcast_to(np.asarray(args[0]).astype(int), shape).ravel()
        parents, weights, bias = [], [], np.zeros(which.size)
        for k, case in enumerate(args[1:]):
            mask = which == k
            if not isinstance(case, Value):
                bias += np.where(mask, np.broadcast_to(np.asarray(case), shape).ravel(), 0.0)
            elif mask.all():
                return case._replace(shape=shape)
            elif mask.any():
                parents.append(self.node_of(case))
                weights.append(mask.astype(np.float64))
        return itself(self.add(Affine(tuple(parents), tuple(weights), bias)), shape)

    def combined(
        self, constant: float, terms: list[tuple[float, Value]], shape: tuple[int, ...]
    ) -> Value:
        """constant + sum of factor times value: of one node where it can be, else a new one."""
        values = [value for _, value in terms]
        if any(elements(v.shape) != elements(shape) for v in values):
            values = [self.broadcast(value, shape) for value in values]
            terms = [(factor, value) for (factor, _), value in zip(terms, values, strict=True)]
        node = values[0].node
        if any(value.node != node for value in values):
            return self.summed(constant, terms, shape)
        return combination(constant, terms, shape)

    def summed(
        self, constant: float, terms: list[tuple[float, Value]], shape: tuple[int, ...]
    ) -> Value:
        """The same as a node of its own."""
        parents, factors = [], []
        for factor, value in terms:
            if value.line is None:
                parents.append(self.node_of(value))
                factors.append(factor)
                continue
            # A line of a node is that node again: no node in between.
            slope, shift = value.line
            parents.append(value.node)
            factors.append(factor * slope)
            constant += factor * shift
        size = elements(shape)
        weights = tuple(None if f == 1.0 else np.full(size, f) for f in factors)
        node = self.add(Affine(tuple(parents), weights, np.full(size, constant)))
        return itself(node, shape)

    def broadcast(self, value: Value, shape: tuple[int, ...]) -> Value:
        """Repeat a value's elements to a larger shape."""
        if elements(value.shape) == elements(shape):
            return value._replace(shape=shape)
        places = np.broadcast_to(np.arange(elements(value.shape)).reshape(value.shape), shape)
        matrix = np.zeros((elements(value.shape), places.size))
        matrix[places.ravel(), np.arange(places.size)] = 1.0
        return self.affine(value, [matrix], np.zeros(places.size), shape)

    def affine(
        self, value: Value, weights: list[Weight], bias: np.ndarray, shape: tuple[int, ...]
    ) -> Value:
        """A node of one parent."""
        parent, bias = self.node_of(value), np.array(bias, np.float64)
        before = self.nodes[parent - 1] if parent else None
        alone = len(weights) == 1 and weights[0] is None
        if alone and isinstance(before, Affine) and not before.bias.any():
            # A layer's product and its bias are one map.
            return itself(self.add(before._replace(bias=bias)), shape)
        return itself(self.add(Affine((parent,), tuple(weights), bias)), shape)

    def linear(
        self,
        primitive: Any,
        params: dict[str, Any],
        args: list[Any],
        shape: tuple[int, ...],
        place: int = 0,
    ) -> Value:
        """An output of a primitive that is linear in its traced operands together, by columns."""
        parents, weights = [], []
        zeros = [
            jnp.zeros(arg.shape) if isinstance(arg, Value) else in_float64(arg) for arg in args
        ]
        if "preferred_element_type" in params:
            # The float32 of the network's own arithmetic.
            params = params | {"preferred_element_type": None}

        def apply(operands: list[Any]) -> Any:
            out = primitive.bind(*operands, **params)
            return (out[place] if primitive.multiple_results else out).ravel()

        bias = np.asarray(apply(zeros), np.float64)
        for number, arg in enumerate(args):
            if not isinstance(arg, Value):
                continue
            size = elements(arg.shape)

            def column(unit: Any, number: int = number, arg: Value = arg) -> Any:
                operands = list(zeros)
                operands[number] = unit.reshape(arg.shape)
                return apply(operands)

            rows = np.asarray(jax.jit(jax.vmap(column))(jnp.eye(size)), np.float64)
            parents.append(self.node_of(arg))
            weights.append(rows - bias)
        return itself(self.add(Affine(tuple(parents), tuple(weights), bias)), shape)

    def pointwise(
        self, primitive: Any, params: dict[str, Any], args: list[Any], shape: tuple[int, ...]
    ) -> Value:
        """A function of one node, element by element, followed on the grid."""
        values = [arg for arg in args if isinstance(arg, Value)]
        node, name = values[0].node, str(primitive)
        size = elements(shape)
        if len(values) > 1 and any(v.node != node or elements(v.shape) != size for v in values):
            raise _unreadable(name, "of two quantities that both depend on the input")
        if name not in ELEMENTWISE or elements(values[0].shape) != size:
            raise _unreadable(name)
        if not all(uniform(np.ravel(np.asarray(a))) for a in args if not isinstance(a, Value)):
            raise _unreadable(name, "that differs from element to element")
        found = followed(primitive, params, args, shape)
        if found is None:
            raise _unreadable(name)
        return found

    def node_of(self, value: Value) -> int:
        """The node that holds the value, made if there is none yet."""
        if value.line is not None:
            return self.scaled(value.node, *value.line)
        for a, b in value.begun:
            for name, function in self.known.items():
                if same(value.samples, np.asarray(function(jnp.asarray(a * GRID + b)))):
                    return self.kept(Pointwise(self.scaled(value.node, a, b), name))
        if value.terms is not None:
            constant, terms = value.terms
            return self.summed(constant, list(terms), value.shape).node
        pieces = straight_pieces(value.samples)
        if pieces is not None:
            return self.bent(value.node, pieces)
        raise InputError(
            "the network applies a function of one variable that is none of "
            f"{', '.join(self.known)}, nor made of straight pieces; use one of these"
        )

    def bent(self, node: int, pieces: Pieces) -> int:
        """A line and a ReLU at every kink, as a node."""
        units = [self.kept(Pointwise(self.scaled(node, 1.0, -t), "relu")) for _, t in pieces.kinks]
        size = self.sizes[node]
        weights = [
            np.full(size, factor) for factor in (pieces.slope, *(c for c, _ in pieces.kinks))
        ]
        return self.add(Affine((node, *units), tuple(weights), np.full(size, pieces.constant)))

    def scaled(self, node: int, a: float, b: float) -> int:
        """a h + b as a node; h itself where that is the same."""
        if (a, b) == (1.0, 0.0):
            return node
        key = (node, a, b)
        if key not in self.made:
            size = self.sizes[node]
            weight = None if a == 1.0 else np.full(size, a)
            self.made[key] = self.add(Affine((node,), (weight,), np.full(size, b)))
        return self.made[key]

    def kept(self, node: Pointwise) -> int:
        """The node, made once however often it is used."""
        if node not in self.made:
            self.made[node] = self.add(node)
        return self.made[node]


def _unreadable(name: str, what: str = "") -> InputError:
    hint = ", so softmax, maxima, attention and normalisation by the input are beyond them"
    return InputError(
        f"the network or its target computes {name} {what}".rstrip()
        + "; bounds know affine maps and functions of one variable"
        + (hint if name in MIXING else "")
    )
