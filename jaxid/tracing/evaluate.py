"""A float32 program in float64 arithmetic, its constants being those of float32.

A certificate is about the function in real arithmetic that the program's text says, with the
numbers that are in it. That function is what comes out here, to the rounding of float64: random
draws, `finfo` and rounded literals are those of the program as it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.tracing.linear import bound
from jaxid.tracing.read import CALLS, called, needed_equations

MASK = 1e30
"""Numbers from here on stand for infinity, as attention masks do."""


def in_float64(function: Callable[[Any], Any], example: Any) -> Callable[[Any], Any]:
    """``function``'s program with every number that depends on the input in float64.

    Args:
      function: traceable, of one array.
      example: what it is traced with; its dtype is the program's.

    Returns:
      Takes a float64 array of the example's shape; call it inside
      `jaxid.core.precision.float64`. Gives the result, and the largest number on the way, what is
      above `MASK` left out: its rounding is that of the result at most.
    """
    closed = jax.make_jaxpr(function)(jnp.asarray(example))

    def evaluated(x: Any) -> Any:
        sizes: list[Any] = [_size(x)]
        (out,) = _run(closed.jaxpr, closed.consts, [_Traced(x)], sizes)
        value = out.value if isinstance(out, _Traced) else jnp.asarray(out, jnp.float64)
        return value, jnp.stack(sizes).max()

    return evaluated


class _Traced:
    """What depends on the input; other values are arrays of the program's own precision."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _size(value: Any) -> Any:
    """The largest of its numbers, but for masks and what is infinite."""
    complex_ = jnp.issubdtype(value.dtype, jnp.complexfloating)
    size = jnp.abs(value if complex_ else value.astype(jnp.float64))
    return jnp.where(size < MASK, size, 0.0).max(initial=0.0)


def _run(jaxpr: Any, consts: Any, args: list[Any], sizes: list[Any]) -> list[Any]:
    found: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    found |= dict(zip(jaxpr.invars, args, strict=True))

    def read(var: Any) -> Any:
        return var.val if hasattr(var, "val") else found[var]

    for equation in needed_equations(jaxpr):
        results = _equation(equation, [read(var) for var in equation.invars], sizes)
        found |= dict(zip(equation.outvars, results, strict=True))
    return [read(var) for var in jaxpr.outvars]


def _equation(equation: Any, args: list[Any], sizes: list[Any]) -> list[Any]:
    name, params = str(equation.primitive), equation.params
    if name in CALLS:
        return _run(*called(params), args, sizes)
    if not any(isinstance(arg, _Traced) for arg in args):
        with jax.ensure_compile_time_eval():
            out = equation.primitive.bind(*args, **params)
        return list(out) if equation.primitive.multiple_results else [out]
    if name == "scan":
        return _loop(params, args, sizes)
    if name == "cond" and not isinstance(args[0], _Traced):
        branch = params["branches"][int(args[0])]
        return _run(branch.jaxpr, branch.consts, args[1:], sizes)
    operands = [arg.value if isinstance(arg, _Traced) else _wide(arg) for arg in args]
    if name == "reduce_precision":
        return [_Traced(operands[0])]
    out = bound(equation.primitive, _widened(params), operands)
    results = out if equation.primitive.multiple_results else [out]
    sizes += [_size(each) for each in results if jnp.issubdtype(each.dtype, jnp.number)]
    return [_Traced(each) for each in results]


def _loop(params: Any, args: list[Any], sizes: list[Any]) -> list[Any]:
    """A loop of known length, step by step."""
    consts, carry = params["num_consts"], params["num_carry"]
    fixed, state, xs = args[:consts], args[consts : consts + carry], args[consts + carry :]
    closed, rows = params["jaxpr"], []
    steps = range(params["length"])
    for k in reversed(steps) if params["reverse"] else steps:
        own = [_Traced(x.value[k]) if isinstance(x, _Traced) else np.asarray(x)[k] for x in xs]
        out = _run(closed.jaxpr, closed.consts, [*fixed, *state, *own], sizes)
        state, row = out[:carry], out[carry:]
        rows.append([r.value if isinstance(r, _Traced) else _wide(r) for r in row])
    if params["reverse"]:
        rows = rows[::-1]
    return [*state, *(_Traced(jnp.stack(column)) for column in zip(*rows, strict=True))]


def _wide(constant: Any) -> Any:
    """In float64 or complex128, if it is a floating-point number."""
    kind = constant.dtype if hasattr(constant, "dtype") else np.asarray(constant).dtype
    if jnp.issubdtype(kind, jnp.complexfloating):
        return jnp.asarray(constant).astype(jnp.complex128)
    if jnp.issubdtype(kind, jnp.floating):
        return jnp.asarray(constant).astype(jnp.float64)
    return jnp.asarray(constant)


def _widened(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters that name a floating-point type, naming the wide one."""
    changed = dict(params)
    wanted = changed.get("preferred_element_type")
    if wanted is not None and jnp.issubdtype(wanted, jnp.inexact):
        changed["preferred_element_type"] = None
    kind = changed.get("new_dtype")
    if kind is not None and jnp.issubdtype(kind, jnp.complexfloating):
        changed["new_dtype"] = np.dtype(np.complex128)
    elif kind is not None and jnp.issubdtype(kind, jnp.floating):
        changed["new_dtype"] = np.dtype(np.float64)
    return changed
