"""Epochs that a loss needs, against gradient descent itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxid.theory.reach import steps_of_modes, steps_to_reach


@given(st.integers(1, 2000), st.integers(0, 5))
def test_the_step_at_which_the_sum_has_fallen_is_found(steps, seed):
    rng = np.random.default_rng(seed)
    excess, factors = rng.uniform(0.1, 2, 5), rng.uniform(0.9, 0.9999, 5)
    wanted = float((excess * factors ** (2 * steps)).sum())
    assert steps_to_reach(excess, factors, wanted) == pytest.approx(steps, rel=1e-4)


def test_what_is_there_already_takes_nothing_and_what_never_falls_forever():
    excess = np.array([1.0, 1.0])
    assert steps_to_reach(excess, np.array([0.5, 0.5]), 3.0) == 0.0
    assert steps_to_reach(excess, np.array([0.5, 1.0]), 0.5) == np.inf
    assert steps_to_reach(excess, np.array([0.5, 1.5]), 1.5) == np.inf


def test_a_mode_keeps_its_share_after_its_own_steps():
    factors = np.array([0.5, 0.99, 1.0])
    steps = steps_of_modes(factors, 0.01)
    assert np.allclose(factors[:2] ** (2 * steps[:2]), 0.01) and steps[2] == np.inf
