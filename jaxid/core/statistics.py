"""Means, standard errors and intervals over seeds; Student's t throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
BAND = float(np.log(1.1))
"""A change of 10 %, as a log ratio: the width of "does nothing"."""


class Effect(Enum):
    """What a change does, from the interval of its log ratio and the band."""

    HELPS = "helps"
    HARMS = "harms"
    NOTHING = "nothing"
    UNCERTAIN = "uncertain"


class Lack(Enum):
    """Why a summary lacks numbers."""

    NO_FINITE_SEED = "no_finite_seed"
    ONE_SEED = "one_seed"


@dataclass(frozen=True)
class Mean:
    """A mean over seeds.

    Attributes:
      mean: in the units of what was averaged; None where there was nothing to average.
      sem: its standard error; None for fewer than two values.
    """

    mean: float | None
    sem: float | None


@dataclass(frozen=True)
class Summary:
    """One number of each seed, and what is said of them together.

    Attributes:
      mean, sem: of the finite ones, as in `Mean`.
      per_seed: in the seeds' order; None for those that are not finite.
      interval95: where one more run falls with 95 %; None where fewer than two are finite.
      reason: why numbers are None; None where none is.
    """

    mean: float | None
    sem: float | None
    per_seed: tuple[float | None, ...]
    interval95: tuple[float, float] | None
    reason: Lack | None


class Interval(NamedTuple):
    """A mean with its 95 % confidence interval; None where one seed gives none."""

    mean: float
    low: float | None
    high: float | None
    size: int

    @property
    def ends(self) -> tuple[float, float] | None:
        """(low, high); None where one seed gives none."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def mean_of(values: Sequence[float] | np.ndarray) -> Mean:
    """Mean and standard error; the mean of nothing is None."""
    array = np.asarray(values, float)
    return Mean(float(array.mean()) if array.size else None, sem(array))


def sem(values: Sequence[float] | np.ndarray) -> float | None:
    """Standard error of the mean, s / sqrt(n); None for fewer than two values."""
    array = np.asarray(values, float)
    return None if array.size < 2 else float(array.std(ddof=1) / np.sqrt(array.size))


def sem_by_column(values: np.ndarray) -> np.ndarray:
    """Standard errors of the columns' means, (seeds, t) -> (t,); two seeds or more."""
    error: np.ndarray = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return error


def t_interval(values: Sequence[float] | np.ndarray) -> Interval:
    """mean +- t(0.975, n-1) s / sqrt(n); nan without bounds where there are no values."""
    array = np.asarray(values, float)
    if array.size == 0:
        return Interval(float("nan"), None, None, 0)
    mean, error = float(array.mean()), sem(array)
    if error is None:
        return Interval(mean, None, None, array.size)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, array.size - 1)) * error
    return Interval(mean, mean - half, mean + half, array.size)


def prediction_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float] | None:
    """Where one more run falls with 95 %: mean +- t(0.975, n-1) s sqrt(1 + 1/n)."""
    array = np.asarray(values, float)
    if array.size < 2:
        return None
    spread = float(array.std(ddof=1)) * np.sqrt(1 + 1 / array.size)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, array.size - 1)) * spread
    return float(array.mean() - half), float(array.mean() + half)


def summary(values: np.ndarray) -> Summary:
    """Of the finite values; the others keep their places."""
    array = np.asarray(values, float)
    finite = array[np.isfinite(array)]
    per_seed = tuple(float(v) if np.isfinite(v) else None for v in array)
    if finite.size == 0:
        return Summary(None, None, per_seed, None, Lack.NO_FINITE_SEED)
    reason = Lack.ONE_SEED if finite.size < 2 else None
    between = prediction_interval(finite)
    return Summary(float(finite.mean()), sem(finite), per_seed, between, reason)


def judge(interval: Interval) -> Effect:
    """From a log ratio's interval and the 10 % band."""
    if interval.low is None or interval.high is None:
        return Effect.UNCERTAIN
    if interval.high < -BAND:
        return Effect.HELPS
    if interval.low > BAND:
        return Effect.HARMS
    if interval.low > -BAND and interval.high < BAND:
        return Effect.NOTHING
    return Effect.UNCERTAIN


def seeds_to_decide(values: np.ndarray, most: int = 1000) -> int | None:
    """The least number of seeds whose interval, at this mean and spread, would decide.

    None where no number up to ``most`` would (the mean lies on the band's edge).
    """
    array = np.asarray(values, float)
    if array.size < 2:
        return None
    mean, spread = float(array.mean()), float(array.std(ddof=1))
    for n in range(array.size, most + 1):
        half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1)) * spread / np.sqrt(n)
        if judge(Interval(mean, mean - half, mean + half, n)) is not Effect.UNCERTAIN:
            return n
    return None
