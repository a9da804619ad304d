"""Curvature as the optimizer sees it: R^(1/2) H R^(1/2), R the rates it takes by parameter.

With w <- w - R g on a quadratic the modes of R^(1/2) H R^(1/2) shrink by 1 - mu a step, so
gradient descent with these rates is stable while the largest mu is below 2, and theories of
small rates hold where it is far below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxid import trees
from jaxid.curvature.hessian import CHUNK, BatchLoss, HessianProduct
from jaxid.linalg.lanczos import extremal_eigenvalues
from jaxid.types import Estimate, Key, Params


@dataclass(frozen=True)
class PreconditionedProduct:
    """((params, data, rates), v) -> R^(1/2) H R^(1/2) v; arguments as in `HessianProduct`."""

    loss: BatchLoss
    chunk: int = CHUNK

    def __call__(self, operand: tuple[Params, Any, Params], v: Params) -> Params:
        """The product; ``rates`` must not be negative."""
        params, data, rates = operand
        scaled = jax.tree.map(lambda r, leaf: jnp.sqrt(r) * leaf, rates, v)
        product = HessianProduct(self.loss, self.chunk)((params, data), scaled)
        return jax.tree.map(lambda r, leaf: jnp.sqrt(r) * leaf, rates, product)


def largest_rate_times_curvature(
    loss: BatchLoss,
    params: Params,
    data: Any,
    rates: Params,
    key: Key,
    *,
    steps: int = 16,
    restarts: int = 2,
    tolerance: float = 1e-2,
) -> Estimate:
    """The largest eigenvalue of R^(1/2) H R^(1/2), without unit, by Lanczos.

    Args:
      loss, params, data: as in `jaxid.curvature.hessian.least_eigenvalue`.
      rates: r for every parameter (`jaxid.stepping.effective_rates`).
      key: of the random start.
      steps, restarts, tolerance: as in `jaxid.linalg.lanczos.extremal_eigenvalues`.
    """
    operand = (params, data, jax.tree.map(lambda r: jnp.maximum(r, 0.0), rates))
    found = extremal_eigenvalues(
        PreconditionedProduct(loss),
        operand,
        trees.random_like(key, params),
        steps=steps,
        restarts=restarts,
        tolerance=tolerance,
    )
    return found.largest
