"""Condition numbers of one whole matrix from all its eigenvalues, in float64."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxid.core.types import Estimate, Params
from jaxid.curvature.conditioning import SHARE, SHARES, effective_kappa_curve
from jaxid.curvature.dense import dense_matrix, rounding
from jaxid.curvature.products import MEMORY, CurvatureProduct
from jaxid.linalg.eigen import eigen

NEAR = 10.0
"""Eigenvalues within this factor of the threshold could be counted the other way."""


class Exact(NamedTuple):
    """All eigenvalues of one matrix and what follows from them.

    Attributes:
      eigenvalues: (q,) float64, ascending.
      threshold: q eps max|lambda| plus the error of forming the matrix: zero's width.
      lambda_max, least, lambda_min_nonzero: the ends; the last is the smallest positive
        eigenvalue above the threshold.
      kappa: lambda_max / lambda_min_nonzero.
      null_dim, negative, near: eigenvalues within the threshold of zero, below minus it, and
        within a factor 10 of it on either side.
      stable_rank: |A|_F^2 / max lambda^2. participation_rank: (tr A)^2 / |A|_F^2; both for a
        positive semi-definite A, and None where A is zero.
      excess: (q,) g_i^2 / (2 lambda_i) above the threshold, else 0; None without a gradient.
      effective_kappa: at the share 0.99 of that; None without a gradient.
    """

    eigenvalues: np.ndarray
    threshold: float
    lambda_max: Estimate
    least: Estimate
    lambda_min_nonzero: Estimate
    kappa: Estimate
    null_dim: int
    negative: int
    near: int
    stable_rank: float | None
    participation_rank: float | None
    excess: np.ndarray | None
    effective_kappa: Estimate | None

    def curve(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(shares q, effective kappa at q); None without a gradient."""
        if self.excess is None:
            return None
        shares, found = _curve(self.eigenvalues, self.excess, self.threshold, SHARES)
        return shares, np.array([np.nan if e.value is None else e.value for e in found])


def exact_of(
    product: CurvatureProduct,
    params: Params,
    data: Any,
    *,
    limit: int = MEMORY,
    gradient: np.ndarray | None = None,
) -> Exact:
    """All eigenvalues of a product's matrix: `dense_matrix`, its `rounding`, `exact_spectrum`.

    Args:
      product, params, data, limit: as in `jaxid.curvature.dense.dense_matrix`.
      gradient: (q,) float64, in the order of the matrix's rows.

    Raises:
      InputError: if the matrix does not fit.
    """
    dense = dense_matrix(product, params, data, limit=limit)
    error = rounding(dense, jax.tree.leaves(data)[0].shape[0])
    return exact_spectrum(dense, error=error, gradient=gradient)


def exact_spectrum(
    matrix: np.ndarray, *, error: float = 0.0, gradient: np.ndarray | None = None
) -> Exact:
    """All eigenvalues of a dense symmetric matrix.

    Args:
      matrix: (q, q) float64.
      error: of forming it, in the 2-norm (`jaxid.curvature.dense.rounding`).
      gradient: (q,) g, for the modes that hold what is left of the loss.
    """
    found = eigen(matrix, error=error, vectors=None if gradient is None else gradient[:, None])
    values, edge = found.values, found.threshold
    method = "all eigenvalues, float64"
    largest = Estimate(float(values[-1]), edge, True, method)
    positive = values[values > edge]
    if positive.size:
        value = float(positive[0])
        smallest = Estimate(value, edge, True, method)
        ratio = float(values[-1]) / value
        kappa = Estimate(ratio, ratio * edge * (1 / value + 1 / float(values[-1])), True, method)
    else:
        smallest = kappa = Estimate(None, None, False, "no eigenvalue is above the threshold")
    size = np.abs(values)
    square, top = float(np.sum(values**2)), float(size.max(initial=0.0))
    excess, effective = None, None
    if found.coordinates is not None:
        above = values > edge
        excess = np.where(above, found.coordinates[:, 0] ** 2 / (2 * np.where(above, values, 1)), 0)
        effective = _curve(values, excess, edge, [SHARE])[1][0]
    return Exact(
        values,
        edge,
        largest,
        Estimate(float(values[0]), edge, True, method),
        smallest,
        kappa,
        found.null,
        int(np.count_nonzero(values < -edge)),
        int(np.count_nonzero((size > edge / NEAR) & (size < edge * NEAR) & (edge > 0))),
        square / top**2 if top else None,
        float(values.sum()) ** 2 / square if square else None,
        excess,
        effective,
    )


def _curve(
    values: np.ndarray, excess: np.ndarray, edge: float, shares: np.ndarray | list[float]
) -> tuple[np.ndarray, list[Estimate]]:
    above = values > edge
    coordinates = np.sqrt(2 * excess / np.where(above, values, 1.0))
    return effective_kappa_curve(values, coordinates, shares, thresholds=edge)
