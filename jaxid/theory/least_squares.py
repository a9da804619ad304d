"""A linear layer's loss in the eigenbasis of its inputs: what every prediction starts from.

The loss of W, (d + 1, m) with the bias as last row, is

  L(W) = (1 / (n m)) sum_i |W^T x~_i - y_i|^2 = floor + (1/2) sum_k h_k sum_j delta_kj^2,

h_k = (2/m) lambda_k the Hessian's eigenvalues (each for every output), lambda_k and u_k those
of M = E[x~ x~^T], delta = U^T (W - W*), W* a least-squares solution. Nothing here evaluates a
network or its gradient: moments of the data, and the parameters that training starts from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxid.data.examples import host

NOISE = 1e-9
"""The floor over the targets' mean square below which residuals are rounding."""


class Quadratic(NamedTuple):
    """A linear layer's loss.

    Attributes:
      curvatures: h, (p,) float64, descending; those below the threshold are 0.
      vectors: U, (p, p), columns.
      solution: U^T W*, (p, m), 0 where the curvature is.
      floor: the least loss.
      fourth: Q_ik = (4/m^2) E[z_i^2 z_k^2], z = U^T x~, (p, p).
      noise: N_i = (4/m^2) sum_j E[r_j^2 z_i^2], r the residuals of W*, (p,).
      outputs, examples: m, n.
    """

    curvatures: np.ndarray
    vectors: np.ndarray
    solution: np.ndarray
    floor: float
    fourth: np.ndarray
    noise: np.ndarray
    outputs: int
    examples: int

    def errors(self, weights: np.ndarray) -> np.ndarray:
        """delta, (p, m), of weights (p, m)."""
        return self.vectors.T @ np.asarray(weights, np.float64) - self.solution

    def squares(self, weights: np.ndarray) -> np.ndarray:
        """sum_j delta_kj^2, (p,)."""
        return np.square(self.errors(weights)).sum(axis=1)

    def loss(self, squares: np.ndarray) -> np.ndarray:
        """The loss of squares (..., p)."""
        return self.floor + 0.5 * squares @ self.curvatures


def linear_layer(inputs: np.ndarray, targets: np.ndarray, *, bias: bool = True) -> Quadratic:
    """The quadratic of one linear layer under the mean square error.

    Args:
      inputs: (n, d), as the network sees them.
      targets: (n, m), in training units.
      bias: whether the layer has one.
    """
    n, m = targets.shape
    p = inputs.shape[1] + int(bias)
    second, cross, size = np.zeros((p, p)), np.zeros((p, m)), 0.0
    for x, y in _chunks(inputs, targets, bias):
        second += x.T @ x / n
        cross += x.T @ y / n
        size += float(np.square(y).sum()) / n
    values, vectors = np.linalg.eigh(second)
    values, vectors = values[::-1], vectors[:, ::-1]
    alive = values > p * np.finfo(float).eps * values[0]
    values = np.where(alive, values, 0.0)
    projected = vectors.T @ cross
    solution = np.where(alive[:, None], projected / np.where(alive, values, 1.0)[:, None], 0.0)
    least = max(0.0, size - float((projected[alive] * solution[alive]).sum()))
    noisy = least > NOISE * size
    fourth, noise = np.zeros((p, p)), np.zeros(p)
    for x, y in _chunks(inputs, targets, bias):
        modes = x @ vectors
        squared = np.square(modes)
        fourth += squared.T @ squared / n
        if noisy:
            residual = y - modes @ solution
            noise += np.square(residual).sum(axis=1) @ squared / n
    scale = 4.0 / m**2
    floor = least / m if noisy else 0.0
    return Quadratic(
        2.0 * values / m, vectors, solution, floor, scale * fourth, scale * noise, m, n
    )  # fmt: skip


def _chunks(
    inputs: np.ndarray, targets: np.ndarray, bias: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(x~, y) in float64, a part at a time."""
    for x, y in host(inputs, targets):
        yield np.concatenate([x, np.ones((len(x), 1))], axis=1) if bias else x, y
