"""Which modes hold the loss that is left, by the gradient alone: no solution needed.

Where the loss is nearly quadratic with Hessian H and gradient g, descent can still win
g_i^2 / (2 lambda_i) along an eigenvector of positive curvature lambda_i, g_i being g's
component. The distribution of |g|^2 over the spectrum is g's spectral measure, which Lanczos
started at g gives (`jaxid.linalg.quadrature`). With it the effective condition number of
`jaxid.curvature.conditioning` holds for any network, c_i = g_i / lambda_i.

It is the local quadratic model's answer. Far from a minimum, where curvature changes within
the step it asks for, it says what that model sees and no more.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxid.core.types import Estimate, MatVec, Params
from jaxid.curvature.conditioning import SHARE, SHARES, effective_kappa_curve
from jaxid.linalg.operators import prepared
from jaxid.linalg.quadrature import quadrature, tridiagonal

STEPS = 64
SETTLED = 0.1
"""Relative change of the effective condition number, from half the products to all, up to
which it counts as converged."""


class Excess(NamedTuple):
    """g's spectral measure and what follows from it.

    Attributes:
      nodes: (k,) Ritz values, ascending, float64.
      power: (k,) |g|^2 at each node, summing to |g|^2.
      floor: k eps max|node|: nodes within it are not told from 0.
      total: sum of power / (2 node) over nodes above the floor, in the loss's units.
      flat: share of |g|^2 at nodes within the floor of 0.
      negative: share of |g|^2 at nodes below minus the floor, where the quadratic model has
        no minimum.
      effective_kappa: at the share 0.99 of the excess; ``error`` is the change from half
        the products.
    """

    nodes: np.ndarray
    power: np.ndarray
    floor: float
    total: float
    flat: float
    negative: float
    effective_kappa: Estimate

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """(shares q, effective kappa at q; NaN where there is none)."""
        shares, found = _curve(self.nodes, self.power, self.floor, SHARES)
        return shares, np.array([np.nan if e.value is None else e.value for e in found])


def quadratic_excess(
    matvec: MatVec, operand: Any, gradient: Params, *, steps: int = STEPS
) -> Excess:
    """Take the gradient apart over the spectrum of A.

    Args:
      matvec, operand: as in `jaxid.linalg.lanczos.eigenpairs`; for a preconditioned A give
        the gradient times R^(1/2).
      gradient: g, a tree of v's structure; its dtype is the arithmetic's.
      steps: products, 4 or more.

    Returns:
      Excess. A gradient of zero, or one that is not finite, gives no effective kappa.
    """
    found = jax.device_get(tridiagonal(prepared(matvec, operand), steps, gradient))
    diagonal, off = (np.asarray(part, np.float64) for part in (found.diagonal, found.off))
    power = float(found.length) ** 2
    eps = float(np.finfo(found.diagonal.dtype).eps)
    if not (np.isfinite(diagonal).all() and np.isfinite(off).all() and 0 < power < np.inf):
        empty, why = np.zeros(0), "the gradient is zero, or it or the operator is not finite"
        return Excess(empty, empty, 0.0, 0.0, 0.0, 0.0, Estimate(None, None, False, why))
    nodes, weights = quadrature(diagonal, off)
    floor = steps * eps * float(np.abs(nodes).max())
    some, some_weights = quadrature(diagonal[: steps // 2], off)
    above = nodes > floor
    total = float(np.sum(power * weights[above] / (2 * nodes[above])))
    how = f"Lanczos from the gradient, {steps} products"
    whole = _curve(nodes, weights, floor, [SHARE])[1][0]
    half = _curve(some, some_weights, floor, [SHARE])[1][0]
    kappa = Estimate(None, None, False, whole.method)
    if whole.value is not None and half.value is not None:
        change = abs(whole.value - half.value)
        kappa = Estimate(whole.value, change, change <= SETTLED * whole.value, how)
    return Excess(
        nodes,
        power * weights,
        floor,
        total,
        float(weights[np.abs(nodes) <= floor].sum()),
        float(weights[nodes < -floor].sum()),
        kappa,
    )


def _curve(nodes: np.ndarray, weights: np.ndarray, floor: float, shares: Any) -> Any:
    size = np.where(np.abs(nodes) > floor, nodes, np.inf)
    return effective_kappa_curve(nodes, np.sqrt(weights) / size, shares, thresholds=floor)
