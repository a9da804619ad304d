"""The spectral density of a symmetric operator by stochastic Lanczos quadrature.

The mean over random z of length 1 of z's spectral measure (`jaxid.linalg.quadrature`) is the
density (1/p) sum_i delta(lambda_i) of an operator of order p; its spread over z is the
standard error (Ubaru, Chen and Saad 2017).

What k products can't tell apart: eigenvalues closer than about (pi / k) sqrt((x - a)(b - x))
at x inside a spectrum [a, b], and (pi / 2k)^2 (b - a) at its ends, the spacing of Chebyshev
nodes (Weisse et al. 2006, section II.C, for the kernel polynomial method). One node then
stands for all that are nearer, so a node that is small is not an eigenvalue that is small:
what lies within that of zero is not told from zero (`Density.blur`). Lanczos resolves
eigenvalues that stand alone better than that.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxid.core import trees
from jaxid.core.types import Key, MatVec, Params
from jaxid.linalg.operators import prepared
from jaxid.linalg.quadrature import quadrature, tridiagonal, wasserstein

STEPS = 100
PROBES = 8
RESOLUTION = 0.01
"""Distance of half the products' quadrature, over the width, at which it has settled."""


class Density(NamedTuple):
    """Quadratures of the spectral measure, one for each probe.

    Attributes:
      nodes: (probes, k) Ritz values, ascending, float64.
      weights: (probes, k), each row summing to 1.
      order: p, the operator's order: p times a weight counts eigenvalues.
      floor: k eps max|theta|, what rounding in the arithmetic used makes of zero.
      blur: what is not told from zero: the spacing of nodes there, at least ``floor``.
      resolution: mean Wasserstein-1 distance between the quadratures of k and of k / 2
        products, over the width of the spectrum; 0 where it is below ``floor``.
      converged: whether that is at most the tolerance.
      method: how it was obtained, and why it stopped.
    """

    nodes: np.ndarray
    weights: np.ndarray
    order: int
    floor: float
    blur: float
    resolution: float
    converged: bool
    method: str

    def share(self, low: float, high: float) -> tuple[float, float | None]:
        """(share of the eigenvalues in (low, high], its standard error over the probes)."""
        inside = (self.nodes > low) & (self.nodes <= high)
        return _mean_and_error(np.sum(self.weights * inside, axis=1))

    def mean(self, power: int = 1) -> tuple[float, float | None]:
        """(mean of lambda^power, its standard error): tr A^power / p."""
        return _mean_and_error(np.sum(self.weights * self.nodes**power, axis=1))

    def histogram(self, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Shares between ascending edges, (bins,), and their standard errors."""
        masses = np.stack(
            [
                np.histogram(nodes, edges, weights=weights)[0]
                for nodes, weights in zip(self.nodes, self.weights, strict=True)
            ]
        )
        if masses.shape[0] < 2:
            return masses[0], None
        return masses.mean(axis=0), masses.std(axis=0, ddof=1) / masses.shape[0] ** 0.5


def spectral_density(
    matvec: MatVec,
    operand: Any,
    like: Params,
    key: Key,
    *,
    steps: int = STEPS,
    probes: int = PROBES,
    tolerance: float = RESOLUTION,
) -> Density:
    """The density of A's eigenvalues.

    Args:
      matvec, operand: as in `jaxid.linalg.lanczos.eigenpairs`.
      like: a tree of v's structure, shapes and dtype.
      key: of the probes.
      steps: products per probe, 2 or more.
      probes: how many; the standard error needs two.
      tolerance: resolution at which the density counts as converged.

    Raises:
      ValueError: for fewer than two steps or no probe.
    """
    if steps < 2 or probes < 1:
        raise ValueError(f"{steps} steps and {probes} probes; use at least 2 and 1")
    order = trees.size(like)
    product = prepared(matvec, operand)
    made = [
        tridiagonal(product, steps, trees.signs_like(jax.random.fold_in(key, index), like))
        for index in range(probes)
    ]
    diagonals = np.stack([np.asarray(one.diagonal) for one in made])
    offs = np.stack([np.asarray(one.off) for one in made])
    eps = float(np.finfo(diagonals.dtype).eps)
    if not (np.isfinite(diagonals).all() and np.isfinite(offs).all()):
        empty = np.zeros((probes, 0))
        return Density(empty, empty, order, 0.0, 0.0, np.inf, False, "the operator is not finite")
    found = [quadrature(d, b) for d, b in zip(diagonals, offs, strict=True)]
    halves = [quadrature(d[: steps // 2], b) for d, b in zip(diagonals, offs, strict=True)]
    nodes, weights = (np.stack(part) for part in zip(*found, strict=True))
    width = float(np.ptp(nodes))
    floor = steps * eps * float(np.abs(nodes).max())
    distances = [wasserstein(*a, *b) for a, b in zip(found, halves, strict=True)]
    distance = float(np.mean(distances))
    # All eigenvalues may be equal: the width is then rounding too.
    resolution = distance / width if distance > floor else 0.0
    settled = resolution <= tolerance
    how = f"stochastic Lanczos quadrature, {probes} probes of {steps} products"
    if not settled:
        how += f": half of them give another density by {resolution:.2g} of its width"
    blur = max(floor, spacing_at_zero(float(nodes.min()), float(nodes.max()), steps))
    return Density(nodes, weights, order, floor, blur, resolution, settled, how)


def spacing_at_zero(low: float, high: float, steps: int) -> float:
    """The spacing of ``steps`` Chebyshev nodes of [low, high] where it is nearest to zero."""
    inside = max(-low, 0.0) * max(high, 0.0)
    width = high - low
    return max(np.pi / steps * inside**0.5, (np.pi / (2 * steps)) ** 2 * width)


def _mean_and_error(samples: np.ndarray) -> tuple[float, float | None]:
    if samples.size < 2:
        return float(samples.mean()), None
    return float(samples.mean()), float(samples.std(ddof=1)) / samples.size**0.5
