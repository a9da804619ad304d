"""Eigenvalues at both ends of a symmetric operator that is known only by its products.

Thick-restart Lanczos (Wu and Simon 2000): after m products A Q = Q T + beta q e_m^T, T
symmetric; of its Ritz pairs (theta, Q s) those nearest the wanted ends are kept, and the
basis grows again from q. T is then an arrow, the kept Ritz values bordered by beta s_m, with
a tridiagonal tail. `jaxid.linalg.basis` keeps the rows orthonormal.

A Ritz pair has the residual |A y - theta y| = |beta s_m|, and some eigenvalue lies within it
(Parlett 1998, sections 4.5 and 13.2). The residuals that are returned were measured by one
more product each, so that rounding in the products counts too.

That an eigenvalue is near is proved; that none lies further out, or that there is no second
copy of one found, is not. It rests on a random start, which has a component along every
eigenvector (Kuczynski and Wozniakowski 1992); copies show themselves when the eigenvectors
found are taken out (`jaxid.linalg.operators.Deflated`). No null dimension or condition
number should be read from such results.

`matfree.decomp.tridiag_sym` neither restarts nor takes a basis to go on from, and
orthogonalises twice against all rows, written or not.
"""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import interrupt, trees
from jaxid.core.types import Array, Estimate, MatVec, Params
from jaxid.linalg.basis import compress, grow, ritz_vectors, row, start_basis
from jaxid.linalg.operators import applied, prepared

LEAST_BASIS = 24
"""Krylov vectors held at once, at least; they cost as many copies of the parameters."""
RESTARTS = 24
TOLERANCE = 1e-4
"""Residual over the largest |Ritz value| at which a pair counts as converged."""
WARM = 0.1
"""Length of the random part of a warm start, beside the last eigenvector's 1."""
WARM_TOLERANCE = 1e-3
"""At 1e-2, and with half the basis, largest eigenvalues along training came out up to 4 % low:
a residual bounds the distance to some eigenvalue, and the last point's eigenvector may have
become the second."""
STRIDE = 4
"""Products between two looks at the Ritz values."""


class Stop(enum.Enum):
    """Why an iteration ended."""

    TOLERANCE = "tolerance"
    """Every residual met it."""
    ROUNDING = "rounding"
    """Rounding in the products keeps a residual above the tolerance."""
    RESTARTS = "restarts"
    """Their budget was spent."""
    DEFLATIONS = "deflations"
    """Their budget was spent: copies may be missing (`jaxid.linalg.copies`)."""
    START = "start"
    """It is zero or not finite."""
    OPERATOR = "operator"
    """It is not finite."""


_WORDS = {
    Stop.TOLERANCE: "every residual met the tolerance",
    Stop.ROUNDING: "rounding in the products keeps a residual above the tolerance",
    Stop.RESTARTS: "the budget of {} restarts was spent",
    Stop.DEFLATIONS: "{} deflations were spent: copies may be missing",
    Stop.START: "the start vector is zero or not finite",
    Stop.OPERATOR: "the operator is not finite",
}
"""For the method of an `Estimate`; {} stands for the budget."""


class Eigenpairs(NamedTuple):
    """Ritz pairs at the ends of a spectrum.

    Attributes:
      values: (k,) float64, descending: first the wanted ones at the top, then those at the
        bottom. Empty if the operator or the start is not usable.
      bounds: (k,) measured residuals: some eigenvalue lies within each.
      converged: (k,) bool, residual at most the tolerance times ``scale``.
      vectors: Ritz vectors of length 1, stacked along a leading axis.
      scale: the largest |Ritz value| seen.
      products: how many products with the operator were made.
      stopped: why the iteration ended.
      budget: restarts, or deflations, that it might make.
    """

    values: np.ndarray
    bounds: np.ndarray
    converged: np.ndarray
    vectors: Params
    scale: float
    products: int
    stopped: Stop
    budget: int

    @property
    def method(self) -> str:
        """How the values were obtained, or why there are none, for an `Estimate`."""
        why = _WORDS[self.stopped].format(self.budget)
        if self.values.size == 0:
            return why
        return f"thick-restart Lanczos, {self.products} products, {why}"

    def estimate(self, index: int) -> Estimate:
        """One value with its bound; without a value if there is none."""
        if self.values.size == 0:
            return Estimate(None, None, False, self.method)
        return Estimate(
            float(self.values[index]),
            float(self.bounds[index]),
            bool(self.converged[index]),
            self.method,
        )


