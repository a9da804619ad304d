"""Extremal eigenvalues of a symmetric operator that is known only by its products.

Lanczos with full reorthogonalisation (without it ghost eigenvalues appear), by
`matfree.decomp.tridiag_sym`, which returns no convergence flag: bounds are computed here.
After k products A Q = Q T + beta_k q e_k^T, and a Ritz pair (theta, Q s) of T has the
residual |A y - theta y| = |beta_k s_k|; some eigenvalue lies within it (Parlett 1998,
sections 4.5 and 13.2). The residual is measured once more by a product with y, so that
rounding in the products counts too.

That an eigenvalue is near is proved; that none lies further out is not. It rests on a
random start, which has a component along every eigenvector (Kuczynski and Wozniakowski
1992). No null dimension or condition number should be read from such results.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matfree import decomp

from jaxid import trees
from jaxid.types import Array, Estimate, MatVec, Params

STEPS = 32
"""Krylov vectors held at once; they cost as many copies of the parameters."""
RESTARTS = 8
TOLERANCE = 1e-4
"""Residual bound over the largest |Ritz value| at which an end counts as converged."""


class Ritz(NamedTuple):
    """One sweep's Ritz values and residual bounds, host float64, ascending.

    Attributes:
      values: (k,).
      bounds: (k,) |beta_k s_ki|.
      vectors: (k, k), columns s_i.
      used: (k of the sweep,) bool, which Krylov vectors they are made of.
    """

    values: np.ndarray
    bounds: np.ndarray
    vectors: np.ndarray
    used: np.ndarray


class Extremes(NamedTuple):
    """Both ends of a spectrum.

    Attributes:
      largest, smallest: Ritz values; ``error`` is the residual bound. By the minimax
        principle the true ends lie at or beyond them.
      products: how many products with the operator were made.
    """

    largest: Estimate
    smallest: Estimate
    products: int


def extremal_eigenvalues(
    matvec: MatVec,
    params: Params,
    start: Params,
    *,
    steps: int = STEPS,
    restarts: int = RESTARTS,
    tolerance: float = TOLERANCE,
) -> Extremes:
    """Largest and smallest eigenvalue by restarted Lanczos.

    Args:
      matvec: (params, v) -> A(params) v, symmetric. It is traced once per function, shape
        and ``steps``: pass the same function object for all seeds.
      params: what the operator depends on, any pytree.
      start: a random v; its dtype is the arithmetic's.
      steps: Krylov vectors per sweep (at most the dimension).
      restarts: further sweeps, each from the Ritz vectors of the ends not yet converged;
        the budget is (steps + 2) (1 + restarts) products.
      tolerance: an end has converged when its residual is at most this times the largest
        |eigenvalue| found.

    Returns:
      Extremes, each end with its bound and whether it converged. A start that is zero or an
      operator that is not finite gives estimates without a value.
    """
    steps = min(steps, trees.size(start))
    best: dict[int, tuple[float, float, Params]] = {}
    products, scale = 0, 0.0
    vector = start
    for _ in range(1 + restarts):
        basis, diagonal, off, last = _sweep(matvec, steps, params, vector)
        products += steps
        ritz = ritz_values(np.asarray(diagonal), np.asarray(off), float(last))
        if ritz.values.size == 0:
            break
        scale = max(scale, float(np.abs(ritz.values).max()))
        for end in (-1, 0):
            theta, y, residual = _ritz_pair(matvec, params, basis, ritz, end)
            products += 1
            bound = max(residual, float(ritz.bounds[end]))
            # Ritz values never pass the true ends: the one further out is the better.
            further = end not in best or (theta > best[-1][0] if end else theta < best[0][0])
            if further or (theta == best[end][0] and bound < best[end][1]):
                best[end] = (theta, bound, y)
        open_ = [end for end in (-1, 0) if best[end][1] > tolerance * scale]
        if not open_:
            break
        vector = best[open_[0]][2]
        if len(open_) == 2:
            vector = trees.add_scaled(vector, 1.0, best[open_[1]][2])
    how = f"Lanczos, {products} products, residual bound"
    if not best:
        none = Estimate(None, None, False, "the operator or the start vector is not usable")
        return Extremes(none, none, products)
    largest, smallest = (
        Estimate(best[end][0], best[end][1], best[end][1] <= tolerance * scale, how)
        for end in (-1, 0)
    )
    return Extremes(largest, smallest, products)


def ritz_values(diagonal: np.ndarray, off: np.ndarray, last: float) -> Ritz:
    """Ritz values and bounds of a tridiagonal matrix, cut where the Krylov space ended.

    Args:
      diagonal: (k,). off: (k - 1,).
      last: beta_k, the length of the residual after the last step.

    Returns:
      Ritz with at most k values, none if the first entry is not finite.
    """
    betas = np.append(off, last).astype(np.float64)
    eps = float(np.finfo(diagonal.dtype).eps)
    diagonal = diagonal.astype(np.float64)
    size = np.nanmax(np.abs(np.concatenate([diagonal, betas])), initial=0.0)
    # Beyond an invariant subspace the recurrence divides rounding errors by each other.
    ended = ~(betas > diagonal.size * eps * size)
    count = int(np.argmax(ended)) + 1 if ended.any() else diagonal.size
    if not np.isfinite(diagonal[:count]).all():
        count = int(np.argmin(np.isfinite(diagonal)))
    used = np.arange(diagonal.size) < count
    if count == 0:
        return Ritz(np.zeros(0), np.zeros(0), np.zeros((0, 0)), used)
    inner = betas[: count - 1]
    small = np.diag(diagonal[:count]) + np.diag(inner, 1) + np.diag(inner, -1)
    values, vectors = np.linalg.eigh(small)
    beta = betas[count - 1] if np.isfinite(betas[count - 1]) else 0.0
    return Ritz(values, np.abs(beta * vectors[-1]), vectors, used)


@partial(jax.jit, static_argnums=(0, 1))
def _sweep(
    matvec: MatVec, steps: int, params: Params, start: Params
) -> tuple[Params, Array, Array, Array]:
    tridiagonalise = decomp.tridiag_sym(steps, reortho="full", materialize=False, custom_vjp=False)
    found = tridiagonalise(lambda v, p: matvec(p, v), start, params)
    diagonal, off = found.J_small
    return found.Q_tall, diagonal, off, trees.norm(found.residual)


def _ritz_pair(
    matvec: MatVec, params: Params, basis: Params, ritz: Ritz, end: int
) -> tuple[float, Params, float]:
    """(Rayleigh quotient, Ritz vector of length 1, |A y - theta y|)."""
    weights = np.zeros(ritz.used.size)
    weights[ritz.used] = ritz.vectors[:, end]
    dtype = jax.tree.leaves(basis)[0].dtype
    theta, y, residual = _measure(
        matvec, params, basis, jnp.asarray(weights, dtype), jnp.asarray(ritz.used)
    )
    return float(theta), y, float(residual)


@partial(jax.jit, static_argnums=0)
def _measure(
    matvec: MatVec, params: Params, basis: Params, weights: Array, used: Array
) -> tuple[Array, Params, Array]:
    def combine(leaf: Any) -> Any:
        # Vectors beyond an invariant subspace may be NaN, which 0 times does not remove.
        kept = jnp.where(used.reshape(-1, *[1] * (leaf.ndim - 1)), leaf, 0.0)
        return jnp.tensordot(weights.astype(leaf.dtype), kept, axes=1)

    y = jax.tree.map(combine, basis)
    y = jax.tree.map(lambda leaf: leaf / trees.norm(y), y)
    product = matvec(params, y)
    theta = trees.dot(y, product)
    return theta, y, trees.norm(trees.add_scaled(product, -theta, y))
