"""Where a computation in float64 turns into fewer bits on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp


def narrowings(function: Callable[..., Any], *args: Any) -> list[str]:
    """Primitives that turn float64 into fewer bits on the way, each named once.

    A network called with float64 parameters should compute in float64; some library layers
    fix float32 inside (`jax.nn.dot_product_attention` does), and then nothing that is
    derived from them is exact beyond 1e-7.

    Args:
      function: anything traceable.
      *args: arrays, or trees of shapes, that it is traced with.

    Example:
      >>> with float64():
      ...     narrowings(lambda x: x.astype(jnp.float32) + 1, jnp.ones(3))
      ['convert_element_type']
    """
    found = dict.fromkeys(
        str(equation.primitive)
        for equation in _equations(jax.make_jaxpr(function)(*args).jaxpr)
        if _widest(equation.invars) == 64 and 0 < _widest(equation.outvars) < 64
    )
    return list(found)


def _equations(jaxpr: Any) -> Iterator[Any]:
    """Every equation that computes something itself, also inside loops, calls and branches."""
    for equation in jaxpr.eqns:
        inner = [part for value in equation.params.values() for part in _jaxprs(value)]
        for part in inner:
            yield from _equations(part)
        if not inner:
            yield equation


def _jaxprs(value: Any) -> Iterator[Any]:
    if isinstance(value, (tuple, list)):
        for part in value:
            yield from _jaxprs(part)
    elif hasattr(value, "jaxpr"):
        yield value.jaxpr
    elif hasattr(value, "eqns"):
        yield value


def _widest(variables: Any) -> int:
    """Bits of the widest floating-point value, 0 if there is none."""
    dtypes = [v.aval.dtype for v in variables if hasattr(v.aval, "dtype")]
    return max((8 * d.itemsize for d in dtypes if jnp.issubdtype(d, jnp.floating)), default=0)
