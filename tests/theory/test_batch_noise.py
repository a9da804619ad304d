"""The predicted loss of SGD against simulated runs, closed forms and the exact recursion."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.core.precision import float64
from jaxid.theory.batch_noise import exact_losses, largest_stable_rate, losses
from jaxid.theory.chains import Chain, plain
from jaxid.theory.least_squares import linear_layer

N, D, M, BATCH = 48, 4, 3, 8


def chain_of(rate, momentum):
    """delta' = delta - rate v', v' = momentum v + g."""
    still = np.array([[1.0, -rate * momentum], [0.0, momentum]])
    return Chain(still, np.array([[-rate, 0.0], [1.0, 0.0]]))


def made(noise, seed=0):
    """Skewed inputs, a linear target and noise; (inputs, targets, start)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, D)) @ rng.normal(size=(D, D)) + 0.5
    x[:3] *= 2.0
    y = x @ rng.normal(size=(D, M)) + noise * rng.normal(size=(N, M))
    return x, y, rng.normal(size=(D + 1, M))


@partial(jax.jit, static_argnums=(3, 4, 5, 6, 7))
def simulated(x, y, start, rate, momentum, epochs, reshuffled, runs):
    """Mean loss after each epoch and its standard error over runs."""
    rows = jnp.concatenate([x, jnp.ones((N, 1))], axis=1)

    def loss(w):
        return jnp.mean((rows @ w - y) ** 2)

    def run(key):
        def step(at, chosen):
            w, v = at
            gradient = jax.grad(lambda w: jnp.mean((rows[chosen] @ w - y[chosen]) ** 2))(w)
            v = momentum * v + gradient
            return (w - rate * v, v), None

        def epoch(at, key):
            if reshuffled:
                order = jax.random.permutation(key, N).reshape(-1, BATCH)
            else:
                keys = jax.random.split(key, N // BATCH)
                order = jax.vmap(lambda k: jax.random.permutation(k, N)[:BATCH])(keys)
            at, _ = jax.lax.scan(step, at, order)
            return at, loss(at[0])

        _, found = jax.lax.scan(
            epoch, (start, jnp.zeros_like(start)), jax.random.split(key, epochs)
        )
        return found

    found = jax.vmap(run)(jax.random.split(jax.random.key(0), runs))
    return found.mean(axis=0), found.std(axis=0) / runs**0.5


def compared(noise, share, momentum, reshuffled, epochs=6, runs=4000):
    """(predicted, simulated, standard error) after each epoch."""
    x, y, start = made(noise)
    quadratic = linear_layer(x, y)
    rate = float(share * 2 / quadratic.curvatures[0]) * (1 - momentum)
    chain = chain_of(rate, momentum) if momentum else plain(rate)
    squares = quadratic.squares(start)
    predicted = losses(quadratic, squares, chain, BATCH, epochs, reshuffled=reshuffled)
    with float64():
        found = simulated(
            jnp.asarray(x), jnp.asarray(y), jnp.asarray(start), rate, momentum, epochs,
            reshuffled, runs,
        )  # fmt: skip
    return predicted[1:], *map(np.asarray, found)


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("reshuffled", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_the_mean_of_simulated_runs_is_predicted(noise, reshuffled, momentum):
    predicted, mean, error = compared(noise, 0.15, momentum, reshuffled)
    # Reshuffled epochs are right to first order in the noise, and six batches are few.
    closure = 0.05 if reshuffled else 0.01
    assert np.all(np.abs(predicted - mean) <= 4 * error + closure * mean), (predicted, mean, error)


def test_reshuffled_epochs_end_lower_and_the_prediction_knows():
    # The floor alone: start at the solution.
    x, y, _ = made(1.0)
    quadratic = linear_layer(x, y)
    rate = 0.05 * 2 / quadratic.curvatures[0]
    start = np.zeros(quadratic.curvatures.size)
    apart, together = (
        losses(quadratic, start, plain(rate), BATCH, 200, reshuffled=way)[-1] - quadratic.floor
        for way in (False, True)
    )
    assert together < 0.6 * apart


def test_the_exact_recursion_keeps_every_correlation():
    x, y, start = made(1.0)
    quadratic = linear_layer(x, y)
    rate = 0.3 * 2 / quadratic.curvatures[0]
    rows = np.concatenate([x, np.ones((N, 1))], axis=1)
    modes = rows @ quadratic.vectors
    residuals = y - modes @ quadratic.solution
    errors = quadratic.errors(start)
    exact = exact_losses(quadratic, modes, residuals, errors, rate, BATCH, 6 * (N // BATCH))
    with float64():
        mean, error = simulated(
            jnp.asarray(x), jnp.asarray(y), jnp.asarray(start), float(rate), 0.0, 6, False, 4000
        )
    found = exact[N // BATCH :: N // BATCH]
    assert np.all(np.abs(found - np.asarray(mean)) <= 4 * np.asarray(error))
    assert np.isclose(exact[0], np.mean((rows @ start - y) ** 2))


def test_without_noise_it_is_the_formula_of_gradient_descent():
    x, y, start = made(0.0)
    quadratic = linear_layer(x, y)
    rate = 0.7 * 2 / quadratic.curvatures[0]
    found = losses(quadratic, quadratic.squares(start), plain(rate), N, 9)
    factors = (1 - rate * quadratic.curvatures[None, :]) ** (2 * np.arange(10)[:, None])
    expected = 0.5 * (factors * quadratic.squares(start)) @ quadratic.curvatures
    assert np.allclose(found, expected + quadratic.floor, rtol=1e-10)


def test_the_quadratic_is_the_loss_and_its_floor_the_least_squares_one():
    x, y, start = made(1.0)
    rows = np.concatenate([x, np.ones((N, 1))], axis=1)
    quadratic = linear_layer(x, y)
    _, rest, *_ = np.linalg.lstsq(rows, y, rcond=None)
    assert np.isclose(quadratic.floor, rest.sum() / (N * M))
    for w in (start, 2 * start):
        assert np.isclose(quadratic.loss(quadratic.squares(w)), np.mean((rows @ w - y) ** 2))
    hessian = 2 / M * rows.T @ rows / N
    assert np.allclose(np.sort(quadratic.curvatures), np.linalg.eigvalsh(hessian))


def test_examples_far_out_lower_the_largest_stable_rate():
    rng = np.random.default_rng(0)
    even = rng.choice([-1.0, 1.0], size=(400, 3))
    # The same second moment, one example in a hundred at ten times the size.
    rare = (
        rng.choice([-1.0, 1.0], size=(400, 3)) * np.where(np.arange(400) % 100 == 0, 10, 0)[:, None]
    )
    limits = {}
    for name, x in (("even", even), ("rare", rare)):
        quadratic = linear_layer(x, x, bias=False)
        found = largest_stable_rate(quadratic, x, 4)
        assert found.converged
        limits[name] = found.value * quadratic.curvatures[0] / 2
    assert 0.4 < limits["even"] < 1 and limits["rare"] < 0.15
    whole = largest_stable_rate(quadratic, rare, 400)
    assert np.isclose(whole.value, 2 / quadratic.curvatures[0])


def test_beyond_the_limit_the_exact_second_moments_grow():
    x, y, start = made(0.0)
    quadratic = linear_layer(x, y)
    limit = largest_stable_rate(quadratic, x, BATCH)
    modes = np.concatenate([x, np.ones((N, 1))], axis=1) @ quadratic.vectors
    residuals, errors = np.zeros_like(y), quadratic.errors(start)
    ends = [
        exact_losses(quadratic, modes, residuals, errors, share * limit.value, BATCH, 4000)
        for share in (0.98, 1.02)
    ]
    assert ends[0][-1] < 0.1 * ends[0][2000] and ends[1][-1] > 10 * ends[1][2000]
    assert limit.value < 2 / quadratic.curvatures[0]
