"""Intervals against SciPy's own, verdicts at the band's edges, coverage by simulation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxid.core.io import encode
from jaxid.core.statistics import (
    BAND,
    Effect,
    Interval,
    Lack,
    Summary,
    judge,
    prediction_interval,
    seeds_to_decide,
    sem,
    summary,
    t_interval,
)

SAMPLES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12)


@settings(max_examples=50, deadline=None)
@given(SAMPLES)
def test_intervals_of_the_mean_are_scipys(values):
    found, error = t_interval(values), stats.sem(values)
    assert found.size == len(values) and np.isclose(found.mean, np.mean(values), atol=1e-9)
    assert np.isclose(sem(values), error, rtol=1e-9, atol=1e-12)
    if error > 1e-9:
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), error)
        assert np.allclose([found.low, found.high], [low, high], rtol=1e-9, atol=1e-9)


def test_one_value_has_no_interval_and_none_has_no_mean():
    assert sem([3.0]) is None and prediction_interval([3.0]) is None
    assert t_interval([3.0]) == Interval(3.0, None, None, 1)
    nothing = t_interval([])
    assert np.isnan(nothing.mean) and nothing[1:] == (None, None, 0)
    assert judge(t_interval([3.0])) == judge(nothing) is Effect.UNCERTAIN
    assert seeds_to_decide(np.array([3.0])) is None


@pytest.mark.parametrize("count", [2, 5, 30])
def test_one_more_run_falls_into_the_prediction_interval_19_times_of_20(count):
    draws = np.random.default_rng(count).normal(3.0, 2.0, (3000, count + 1))
    ends = np.array([prediction_interval(row[:-1]) for row in draws])
    inside = int(np.sum((ends[:, 0] <= draws[:, -1]) & (draws[:, -1] <= ends[:, 1])))
    assert stats.binomtest(inside, 3000, 0.95).pvalue > 1e-3


JUST = 1e-9


@pytest.mark.parametrize(
    "low, high, verdict",
    [
        (-2.0, -BAND - JUST, Effect.HELPS),
        (-2.0, -BAND, Effect.UNCERTAIN),
        (-2.0, -BAND + JUST, Effect.UNCERTAIN),
        (-BAND + JUST, BAND - JUST, Effect.NOTHING),
        (-BAND, 0.0, Effect.UNCERTAIN),
        (0.0, BAND, Effect.UNCERTAIN),
        (0.0, BAND + JUST, Effect.UNCERTAIN),
        (BAND, 2.0, Effect.UNCERTAIN),
        (BAND + JUST, 2.0, Effect.HARMS),
        (-2.0, 2.0, Effect.UNCERTAIN),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side_of_the_band(low, high, verdict):
    assert judge(Interval((low + high) / 2, low, high, 5)) is verdict


def test_the_band_is_a_change_of_ten_percent():
    assert np.isclose(np.exp(BAND), 1.1)


def sample_like(values, n):
    """n values of exactly the mean and the standard deviation of ``values``."""
    base = np.random.default_rng(0).normal(size=n)
    base = (base - base.mean()) / base.std(ddof=1)
    return np.mean(values) + np.std(values, ddof=1) * base


@pytest.mark.parametrize(
    "values",
    [
        [-0.5, 0.1, -0.6],
        [0.02, -0.04, 0.07],
        [-0.2, -0.15, 0.05, 0.1],
        [1.0, 0.1],
        [0.0, 0.3, -0.3],
    ],
)
def test_the_number_of_seeds_that_would_decide_is_the_first_that_does(values):
    assert judge(t_interval(values)) is Effect.UNCERTAIN
    wanted = seeds_to_decide(np.array(values))
    tried = range(len(values), wanted + 1)
    verdicts = [judge(t_interval(sample_like(values, n))) for n in tried]
    assert set(verdicts[:-1]) <= {Effect.UNCERTAIN} and verdicts[-1] is not Effect.UNCERTAIN


def test_a_mean_on_the_bands_edge_is_never_decided():
    assert seeds_to_decide(BAND + np.array([-0.1, 0.1]), most=200) is None


def test_a_summary_is_of_the_finite_seeds_and_keeps_the_others_places():
    found = summary(np.array([1.0, np.nan, 3.0, np.inf]))
    assert found.mean == 2.0 and found.per_seed == (1.0, None, 3.0, None)
    low, high = found.interval95
    assert np.isclose(found.sem, 1.0) and low < 1 < 3 < high and found.reason is None
    alone = summary(np.array([2.0]))
    assert alone.sem is None and alone.interval95 is None and alone.reason is Lack.ONE_SEED
    nothing = summary(np.array([np.nan, np.inf]))
    assert nothing == Summary(None, None, (None, None), None, Lack.NO_FINITE_SEED)
    for one in (found, alone, nothing):
        json.dumps(encode(one)[0], allow_nan=False)
