"""Condition numbers from all eigenvalues and from the gradient's spectral measure."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.core.precision import float64
from jaxid.curvature.exact import exact_spectrum
from jaxid.curvature.excess import quadratic_excess


def prescribed(values, seed=0):
    draw = np.random.default_rng(seed)
    basis = np.linalg.qr(draw.normal(size=(len(values), len(values))))[0]
    return (basis * np.asarray(values)) @ basis.T, basis


def dense(matrix, v):
    return matrix @ v


def test_ends_ranks_and_null_dimension_of_a_prescribed_spectrum():
    values = np.concatenate([[-0.5], np.zeros(4), np.full(5, 2.0), [8.0]])
    found = exact_spectrum(prescribed(values)[0])
    assert found.null_dim == 4 and found.negative == 1
    assert np.isclose(found.lambda_max.value, 8.0) and np.isclose(found.least.value, -0.5)
    assert np.isclose(found.lambda_min_nonzero.value, 2.0) and np.isclose(found.kappa.value, 4.0)
    square = np.sum(values**2)
    assert np.isclose(found.stable_rank, square / 64)
    assert np.isclose(found.participation_rank, values.sum() ** 2 / square)
    assert found.effective_kappa is None and found.curve() is None


def test_the_error_of_forming_widens_zero():
    matrix = prescribed([1e-8, 1.0, 2.0])[0]
    assert exact_spectrum(matrix).null_dim == 0
    assert exact_spectrum(matrix, error=1e-6).null_dim == 1
    assert exact_spectrum(prescribed([0.5, 1.0, 2.0])[0], error=0.15).near == 2
    zero = exact_spectrum(np.zeros((3, 3)))
    assert zero.kappa.value is None and zero.stable_rank is None and zero.null_dim == 3


def quadratic_case(seed=0):
    values = np.concatenate([np.zeros(5), np.logspace(-3, 2, 20)])
    matrix, basis = prescribed(values, seed)
    c = np.random.default_rng(seed + 1).normal(size=25)
    return values, matrix, basis @ (values * c), c


def test_the_excess_of_a_quadratic_is_the_loss_that_is_left():
    values, matrix, gradient, c = quadratic_case()
    left = 0.5 * np.sum(values * c**2)
    exact = exact_spectrum(matrix, gradient=gradient)
    assert np.isclose(exact.excess.sum(), left, rtol=1e-9)
    with float64():
        krylov = quadratic_excess(dense, jnp.asarray(matrix), jnp.asarray(gradient), steps=60)
    assert np.isclose(krylov.total, left, rtol=1e-6)
    assert np.isclose(krylov.power.sum(), gradient @ gradient)
    assert krylov.flat < 1e-9 and krylov.negative < 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_both_effective_condition_numbers_agree(seed):
    values, matrix, gradient, c = quadratic_case(seed)
    held = np.cumsum((0.5 * values * c**2)[::-1])
    lambda_q = values[::-1][np.searchsorted(held, 0.99 * held[-1])]
    exact = exact_spectrum(matrix, gradient=gradient)
    assert np.isclose(exact.effective_kappa.value, values[-1] / lambda_q, rtol=1e-9)
    with float64():
        krylov = quadratic_excess(dense, jnp.asarray(matrix), jnp.asarray(gradient), steps=100)
    assert krylov.effective_kappa.converged
    assert np.isclose(krylov.effective_kappa.value, values[-1] / lambda_q, rtol=1e-5)
    shares, curve = krylov.curve()
    np.testing.assert_array_equal(shares, exact.curve()[0])
    # Where a share falls on the edge of a mode either neighbour is right.
    assert np.mean(np.isclose(curve, exact.curve()[1], rtol=1e-4)) > 0.9


def test_too_few_products_and_no_gradient_are_said():
    _, matrix, gradient, _ = quadratic_case()
    with float64():
        few = quadratic_excess(dense, jnp.asarray(matrix), jnp.asarray(gradient), steps=4)
        none = quadratic_excess(dense, jnp.asarray(matrix), jnp.zeros(25), steps=8)
    assert not few.effective_kappa.converged and few.effective_kappa.error > 0
    assert none.effective_kappa.value is None and none.total == 0.0


def test_negative_curvature_is_set_apart():
    matrix, basis = prescribed([-1.0, 1.0, 4.0])
    with float64():
        found = quadratic_excess(
            dense, jnp.asarray(matrix), jnp.asarray(basis @ np.ones(3)), steps=4
        )
    assert np.isclose(found.negative, 1 / 3)
    assert np.isclose(found.total, 1 / 2 + 1 / 8)
