"""The exact Hessian spectrum of the last layer: every eigenvalue of every output's block.

Blocks are formed and decomposed one per core (`jaxid.linalg.parallel`). On MNIST that is
784 blocks of order 785 over 60000 images, 615,440 eigenvalues. Dead outputs cost nothing,
and a linear layer is one decomposition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import interrupt
from jaxid.core.precision import float64
from jaxid.core.types import Estimate, LossFn
from jaxid.curvature.last_layer.blocks import curvature_weights, preactivations, stack
from jaxid.curvature.last_layer.output_curvature import output_curvature
from jaxid.linalg.eigen import Eigen, eigen
from jaxid.linalg.gram import EPS, Gram, reduced_gram, weighted_grams
from jaxid.linalg.parallel import over_cores
from jaxid.linalg.rows import Rows, prepare_rows

UNITS = 32
"""Outputs whose weights s are held at once: n x 32 float64."""
DEVICE_CHUNK = 32
"""Blocks formed together on an accelerator."""
NEAR = 10.0
"""Eigenvalues within this factor of the threshold are reported as near it."""


class HeadSpectrum(NamedTuple):
    """All eigenvalues of the last layer's Hessian, block by block.

    Attributes:
      eigenvalues: (m, q) float64, ascending in each block; q = p + 1 with a bias, else p.
      thresholds: (m,), q eps max|lambda| of the block plus the error of forming it. It is
        also the bound on the rounding error of each of the block's eigenvalues.
      null_dims: (m,) eigenvalues within the threshold of zero.
      negative: (m,) eigenvalues below minus the threshold.
      near: (m,) nonzero eigenvalues within a factor 10 of the threshold on either side,
        whose count as null or not could go the other way.
      dead: (m,) bool, outputs whose weights s are all zero: the whole block is.
      coordinates: (m, q), c = V^T (current - solved) in the order of ``eigenvalues``; None
        without solved parameters.
      lambda_max, least, lambda_min_nonzero, kappa: over all blocks. The last two are over
        eigenvalues above their own block's threshold.
    """

    eigenvalues: np.ndarray
    thresholds: np.ndarray
    null_dims: np.ndarray
    negative: np.ndarray
    near: np.ndarray
    dead: np.ndarray
    coordinates: np.ndarray | None
    lambda_max: Estimate
    least: Estimate
    lambda_min_nonzero: Estimate
    kappa: Estimate

    @property
    def null_dim(self) -> int:
        """Null directions of the whole layer."""
        return int(self.null_dims.sum())

    @property
    def threshold(self) -> float:
        """The largest of the blocks' thresholds."""
        return float(self.thresholds.max())

    @property
    def excess(self) -> np.ndarray:
        """(m,): sum over a block's modes of lambda c^2 / 2, in the loss's units.

        Raises:
          ValueError: if no solved parameters were given.
        """
        if self.coordinates is None:
            raise ValueError("no solved parameters were given to head_spectrum")
        return 0.5 * np.sum(self.eigenvalues * self.coordinates**2, axis=1)


