"""Stochastic Lanczos quadrature on prescribed spectra."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxid.core.precision import float64
from jaxid.linalg.density import spectral_density
from jaxid.linalg.operators import bound
from jaxid.linalg.quadrature import quadrature, tridiagonal, wasserstein


def dense(matrix, v):
    return matrix @ v


def prescribed(values, seed=0):
    draw = np.random.default_rng(seed)
    basis = np.linalg.qr(draw.normal(size=(len(values), len(values))))[0]
    return (basis * np.asarray(values)) @ basis.T


def density(values, dtype=np.float64, seed=0, **options):
    with float64():
        matrix = jnp.asarray(prescribed(values), dtype)
        like = jnp.zeros(len(values), dtype)
        return spectral_density(dense, matrix, like, jax.random.key(seed), **options)


def test_the_quadrature_is_exact_for_polynomials_of_degree_2k_minus_1():
    values = np.linspace(-1, 2, 30)
    matrix = prescribed(values)
    z = np.random.default_rng(3).normal(size=30)
    z /= np.linalg.norm(z)
    with float64():
        found = tridiagonal(bound(dense, jnp.asarray(matrix)), 4, jnp.asarray(3 * z))
        assert np.isclose(float(found.length), 3.0)
    nodes, weights = quadrature(np.asarray(found.diagonal), np.asarray(found.off))
    for power in range(8):
        exact = z @ np.linalg.matrix_power(matrix, power) @ z
        assert np.isclose(weights @ nodes**power, exact, rtol=1e-10)


def test_moments_lie_within_their_t_interval_as_often_as_they_should():
    values = np.concatenate([np.zeros(50), np.linspace(0, 3, 30)])
    trials, inside = 150, 0
    for seed in range(trials):
        # Four products are exact to the seventh power.
        found = density(values, seed=seed, steps=4, probes=30)
        mean, error = found.mean(2)
        inside += abs(mean - np.mean(values**2)) <= stats.t.ppf(0.975, 29) * error
    assert stats.binomtest(inside, trials, 0.95).pvalue > 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shares_count_eigenvalues_in_spite_of_ghosts(dtype):
    # Far outliers converge at once; without orthogonalisation their copies follow.
    values = np.concatenate([np.linspace(0, 1, 150), [50.0] * 30, [200.0] * 20])
    found = density(values, dtype, steps=60, probes=60)
    for low, high in ((150, 250), (40, 60), (-0.5, 1.5)):
        share, error = found.share(low, high)
        assert abs(share - np.mean((values > low) & (values <= high))) <= 4 * error
    assert found.converged
    np.testing.assert_allclose(found.weights.sum(axis=1), 1, rtol=1e-5)


def test_an_operator_without_random_part_is_recovered_exactly():
    found = density([2.0] * 10, steps=5, probes=2)
    nodes = found.nodes[found.weights > 1e-12]
    np.testing.assert_allclose(nodes, 2.0, atol=1e-12)
    assert found.converged
    zero = density([0.0] * 10, steps=5, probes=2)
    assert zero.mean() == (0.0, 0.0)


def test_too_few_products_are_said_to_be():
    found = density(np.linspace(0, 1, 200), steps=2, probes=4)
    assert not found.converged and "another density" in found.method
    assert density(np.linspace(0, 1, 200), steps=100, probes=4).converged


def test_a_histogram_sums_to_one_and_has_errors():
    found = density(np.linspace(0, 1, 64), steps=20, probes=4)
    share, error = found.histogram(np.linspace(-0.1, 1.1, 13))
    assert np.isclose(share.sum(), 1.0) and np.all(error >= 0)
    alone = density(np.linspace(0, 1, 64), steps=20, probes=1)
    assert alone.histogram(np.array([-1.0, 2.0]))[1] is None and alone.mean()[1] is None


def test_the_wasserstein_distance_is_scipy_s():
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=7), draw.normal(size=5)
    v, w = draw.random(7), draw.random(5)
    v, w = v / v.sum(), w / w.sum()
    assert np.isclose(wasserstein(x, v, y, w), stats.wasserstein_distance(x, y, v, w))


def test_what_is_not_finite_or_too_little_is_said():
    found = spectral_density(dense, jnp.full((3, 3), jnp.nan), jnp.zeros(3), jax.random.key(0))
    assert not found.converged and found.nodes.size == 0
    with pytest.raises(ValueError, match="at least 2 and 1"):
        spectral_density(dense, jnp.eye(3), jnp.zeros(3), jax.random.key(0), steps=1)
