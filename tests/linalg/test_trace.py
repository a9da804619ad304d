"""Hutchinson's trace against its own distribution."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxid.core.precision import float64
from jaxid.linalg.trace import hutchinson


def dense(matrix, v):
    return matrix @ v


def symmetric(order=40, seed=0):
    half = np.random.default_rng(seed).normal(size=(order, order))
    return half @ half.T / order


def test_the_t_interval_holds_the_truth_as_often_as_it_should():
    matrix = symmetric()
    inside = 0
    trials = 200
    with float64():
        for seed in range(trials):
            found = hutchinson(
                dense, jnp.asarray(matrix), jnp.zeros(40), jax.random.key(seed), probes=30
            )
            t = stats.t.ppf(0.975, 29)
            inside += abs(found.trace.value - np.trace(matrix)) <= t * found.trace.error
            # Both halves of the pair are estimated without bias; see the mean below.
    assert stats.binomtest(inside, trials, 0.95).pvalue > 1e-3


def test_the_variance_is_twice_the_square_off_the_diagonal():
    matrix = symmetric(30)
    with float64():
        found = hutchinson(
            dense, jnp.asarray(matrix), jnp.zeros(30), jax.random.key(0), probes=4000
        )
    expected = 2 * (np.sum(matrix**2) - np.sum(np.diag(matrix) ** 2))
    # The sample variance of 4,000 is itself known to about 3 %.
    assert np.isclose(found.samples.var(ddof=1), expected, rtol=0.12)
    assert abs(found.square.value - np.sum(matrix**2)) <= 4 * found.square.error


def test_a_diagonal_operator_needs_no_luck():
    d = jnp.arange(1.0, 6.0)
    found = hutchinson(lambda d, v: d * v, d, jnp.zeros(5), jax.random.key(0), probes=8)
    # All probes alike tell no error, and without one there is no rank.
    assert found.trace.value == 15.0 and found.trace.error is None
    assert not found.trace.converged and "alike" in found.trace.method
    assert found.participation_rank.value is None


def test_few_probes_give_a_value_and_no_error():
    matrix = jnp.asarray(symmetric(), jnp.float32)
    found = hutchinson(dense, matrix, jnp.zeros(40), jax.random.key(0), probes=7)
    assert found.trace.value is not None and found.trace.error is None
    assert not found.trace.converged and "too few" in found.trace.method


def test_the_participation_rank_of_equal_eigenvalues_counts_them():
    projector = np.zeros((20, 20))
    projector[:7, :7] = 3 * np.eye(7)
    basis = np.linalg.qr(np.random.default_rng(1).normal(size=(20, 20)))[0]
    with float64():
        matrix = jnp.asarray(basis @ projector @ basis.T)
        found = hutchinson(dense, matrix, jnp.zeros(20), jax.random.key(2), probes=2000)
    rank = found.participation_rank
    assert abs(rank.value - 7) <= 4 * rank.error


def test_the_tolerance_stops_early_and_is_said_to_be_missed():
    matrix = jnp.asarray(symmetric(), jnp.float32)
    loose = hutchinson(dense, matrix, jnp.zeros(40), jax.random.key(0), probes=512, tolerance=0.2)
    assert loose.trace.converged and loose.samples.size < 512
    tight = hutchinson(dense, matrix, jnp.zeros(40), jax.random.key(0), probes=10, tolerance=1e-6)
    assert not tight.trace.converged and "was not met" in tight.trace.method
    assert tight.samples.size == 10


def test_more_probes_keep_the_first_ones():
    matrix = jnp.asarray(symmetric(), jnp.float32)
    few, many = (
        hutchinson(dense, matrix, jnp.zeros(40), jax.random.key(0), probes=p) for p in (5, 9)
    )
    np.testing.assert_allclose(many.samples[:5], few.samples, rtol=1e-6)


def test_an_operator_that_is_not_finite_has_no_trace():
    found = hutchinson(dense, jnp.full((3, 3), jnp.nan), jnp.zeros(3), jax.random.key(0))
    assert found.trace.value is None and found.participation_rank.value is None


def test_one_probe_is_refused():
    with pytest.raises(ValueError, match="needs 2"):
        hutchinson(dense, jnp.eye(3), jnp.zeros(3), jax.random.key(0), probes=1)
