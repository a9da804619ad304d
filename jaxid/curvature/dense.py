"""Curvature matrices written out, in float64, where they fit; else a refusal that helps.

The columns are products with unit vectors, many at a time (the same as `jax.hessian`, which
takes all of them at once and so needs room for as many passes as there are parameters).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxid.core import trees
from jaxid.core.errors import InputError
from jaxid.core.precision import float64, widened
from jaxid.core.types import Array, Params
from jaxid.curvature.products import MEMORY, WORK, CurvatureProduct
from jaxid.linalg.eigen import EPS

COPIES = 3
"""Matrices of the full size held at once: the columns, their symmetric part, LAPACK's own."""


def dense_bytes(order: int) -> int:
    """Bytes that a dense float64 matrix of that order and its eigenvalues need."""
    return COPIES * 8 * order * order


def check_dense(order: int, limit: int = MEMORY) -> None:
    """Refuse what does not fit before anything is computed.

    Raises:
      InputError: with the bytes needed, the limit, and what to do instead.
    """
    need = dense_bytes(order)
    if need > limit:
        raise InputError(
            f"a dense matrix of {order:,} parameters needs {need / 1e9:,.3g} GB and the limit is "
            f"{limit / 1e9:,.3g} GB; take one layer's block, or Krylov ends and density, which "
            "need a few vectors"
        )


def dense_matrix(
    product: CurvatureProduct, params: Params, data: Any, *, limit: int = MEMORY
) -> np.ndarray:
    """The matrix of a product, in float64 throughout.

    Args:
      product: which matrix, over which part of the parameters.
      params: any dtype, taken as float64.
      data: the examples; floating-point ones are taken as float64, which changes no value.
      limit: bytes that the matrix may need (`dense_bytes`).

    Returns:
      (q, q) float64, the symmetric part: rounding makes the columns differ by about eps.
      Rows in the order of the raveled part (`jax.flatten_util.ravel_pytree`).

    Raises:
      InputError: if it does not fit.
    """
    check_dense(trees.size(product.like(params)), limit)
    with float64():
        params, data = widened(params), widened(data)
        fitted = product.within(limit, params, data)
        each = fitted.bytes_per_example(params, data)
        together = max(1, min(64, limit // max(1, WORK * each * fitted.chunk)))
        columns = np.asarray(_columns(fitted, together, params, data))
    return 0.5 * (columns + columns.T)


def rounding(matrix: np.ndarray, examples: int) -> float:
    """What rounding in forming a matrix from its products may add to an eigenvalue.

    Sums over examples and over the network's own layers; the count of roundings on a path is
    not known for any network, so this is an estimate of its usual size, (sqrt(n) + q) eps
    max|A_ij| q^(1/2), not a bound.
    """
    q = matrix.shape[0]
    return (examples**0.5 + q) * EPS * float(np.abs(matrix).max(initial=0.0)) * q**0.5


@partial(jax.jit, static_argnums=(0, 1))
def _columns(product: CurvatureProduct, together: int, params: Params, data: Any) -> Array:
    apply = product.prepare((params, data))
    flat, unravel = ravel_pytree(product.like(params))

    def column(index: Array) -> Array:
        unit = jnp.zeros_like(flat).at[index].set(1.0)
        return ravel_pytree(apply(unravel(unit)))[0]

    return jax.lax.map(column, jnp.arange(flat.size), batch_size=together)
