"""Stability of least squares under perturbed targets, against numpy's solver."""

from __future__ import annotations

import numpy as np
import pytest

from jaxid.curvature.ill_posed import least_squares, stability
from jaxid.linalg.rows import prepare_rows


def ill_conditioned(n=400, seed=0):
    draw = np.random.default_rng(seed)
    left = np.linalg.qr(draw.normal(size=(n, 5)))[0] * np.sqrt(n)
    right = np.linalg.qr(draw.normal(size=(5, 5)))[0]
    return (left * np.logspace(0, -5, 5)) @ right.T


@pytest.mark.parametrize("unit", [1.0, 1 / 255])
def test_parameters_move_by_one_over_the_square_root_of_lambda(unit):
    x = ill_conditioned()
    found = stability(x, x[:, 0], bias=False, modes=5, unit=unit)
    assert found.rank == 5
    assert np.allclose(found.eigenvalues, np.logspace(0, -10, 5), rtol=1e-4)
    assert np.allclose(found.predicted, unit * np.logspace(0, 5, 5), rtol=1e-4)
    assert np.allclose(found.measured, found.predicted, rtol=1e-4)
    assert np.allclose(found.sigma, np.sqrt(400 * found.eigenvalues))


def test_the_measurement_does_not_follow_the_prediction_blindly(monkeypatch):
    """With a solver that damps small modes the two part: the measured one is a measurement."""

    def ridge(rows, targets):
        x = rows.values.astype(np.float64)
        return np.linalg.solve(x.T @ x + 400e-6 * np.eye(x.shape[1]), x.T @ targets)

    monkeypatch.setattr("jaxid.curvature.ill_posed.least_squares", ridge)
    x = ill_conditioned()
    found = stability(x, x[:, 0], bias=False, modes=5)
    assert np.isclose(found.measured[0], found.predicted[0], rtol=1e-4)
    assert found.measured[-1] < 0.01 * found.predicted[-1]


def test_modes_run_from_the_largest_to_the_smallest_nonzero():
    draw = np.random.default_rng(1)
    x = draw.integers(0, 256, (300, 20)).astype(np.uint8)
    x[:, 3], x[:, 4] = 0, x[:, 5]
    found = stability(x, x[:, 7], modes=4)
    rows = np.concatenate([x, np.ones((300, 1))], axis=1)
    sigma = np.linalg.svd(rows, compute_uv=False)
    assert found.rank == 19
    assert np.isclose(found.sigma[0], sigma[0]) and np.isclose(found.sigma[-1], sigma[18])
    assert np.all(np.diff(found.sigma) < 0)
    assert np.allclose(found.measured, found.predicted, rtol=1e-8)


@pytest.mark.parametrize("n", [7, 300, 9000])
def test_chunked_least_squares_equals_numpys(n):
    draw = np.random.default_rng(2)
    x = draw.integers(0, 256, (n, 12)).astype(np.uint8)
    x[:, 2] = x[:, 9]
    y = draw.normal(size=(n, 3))
    rows = prepare_rows(x, ones=True)
    expected = np.linalg.lstsq(np.concatenate([x, np.ones((n, 1))], axis=1), y, rcond=None)[0]
    assert np.allclose(least_squares(rows, y), expected, rtol=1e-6, atol=1e-9)


def test_features_of_zeros_have_no_mode():
    with pytest.raises(ValueError, match="no mode"):
        stability(np.zeros((5, 2)), np.zeros(5), bias=False)