def head_spectrum(
    features: np.ndarray,
    targets: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    activation: str,
    *,
    loss: LossFn | None = None,
    solved: tuple[np.ndarray, np.ndarray | None] | None = None,
    device: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> HeadSpectrum:
    """Every eigenvalue of every output's block, in float64.

    Args:
      features: (n, p), any real dtype. Integers give blocks free of rounding (ReLU, linear).
      targets: (n, m), any skip connection already taken off; as ``loss`` takes them.
      kernel, bias: (p, m) and (m,) or None, where the Hessian is taken.
      activation: the output activation's name.
      loss: (outputs, targets) -> (batch,), the mean squared error if None. Where it is not a
        sum over outputs the blocks are the Hessian's diagonal ones only
        (`output_curvature`); its weights are held for all outputs at once.
      solved: (kernel, bias) to measure the distance to, for ``coordinates``.
      device: whether JAX forms the blocks on its default device; if None, where that is a
        GPU. They are decomposed on the host in either case.
      progress: called with (outputs done, m).

    Returns:
      HeadSpectrum.
    """
    n, m = features.shape[0], kernel.shape[1]
    rows = prepare_rows(features, ones=bias is not None)
    full = reduced_gram(rows)
    given, scale = None, 2.0 / (m * n)
    if loss is not None:
        z = preactivations(features, kernel, bias)
        given, scale = output_curvature(loss, activation, z, targets).weights, 1.0 / n
    shifts = None if solved is None else stack(kernel, bias) - stack(*solved)
    if shifts is not None:
        dropped = np.setdiff1d(np.arange(rows.order), rows.columns)
        shifts = shifts[np.concatenate([rows.columns, dropped])]
    if activation == "linear" and given is None:
        shared = _decompose(full, scale, rows.order, shifts)
        dead = np.zeros(m, bool)
        blocks = [_column(shared, j) for j in range(m)]
        if progress is not None:
            progress(m, m)
        return _collect(blocks, dead, shifts is not None)

    on_device = jax.default_backend() == "gpu" if device is None else device
    blocks, dead = [], np.zeros(m, bool)
    for start in range(0, m, UNITS):
        interrupt.check()
        units = slice(start, min(start + UNITS, m))
        if given is None:
            z = preactivations(features, kernel[:, units], None if bias is None else bias[units])
            weights = curvature_weights(activation, z, targets[:, units].astype(np.float64))
        else:
            weights = given[:, units]
        dead[units] = ~weights.any(axis=0)
        shift = None if shifts is None else shifts[:, units]
        blocks += _decompose_units(rows, full, weights, scale, shift, on_device)
        if progress is not None:
            progress(units.stop, m)
    return _collect(blocks, dead, shifts is not None)


def _decompose_units(
    rows: Rows,
    full: Gram,
    weights: np.ndarray,
    scale: float,
    shifts: np.ndarray | None,
    on_device: bool,
) -> list[Eigen]:
    """The blocks of the outputs whose weights s are the columns of ``weights``."""
    live = np.flatnonzero(weights.any(axis=0))
    ready: dict[int, Gram] = {}
    if on_device:
        ready = dict(zip(live.tolist(), _grams_on_device(rows, weights[:, live]), strict=True))

    def block(k: int) -> Eigen:
        shift = None if shifts is None else shifts[:, k]
        if not weights[:, k].any():
            return Eigen(np.zeros(rows.order), 0.0, shift)
        gram = ready[k] if on_device else reduced_gram(rows, weights[:, k], full=full)
        return _decompose(gram, scale, rows.order, shift)

    return over_cores(block, range(weights.shape[1]))


def _decompose(gram: Gram, scale: float, order: int, shift: np.ndarray | None) -> Eigen:
    found = eigen(gram.matrix, order=order, error=gram.error, vectors=shift)
    # Scaled afterwards: a Gram matrix of integers is exact, scaled it would not be.
    return found._replace(values=scale * found.values, threshold=scale * found.threshold)


def _column(shared: Eigen, j: int) -> Eigen:
    if shared.coordinates is None:
        return shared
    return shared._replace(coordinates=shared.coordinates[:, j])


def _grams_on_device(rows: Rows, weights: np.ndarray) -> list[Gram]:
    """The blocks of many outputs by `weighted_grams`, with the bound for plain sums.

    Nothing is known about an accelerator's order of summation, so the bound allows for one
    rounding per row unless values and weights are integers.
    """
    grams = []
    mask = weights.dtype == bool
    with float64():
        x = jnp.asarray(rows.values, jnp.float64) + rows.shift
        for start in range(0, weights.shape[1], DEVICE_CHUNK):
            interrupt.check()
            part = jnp.asarray(weights[:, start : start + DEVICE_CHUNK], jnp.float64)
            sizes = np.asarray(jnp.abs(part).T @ jnp.sum(x * x, axis=1))
            for matrix, size in zip(np.asarray(weighted_grams(x, part)), sizes, strict=True):
                error = 0.0 if rows.exact and mask else (weights.shape[0] + 2) * EPS * float(size)
                grams.append(Gram(matrix, error))
    return grams


def _collect(blocks: list[Eigen], dead: np.ndarray, with_coordinates: bool) -> HeadSpectrum:
    values = np.stack([block.values for block in blocks])
    thresholds = np.array([block.threshold for block in blocks])
    edge = thresholds[:, None]
    size = np.abs(values)
    near = (size > edge / NEAR) & (size < edge * NEAR) & (edge > 0)
    found = [block.coordinates for block in blocks if block.coordinates is not None]
    coordinates = np.stack(found) if with_coordinates else None
    top = int(np.argmax(values[:, -1]))
    bottom = int(np.argmin(values[:, 0]))
    largest, bound = float(values[top, -1]), float(thresholds[top])
    method = "every eigenvalue of every output's block, float64"
    nonzero = np.where(values > edge, values, np.inf)
    at = int(np.argmin(nonzero.min(axis=1)))
    smallest: Estimate
    kappa: Estimate
    if np.isfinite(nonzero[at].min()):
        value = float(nonzero[at].min())
        error = float(thresholds[at])
        smallest = Estimate(value, error, True, method)
        ratio = largest / value
        kappa = Estimate(ratio, ratio * (bound / largest + error / value), True, method)
    else:
        smallest = kappa = Estimate(None, None, False, "no block has a positive eigenvalue")
    return HeadSpectrum(
        values,
        thresholds,
        np.count_nonzero(size <= edge, axis=1),
        np.count_nonzero(values < -edge, axis=1),
        np.count_nonzero(near, axis=1),
        dead,
        coordinates,
        Estimate(largest, bound, True, method),
        Estimate(float(values[bottom, 0]), float(thresholds[bottom]), True, method),
        smallest,
        kappa,
    )
