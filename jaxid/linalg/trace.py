"""The trace of a symmetric operator and of its square, from its products with random signs.

For z of independent random signs E[z^T A z] = tr A (Hutchinson 1990) and E|A z|^2 = tr A^2,
both from the same product. The variance of the first is 2 (|A|_F^2 - sum_i A_ii^2), so few
probes do where no eigenvalue stands out. The second gives the ranks that need no threshold
(`Trace.participation_rank`).

`matfree.stochtrace` has the same estimator; it spends a product on each of the two and
gives no sample variance of the usual n - 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from scipy import stats

from jaxid.core import trees
from jaxid.core.types import Array, Estimate, Key, MatVec, Params
from jaxid.linalg.operators import Product, applied, prepared

PROBES = 32
LEAST = 8
"""With fewer probes the standard error is itself too uncertain to stop by."""


class Trace(NamedTuple):
    """tr A and tr A^2, with the standard error over the probes.

    Attributes:
      trace, square: estimates; ``error`` is the standard error of the mean.
      samples, squares: (probes,) z^T A z and |A z|^2.
    """

    trace: Estimate
    square: Estimate
    samples: np.ndarray
    squares: np.ndarray

    @property
    def participation_rank(self) -> Estimate:
        """(tr A)^2 / tr A^2, how many eigenvalues of equal size would have these traces.

        For a positive semi-definite A. The error is to first order and counts the
        covariance of the two.
        """
        if self.trace.value is None or not self.square.value or self.trace.error is None:
            return Estimate(None, None, False, "tr A^2 is 0 or unknown")
        ratio = self.trace.value**2 / self.square.value
        change = 2 * self.samples / self.trace.value - self.squares / self.square.value
        error = ratio * float(change.std(ddof=1)) / self.samples.size**0.5
        return Estimate(ratio, error, self.trace.converged, self.trace.method)


def hutchinson(
    matvec: MatVec,
    operand: Any,
    like: Params,
    key: Key,
    *,
    probes: int = PROBES,
    tolerance: float | None = None,
) -> Trace:
    """Estimate tr A and tr A^2.

    Args:
      matvec, operand: as in `jaxid.linalg.lanczos.eigenpairs`.
      like: a tree of v's structure, shapes and dtype.
      key: of the probes.
      probes: how many at most, 2 or more.
      tolerance: stop once the half-width of the 95 % t-interval is at most this times the
        mean, after 8 probes at the earliest; None uses all probes. An estimate that was
        stopped by its own error is slightly biased towards small errors.

    Returns:
      Trace. Without a tolerance it has converged by definition, its error being what it is;
      with one if the tolerance was met. Operators that are not finite give no value.

    Raises:
      ValueError: for fewer than two probes, which have no standard error.
    """
    if probes < 2:
        raise ValueError(f"{probes} probe; a standard error needs 2 or more")
    product = prepared(matvec, operand)
    samples, squares = np.zeros(0), np.zeros(0)
    met = tolerance is None
    while samples.size < probes:
        count = probes if tolerance is None else min(LEAST, probes - samples.size)
        made = [
            _sample(product, like, jax.random.fold_in(key, index))
            for index in range(samples.size, samples.size + count)
        ]
        pairs = np.array(jax.device_get(made), np.float64)
        samples, squares = np.append(samples, pairs[:, 0]), np.append(squares, pairs[:, 1])
        if not np.isfinite(samples).all():
            none = Estimate(None, None, False, "the operator is not finite")
            return Trace(none, none, samples, squares)
        if tolerance is not None and samples.size >= min(LEAST, probes):
            width = stats.t.ppf(0.975, samples.size - 1) * _error(samples)
            met = bool(width <= tolerance * abs(samples.mean()))
            if met:
                break
    how = f"Hutchinson, {samples.size} probes of random signs"
    if not met:
        how += f": the tolerance of {tolerance:g} was not met"
    trace, square = (_estimate(part, met, how) for part in (samples, squares))
    return Trace(trace, square, samples, squares)


def _estimate(samples: np.ndarray, met: bool, how: str) -> Estimate:
    """Without an error, and not converged, where the spread of the probes tells none."""
    mean, error = float(samples.mean()), _error(samples)
    if samples.size < LEAST:
        return Estimate(mean, None, False, f"{how}: too few for an error")
    if error == 0 and mean != 0:
        return Estimate(mean, None, False, f"{how}, all alike: no error is to be had")
    return Estimate(mean, error, met, how)


def _error(samples: np.ndarray) -> float:
    return float(samples.std(ddof=1)) / samples.size**0.5


def _sample(product: Product, like: Params, key: Key) -> tuple[Array, Array]:
    """(z^T A z, |A z|^2) of one probe."""
    z = trees.signs_like(key, like)
    return _products(z, applied(product, z))


@jax.jit
def _products(z: Params, moved: Params) -> tuple[Array, Array]:
    return trees.dot(z, moved), trees.dot(moved, moved)
