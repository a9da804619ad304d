"""What every way of predicting gives: the loss over the epochs, how far that is claimed, and how
long losses take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxid.core.statistics import sem_by_column
from jaxid.prediction.reasons import Why

SHARES = (0.5, 0.1, 0.01, 1e-3, 1e-4)
"""Losses that are asked for by default, over the first one."""


@dataclass(frozen=True)
class Reach:
    """How long a loss takes.

    Attributes:
      loss: that was asked for.
      epochs: until the curve first is there, by its logarithm in between; beyond the run without
        noise of batches. None where it is not reached as far as is known.
      within: epochs that were looked at; None where the loss is never reached, whatever the run's
        length.
    """

    loss: float
    epochs: float | None
    within: int | None


@dataclass(frozen=True)
class Forecast:
    """The loss of a run of E epochs, by one of the ways.

    Attributes:
      curve: (E + 1,) the loss on the training set at the start and at the end of every epoch,
        mean over the seeds.
      by_seed: (seeds, E + 1), where seeds are predicted one by one.
      first: its first value.
      in_range: whether all of it is claimed.
      until: epochs up to which it is.
      why: the range ends there, or holds.
      reach: losses asked for.
      interrupted: seeds that were finished when an interrupt came; None if none came.
    """

    curve: np.ndarray
    by_seed: np.ndarray | None
    first: float
    in_range: bool
    until: float
    why: Why
    reach: tuple[Reach, ...]
    interrupted: int | None = None

    @property
    def sem(self) -> np.ndarray | None:
        """(E + 1,) standard error of the mean over the seeds; None for one of them, or none."""
        few = self.by_seed is None or len(self.by_seed) < 2
        return None if self.by_seed is None or few else sem_by_column(self.by_seed)


def asked(losses: Sequence[float], first: float) -> tuple[float, ...]:
    """The losses to reach: `SHARES` of the first one where none are given."""
    return tuple(losses) or tuple(share * first for share in SHARES)


def reached(curve: np.ndarray, losses: Sequence[float]) -> tuple[Reach, ...]:
    """Epochs at which the curve first is at a loss, in between by its logarithm; None if it is
    not within the run."""
    found: list[Reach] = []
    for loss in losses:
        below = np.flatnonzero(curve <= loss)
        epochs = None
        if below.size:
            k = int(below[0])
            epochs = float(k)
            if k > 0 and curve[k] > 0:
                high, low = np.log(curve[k - 1]), np.log(curve[k])
                epochs = k - 1 + float((high - np.log(loss)) / (high - low))
        found.append(Reach(loss, epochs, int(curve.size - 1)))
    return tuple(found)
