"""The last layer solved: least squares, stationarity of ReLU units, honest flags."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxid.core.precision import float64
from jaxid.curvature.last_layer.newton import SETTLED, solve_head
from jaxid.nets.activations import ACTIVATIONS


def problem(seed=0, n=80, p=5, m=4, dtype=np.float64, bias=True):
    """(features, targets, kernel, bias), the target being a noisy function of the features."""
    rng = np.random.default_rng(seed)
    if np.issubdtype(dtype, np.integer):
        features = rng.integers(0, 17, (n, p)).astype(dtype)
        targets = rng.integers(0, 17, (n, m)).astype(dtype)
    else:
        features = rng.normal(size=(n, p)).astype(dtype)
        targets = (np.tanh(features @ rng.normal(size=(p, m))) + 0.3).astype(dtype)
    kernel = rng.normal(size=(p, m)) / np.sqrt(p)
    return features, targets, kernel, rng.normal(size=m) * 0.1 if bias else None


def design(features, bias):
    x = features.astype(np.float64)
    return x if bias is None else np.concatenate([x, np.ones((len(x), 1))], axis=1)


def weights(kernel, bias):
    return kernel if bias is None else np.concatenate([kernel, bias[None, :]])


def losses(features, targets, kernel, bias, activation):
    z = design(features, bias) @ weights(kernel, bias)
    with float64():
        outputs = np.asarray(ACTIVATIONS[activation](jnp.asarray(z)))
    return np.mean((outputs - targets) ** 2, axis=0)


def promise(features, targets, kernel, bias, activation):
    """(m,) half of g^T G^+ g by SVD of the Jacobian, and (q, m) gradients by autodiff."""
    x, w = design(features, bias), weights(kernel, bias)
    decrease, gradients = [], []
    with float64():
        phi = ACTIVATIONS[activation]
        for j in range(targets.shape[1]):

            def outputs(v):
                return phi(jnp.asarray(x) @ v)

            residual = np.asarray(outputs(jnp.asarray(w[:, j]))) - targets[:, j]
            jacobian = np.asarray(jax.jacobian(outputs)(jnp.asarray(w[:, j])))
            step = np.linalg.lstsq(jacobian, residual, rcond=1e-10)[0]
            # The linear model's loss falls from |r|^2 to |r - J step|^2.
            decrease.append(residual @ residual - np.sum((residual - jacobian @ step) ** 2))
            gradients.append(2 * jacobian.T @ residual)
    return np.array(decrease) / len(x), np.stack(gradients, axis=1) / len(x)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_a_linear_output_is_least_squares_in_one_step(dtype, bias):
    features, targets, kernel, b = problem(dtype=dtype, bias=bias)
    solved = solve_head(features, targets, kernel, b, "linear", tolerance=1e-9, max_iterations=1)
    expected = np.linalg.lstsq(design(features, b), targets.astype(float), rcond=None)[0]
    assert np.allclose(weights(solved.kernel, solved.bias), expected, rtol=1e-9, atol=1e-9)
    assert solved.converged and (solved.iterations == 1).all() and not solved.stalled.any()
    assert (solved.bias is None) == (not bias)
    remaining = losses(features, targets, *split(expected, bias), "linear")
    assert np.allclose(solved.output_loss, remaining, rtol=1e-12)
    assert np.isclose(solved.loss, remaining.mean())


def split(w, bias):
    return (w[:-1], w[-1]) if bias else (w, None)


def test_the_promise_of_the_first_step_of_a_linear_output_is_what_it_wins():
    features, targets, kernel, bias = problem()
    solved = solve_head(features, targets, kernel, bias, "linear")
    won = solved.start_loss - solved.output_loss
    assert np.allclose(solved.start_predicted, won, rtol=1e-9)
    assert np.allclose(solved.start_loss, losses(features, targets, kernel, bias, "linear"))


def test_what_a_step_promises_is_known_of_small_losses_too():
    """Two outputs, the second a millionth of the first: its promise is not its whole loss."""
    draw = np.random.default_rng(3)
    x, noise = draw.normal(size=(200, 4)), draw.normal(size=(200, 2))
    y = noise * [1.0, 1e-3]
    found = solve_head(x, y, np.zeros((4, 2)), np.zeros(2), "linear")
    design = np.concatenate([x, np.ones((200, 1))], axis=1)
    best = np.mean((design @ np.linalg.lstsq(design, y, rcond=None)[0] - y) ** 2, axis=0)
    assert np.allclose(found.start_predicted, found.start_loss - best, rtol=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([np.uint8, np.float64]), st.booleans())
def test_relu_units_settle_where_no_further_step_promises_anything(seed, dtype, with_bias):
    features, targets, kernel, bias = problem(seed, dtype=dtype, bias=with_bias)
    solved = solve_head(features, targets, kernel, bias, "relu", tolerance=1e-10, max_iterations=60)
    ends = weights(solved.kernel, solved.bias)
    again, gradient = promise(features, targets, *split(ends, with_bias), "relu")
    # A unit may cross its kinks back and forth until its budget is used up.
    settled = ~solved.stalled & (solved.iterations < 60)
    assert (again[settled] <= SETTLED * solved.tolerance + 1e-12).all()
    scale = np.abs(design(features, bias)).mean() * np.abs(targets.astype(float)).mean()
    assert np.abs(gradient[:, settled]).max(initial=0.0) <= 1e-3 * scale
    # A stalled unit is one whose promise no step length keeps, however short.
    assert (again[solved.stalled] > SETTLED * solved.tolerance).all()
    assert solved.converged == bool(solved.predicted.mean() <= solved.tolerance)


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_a_relu_layer_is_recovered_from_beside_it(dtype):
    features, _, kernel, bias = problem(5, n=300, dtype=dtype)
    targets = np.maximum(features @ kernel + bias, 0)
    near = kernel + 0.05 * np.random.default_rng(1).normal(size=kernel.shape)
    solved = solve_head(features, targets, near, bias, "relu", tolerance=1e-12)
    assert solved.converged and not solved.stalled.any() and (solved.iterations > 0).all()
    assert np.allclose(solved.kernel, kernel, atol=1e-4) and solved.loss < 1e-8
    _, gradient = promise(features, targets, solved.kernel, solved.bias, "relu")
    assert np.abs(gradient).max() < 1e-3


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("iterations", [0, 1, 30])
def test_what_is_reported_is_true_of_the_weights_returned(activation, iterations):
    features, targets, kernel, bias = problem(3)
    targets = np.clip(targets, 0.05, 0.95)
    solved = solve_head(features, targets, kernel, bias, activation, max_iterations=iterations)
    end = losses(features, targets, solved.kernel, solved.bias, activation)
    assert np.allclose(solved.output_loss, end, rtol=1e-9)
    assert (solved.output_loss <= solved.start_loss).all()
    again, _ = promise(features, targets, solved.kernel, solved.bias, activation)
    assert np.allclose(solved.predicted, again, rtol=1e-5, atol=1e-10)
    assert np.isclose(solved.tolerance, 1e-3 * solved.start_loss.mean())
    assert solved.converged == bool(again.mean() <= solved.tolerance)
    assert (solved.iterations <= iterations).all()
    if iterations == 0:
        assert np.array_equal(solved.kernel, kernel) and not solved.converged
    if iterations == 30:
        assert solved.converged


def test_a_budget_that_ran_out_says_so():
    features, targets, kernel, bias = problem(1)
    solved = solve_head(features, targets, 5 * kernel, bias, "tanh", max_iterations=1)
    assert not solved.converged and solved.predicted.mean() > solved.tolerance
    assert (solved.iterations <= 1).all()


def test_dead_units_are_not_touched():
    features, targets, kernel, bias = problem(dtype=np.uint8)
    bias = np.array([-1e3, 0.0, -1e3, 0.0])
    solved = solve_head(features, targets, kernel, bias, "relu")
    assert np.array_equal(solved.kernel[:, ::2], kernel[:, ::2])
    assert np.array_equal(solved.bias[::2], bias[::2])
    squares = np.mean(targets[:, ::2].astype(float) ** 2, axis=0)
    assert np.allclose(solved.output_loss[::2], squares, rtol=1e-13)
    assert (solved.predicted[::2] == 0).all() and (solved.iterations[::2] == 0).all()
    assert (solved.output_loss[1::2] < solved.start_loss[1::2]).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(ACTIVATIONS)), st.integers(0, 4))
def test_the_loss_of_no_output_ever_rises(seed, activation, iterations):
    features, targets, kernel, bias = problem(seed, n=20)
    solved = solve_head(features, targets, 3 * kernel, bias, activation, max_iterations=iterations)
    after = losses(features, targets, solved.kernel, solved.bias, activation)
    before = losses(features, targets, 3 * kernel, bias, activation)
    assert (after <= before * (1 + 1e-12)).all()
    longer = solve_head(
        features, targets, 3 * kernel, bias, activation, max_iterations=iterations + 1
    )
    assert (longer.output_loss <= solved.output_loss).all()


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_null_directions_stay_where_they_are(activation, dtype):
    features, targets, kernel, bias = problem(dtype=dtype, n=200)
    # A copied column, an always zero one, and a constant one that the bias can imitate.
    extra = [features[:, :1], np.zeros((200, 1), dtype), np.full((200, 1), 3, dtype)]
    features = np.concatenate([features, *extra], axis=1)
    kernel = np.concatenate([kernel, np.random.default_rng(1).normal(size=(3, 4))])
    x = design(features, bias)
    null = np.linalg.svd(x)[2][-3:]
    assert np.abs(x @ null.T).max() < 1e-9
    solved = solve_head(features, targets, kernel, bias, activation, tolerance=1e-8)
    moved = weights(solved.kernel, solved.bias) - weights(kernel, bias)
    # Rounding of G over delta: eps lambda_max / (10 q eps trace) of the step at worst.
    drift, size = np.linalg.norm(null @ moved, axis=0), np.linalg.norm(moved, axis=0)
    assert size.min() > 1e-2 and (drift <= 0.1 * size).all()
    # A column of zeros is never entered into the system at all.
    assert (moved[6] == 0).all()
    # The solution of least norm would have moved by the whole of this.
    assert (drift < 0.1 * np.linalg.norm(null @ weights(kernel, bias), axis=0)).all()


def test_an_output_that_is_solved_already_is_left_alone():
    features, targets, kernel, bias = problem()
    with_exact = targets.copy()
    with_exact[:, 0] = features @ kernel[:, 0] + bias[0]
    solved = solve_head(features, with_exact, kernel, bias, "linear")
    assert solved.iterations[0] == 0 and np.array_equal(solved.kernel[:, 0], kernel[:, 0])
    nothing = solve_head(features, features @ kernel + bias, kernel, bias, "linear")
    assert nothing.loss < 1e-28 and np.array_equal(nothing.kernel, kernel)


def test_progress_reaches_the_end_and_the_start_is_not_overwritten():
    features, targets, kernel, bias = problem(m=70)
    before, seen = (kernel.copy(), bias.copy()), []
    solve_head(features, targets, kernel, bias, "relu", progress=lambda a, b: seen.append((a, b)))
    assert seen[-1] == (70, 70) and [a for a, _ in seen] == sorted({a for a, _ in seen})
    assert np.array_equal(kernel, before[0]) and np.array_equal(bias, before[1])
