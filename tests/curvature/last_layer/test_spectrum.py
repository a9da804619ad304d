"""Every eigenvalue of the last layer against dense decompositions and exact quadratics."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import unit_hessians

from jaxid.curvature.last_layer.spectrum import head_spectrum
from jaxid.nets.activations import ACTIVATIONS


def layer(seed=0, n=400, p=6, m=40, use_bias=True):
    """40 outputs, more than are handled at once; outputs 0, 5, 33 among the dead under a ReLU."""
    draw = np.random.default_rng(seed)
    x = draw.integers(0, 256, (n, p)).astype(np.uint8)
    x[:, 2] = 0
    x[:, 5] = x[:, 4]
    kernel = draw.normal(size=(p, m)) * 0.01
    kernel[:, [0, 5, 33]] = -0.01
    bias = draw.normal(size=m) if use_bias else None
    if use_bias:
        bias[[0, 5, 33]] = -1.0
    return x, draw.normal(size=(n, m)), kernel, bias


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_eigenvalues_equal_those_of_jax_hessian(name, use_bias):
    x, y, kernel, bias = layer(use_bias=use_bias)
    found = head_spectrum(x, y, kernel, bias, name)
    expected = np.linalg.eigvalsh(unit_hessians(x, y, kernel, bias, name, chunk=40))
    size = np.abs(expected).max(axis=1, keepdims=True)
    assert found.eigenvalues.shape == expected.shape
    assert np.all(np.abs(found.eigenvalues - expected) <= 1e-10 * size)
    assert np.all(np.diff(found.eigenvalues, axis=1) >= 0)


def test_dead_outputs_have_zero_blocks_and_are_counted():
    x, y, kernel, bias = layer()
    found = head_spectrum(x, y, kernel, bias, "relu")
    assert np.array_equal(found.dead, ~(x @ kernel + bias[None, :] > 0).any(axis=0))
    assert found.dead[[0, 5, 33]].all() and not found.dead.all()
    assert not found.eigenvalues[found.dead].any()
    assert np.all(found.null_dims[found.dead] == 7)
    # One constant and one repeated feature.
    assert np.all(found.null_dims[~found.dead] >= 2)
    assert found.null_dim == found.null_dims.sum()
    assert not found.negative.any()
    linear = head_spectrum(x, y, kernel, bias, "linear")
    assert not linear.dead.any() and np.all(linear.null_dims == 2)


def test_extremes_and_kappa_are_those_of_the_list():
    x, y, kernel, bias = layer()
    found = head_spectrum(x, y, kernel, bias, "relu")
    above = found.eigenvalues[found.eigenvalues > found.thresholds[:, None]]
    assert found.lambda_max.value == found.eigenvalues.max()
    assert found.least.value == found.eigenvalues.min()
    assert found.lambda_min_nonzero.value == above.min()
    assert np.isclose(found.kappa.value, found.eigenvalues.max() / above.min())
    # Each bound is at most q eps lambda_max, relative to lambda_max and to lambda_max / kappa.
    kappa, relative = found.kappa.value, 7 * np.finfo(float).eps
    assert 0 < found.kappa.error <= kappa * relative * (1 + kappa)
    assert found.threshold >= 7 * np.finfo(float).eps * found.lambda_max.value


def test_negative_curvature_is_counted():
    x, y, kernel, bias = layer()
    found = head_spectrum(x, y + 30, kernel, bias, "softplus")
    assert found.negative.sum() > 0
    assert found.least.value < -found.thresholds.max()


@pytest.mark.parametrize("name", ["linear", "relu", "tanh"])
def test_excess_is_the_quadratic_form_output_by_output(name):
    x, y, kernel, bias = layer()
    draw = np.random.default_rng(1)
    solved = kernel + 0.01 * draw.normal(size=kernel.shape), bias + draw.normal(size=bias.shape)
    found = head_spectrum(x, y, kernel, bias, name, solved=solved)
    d = np.concatenate([kernel - solved[0], (bias - solved[1])[None, :]])
    blocks = unit_hessians(x, y, kernel, bias, name, chunk=40)
    expected = 0.5 * np.einsum("pj,jpq,qj->j", d, blocks, d)
    assert np.allclose(found.excess, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())
    assert np.allclose(np.sum(found.coordinates**2, axis=1), np.sum(d**2, axis=0))


def test_excess_of_a_linear_layer_is_the_loss_above_least_squares():
    x, y, kernel, bias = layer()
    rows = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    best = np.linalg.lstsq(rows, y, rcond=None)[0]
    found = head_spectrum(x, y, kernel, bias, "linear", solved=(best[:-1], best[-1]))
    now, least = (np.mean((rows @ w - y) ** 2) for w in (np.vstack([kernel, bias]), best))
    assert np.isclose(found.excess.sum(), now - least, rtol=1e-10)


def test_excess_needs_solved_parameters():
    x, y, kernel, bias = layer()
    with pytest.raises(ValueError, match="solved"):
        _ = head_spectrum(x, y, kernel, bias, "linear").excess


@pytest.mark.parametrize("name", ["relu", "tanh"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_blocks_formed_by_jax_give_the_same_spectrum(name, dtype):
    x, y, kernel, bias = layer()
    x = x.astype(dtype) * (dtype(1) if dtype == np.uint8 else dtype(0.7))
    solved = (kernel * 0.9, bias)
    host = head_spectrum(x, y, kernel, bias, name, device=False, solved=solved)
    device = head_spectrum(x, y, kernel, bias, name, device=True, solved=solved)
    edge = host.thresholds[:, None] + device.thresholds[:, None]
    assert np.all(np.abs(host.eigenvalues - device.eigenvalues) <= edge)
    assert np.array_equal(host.dead, device.dead)
    assert np.allclose(host.excess, device.excess, rtol=1e-9, atol=1e-15)


def test_a_layer_that_is_dead_throughout_has_no_condition_number():
    x, y, kernel, bias = layer()
    found = head_spectrum(x, y, -np.abs(kernel), -np.abs(bias), "relu")
    assert found.dead.all() and found.null_dim == found.eigenvalues.size
    assert found.lambda_max.value == 0
    assert found.kappa.value is None and not found.kappa.converged


def test_near_counts_what_could_go_the_other_way():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(500, 3))
    noise = draw.normal(size=500)
    seen = set()
    for size in (0.0, 3e-7, 1e-6, 1e-4):  # the least eigenvalue goes with the square
        x[:, 2] = x[:, 1] + size * noise
        found = head_spectrum(x, x, np.eye(3), None, "linear")
        ratio = abs(found.eigenvalues[0, 0]) / found.thresholds[0]
        expected = int(0.1 < ratio < 10)
        assert np.all(found.near == expected), (size, ratio)
        seen.add((expected, ratio > 1))
    assert seen == {(0, False), (1, False), (1, True), (0, True)}, "all four sides are tried"


def test_progress_reaches_the_end():
    x, y, kernel, bias = layer()
    seen = []
    head_spectrum(x, y, kernel, bias, "relu", progress=lambda *now: seen.append(now))
    assert seen == [(32, 40), (40, 40)]
