"""Means, standard errors and intervals over seeds; Student's t throughout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
BAND = float(np.log(1.1))
"""A change of 10 %, as a log ratio: the width of "does nothing"."""


class Interval(NamedTuple):
    """A mean with its 95 % confidence interval; None where one seed gives none."""

    mean: float
    low: float | None
    high: float | None
    size: int


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


def prediction_interval(values: Sequence[float] | np.ndarray) -> list[float] | None:
    """Where one more run falls with 95 %: mean +- t(0.975, n-1) s sqrt(1 + 1/n)."""
    array = np.asarray(values, float)
    if array.size < 2:
        return None
    spread = float(array.std(ddof=1)) * np.sqrt(1 + 1 / array.size)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, array.size - 1)) * spread
    return [float(array.mean() - half), float(array.mean() + half)]


def summary(values: np.ndarray) -> dict[str, Any]:
    """{mean, sem, per_seed, interval95} of the finite values, as the record has it."""
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return {
            "mean": None,
            "sem": None,
            "per_seed": [None] * len(values),
            "interval95": None,
            "reason": "no seed ended finite",
        }
    result: dict[str, Any] = {
        "mean": float(finite.mean()),
        "sem": sem(finite),
        "per_seed": [float(v) if np.isfinite(v) else None for v in values],
        "interval95": prediction_interval(finite),
    }
    if finite.size < 2:
        result["sem_reason"] = "one seed has no standard error"
    return result


def judge(interval: Interval) -> str:
    """helps, harms, nothing or uncertain, from a log ratio's interval and the 10 % band."""
    if interval.low is None or interval.high is None:
        return "uncertain"
    if interval.high < -BAND:
        return "helps"
    if interval.low > BAND:
        return "harms"
    if interval.low > -BAND and interval.high < BAND:
        return "nothing"
    return "uncertain"


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
        if judge(Interval(mean, mean - half, mean + half, n)) != "uncertain":
            return n
    return None
