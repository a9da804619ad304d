"""Products with a network's curvature matrices, over examples streamed in chunks.

Operators are values, not closures: two of them made from the same functions are equal, so
one trace serves all seeds and all calls. Parameters and data pass through as arguments,
``product((params, data), v)``; memory is that of one chunk.

`CurvatureProduct.prepare` is for many products at the same place: the forward pass and all
else that does not depend on v is done once and kept, if it fits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax

from jaxid.core import trees
from jaxid.core.errors import InputError
from jaxid.core.types import Params
from jaxid.curvature.fields import Field
from jaxid.curvature.parts import Part
from jaxid.data.examples import DIFFERENTIATED, mean
from jaxid.linalg.operators import Product, bound

MEMORY = 2 * 2**30
"""Bytes that a product may hold for the data's passes, by default."""
WORK = 4
"""A chunk's pass holds about so many times what it keeps: values, tangents, slopes and
theirs."""
EVERYTHING = Part()


@dataclass(frozen=True)
class CurvatureProduct:
    """((params, data), v) -> A v, A the derivative at params of a mean of ``field``.

    Attributes:
      field: which matrix (`jaxid.curvature.fields`).
      chunk: examples per pass; data are trees of arrays with the examples first.
      keep: whether `prepare` keeps what does not depend on v; else it is computed in each
        product, a chunk at a time.
      part: the parameters that A is about; v then has `Part.take`'s structure.
      coupled: why examples can't be cut into chunks, since they depend on one another; "" where
        they can.

    Example:
      >>> hessian = CurvatureProduct(HessianField(lambda w, x: jnp.mean((x @ w) ** 2)))
      >>> hessian((jnp.ones(2), jnp.eye(2)), jnp.ones(2))
      Array([1., 1.], dtype=float32)
    """

    field: Field
    chunk: int = DIFFERENTIATED
    keep: bool = True
    part: Part = EVERYTHING
    coupled: str = ""

    def __call__(self, operand: tuple[Params, Any], v: Params) -> Params:
        """A v; ``operand`` is (params, data)."""
        total, chosen = self._total(operand)
        return jax.jvp(total, (chosen,), (v,))[1]

    def prepare(self, operand: tuple[Params, Any]) -> Product:
        """v -> A v for many v, with all that does not depend on v done and kept.

        A is symmetric, so the derivative's transpose, which JAX gives as a pytree, is as
        good as the derivative and costs the same.
        """
        if not self.keep:
            return bound(self, operand)
        total, chosen = self._total(operand)
        return bound(_transposed, jax.vjp(total, chosen)[1])

    def _total(self, operand: tuple[Params, Any]) -> tuple[Callable[[Params], Params], Params]:
        """(the field's mean over all examples as a function of the chosen parameters, them)."""
        params, data = operand

        def field(chosen: Params, batch: Any) -> Params:
            moved = self.field(self.part.put(params, chosen), params, batch)
            return self.part.take(moved)

        def total(chosen: Params) -> Params:
            whole = jax.tree.leaves(data)[0].shape[0]
            chunk = whole if self.coupled else self.chunk
            return mean(lambda batch: field(chosen, batch), data, chunk, chosen)

        return total, self.part.take(params)

    def like(self, params: Params) -> Params:
        """A tree of v's structure, shapes and dtype."""
        return self.part.take(params)

    def within(self, memory: int, params: Params, data: Any) -> CurvatureProduct:
        """The same with ``chunk`` and ``keep`` chosen so that passes hold at most ``memory``.

        Args:
          memory: bytes, beside the parameters, the data and the vectors.
          params, data: or trees of their shapes.

        Raises:
          InputError: if a single example does not fit, or examples that depend on one another
            don't fit together.
        """
        examples = jax.tree.leaves(data)[0].shape[0]
        each = self.bytes_per_example(params, data)
        most = memory // (WORK * each) if each else examples
        if most < 1:
            raise InputError(
                f"one example's pass needs {WORK * each / 1e6:.3g} MB and the limit is "
                f"{memory / 1e6:.3g} MB; allow more memory"
            )
        if self.coupled and most < examples:
            raise InputError(
                f"examples depend on one another ({self.coupled}), so that all {examples:,} must "
                f"pass at once, which needs {WORK * each * examples / 1e6:.3g} MB and the limit is "
                f"{memory / 1e6:.3g} MB; give fewer examples, or evaluate batch norm with its "
                "averages"
            )
        keep = 2 * examples * each <= memory
        room = memory - examples * each if keep else memory
        chunk = max(1, min(examples, DIFFERENTIATED, room // (WORK * each) if each else examples))
        if self.coupled:
            chunk = examples
        return replace(self, chunk=chunk, keep=keep)

    def bytes_per_example(self, params: Params, data: Any) -> int:
        """Bytes that one example's pass leaves for the products, from shapes alone."""

        def kept(count: int) -> int:
            batch = jax.tree.map(lambda leaf: _shape((count, *leaf.shape[1:]), leaf.dtype), data)
            shapes = jax.eval_shape(lambda p, b: _residuals(self.field, p, b), params, batch)
            return trees.nbytes(shapes)

        return max(0, kept(2) - kept(1))


def _transposed(pull: Callable[[Params], tuple[Params]], v: Params) -> Params:
    return pull(v)[0]


def _shape(shape: tuple[int, ...], dtype: Any) -> Any:
    struct: Any = jax.ShapeDtypeStruct
    return struct(shape, dtype)


def _residuals(field: Field, params: Params, batch: Any) -> Any:
    """What reverse mode through the field keeps."""
    return jax.tree.leaves(jax.vjp(lambda p: field(p, params, batch), params)[1])
