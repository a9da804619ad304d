"""Complex numbers on the way, as Fourier transforms leave them: pairs of real values."""

from __future__ import annotations

from typing import Any, Protocol

import jax
import numpy as np

from jaxid.tracing import expressions as one
from jaxid.tracing import linear, movement
from jaxid.tracing.elementwise import several
from jaxid.tracing.source import unreadable
from jaxid.tracing.values import Builder, Complex, Value


class Reader(Protocol):
    """What reads real equations."""

    b: Builder


def complex_equation(reader: Reader, equation: Any, args: list[Any]) -> Any:
    """One equation with complex operands or results.

    Raises:
      InputError: for what is neither linear, nor a sum, product or absolute value.
    """
    name, params, b = str(equation.primitive), equation.params, reader.b
    out = equation.outvars[0].aval
    made_complex = np.issubdtype(out.dtype, np.complexfloating)
    if name in ("real", "imag"):
        return args[0].real if name == "real" else args[0].imag
    if name == "complex":
        return Complex(args[0], args[1])
    if name == "conj":
        return Complex(args[0].real, _times(b, args[0].imag, -1.0, out.shape))
    if name == "convert_element_type" and made_complex:
        return args[0] if isinstance(args[0], Complex) else Complex(args[0], np.zeros(out.shape))
    pairs = [_pair(arg) for arg in args]
    if name == "abs":
        real, imag = (_times(b, part, part, out.shape) for part in pairs[0])
        total = _add(b, "add", real, imag, out.shape)
        return total._replace(expression=one.function("sqrt", total.expression))
    if name == "neg":
        return Complex(*(_times(b, part, -1.0, out.shape) for part in pairs[0]))
    if name in ("add", "sub", "add_any"):
        (a, c), (d, e) = pairs
        return Complex(_add(b, name, a, d, out.shape), _add(b, name, c, e, out.shape))
    if name == "mul":
        (a, c), (d, e) = pairs
        ad, ce = _times(b, a, d, out.shape), _times(b, c, e, out.shape)
        ae, cd = _times(b, a, e, out.shape), _times(b, c, d, out.shape)
        return Complex(_add(b, "sub", ad, ce, out.shape), _add(b, "add", ae, cd, out.shape))
    if movement.known(name) and name != "gather":
        halves = []
        for k in (0, 1):
            own = [pair[k] for pair in pairs]
            if not any(isinstance(part, Value) for part in own):
                halves.append(equation.primitive.bind(*map(jax.numpy.asarray, own), **params))
                continue
            halves += movement.moved(b, equation.primitive, params, own, [out.shape])
        return Complex(*halves)
    if name in linear.LINEAR and sum(isinstance(a, Value | Complex) for a in args) == 1:
        return linear.linear(b, equation.primitive, params, args, made_complex)
    raise unreadable(name, b.place, "of complex numbers")


def _pair(arg: Any) -> tuple[Any, Any]:
    if isinstance(arg, Complex):
        return arg.real, arg.imag
    if isinstance(arg, Value):
        return arg, np.zeros(arg.shape)
    return np.real(np.asarray(arg)), np.imag(np.asarray(arg))


def _zero(part: Any) -> bool:
    return not isinstance(part, Value) and not np.asarray(part).any()


def _times(b: Builder, x: Any, y: Any, shape: tuple[int, ...]) -> Any:
    if _zero(x) or _zero(y):
        return np.zeros(shape)
    if not isinstance(x, Value) and not isinstance(y, Value):
        return np.broadcast_to(np.asarray(x) * np.asarray(y), shape)
    if isinstance(x, Value) and isinstance(y, Value) and x.aligned(y):
        return x._replace(expression=one.times(x.expression, y.expression))
    return several(b, "mul", [x, y], shape)


def _add(b: Builder, name: str, x: Any, y: Any, shape: tuple[int, ...]) -> Any:
    if not isinstance(x, Value) and not isinstance(y, Value):
        sign = -1.0 if name == "sub" else 1.0
        return np.broadcast_to(np.asarray(x) + sign * np.asarray(y), shape)
    if _zero(y):
        return x
    return several(b, name, [x, y], shape)
