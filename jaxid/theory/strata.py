"""What a prediction keeps of the data when outputs are rectified: moments by strata.

Sums w . x~ of many features are nearly Gaussian among inputs of like size, and not among all:
their spread grows with the input, which decides how far the last active example lies out. So
the examples are ordered along their mean and cut into equal parts; of each part are kept its
mean and covariance, the latter within the leading eigenvectors of the parts' common one with
the rest as a diagonal, and of each target how often which value comes up. Nothing else of the
data goes into a prediction.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxid.core.types import Array

PARTS, FEWEST = 8, 100
"""Parts of the examples, at most, and the fewest examples of one."""
LEADING = 256
"""Eigenvectors within which covariances are exact."""
LEVELS = 16
"""Values told apart for each target: the least, and equal bins above it."""


class Strata(NamedTuple):
    """Moments by strata, float32; k parts, p = d + 1 inputs with the 1 of the bias, m targets.

    Attributes:
      shares: (k,), of the examples.
      means: (k, p).
      basis: (p, r), orthonormal: leading eigenvectors of the mean covariance within parts.
      inner: (k, r, r), basis^T Sigma_k basis.
      rest: (k, p), diagonal of what is left of Sigma_k.
      cross: (k, r, m), basis^T Cov_k(x~, y).
      cross_rest: (k, m), what is left of Cov_k(x~_j, y_j); 0 where m is not d.
      target_means, target_variances: (k, m).
      regression: (p, m), Cov(x~_i, y_j) / Var(y_j) within parts.
      variances: (p,), mean within parts.
      values: (q, m), of each target, ascending.
      levels: (k, q, m), how often they come up in each part.
      low, high: (p,), least and largest value of each input.
    """

    shares: Array
    means: Array
    basis: Array
    inner: Array
    rest: Array
    cross: Array
    cross_rest: Array
    target_means: Array
    target_variances: Array
    regression: Array
    variances: Array
    values: Array
    levels: Array
    low: Array
    high: Array


def strata(inputs: np.ndarray, targets: np.ndarray, *, bias: bool = True) -> Strata:
    """The moments of the examples.

    Args:
      inputs: (n, d), as the network sees them.
      targets: (n, m), in training units.
      bias: whether the layer has one.
    """
    x, y = np.asarray(inputs, np.float32), np.asarray(targets, np.float32)
    if bias:
        x = np.concatenate([x, np.ones((len(x), 1), np.float32)], axis=1)
    parts = np.array_split(np.argsort(np.square(x).sum(axis=1), kind="stable"), _count(len(x)))
    shares = np.array([len(part) for part in parts]) / len(x)
    means = np.stack([x[part].mean(axis=0, dtype=np.float64) for part in parts])
    targets_mean = np.stack([y[part].mean(axis=0, dtype=np.float64) for part in parts])
    covariances = np.stack(
        [_covariance(x[part], x[part], m, m) for part, m in zip(parts, means, strict=True)]
    )
    cross = np.stack(
        [
            _covariance(x[part], y[part], mx, my)
            for part, mx, my in zip(parts, means, targets_mean, strict=True)
        ]
    )
    variances = np.stack([y[part].var(axis=0, dtype=np.float64) for part in parts])
    pooled = np.tensordot(shares, covariances, 1)
    basis = np.linalg.eigh(pooled)[1][:, ::-1][:, :LEADING]
    inner = basis.T @ covariances @ basis
    inside = np.einsum("pr,krs,ps->kp", basis, inner, basis)
    rest = np.maximum(np.diagonal(covariances, axis1=1, axis2=2) - inside, 0.0)
    projected = basis.T @ cross
    varied = shares @ variances
    values, levels = _levels(y, parts)
    kept = (
        shares, means, basis, inner, rest, projected, _left(basis, projected, cross), targets_mean,
        variances, np.tensordot(shares, cross, 1) / np.where(varied > 0, varied, np.inf),
        np.diag(pooled), values, levels, x.min(axis=0), x.max(axis=0),
    )  # fmt: skip
    return Strata(*(jnp.asarray(part, jnp.float32) for part in kept))


def _count(examples: int) -> int:
    return max(1, min(PARTS, examples // FEWEST))


def _covariance(x: np.ndarray, y: np.ndarray, mx: np.ndarray, my: np.ndarray) -> np.ndarray:
    left, right = x - mx.astype(np.float32), y - my.astype(np.float32)
    return np.asarray(left.T @ right / np.float32(len(x)), np.float64)


def _left(basis: np.ndarray, projected: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """Diagonal of Cov(x, y) outside the basis, (k, m), where inputs and targets pair up."""
    m = cross.shape[2]
    if m not in (cross.shape[1], cross.shape[1] - 1):
        return np.zeros((len(cross), m))
    inside = np.einsum("mr,krm->km", basis[:m], projected)
    return np.asarray(np.diagonal(cross[:, :m], axis1=1, axis2=2) - inside)


def _levels(y: np.ndarray, parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(values (q, m), shares (k, q, m)): the least value alone, then bins of equal width."""
    low, high = y.min(axis=0), y.max(axis=0)
    width = np.where(high > low, (high - low) / (LEVELS - 1), 1.0)
    bins = np.ceil((y - low) / width - 1e-6).astype(np.int8)
    values = np.empty((LEVELS, y.shape[1]))
    levels = np.empty((len(parts), LEVELS, y.shape[1]))
    for q in range(LEVELS):
        inside = bins == q
        count = inside.sum(axis=0)
        total = np.where(inside, y, 0.0).sum(axis=0, dtype=np.float64)
        values[q] = np.where(count > 0, total / np.maximum(count, 1), low + q * width)
        for k, part in enumerate(parts):
            levels[k, q] = inside[part].mean(axis=0)
    return values, levels
