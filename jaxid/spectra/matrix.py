"""What is known of one matrix at one point, with the arrays behind its figures."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from jaxid.core.types import Estimate
from jaxid.linalg.lanczos import Stop


class Kind(enum.Enum):
    """Which matrix: four of the whole network, and each layer's block of the first."""

    HESSIAN = "hessian"
    GAUSS_NEWTON = "gauss_newton"
    RESIDUAL = "residual"
    """The Hessian less its Gauss-Newton part."""
    PRECONDITIONED = "preconditioned"
    """R^(1/2) H R^(1/2), R being the optimizer's effective rates."""
    LAYER = "layer"


@dataclass(frozen=True)
class End:
    """One eigenvalue at an end of the spectrum.

    Attributes:
      value: the Ritz value.
      error: its residual; some eigenvalue lies within it.
      converged: whether that meets the tolerance.
    """

    value: float
    error: float
    converged: bool


@dataclass(frozen=True)
class Share:
    """A share of all eigenvalues.

    Attributes:
      share: from 0 to 1.
      error: standard error over the probes; None with one probe.
    """

    share: float
    error: float | None


@dataclass(frozen=True)
class DensityFound:
    """The density of the eigenvalues, as `jaxid.linalg.density.Density` has it.

    Attributes:
      floor: what rounding makes of zero.
      blur: what so many products don't tell from zero.
      resolution: by which half of the products give another density, over its width.
      converged: whether that is small enough.
      method: how it was obtained.
      zero, negative: shares within ``blur`` of zero, and below minus it.
      nodes, weights: (probes, k) Ritz values, ascending, and their weights, each row summing to
        1; (probes, 0) where the operator is not finite.
    """

    floor: float
    blur: float
    resolution: float
    converged: bool
    method: str
    zero: Share
    negative: Share
    nodes: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class ExcessFound:
    """Where in the spectrum the gradient lies, by `jaxid.curvature.excess.Excess`.

    Attributes:
      total: what the quadratic model can still win, in the loss's units.
      flat, negative: shares of |g|^2 near eigenvalue 0, and at negative ones.
    """

    total: float
    flat: float
    negative: float


@dataclass(frozen=True)
class Curve:
    """The effective condition number over the share of the excess.

    Attributes:
      shares: (k,) q.
      effective_kappa: (k,) kappa(q), NaN where there is none.
    """

    shares: np.ndarray
    effective_kappa: np.ndarray


@dataclass(frozen=True)
class ExactFound:
    """What follows from all eigenvalues, in float64, as `jaxid.curvature.exact.Exact` has it.

    Attributes:
      threshold: zero's width.
      lambda_max, lambda_min, lambda_min_nonzero: the ends, and the smallest positive eigenvalue
        above the threshold.
      null_dim, negative, near: eigenvalues within the threshold of zero, below minus it, and
        within a factor 10 of it.
      stable_rank, participation_rank: of a positive semi-definite matrix; None where it is zero.
      effective_kappa: at 99 % of the excess; None without a gradient.
      eigenvalues: (order,) float64, ascending.
    """

    threshold: float
    lambda_max: Estimate
    lambda_min: Estimate
    lambda_min_nonzero: Estimate
    null_dim: int
    negative: int
    near: int
    stable_rank: float | None
    participation_rank: float | None
    effective_kappa: Estimate | None
    eigenvalues: np.ndarray


@dataclass(frozen=True)
class MatrixSpectrum:
    """What is known of one matrix at one point.

    Attributes:
      kind: which matrix.
      name: the kind's word, or the layer's path.
      order: its order.
      dtype: the arithmetic's.
      lambda_max, lambda_min: both ends, by products.
      top, bottom: the largest and the smallest eigenvalues, falling.
      products: products that these cost.
      stopped: why Lanczos ended.
      budget: restarts, or deflations, that it might make.
      trace: tr A, exact where that was to be had.
      trace_sampled, square: tr A and tr A^2 by random probes.
      participation_rank: (tr A)^2 / |A|_F^2, where no eigenvalue is negative.
      stable_rank: |A|_F^2 / max lambda^2.
      density: None if none was asked for.
      effective_kappa, excess, curve: by the gradient; None without one (curve: also without a
        node).
      exact: from all eigenvalues; None where they were not computed.
      kappa: the condition number; only all eigenvalues give one.
    """

    kind: Kind
    name: str
    order: int
    dtype: str
    lambda_max: Estimate
    lambda_min: Estimate
    top: tuple[End, ...]
    bottom: tuple[End, ...]
    products: int
    stopped: Stop
    budget: int
    trace: Estimate
    trace_sampled: Estimate
    square: Estimate
    participation_rank: Estimate
    stable_rank: Estimate
    density: DensityFound | None
    effective_kappa: Estimate | None
    excess: ExcessFound | None
    curve: Curve | None
    exact: ExactFound | None
    kappa: Estimate

    @property
    def settled(self) -> bool:
        """Whether both ends converged."""
        return self.lambda_max.converged and self.lambda_min.converged
