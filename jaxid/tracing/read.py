"""From any traceable function of a batch to the graph of one example (`jaxid.tracing.graph`).

The function is traced with a batch of one, in the precision of the example that it is given, so
that its constants are those of the program that runs: what does not depend on the input is
computed as that program computes it. The rest is read in exact arithmetic: what moves elements,
what is linear, what is done element by element, what joins several elements. Nothing is tried on
numbers; what has no rule is refused by its name and its line in the user's file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core.errors import InputError
from jaxid.core.precision import float64
from jaxid.tracing import elementwise, joint, linear, movement
from jaxid.tracing.complex_values import complex_equation
from jaxid.tracing.expressions import Z
from jaxid.tracing.graph import Affine, Graph, Node, Product, parents
from jaxid.tracing.pieces import NotStraight
from jaxid.tracing.source import line_of, unreadable
from jaxid.tracing.values import Builder, Complex, Value

CALLS = {"jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint",
         "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"}  # fmt: skip
"""Primitives that only call a function."""
TIMES = {"mul", "dot_general", "conv_general_dilated"}
"""Primitives that multiply, and nothing else."""
UNROLLED = 10_000
"""Equations that loops may be unrolled to."""
DEPTH = 24
"""Terms inside one another, beyond which a function becomes a node."""
FLOAT32_BITS = (8, 23)
"""Exponent and mantissa, from which on `reduce_precision` keeps every float32."""


def read_graph(function: Callable[[Any], Any], example: Any) -> Graph:
    """The graph of ``function``, (batch, ...) -> (batch, m).

    Args:
      function: traceable, treating examples alike and apart.
      example: one input, (1, ...), float32 or float64: the precision of the function's program.

    Raises:
      InputError: for an operation without a rule, naming it and its line.
    """
    example = np.asarray(example)
    wide = example.dtype == np.float64
    with float64() if wide else contextlib.nullcontext():
        closed = jax.make_jaxpr(function)(jnp.asarray(example))
        b = Builder(int(example.size))
        reader = _Reader(b)
        try:
            (out,) = reader.run(closed.jaxpr, closed.consts, [b.itself(0, example.shape)])
            last = b.settled(out) if isinstance(out, Value) else None
        except OverflowError:
            why = "with a number that float64 can't hold"
            raise unreadable("something", b.place or b.latest, why) from None
        if last is None:
            raise InputError("the function's output doesn't depend on its input; nothing to bound")
        if last == 0:
            last = b.add(Affine((0,), (None,), np.zeros(b.sizes[0])))
    return _pruned(b, last, example.shape[1:])


def _pruned(b: Builder, last: int, shape: tuple[int, ...]) -> Graph:
    """The graph of what the node ``last`` needs, which becomes the last one."""
    nodes, sizes = b.nodes, b.sizes
    if any(index > last for index in b.guards):
        last = b.add(Affine((last,), (None,), np.zeros(sizes[last])))
    needed = {last, *b.guards}
    for index in range(last, 0, -1):
        if index in needed:
            needed |= set(parents(nodes[index - 1]))
    order = sorted(needed | {0})
    place = {old: new for new, old in enumerate(order)}
    kept: list[Node] = []
    for index in order[1:]:
        node = nodes[index - 1]
        if isinstance(node, Product):
            first, second = node.parents
            kept.append(node._replace(parents=(place[first], place[second])))
        elif isinstance(node, Affine):
            larger = node.larger
            pair = None
            if larger is not None and all(k in place for k in larger):
                pair = (place[larger[0]], place[larger[1]])
            kept.append(node._replace(parents=tuple(place[p] for p in node.parents), larger=pair))
        else:
            kept.append(node._replace(parent=place[node.parent]))
    guards = tuple(place[index] for index in b.guards)
    return Graph(tuple(kept), tuple(sizes[index] for index in order), shape, guards)


def needed_equations(jaxpr: Any) -> list[Any]:
    """The equations that its outputs need, in order."""
    wanted = {id(v) for v in jaxpr.outvars}
    kept = []
    for equation in reversed(jaxpr.eqns):
        if any(id(v) in wanted for v in equation.outvars):
            kept.append(equation)
            wanted |= {id(v) for v in equation.invars}
    return kept[::-1]


def called(params: Any) -> tuple[Any, Any]:
    """(jaxpr, constants) of what a primitive of `CALLS` calls."""
    inner = next(v for k, v in params.items() if k.endswith("jaxpr") and v is not None)
    return getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())


DRAWS = {"random_bits", "threefry2x32", "rng_bit_generator", "rng_uniform", "random_gamma"}
"""Primitives that draw random numbers; those that only make keys don't."""


def inside(equation: Any) -> list[Any]:
    """The programs that an equation runs: calls, loops, branches."""
    found = []
    for value in equation.params.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            jaxpr = getattr(one, "jaxpr", one)
            if hasattr(jaxpr, "eqns"):
                found.append(jaxpr)
    return found


