"""The loss budget's parts: items, their second accounts, and the doubts about them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from jaxid.core.types import Estimate
from jaxid.diagnosis.head_curvature import SlowModes


class Item(Enum):
    """What holds the loss up, in the order in which it is taken away."""

    REPRESENTATION = "representation"
    LOCKED = "locked"
    SLOW_MODES = "slow_modes"
    OPTIMIZER_NOISE = "optimizer_noise"


class PartName(Enum):
    """Named parts of an item's second account."""

    NEGATIVE_TARGETS = "negative_targets"
    TARGETS_OUT_OF_RANGE = "targets_out_of_range"
    BOTTLENECK_RANK = "bottleneck_rank"
    DEAD_OUTPUTS = "dead_outputs"
    SWITCHED_OFF_EXAMPLES = "switched_off_examples"
    LOCKED_GIVEN_FEATURES = "locked_given_features"
    COHERENT = "coherent"
    INCOHERENT = "incoherent"


class NoBudget(Enum):
    """Why there is none."""

    EVERY_SEED_NON_FINITE = "every_seed_non_finite"
    NONE_SOLVED = "none_solved"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Part:
    """A named part of a loss, training units, mean over seeds."""

    name: PartName
    loss: float


@dataclass(frozen=True)
class LeastLoss:
    """The least loss that any parameters reach, as far as it is known.

    Attributes:
      lower: no parameters have a smaller loss, training units.
      parts: named parts of it.
      how: how the bound was obtained.
    """

    lower: Estimate
    parts: tuple[Part, ...]
    how: str


@dataclass(frozen=True)
class Total:
    """The loss at the end over the solved seeds, training units.

    Attributes:
      mean, sem: of it; no standard error of one seed.
      seeds: how many were solved.
    """

    mean: float
    sem: float | None
    seeds: int


@dataclass(frozen=True)
class BudgetItem:
    """One gap, measured by an intervention, and its second account; training units.

    Attributes:
      cause: which item.
      loss, sem: the gap, mean over seeds and its standard error.
      explained, explained_sem: by a mechanism computed without that intervention.
      share: of the whole loss; None if that is 0.
      parts: of the second account.
      how: how both were obtained.
      predicted_floor: for noise, the floor that theory predicts beside it.
    """

    cause: Item
    loss: float
    explained: float
    sem: float | None
    explained_sem: float | None
    share: float | None
    parts: tuple[Part, ...]
    how: str
    predicted_floor: Estimate | None = None


@dataclass(frozen=True)
class Unexplained:
    """What the second accounts leave of the loss, training units; share None if the loss is 0."""

    loss: float
    sem: float | None
    share: float | None


@dataclass(frozen=True)
class AnnealingUncertainty:
    """How far annealing twice as long moves the border between noise and slow modes.

    Attributes:
      change, sem: of the annealed loss, training units; None where no seed stayed finite.
      seeds: that were annealed twice.
      how: over how many epochs.
    """

    change: float | None
    sem: float | None
    seeds: int
    how: str


@dataclass(frozen=True)
class StillFalling:
    """How much of the noise gap may be progress made while annealing.

    Attributes:
      progress, sem: training units; None where one epoch gives no slope.
      share_of_noise: of the noise gap; None where that is not above 0.
      matters: whether it is worth a warning.
      how: how it was estimated; None where it was not.
    """

    progress: float | None
    sem: float | None
    share_of_noise: float | None
    matters: bool
    how: str | None


@dataclass(frozen=True)
class Solver:
    """How the last layers were solved.

    Attributes:
      seeds: how many.
      converged: all of them, each to its tolerance.
      predicted_decrease, tolerance: what one more step promises and what is allowed, training
        units, means over seeds.
      iterations: the most that any took.
      stalled_outputs: outputs that no step lowered, over all seeds.
    """

    seeds: int
    converged: bool
    predicted_decrease: float
    tolerance: float
    iterations: int
    stalled_outputs: int


@dataclass(frozen=True)
class OneAtATime:
    """One intervention alone, from the end state: by how much the loss falls, training units."""

    cause: Item
    effect: float
    sem: float | None
    seeds: int
    how: str


@dataclass(frozen=True)
class Budget:
    """The loss at the end taken apart; the items sum to the total by construction.

    Attributes:
      total: the loss.
      items: in `Item`'s order.
      unexplained: the total minus the sum of the second accounts.
      annealing_uncertainty, still_falling, solver: doubts.
      one_at_a_time: the interventions each alone.
      slow_modes_detail: which modes are slow; None without spectra.
    """

    total: Total
    items: tuple[BudgetItem, ...]
    unexplained: Unexplained
    annealing_uncertainty: AnnealingUncertainty
    still_falling: StillFalling
    solver: Solver
    one_at_a_time: tuple[OneAtATime, ...]
    slow_modes_detail: SlowModes | None

    def item(self, cause: Item) -> BudgetItem:
        """The item of that cause."""
        return next(item for item in self.items if item.cause is cause)

    @property
    def largest(self) -> BudgetItem:
        """The item with the largest loss; the first of those that are equal."""
        return max(self.items, key=lambda item: item.loss)


@dataclass(frozen=True)
class Floors:
    """The budget's levels, training units.

    Attributes:
      end, annealed, solved: (solved seeds,) losses at the end, after annealing, and with the last
        layer solved.
      representation: the least loss possible.
    """

    end: np.ndarray
    annealed: np.ndarray
    solved: np.ndarray
    representation: float
