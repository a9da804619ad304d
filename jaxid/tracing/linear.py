"""Linear primitives: read off by applying them to unit vectors, which is exact, each entry being
a stored number times 1."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core.precision import float64
from jaxid.tracing.graph import Affine
from jaxid.tracing.source import unreadable
from jaxid.tracing.values import Builder, Complex, Shape, Value

LINEAR = {"dot_general", "conv_general_dilated", "reduce_sum", "cumsum", "reduce_window_sum",
          "scatter-add", "fft"}  # fmt: skip
"""Primitives that are linear in their traced operands together."""
ENTRIES = 4 * 10**8
"""Of a matrix, beyond which it is not formed: 3 GB."""
SNAP = 1e-13
"""How far a Fourier transform's entry may be from its true value."""


def linear(b: Builder, primitive: Any, params: dict[str, Any], args: list[Any], complex_out: bool
           ) -> Value | Complex:  # fmt: skip
    """The result of a linear primitive, as one affine node.

    Args:
      b: collects nodes.
      primitive, params: of the equation.
      args: values, complex ones too, and arrays.
      complex_out: whether the result is complex.

    Raises:
      InputError: for a matrix of more than `ENTRIES`.
    """
    params = dict(params)
    if params.get("preferred_element_type") is not None:
        # The float32 of the network's own arithmetic.
        params["preferred_element_type"] = None
    with float64():
        # Operands of products are numbers, also where they are stored as integers.
        product = str(primitive) in ("dot_general", "conv_general_dilated")
        zeros = [_zero(arg, product) for arg in args]

        def apply(operands: list[Any]) -> Any:
            return bound(primitive, params, operands)

        base = np.asarray(apply(zeros))
        shape = base.shape
        parents: list[int] = []
        weights: list[np.ndarray] = []
        for number, arg in enumerate(args):
            for part, factor in _parts(arg):
                size = int(np.prod(part.shape))
                if size * base.size * (2 if complex_out else 1) > ENTRIES:
                    raise unreadable(str(primitive), b.place, f"{size} by {base.size} numbers")

                def column(unit: Any, number: int = number, part: Value = part, f: Any = factor
                           ) -> Any:  # fmt: skip
                    operands = list(zeros)
                    operands[number] = (f * unit.reshape(part.shape)).astype(zeros[number].dtype)
                    return apply(operands)

                rows = np.asarray(jax.jit(jax.vmap(column))(jnp.eye(size))) - base[None]
                rows = rows.reshape(size, -1)
                if str(primitive) == "fft":
                    rows = snapped(rows, params["fft_lengths"])
                parents.append(b.settled(part))
                weights.append(rows)
    if not complex_out:
        return _node(b, parents, [np.real(w) for w in weights], np.real(base).ravel(), shape)
    real = _node(b, parents, [np.real(w) for w in weights], np.real(base).ravel(), shape)
    imag = _node(b, parents, [np.imag(w) for w in weights], np.imag(base).ravel(), shape)
    return Complex(real, imag)


def _node(b: Builder, parents: list[int], weights: list[np.ndarray], bias: np.ndarray, shape: Shape
          ) -> Value:  # fmt: skip
    merged: dict[int, np.ndarray] = {}
    for parent, weight in zip(parents, weights, strict=True):
        own = np.asarray(weight, np.float64)
        merged[parent] = merged[parent] + own if parent in merged else own
    bias = np.array(bias, np.float64)
    return b.itself(b.add(Affine(tuple(merged), tuple(merged.values()), bias)), shape)


def bound(primitive: Any, params: dict[str, Any], operands: list[Any]) -> Any:
    """What a primitive makes of operands of any precision."""
    if str(primitive) == "scatter-add":
        # Its parameters hold the addition of float32.
        operand, indices, updates = operands
        return jax.lax.scatter_add(
            operand,
            indices,
            updates,
            params["dimension_numbers"],
            indices_are_sorted=params["indices_are_sorted"],
            unique_indices=params["unique_indices"],
            mode=params["mode"],
        )
    return primitive.bind(*operands, **params)


def _parts(arg: Any) -> list[tuple[Value, complex]]:
    """Real values that an operand is made of, each with its factor."""
    if isinstance(arg, Value):
        return [(arg, 1.0)]
    if isinstance(arg, Complex):
        pairs = ((arg.real, 1.0), (arg.imag, 1j))
        return [(part, factor) for part, factor in pairs if isinstance(part, Value)]
    return []


def snapped(matrix: np.ndarray, lengths: tuple[int, ...]) -> np.ndarray:
    """A Fourier transform's matrix with each entry next to its true value.

    Transformed unit vectors are off by the transform's own rounding, so that what should be 0 is
    not. True entries are cos(2 pi k / L) times 1, 1/P or 2/P, L the least common multiple of 4
    and the lengths, P their product.

    Raises:
      InputError: for an entry that is no such number.
    """
    period, count = math.lcm(4, *lengths), math.prod(lengths)
    # By symmetry from the first eighth, where neither function is near one of its ends.
    turns = np.arange(period + 1)
    cosines = np.array([_cosine(int(k), period) for k in turns])
    known = np.unique(np.concatenate([cosines, cosines / count, 2 * cosines / count]))

    def nearest(part: np.ndarray) -> np.ndarray:
        at = np.clip(np.searchsorted(known, part), 1, known.size - 1)
        left, right = known[at - 1], known[at]
        near = np.where(part - left < right - part, left, right)
        if np.abs(near - part).max(initial=0.0) > SNAP:
            raise unreadable("fft", "", "whose matrix has an unexpected entry")
        return near

    if np.iscomplexobj(matrix):
        return nearest(np.real(matrix)) + 1j * nearest(np.imag(matrix))
    return nearest(matrix)


def _cosine(k: int, n: int) -> float:
    """cos(2 pi k / n), its argument reduced in integers."""
    k = min(k % n, n - k % n)
    if 4 * k > n:
        return -_cosine_eighth(n - 2 * k, 2 * n)
    return _cosine_eighth(k, n)


def _cosine_eighth(k: int, n: int) -> float:
    """The same for 0 <= k <= n / 4."""
    if 4 * k == n:
        return 0.0
    if 8 * k > n:
        return math.sin(2 * math.pi * (n - 4 * k) / (4 * n))
    return math.cos(2 * math.pi * k / n)


def _zero(arg: Any, product: bool) -> Any:
    """A traced operand at 0, its constant part kept; others in double precision."""
    if isinstance(arg, Value):
        return jnp.zeros(arg.shape)
    if isinstance(arg, Complex):
        real, imag = (
            np.zeros(arg.shape) if isinstance(part, Value) else np.asarray(part, np.float64)
            for part in arg
        )
        return jnp.asarray(real + 1j * imag)
    array = np.asarray(arg)
    if array.dtype.kind == "c":
        return jnp.asarray(array, jnp.complex128)
    # bfloat16 is a kind of its own to NumPy.
    wide = product or jnp.issubdtype(array.dtype, jnp.floating)
    return jnp.asarray(array.astype(np.float64)) if wide else jnp.asarray(array)