class _Reader:
    """Walks a jaxpr."""

    def __init__(self, b: Builder) -> None:
        self.b = b
        self.walked = 0

    def run(self, jaxpr: Any, consts: Any, args: list[Any]) -> list[Any]:
        """The outputs, each a value or, where it does not depend on the input, an array."""
        found: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
        found |= dict(zip(jaxpr.invars, args, strict=True))

        def read(var: Any) -> Any:
            return var.val if hasattr(var, "val") else found[var]

        for equation in needed_equations(jaxpr):
            self.walked += 1
            if self.walked > UNROLLED:
                raise unreadable("a loop", self.b.place, f"of more than {UNROLLED:,} steps")
            outer = self.b.place
            self.b.place = outer or line_of(equation)
            self.b.latest = self.b.place or self.b.latest
            operands = [read(var) for var in equation.invars]
            found |= dict(zip(equation.outvars, self.equation(equation, operands), strict=True))
            self.b.place = outer
        return [read(var) for var in jaxpr.outvars]

    def equation(self, equation: Any, args: list[Any]) -> list[Any]:
        """One equation's outputs."""
        name, params = str(equation.primitive), equation.params
        if name in CALLS:
            return self.run(*called(params), args)
        if not any(isinstance(arg, Value | Complex) for arg in args):
            out = equation.primitive.bind(*args, **params)
            return list(out) if equation.primitive.multiple_results else [out]
        if name == "scan":
            return self.unrolled(params, args)
        if name == "cond" and not isinstance(args[0], Value):
            branch = params["branches"][int(args[0])]
            return self.run(branch.jaxpr, branch.consts, args[1:])
        kinds = [np.dtype(v.aval.dtype) if _plain(v) else np.dtype(object) for v in equation.invars]
        outs = [v.aval for v in equation.outvars]
        if any(isinstance(arg, Complex) for arg in args) or any(
            jnp.issubdtype(out.dtype, jnp.complexfloating) for out in outs
        ):
            return [complex_equation(self, equation, args)]
        return self.real(equation, args, kinds, outs)

    def real(self, equation: Any, args: list[Any], kinds: list[Any], outs: list[Any]) -> list[Any]:
        """One equation of real operands and results."""
        name, params, b = str(equation.primitive), equation.params, self.b
        traced = [isinstance(arg, Value) for arg in args]
        shape = outs[0].shape
        for out in outs:
            if jnp.issubdtype(out.dtype, jnp.floating) and out.dtype.itemsize < 4:
                # Each number then is off by a part in 2^8 or 2^11, which bounds don't hold.
                raise unreadable(name, b.place, f"rounding to {out.dtype.name}")
        if name == "optimization_barrier":
            return args
        if name == "reduce_precision":
            bits = params["exponent_bits"], params["mantissa_bits"]
            if bits[0] < FLOAT32_BITS[0] or bits[1] < FLOAT32_BITS[1]:
                raise unreadable(name, b.place)
            return args
        if name == "gather" and traced[1]:
            if traced[0]:
                raise unreadable(name, b.place, "from an array that depends on the input too")
            return [joint.looked_up(b, equation.primitive, params, args[0], args[1], shape)]
        if movement.known(name) and not any(traced[k] for k in _places_of(name, len(args))):
            shapes = [out.shape for out in outs]
            return list(movement.moved(b, equation.primitive, params, args, shapes))
        if name in TIMES and any(
            not t and np.any(np.asarray(a) == 0) for t, a in zip(traced, args, strict=True)
        ):
            # 0 times NaN is NaN.
            for value in (arg for arg in args if isinstance(arg, Value)):
                b.guard(value)
        if elementwise.known(name):
            return [self.elementwise(name, params, args, kinds, outs[0])]
        if name in joint.EXTREMES:
            return [elementwise.whole(joint.folded(b, name, params, args[0]), outs[0].dtype)]
        if name == "dot_general" and all(traced):
            products = joint.contracted(b, params, args[0], args[1], shape)
            return [elementwise.whole(products, outs[0].dtype)]
        if name in linear.LINEAR and _linear(name, traced):
            made = linear.linear(b, equation.primitive, params, args, False)
            assert isinstance(made, Value)
            return [elementwise.whole(made, outs[0].dtype)]
        raise unreadable(name, b.place)

    def elementwise(
        self, name: str, params: Any, args: list[Any], kinds: list[Any], out: Any
    ) -> Value:
        """Of one number for each element where it is so, else of several."""
        values = [arg for arg in args if isinstance(arg, Value)]
        spread = [elementwise.spread(value, out.shape) for value in values]
        operands = [
            arg.expression if isinstance(arg, Value) else elementwise.uniform(arg) for arg in args
        ]
        if name == "select_n" and not isinstance(args[0], Value):
            which = np.asarray(args[0]).astype(int)
            return elementwise.picked(self.b, which, args[1:], out.shape)
        alike = all(spread[0].aligned(value) for value in spread[1:])
        level = [k for k, arg in enumerate(args) if _constant(arg) is not None]
        if not alike and level:
            # Of which it was computed no longer matters.
            kept = level[0] if len(level) == len(values) else None
            given = [
                np.full(arg.shape, float(_constant(arg)), kinds[k])
                if k in level and k != kept
                else arg
                for k, arg in enumerate(args)
            ]
            return self.elementwise(name, params, given, kinds, out)
        if alike and all(operand is not None for operand in operands):
            known = [operand for operand in operands if operand is not None]
            try:
                e = elementwise.expression(name, params, known, kinds, np.dtype(out.dtype))
            except NotStraight:
                return self.elementwise(name, params, self.afresh(name, args), kinds, out)
            if e is not None:
                made = spread[0]._replace(expression=e)
                if name not in elementwise.LOGICAL:
                    # NaN compares as false: a truth value is always there.
                    self.b.remember(made, spread[:1] if name == "select_n" else spread)
                return made if e.depth <= DEPTH else self.b.itself(self.b.settled(made), out.shape)
        logical = name in elementwise.LOGICAL and np.dtype(out.dtype).kind != "b"
        whole = jnp.issubdtype(out.dtype, jnp.integer) and name in ("mul", "div", "rem")
        if logical or whole:
            raise unreadable(name, self.b.place, "of integers")
        return elementwise.whole(elementwise.several(self.b, name, args, out.shape), out.dtype)

    def afresh(self, name: str, args: list[Any]) -> list[Any]:
        """The operands as nodes of their own: of too many pieces to be followed together.

        Raises:
          InputError: if they are already.
        """
        if not any(isinstance(arg, Value) and arg.expression != Z for arg in args):
            raise unreadable(name, self.b.place, "of too many straight pieces")
        return [
            self.b.itself(self.b.settled(arg), arg.shape) if isinstance(arg, Value) else arg
            for arg in args
        ]

    def unrolled(self, params: Any, args: list[Any]) -> list[Any]:
        """A loop of known length, step by step."""
        if any(isinstance(arg, Complex) for arg in args) or not params["length"]:
            raise unreadable("scan", self.b.place, "of complex numbers, or of no steps")
        consts, carry = params["num_consts"], params["num_carry"]
        fixed, state, xs = args[:consts], args[consts : consts + carry], args[consts + carry :]
        closed, length = params["jaxpr"], params["length"]
        rows: list[list[Any]] = []
        steps = range(length - 1, -1, -1) if params["reverse"] else range(length)
        for k in steps:
            own = [_row(x, k) for x in xs]
            out = self.run(closed.jaxpr, closed.consts, [*fixed, *state, *own])
            state, row = out[:carry], out[carry:]
            rows.append(row)
        if params["reverse"]:
            rows = rows[::-1]
        return [*state, *(self.stacked(list(column)) for column in zip(*rows, strict=True))]

    def stacked(self, parts: list[Any]) -> Any:
        """Along a new first axis."""
        if any(isinstance(part, Complex) for part in parts):
            raise unreadable("scan", self.b.place, "of complex numbers")
        if not any(isinstance(part, Value) for part in parts):
            return jnp.stack([jnp.asarray(part) for part in parts])
        shape = (len(parts), *parts[0].shape)
        which = np.broadcast_to(
            np.arange(len(parts)).reshape(-1, *[1] * len(parts[0].shape)), shape
        )
        cases = [
            part._replace(places=np.broadcast_to(part.places, shape))
            if isinstance(part, Value)
            else np.broadcast_to(np.asarray(part), shape)
            for part in parts
        ]
        return elementwise.picked(self.b, which, cases, shape)


def _constant(x: Any) -> Any:
    return x.expression.constant if isinstance(x, Value) else None


def _row(x: Any, k: int) -> Any:
    return x._replace(places=x.places[k]) if isinstance(x, Value) else x[k]


def _plain(var: Any) -> bool:
    return hasattr(var.aval, "dtype") and not jnp.issubdtype(var.aval.dtype, jax.dtypes.extended)


def _places_of(name: str, count: int) -> list[int]:
    """Operands that say where elements go, which must be constants."""
    if name in ("gather", "scatter"):
        return [1]
    if name == "dynamic_slice":
        return list(range(1, count))
    if name == "dynamic_update_slice":
        return list(range(2, count))
    return []


def _linear(name: str, traced: list[bool]) -> bool:
    """Whether the traced operands are such that the primitive is linear in them together."""
    if name == "scatter-add":
        return not traced[1]
    if name == "reduce_window":
        return False
    return sum(traced) == 1 or name in ("reduce_sum",)
