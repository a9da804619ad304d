"""Does the solution depend continuously on the data? Hadamard's third question, measured.

For least squares W = X~^+ Y, with X~ = U S V^T over n examples, sigma_i^2 = n lambda_i and
lambda_i the eigenvalues of the second moment, a change of one output's targets by one unit
(root mean square over the examples) along u_i changes that output's parameters by

  |dw| = sqrt(n) / sigma_i = 1 / sqrt(lambda_i).

The solution is continuous, but with the constant 1 / sqrt(lambda_min): where that is large
the problem is ill posed for all practical purposes (Hansen 1998, section 1.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxid.data.examples import host
from jaxid.linalg.eigen import threshold
from jaxid.linalg.gram import reduced_gram
from jaxid.linalg.rows import Rows, prepare_rows

MODES = 9
METHOD = "least squares by QR of the data matrix in chunks of rows, float64"


class Stability(NamedTuple):
    """How far least-squares parameters move when targets move by one unit along a mode.

    Attributes:
      eigenvalues: (k,) lambda_i of the second moment, descending.
      sigma: (k,) singular values sqrt(n lambda_i) of X~.
      predicted: (k,) unit / sqrt(lambda_i).
      measured: (k,) |w(y + dy) - w(y)|, both by a least-squares solve of the data matrix,
        which knows nothing of the modes.
      rank: how many modes there are above the threshold.
      method: how the systems were solved.
    """

    eigenvalues: np.ndarray
    sigma: np.ndarray
    predicted: np.ndarray
    measured: np.ndarray
    rank: int
    method: str


def stability(
    features: np.ndarray,
    target: np.ndarray,
    *,
    bias: bool = True,
    modes: int = MODES,
    unit: float = 1.0,
) -> Stability:
    """Perturb one output's targets along left singular vectors and solve again.

    Args:
      features: (n, p), any real dtype.
      target: (n,), the unperturbed targets.
      bias: whether x~ = [x, 1].
      modes: how many, evenly spaced in log lambda from the largest to the smallest above
        the threshold, both included.
      unit: the perturbation's root mean square, e.g. one step of the stored values, in training
        units.

    Returns:
      Stability. The modes come from the Gram matrix, the solutions from a QR factorisation
      of [X~, Y], so that neither is computed from the other.

    Raises:
      ValueError: if every feature is 0 and there is no bias: there is no mode then.
    """
    rows = prepare_rows(features, ones=bias)
    n = rows.values.shape[0]
    gram = reduced_gram(rows)
    values, vectors = np.linalg.eigh(gram.matrix)
    kept = values > threshold(values, rows.order, gram.error)
    values, vectors = values[kept][::-1], vectors[:, kept][:, ::-1]
    if values.size == 0:
        raise ValueError("all features are 0, so there is no mode to perturb along")
    chosen = _spread(values, modes)
    y = np.asarray(target, np.float64)
    # u_i sigma_i = X~ v_i
    along = np.concatenate([part @ vectors[:, chosen] for part in _parts(rows)])
    along *= unit * np.sqrt(n) / np.linalg.norm(along, axis=0)[None, :]
    solutions = least_squares(rows, np.concatenate([y[:, None], y[:, None] + along], axis=1))
    moved = np.linalg.norm(solutions[:, 1:] - solutions[:, :1], axis=0)
    eigenvalues = values[chosen] / n
    return Stability(
        eigenvalues,
        np.sqrt(values[chosen]),
        unit / np.sqrt(eigenvalues),
        moved,
        int(values.size),
        METHOD,
    )


def _spread(values: np.ndarray, modes: int) -> np.ndarray:
    """Places of at most ``modes`` of the descending values, evenly spaced in the logarithm."""
    wanted = np.linspace(np.log(values[0]), np.log(values[-1]), min(modes, values.size))
    return np.unique(np.argmin(np.abs(np.log(values)[:, None] - wanted[None, :]), axis=0))


def _parts(rows: Rows) -> Iterator[np.ndarray]:
    """X~ without its zero columns, float64, a chunk at a time."""
    for (part,) in host(rows.values):
        yield part + rows.shift


def least_squares(rows: Rows, targets: np.ndarray) -> np.ndarray:
    """The least-squares solution of least norm, X~^+ Y, in float64.

    [X~, Y] is factorised chunk by chunk, each chunk below the triangular factor so far
    (Golub and Van Loan 2013, section 5.3.2; tall-skinny QR), so the condition number is
    sigma's and not its square; the triangular system is then solved by SVD.

    Args:
      rows: X~ from `jaxid.linalg.rows.prepare_rows`.
      targets: (n, t).

    Returns:
      (k, t) over the kept columns.
    """
    k = rows.columns.size
    factor = np.zeros((0, k + targets.shape[1]))
    start = 0
    for part in _parts(rows):
        below = np.concatenate([part, targets[start : start + part.shape[0]]], axis=1)
        factor = np.asarray(np.linalg.qr(np.concatenate([factor, below]), mode="r"))
        start += part.shape[0]
    return np.linalg.lstsq(factor[:k, :k], factor[:k, k:], rcond=None)[0]
