"""Dense symmetric eigenproblems with their rounding bound, zero rows kept out of them.

A backward stable eigensolver returns the eigenvalues of A + E with |E|_2 <= f(q) u |A|_2, f
a modest function of the order q (Golub and Van Loan 2013, section 8.3.6; LAPACK Users' Guide
1999, section 4.7). q eps |A|_2 is used for that bound, and with the known error of forming A
it is also the threshold below which an eigenvalue counts as zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

EPS = float(np.finfo(np.float64).eps)


class Eigen(NamedTuple):
    """All eigenvalues of one symmetric matrix.

    Attributes:
      values: (q,) float64, ascending.
      threshold: q eps max|lambda| + the error of forming; also every eigenvalue's bound.
      coordinates: (q, ...) V^T d for the vectors d that were asked for, in the order of
        ``values``; None if none were.
    """

    values: np.ndarray
    threshold: float
    coordinates: np.ndarray | None

    @property
    def null(self) -> int:
        """Eigenvalues within the threshold of zero."""
        return int(np.count_nonzero(np.abs(self.values) <= self.threshold))


def threshold(values: np.ndarray, order: int, error: float = 0.0) -> float:
    """q eps max|lambda| + error; 0 for the zero matrix."""
    return order * EPS * float(np.abs(values).max(initial=0.0)) + error


def eigen(
    matrix: np.ndarray,
    *,
    order: int | None = None,
    error: float = 0.0,
    vectors: np.ndarray | None = None,
) -> Eigen:
    """Eigenvalues, and coordinates of given vectors in the eigenvectors.

    Rows and columns that are exactly zero are left out: their eigenvalues are exactly 0.

    Args:
      matrix: (k, k) float64, symmetric; only its lower triangle is read.
      order: q >= k, the order of the whole matrix, whose further rows are zero; k if None.
      error: bound on the 2-norm of the error of ``matrix``.
      vectors: (q, ...) d; entries from k on belong to the further rows.

    Returns:
      Eigen, (q,) values.
    """
    order = matrix.shape[0] if order is None else order
    kept = np.any(matrix != 0, axis=0)
    # Most often nothing is zero: no copy then.
    core = matrix if kept.all() else matrix[np.ix_(kept, kept)]
    zeros = np.zeros(order - core.shape[0])
    if vectors is None:
        found = np.linalg.eigvalsh(core) if core.size else np.zeros(0)
        values = np.sort(np.concatenate([found, zeros]))
        return Eigen(values, threshold(values, order, error), None)
    found, basis = np.linalg.eigh(core) if core.size else (np.zeros(0), core)
    rows = np.zeros(order, bool)
    rows[: kept.size] = kept
    values = np.concatenate([found, zeros])
    inside = np.tensordot(basis.T, vectors[rows], axes=1)
    coordinates = np.concatenate([inside, vectors[~rows]])
    ranked = np.argsort(values, kind="stable")
    values = values[ranked]
    return Eigen(values, threshold(values, order, error), coordinates[ranked])
