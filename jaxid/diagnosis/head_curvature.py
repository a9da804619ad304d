"""The last layer's curvature as a diagnosis has it: spectra at both ends, and slow modes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from jaxid.core.types import Estimate


class NoSpectra(Enum):
    """Why there are none."""

    NOT_ASKED = "not_asked"
    NO_FINITE_SEED = "no_finite_seed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class EffectiveKappa(Estimate):
    """The condition number of the modes that hold most of what is left.

    Attributes:
      share: of the excess that they hold; None where it was not computed.
      where: from which point to which.
    """

    share: float | None = None
    where: str | None = None


@dataclass(frozen=True)
class NullCounts:
    """Directions without curvature by reason (`jaxid.curvature.last_layer.nullspace`)."""

    dead_unit: int
    constant_input: int
    collinear_input: int
    rarely_active: int


@dataclass(frozen=True)
class HeadCurvature:
    """The last layer's Hessian at one state of one seed; curvatures in units of the loss.

    Attributes:
      operator: whose eigenvalues they are.
      seed: which.
      size: how many eigenvalues, over all outputs.
      lambda_max, lambda_min_nonzero, kappa: the extremes above the thresholds, their ratio.
      effective_kappa: for what is left to learn from the end.
      null_dim, null_share: flat directions, and their share of all.
      null_reasons: their reasons; None where none are known.
      negative, near_threshold: eigenvalues below minus the threshold, and those so near to it
        that they may be on its other side.
      least: the least eigenvalue.
      threshold: within which an eigenvalue counts as 0, the largest of the blocks'.
      dead_units: outputs that fire on no training example.
    """

    operator: str
    seed: int
    size: int
    lambda_max: Estimate
    lambda_min_nonzero: Estimate
    kappa: Estimate
    effective_kappa: EffectiveKappa
    null_dim: int | None
    null_share: float | None
    null_reasons: NullCounts | None
    negative: int
    near_threshold: int
    least: Estimate
    threshold: float
    dead_units: int


@dataclass(frozen=True)
class SeedCurvature:
    """One seed at both ends of its training."""

    at_init: HeadCurvature
    at_end: HeadCurvature


@dataclass(frozen=True)
class WholeNetwork:
    """Ends of the whole network's Hessian at the annealed point."""

    least: Estimate
    largest: Estimate


@dataclass(frozen=True)
class Blocks:
    """Every eigenvalue of a last layer's Hessian, output by output.

    Attributes:
      eigenvalues: (m, q), ascending in each row.
      thresholds: (m,), within which a block's eigenvalue counts as 0.
    """

    eigenvalues: np.ndarray
    thresholds: np.ndarray


@dataclass(frozen=True)
class EffectiveCurve:
    """The effective condition number over the share of the excess that is to be removed.

    Attributes:
      share: (k,), ascending.
      kappa: (k,), nan where it is not known.
    """

    share: np.ndarray
    kappa: np.ndarray


@dataclass(frozen=True)
class Conditioning:
    """Exact spectra of the last layer, of the first seeds that stayed finite.

    Attributes:
      at_init, at_end: of the first of them; None where there are none.
      reason: why there are none; None where there are.
      seeds: each of them.
      whole_network: of the first, if its last layer was solved.
      spectrum_init, spectrum_end: the first one's eigenvalues.
      effective: from the first one's annealed to its solved last layer.
    """

    at_init: HeadCurvature | None
    at_end: HeadCurvature | None
    reason: NoSpectra | None = None
    seeds: tuple[SeedCurvature, ...] = ()
    whole_network: WholeNetwork | None = None
    spectrum_init: Blocks | None = None
    spectrum_end: Blocks | None = None
    effective: EffectiveCurve | None = None


@dataclass(frozen=True)
class Decade:
    """Modes whose curvature over the largest lies in one decade.

    Attributes:
      decade: its power of ten.
      modes: how many.
      share: of the excess, that in them.
      epochs: for gradient descent at rate 1 / lambda_max to bring them to 1 % of it.
    """

    decade: int
    modes: int
    share: float
    epochs: float


@dataclass(frozen=True)
class SlowModes:
    """Where the excess between the annealed and the solved point lies, by curvature.

    Attributes:
      total: the excess of the first solved seed, training units.
      decades: falling.
      how: how both were computed.
    """

    total: float
    decades: tuple[Decade, ...]
    how: str