class Extremes(NamedTuple):
    """Both ends of a spectrum.

    Attributes:
      largest, smallest: Ritz values; ``error`` is the residual. By the minimax principle the
        true ends lie at or beyond them.
      products: how many products with the operator were made.
    """

    largest: Estimate
    smallest: Estimate
    products: int


def extremal_eigenvalues(
    matvec: MatVec,
    operand: Any,
    start: Params,
    *,
    basis: int | None = None,
    restarts: int = RESTARTS,
    tolerance: float = TOLERANCE,
) -> Extremes:
    """Largest and smallest eigenvalue; arguments as in `eigenpairs`."""
    found = eigenpairs(
        matvec,
        operand,
        start,
        top=1,
        bottom=1,
        basis=basis,
        restarts=restarts,
        tolerance=tolerance,
    )
    return Extremes(found.estimate(0), found.estimate(-1), found.products)


def follow_largest(
    matvec: MatVec,
    operand: Any,
    random: Params,
    last: Params | None,
    *,
    restarts: int = 6,
    tolerance: float = WARM_TOLERANCE,
) -> tuple[Estimate, Params | None]:
    """The largest eigenvalue of an operator that has moved on a little.

    Args:
      matvec, operand, restarts, tolerance: as in `eigenpairs`.
      random: a random v, of which a little is added so that new directions can show.
      last: the eigenvector at the last place; None at the first.

    Returns:
      (the eigenvalue with its bound, the eigenvector to go on from).
    """
    start = random
    if last is not None:
        start = trees.add_scaled(last, WARM / float(trees.norm(random)), random)
    found = eigenpairs(matvec, operand, start, restarts=restarts, tolerance=tolerance)
    if found.values.size:
        last = row(found.vectors, 0)
    return found.estimate(0), last


