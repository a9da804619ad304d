"""Condition numbers: of the inputs' second moments, and of what is still left to learn.

One linear layer has the Hessian (2/m) E[x~ x~^T] per output, x~ = [x, 1], so the second
moment of the inputs decides how hard it is to train; centring and standardizing act on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxid.core.types import Estimate
from jaxid.linalg.eigen import eigen
from jaxid.linalg.gram import EPS, Gram, reduced_gram
from jaxid.linalg.rows import CHUNK, EXACT64, Rows, prepare_rows

SHARE = 0.99
"""The share of the excess that `effective_kappa` accounts for by default."""
SHARES = 1.0 - np.logspace(0.0, -6.0, 61)
"""Shares of the curve: evenly spaced in the logarithm of what is left out."""


class Moment(NamedTuple):
    """The spectrum of one second-moment matrix of the inputs.

    Attributes:
      name: which matrix.
      eigenvalues: (q,) float64, ascending.
      threshold: q eps lambda_max plus the error of forming: below it an eigenvalue counts
        as zero, and it bounds the error of each.
      rank: eigenvalues above the threshold.
      trace: their sum.
      lambda_max, lambda_min_nonzero, kappa: the extremes above the threshold, their ratio.
    """

    name: str
    eigenvalues: np.ndarray
    threshold: float
    rank: int
    trace: float
    lambda_max: Estimate
    lambda_min_nonzero: Estimate
    kappa: Estimate

    @property
    def null_dim(self) -> int:
        """q minus the rank."""
        return self.eigenvalues.size - self.rank


def second_moment(features: np.ndarray, *, bias: bool = True) -> Moment:
    """The spectrum of (1/n) sum_i x~_i x~_i^T, x~ = [x, 1] with a bias, else x.

    Args:
      features: (n, p) of any real dtype; integers are free of rounding.
      bias: whether the layer has one.
    """
    rows = prepare_rows(features, ones=bias)
    gram = reduced_gram(rows)
    return _moment("[x, 1]" if bias else "x", gram, rows.order, 1.0 / features.shape[0])


def covariance(features: np.ndarray, *, standardized: bool = False) -> Moment:
    """The spectrum of the covariance (1/n) sum_i (x_i - mean)(x_i - mean)^T.

    Args:
      features: (n, p) of any real dtype. For integers n^2 times the covariance is an exact
        integer matrix, n sum x x^T - (sum x)(sum x)^T.
      standardized: whether each feature is divided by its standard deviation (features
        that never vary stay 0): the correlation matrix.
    """
    n, p = features.shape
    constant = features.max(axis=0) == features.min(axis=0)
    rows = prepare_rows(features, ones=True)
    raw = reduced_gram(rows)
    sums = rows.expand(raw.matrix)[:-1, -1]
    if rows.exact and n * float(raw.matrix.max()) < EXACT64:
        matrix = n * rows.expand(raw.matrix)[:-1, :-1] - np.outer(sums, sums)
        gram, scale = Gram(matrix, 0.0), 1.0 / n**2
    else:
        gram, scale = _centred(features, sums / n), 1.0 / n
    matrix = gram.matrix.copy()
    # Their variance is 0 exactly; a mean that is rounded must not say otherwise.
    matrix[constant], matrix[:, constant] = 0.0, 0.0
    if not standardized:
        return _moment("covariance", Gram(matrix, gram.error), p, scale)
    deviation = np.sqrt(np.diag(matrix))
    inverse = np.divide(1.0, deviation, out=np.zeros(p), where=deviation > 0)
    matrix *= inverse[:, None] * inverse[None, :]
    # Entry (a, b) of the sum is off by at most that many eps times the deviations of a and b,
    # so after scaling by that many eps, and by four more from the scaling itself.
    roundings = 4.0 if gram.error == 0 else CHUNK + n / CHUNK + 8.0
    error = roundings * EPS * p
    return _moment("standardized covariance", Gram(matrix, error), p, 1.0)


def _centred(features: np.ndarray, mean: np.ndarray) -> Gram:
    """sum (x - mean)(x - mean)^T, the mean taken off before anything is squared."""
    plain = features if features.dtype.kind == "f" else features.astype(np.float64)
    p = features.shape[1]
    return reduced_gram(Rows(plain, -mean, np.arange(p), p, False, CHUNK))


def _moment(name: str, gram: Gram, order: int, scale: float) -> Moment:
    found = eigen(gram.matrix, order=order, error=gram.error)
    values, bound = scale * found.values, scale * found.threshold
    above = values[values > bound]
    method = "all eigenvalues, float64"
    largest = Estimate(float(values[-1]), bound, True, method)
    trace = scale * float(np.trace(gram.matrix))
    if above.size == 0:
        none = Estimate(None, None, False, "no eigenvalue is above the threshold")
        return Moment(name, values, bound, 0, trace, largest, none, none)
    smallest = Estimate(float(above[0]), bound, True, method)
    ratio = float(values[-1] / above[0])
    error = ratio * bound * float(1.0 / values[-1] + 1.0 / above[0])
    kappa = Estimate(ratio, error, True, method)
    return Moment(name, values, bound, above.size, trace, largest, smallest, kappa)


def effective_kappa(
    eigenvalues: np.ndarray,
    coordinates: np.ndarray,
    share: float = SHARE,
    *,
    thresholds: np.ndarray | float = 0.0,
) -> Estimate:
    """lambda_max / lambda_q, lambda_q the largest eigenvalue such that modes with
    lambda >= lambda_q hold the share q of the quadratic excess sum lambda_i c_i^2 / 2.

    It says how many times longer the slowest mode that still matters takes than the fastest.

    Args:
      eigenvalues: any shape; modes at or below the threshold (null and negative ones) hold
        no excess that descent could win and are left out.
      coordinates: of the same shape, c: current minus solved parameters in the eigenvectors.
      share: q in (0, 1].
      thresholds: zero's width, broadcast against ``eigenvalues``; also their error.

    Returns:
      Estimate with the bound from the eigenvalues' errors; its value is None where there is
      no excess at all.
    """
    return effective_kappa_curve(eigenvalues, coordinates, [share], thresholds=thresholds)[1][0]


def effective_kappa_curve(
    eigenvalues: np.ndarray,
    coordinates: np.ndarray,
    shares: Sequence[float] | np.ndarray = SHARES,
    *,
    thresholds: np.ndarray | float = 0.0,
) -> tuple[np.ndarray, list[Estimate]]:
    """`effective_kappa` for many shares at once.

    Returns:
      (shares, one Estimate each).
    """
    shares = np.asarray(shares, float)
    edges = np.broadcast_to(thresholds, eigenvalues.shape)
    keep = eigenvalues > edges
    values, edge = eigenvalues[keep], edges[keep]
    excess = 0.5 * values * coordinates[keep] ** 2
    ranked = np.argsort(-values, kind="stable")
    held = np.cumsum(excess[ranked])
    if held.size == 0 or held[-1] == 0:
        none = Estimate(None, None, False, "the quadratic excess is 0: nothing is left to learn")
        return shares, [none] * shares.size
    # The share is reached up to the rounding of the sum, or q = 1 would ask for noise.
    places = np.searchsorted(held, shares * held[-1] * (1 - held.size * EPS))
    top, top_edge = values[ranked[0]], edge[ranked[0]]
    estimates = []
    for place in np.minimum(places, held.size - 1):
        value, error = values[ranked[place]], edge[ranked[place]]
        ratio = float(top / value)
        bound = ratio * float(top_edge / top + error / value)
        estimates.append(Estimate(ratio, bound, True, "modes of the exact spectrum"))
    return shares, estimates
