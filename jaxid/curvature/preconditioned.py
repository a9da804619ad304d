"""Curvature as the optimizer sees it: R^(1/2) H R^(1/2), R the rates it takes by parameter.

With w <- w - R g on a quadratic the modes of R^(1/2) H R^(1/2) shrink by 1 - mu a step, so
gradient descent with these rates is stable while the largest mu is below 2, and theories of
small rates hold where it is far below.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxid.core import trees
from jaxid.core.types import Estimate, Key, Params
from jaxid.curvature.products import CurvatureProduct
from jaxid.linalg.lanczos import extremal_eigenvalues
from jaxid.linalg.operators import Scaled


def largest_rate_times_curvature(
    product: CurvatureProduct,
    params: Params,
    data: Any,
    rates: Params,
    key: Key,
    *,
    basis: int = 16,
    restarts: int = 6,
    tolerance: float = 1e-2,
) -> Estimate:
    """The largest eigenvalue of R^(1/2) H R^(1/2), without unit, by Lanczos.

    Args:
      product: H (`jaxid.curvature.matrices.curvature_product`).
      params, data: where, and over which examples.
      rates: r for every parameter of the product's part (`jaxid.optim.rates.effective_rates`);
        negative ones, which climb, count as 0.
      key: of the random start.
      basis, restarts, tolerance: as in `jaxid.linalg.lanczos.eigenpairs`.
    """
    rates = jax.tree.map(lambda r: jnp.maximum(r, 0.0), rates)
    found = extremal_eigenvalues(
        Scaled(product),
        ((params, data), rates),
        trees.random_like(key, product.like(params)),
        basis=basis,
        restarts=restarts,
        tolerance=tolerance,
    )
    return found.largest
