"""Second moments on prescribed spectra; the effective condition number by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxid.curvature.conditioning import (
    covariance,
    effective_kappa,
    effective_kappa_curve,
    second_moment,
)


def prescribed(singular, n=300, seed=0, mean_free=False):
    """n rows whose second moment has the eigenvalues singular^2."""
    draw = np.random.default_rng(seed)
    left = draw.normal(size=(n, len(singular)))
    if mean_free:
        left -= left.mean(axis=0)
    left = np.linalg.qr(left)[0] * np.sqrt(n)
    right = np.linalg.qr(draw.normal(size=(len(singular), len(singular))))[0]
    return (left * singular) @ right.T


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.floats(1e-2, 1e2), min_size=1, max_size=6), st.integers(0, 2), st.integers(0, 99)
)
def test_prescribed_second_moment(singular, zeros, seed):
    singular = np.array(singular + [0.0] * zeros)
    found = second_moment(prescribed(singular, seed=seed), bias=False)
    values = np.sort(singular**2)
    # Making the rows rounds as well, hence some thresholds.
    assert np.abs(found.eigenvalues - values).max() <= 50 * found.threshold
    assert found.rank == np.count_nonzero(values)
    assert found.null_dim == zeros
    assert np.isclose(found.trace, values.sum())
    assert np.isclose(found.kappa.value, values[-1] / values[zeros], rtol=1e-6)


@pytest.mark.parametrize("scale, dtype", [(1, np.uint8), (0.1, np.float64), (0.1, np.float32)])
@pytest.mark.parametrize("standardized", [False, True])
def test_covariance_equals_numpys(scale, dtype, standardized):
    x = (np.random.default_rng(0).integers(0, 256, (500, 6)) * scale).astype(dtype)
    x[:, 3] = 7 * scale
    found = covariance(x, standardized=standardized)
    expected = np.cov(x.astype(np.float64), rowvar=False, bias=True)
    if standardized:
        sd = np.sqrt(np.diag(expected))
        sd[3] = np.inf
        expected = expected / np.outer(sd, sd)
    assert np.allclose(found.eigenvalues, np.linalg.eigvalsh(expected), rtol=1e-9, atol=1e-12)
    assert found.rank == 5 and found.eigenvalues[0] == 0


def test_a_large_mean_does_not_spoil_the_covariance_of_floats():
    x = prescribed(np.array([1.0, 1e-3]), mean_free=True)
    found = covariance(x + 1e6)
    assert np.allclose(found.eigenvalues, [1e-6, 1.0], rtol=1e-3)


def test_no_eigenvalue_at_all_is_said():
    found = covariance(np.full((10, 3), 4, np.uint8))
    assert found.rank == 0 and found.kappa.value is None and not found.kappa.converged
    assert second_moment(np.full((10, 3), 4, np.uint8)).rank == 1


def test_effective_kappa_by_hand():
    values = np.array([[0.0, 1e-4, 1.0], [1e-2, 4.0, 10.0]])
    c = np.array([[7.0, 10.0, 3.0], [10.0, 1.0, 1.0]])
    # Excess by mode: 0, 0.005, 4.5 and 0.5, 2, 5; in all 12.005.
    cases = [(0.4, 1), (0.5, 2.5), (0.95, 10), (0.99, 1000), (0.9999, 1e5), (1, 1e5)]
    for share, expected in cases:
        assert np.isclose(effective_kappa(values, c, share).value, expected), share


def test_null_and_negative_modes_hold_nothing():
    values = np.array([-5.0, 1e-12, 1.0, 2.0])
    c = np.array([100.0, 1e9, 1.0, 0.0])
    found = effective_kappa(values, c, 1.0, thresholds=1e-10)
    assert np.isclose(found.value, 2.0)
    assert np.isclose(found.error, 2.0 * (1e-10 / 2 + 1e-10))


def test_nothing_left_to_learn_has_no_effective_kappa():
    found = effective_kappa(np.array([1.0, 2.0]), np.zeros(2))
    assert found.value is None and "0" in found.method


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_the_curve_rises_to_kappa_and_meets_its_definition(seed, size):
    draw = np.random.default_rng(seed)
    values, c = 10.0 ** draw.uniform(-6, 3, size), draw.normal(size=size)
    shares, curve = effective_kappa_curve(values, c)
    found = np.array([e.value for e in curve])
    assert np.all(np.diff(found) >= 0)
    excess = values * c**2
    for share, kappa in zip(shares, found, strict=True):
        edge = values.max() / kappa
        held = excess[values >= edge * (1 - 1e-12)].sum() / excess.sum()
        fewer = excess[values > edge * (1 + 1e-12)].sum() / excess.sum()
        assert (held >= share - 1e-12 and fewer < share + 1e-12) or share == 0