def eigenpairs(
    matvec: MatVec,
    operand: Any,
    start: Params,
    *,
    top: int = 1,
    bottom: int = 0,
    basis: int | None = None,
    restarts: int = RESTARTS,
    tolerance: float = TOLERANCE,
) -> Eigenpairs:
    """The ``top`` largest and the ``bottom`` smallest eigenvalues, with residual bounds.

    Args:
      matvec: (operand, v) -> A(operand) v, symmetric. It is traced once per operator, shape
        and basis: pass equal operators for all seeds.
      operand: what the operator depends on, any pytree.
      start: a random v, or a guess such as a sum of eigenvectors of a nearby operator; its
        dtype is the arithmetic's.
      top, bottom: how many at each end; together at most the dimension.
      basis: Krylov vectors held at once, each as large as the parameters; twice the wanted
        number and 10 more, 24 at least, if None; at most the dimension, and two more than
        wanted where the dimension allows it.
      restarts: how often the basis may be filled again.
      tolerance: a pair has converged when its residual is at most this times the largest
        |eigenvalue| found. Near zero that is no relative accuracy.

    Returns:
      Eigenpairs. Those of a start that is zero, or of an operator that is not finite, have no
      values; ``stopped`` says which.

    Raises:
      ValueError: if no eigenvalue, or more than the dimension, are asked for.
    """
    size, wanted = trees.size(start), top + bottom
    if min(top, bottom) < 0 or not 0 < wanted <= size:
        raise ValueError(f"{top} + {bottom} eigenvalues of {size}; ask for 1 to {size}")
    rows = max(LEAST_BASIS, 2 * wanted + 10) if basis is None else basis
    rows = min(size, max(rows, wanted + 2))
    length = float(trees.norm(start))
    if not 0 < length < np.inf:
        return _none(start, 0, Stop.START, restarts)
    product = prepared(matvec, operand)
    grown = start_basis(start, rows)
    kept, border, filled = np.zeros(0), np.zeros(0), 0
    products, scale, restart = 0, 0.0, 0
    while True:
        # A look at T now and then: what has converged needs no full basis.
        first, filled = filled, min(rows, max(wanted, filled) + STRIDE)
        for j in range(first, filled):
            interrupt.check()
            grown = grow(grown, applied(product, grown.q), j, kept.size)
        products += filled - first
        beside = np.asarray(grown.off, np.float64)[:filled]
        small = _projected(kept, border, np.asarray(grown.diagonal, np.float64)[:filled], beside)
        if not np.isfinite(small).all():
            return _none(start, products, Stop.OPERATOR, restarts)
        values, weights = np.linalg.eigh(small)
        scale = max(scale, float(np.abs(values).max()))
        bounds = beside[-1] * weights[-1]
        places = np.concatenate([np.arange(filled)[::-1][:top], np.arange(bottom)[::-1]])
        met = bool(np.all(np.abs(bounds[places]) <= tolerance * scale))
        if met or (filled == rows and restart == restarts):
            break
        if filled == rows:
            restart += 1
            held = _held(rows, top, bottom)
            grown = compress(grown, weights[:, held])
            kept, border, filled = values[held], bounds[held], held.size
    chosen = np.zeros((rows, wanted))
    chosen[:filled] = weights[:, places]
    ritz = ritz_vectors(grown.vectors, chosen)
    each = [row(ritz, index) for index in range(wanted)]
    pairs = jax.device_get([_residual(y, applied(product, y)) for y in each])
    found, bounds = np.array(pairs, np.float64).T
    # Rayleigh quotients of equal eigenvalues may come out of order by rounding.
    order = np.argsort(-found, kind="stable")
    ritz, found, bounds = _ordered(ritz, order), found[order], bounds[order]
    converged = bounds <= tolerance * scale
    if converged.all():
        stopped = Stop.TOLERANCE
    else:
        stopped = Stop.ROUNDING if met else Stop.RESTARTS
    made = products + wanted
    return Eigenpairs(found, bounds, converged, ritz, scale, made, stopped, restarts)


def _none(start: Params, products: int, why: Stop, budget: int) -> Eigenpairs:
    empty = np.zeros(0)
    vectors = jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape), leaf.dtype), start)
    return Eigenpairs(empty, empty, np.zeros(0, bool), vectors, 0.0, products, why, budget)


def _held(rows: int, top: int, bottom: int) -> np.ndarray:
    """Places of the Ritz pairs that a restart keeps: the wanted and a quarter of the others,
    shared out between the ends as the wanted are. With half of them it makes as many
    products and copies more."""
    extra = (rows - top - bottom) // 4
    above = top + extra * top // (top + bottom)
    below = top + bottom + extra - above
    return np.concatenate([np.arange(below), np.arange(rows - above, rows)])


def _projected(
    kept: np.ndarray, border: np.ndarray, diagonal: np.ndarray, off: np.ndarray
) -> np.ndarray:
    """T, (rows, rows) float64: kept Ritz values, their border, the tridiagonal tail."""
    k = kept.size
    small = np.diag(np.concatenate([kept, diagonal[k:]]))
    if 0 < k < small.shape[0]:
        small[k, :k] = small[:k, k] = border
    places = np.arange(k, small.shape[0] - 1)
    small[places, places + 1] = small[places + 1, places] = off[places]
    return small


@jax.jit
def _residual(y: Params, moved: Params) -> tuple[Array, Array]:
    """(Rayleigh quotient theta, |A y - theta y|), moved being A y."""
    theta = trees.dot(y, moved)
    return theta, trees.norm(trees.add_scaled(moved, -theta, y))


@jax.jit
def _ordered(rows: Params, order: Array) -> Params:
    return jax.tree.map(lambda leaf: leaf[order], rows)
