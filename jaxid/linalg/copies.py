"""Eigenvalues at both ends as often as they occur: copies are found by deflation.

A Krylov space sees one copy of each eigenvalue; rounding brings some others, in no order. With
the eigenvectors found taken out, A becomes (I - Q Q^T) A (I - Q Q^T), which has what is left, and
the iteration starts anew outside of Q. That is repeated until nothing lies further out than the
last one that is listed; a random start has a component along every eigenvector that is left.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import interrupt, trees
from jaxid.core.types import Key, MatVec, Params
from jaxid.linalg.lanczos import RESTARTS, TOLERANCE, Eigenpairs, Stop, eigenpairs
from jaxid.linalg.operators import Deflated, combination, inner_products

ROUNDS = 12
"""Deflations at most."""
BLOCK = 16
"""Rows are padded to a multiple of it, so that few shapes are compiled."""
INSIDE = 0.5
"""Share of a vector's square in the space taken out, from which on it is none of what is left."""


def all_copies(
    matvec: MatVec,
    operand: Any,
    start: Params,
    key: Key,
    *,
    top: int,
    bottom: int,
    restarts: int = RESTARTS,
    tolerance: float = TOLERANCE,
) -> Eigenpairs:
    """The ``top`` largest and the ``bottom`` smallest eigenvalues, each with its copies.

    Args:
      matvec, operand, start, top, bottom, restarts, tolerance: as in `eigenpairs`.
      key: of the starts after the first.

    Returns:
      Eigenpairs as `eigenpairs` gives them. Where the deflations were used up the values that
      may have copies not listed have not converged.
    """
    found = eigenpairs(
        matvec, operand, start, top=top, bottom=bottom, restarts=restarts, tolerance=tolerance
    )
    size = trees.size(start)
    if not found.values.size or found.values.size >= size:
        return found
    taken, values, bounds = found.vectors, found.values, found.bounds
    products, scale = found.products, found.scale
    for number in range(ROUNDS):
        interrupt.check()
        left = size - values.size
        if left < 1:
            break
        high, low = _ends(values, top, bottom)
        rows = _padded(taken)
        random = trees.random_like(jax.random.fold_in(key, number), start)
        random = trees.add_scaled(random, -1.0, combination(inner_products(rows, random), rows))
        ask = min(top, max(1, left - 1)), min(bottom, max(0, left - 1))
        more = eigenpairs(
            Deflated(matvec), (operand, rows), random, top=ask[0], bottom=ask[1],
            restarts=restarts, tolerance=tolerance,
        )  # fmt: skip
        products += more.products
        if not more.values.size:
            break
        outside = _outside(more.vectors, rows)
        room = tolerance * scale
        further = outside & more.converged
        further &= (more.values > high + room) | (more.values < low - room)
        copies = outside & more.converged
        copies &= (np.abs(more.values - high) <= room) | (np.abs(more.values - low) <= room)
        if not further.any():
            return _chosen(
                taken, values, bounds, top, bottom,
                found._replace(products=products, scale=scale), tolerance,
            )  # fmt: skip
        new = np.flatnonzero(further | copies)
        taken = jax.tree.map(
            lambda a, b, new=new: jnp.concatenate([a, b[new]]), taken, more.vectors
        )
        values = np.concatenate([values, more.values[new]])
        bounds = np.concatenate([bounds, more.bounds[new]])
    last = found._replace(products=products, scale=scale, stopped=Stop.DEFLATIONS, budget=ROUNDS)
    return _chosen(taken, values, bounds, top, bottom, last, tolerance, sure=False)


def _ends(values: np.ndarray, top: int, bottom: int) -> tuple[float, float]:
    """The least of the ``top`` largest, the largest of the ``bottom`` smallest."""
    order = np.sort(values)[::-1]
    low = order[-bottom] if bottom else -np.inf
    return float(order[min(top, order.size) - 1]), float(low)


def _padded(rows: Params) -> Params:
    def leaf(x: Any) -> Any:
        missing = -x.shape[0] % BLOCK
        return jnp.concatenate([x, jnp.zeros((missing, *x.shape[1:]), x.dtype)])

    return jax.tree.map(leaf, rows)


def _outside(vectors: Params, rows: Params) -> np.ndarray:
    """Which of the vectors have little in the space that was taken out."""
    share = np.square(np.asarray(_overlap(vectors, rows), np.float64)).sum(axis=1)
    found: np.ndarray = share < INSIDE
    return found


@jax.jit
def _overlap(vectors: Params, rows: Params) -> Any:
    parts = jax.tree.map(
        lambda a, b: a.reshape(a.shape[0], -1) @ b.reshape(b.shape[0], -1).T, vectors, rows
    )
    return jax.tree.reduce(jnp.add, parts)


def _chosen(
    vectors: Params, values: np.ndarray, bounds: np.ndarray, top: int, bottom: int,
    like: Eigenpairs, tolerance: float, *, sure: bool = True,
) -> Eigenpairs:  # fmt: skip
    order = np.argsort(-values, kind="stable")
    # The extremes are what they are; only how often they occur may be unsure.
    kept = np.concatenate([order[:top], order[order.size - bottom :]])
    converged = bounds[kept] <= tolerance * like.scale
    if not sure:
        converged[1 : kept.size - 1] = False
    chosen = jax.tree.map(lambda x: x[kept], vectors)
    return like._replace(
        values=values[kept], bounds=bounds[kept], converged=converged, vectors=chosen
    )
