"""Where RMSprop and Adam rest without noise and with a little, against runs and closed forms."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxid.core.precision import float64
from jaxid.theory.resting import TAILS, resting_loss

N, D, B, RATE = 300, 10, 8, 1e-3


def rmsprop(rate=RATE, rho=0.9):
    return optax.rmsprop(rate, decay=rho, eps=1e-30, eps_in_sqrt=False)


def inputs(mean=0.0, tails=np.inf, seed=0):
    """x~ with a constant feature, a collinear one and the bias: rank D + 1 of D + 3."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, D)) * np.geomspace(1, 0.3, D) + mean
    if np.isfinite(tails):
        x[:: int(tails)] *= 20
    return np.concatenate([x, x[:, :1] + x[:, 1:2], np.zeros((N, 1)), np.ones((N, 1))], axis=1)


@partial(jax.jit, static_argnums=(0, 3, 4))
def measured(optimizer, x, residuals, steps, batch=B):
    """(mean excess, squared mean residual's share) over the last half of a run of the error."""
    n, p = x.shape

    def step(at, key):
        w, state = at
        some = jax.random.randint(key, (batch,), 0, n)
        gradient = jax.grad(lambda w: jnp.mean((x[some] @ w - residuals[some]) ** 2))(w)
        moves, state = optimizer.update(gradient, state, w)
        outputs = x @ w
        return (w + moves, state), (jnp.mean(outputs**2), jnp.mean(outputs.mean(axis=0) ** 2))

    start = RATE * jax.random.normal(jax.random.key(1), (p, residuals.shape[1]))
    _, (loss, mean) = jax.lax.scan(
        step, (start, optimizer.init(start)), jax.random.split(jax.random.key(0), steps)
    )
    loss, mean = loss[steps // 2 :].mean(), mean[steps // 2 :].mean()
    return loss, mean / loss


def run(optimizer, x, residuals=None, steps=20_000, batch=B):
    residuals = np.zeros((len(x), D)) if residuals is None else residuals
    with float64():
        found = measured(optimizer, jnp.asarray(x), jnp.asarray(residuals), steps, batch)
        return tuple(map(float, found))


@pytest.mark.parametrize(
    ("optimizer", "mean"),
    [(rmsprop(), 0.0), (rmsprop(), 2.0), (optax.adam(RATE, eps=1e-30), 0.0),
     (optax.rmsprop(RATE, 0.9, eps=1e-30, momentum=0.9), 0.5)],
    ids=["rmsprop", "rmsprop, positive inputs", "adam", "rmsprop with momentum"],
)  # fmt: skip
def test_runs_on_targets_without_noise_come_to_rest_there(optimizer, mean):
    x = inputs(mean)
    found = resting_loss(optimizer, x, D, B)
    assert found.loss.converged
    loss, coherent = run(optimizer, x, steps=20_000)
    assert abs(found.loss.value / loss - 1) < 0.25
    assert abs(found.coherent - coherent) < 0.05


@pytest.mark.slow
def test_a_longer_memory_is_nearer_to_the_closure():
    # v is then nearer to its mean. Many outputs, which are as many runs.
    x, off = inputs(), []
    floor = resting_loss(rmsprop(), x, 64, B).loss.value
    for rho in (0.5, 0.99):
        loss, _ = run(rmsprop(rho=rho), x, np.zeros((N, 64)), steps=6000)
        off.append(floor / loss - 1)
    assert off[0] > abs(off[1]), off


def test_a_little_noise_adds_to_it():
    rng = np.random.default_rng(1)
    x = inputs()
    for sigma in (0.3 * RATE, 3 * RATE, 100 * RATE):
        residuals = sigma * rng.normal(size=(N, D))
        residuals -= x @ np.linalg.lstsq(x, residuals, rcond=None)[0]
        squares = np.mean(residuals**2, axis=1)
        found = resting_loss(rmsprop(), x, D, B, squares).loss
        assert abs(found.value / run(rmsprop(), x, residuals)[0] - 1) < 0.25


def test_the_floor_grows_with_the_square_of_the_rate():
    one, ten = (resting_loss(rmsprop(rate), inputs(), D, B).loss.value for rate in (1e-4, 1e-3))
    assert np.isclose(ten / one, 100, rtol=1e-2)


def test_positive_inputs_in_full_batches_rest_in_the_cycle_of_two():
    # Every weight flips between +eta/2 and -eta/2: eta^2 E|x|_1^2 / 4, and nothing is random.
    x = np.abs(inputs(3.0))
    found = resting_loss(rmsprop(), x, D, 10**9)
    assert np.isclose(found.loss.value, found.two_cycle, rtol=1e-3)
    assert np.isclose(found.two_cycle, RATE**2 * np.mean(np.abs(x).sum(axis=1) ** 2) / 4)
    assert np.isclose(found.independent, RATE**2 * np.mean((x**2).sum(axis=1)))
    mean = x.mean(axis=0).sum() ** 2 / np.mean(x.sum(axis=1) ** 2)
    assert np.isclose(found.coherent, mean, rtol=1e-3)


def test_gradient_descent_has_no_floor_there_and_none_beyond_its_limit():
    assert resting_loss(optax.sgd(0.1, momentum=0.5), inputs(), D, B).loss.value == 0.0
    far = resting_loss(optax.sgd(100.0), inputs(), D, B)
    assert far.loss.value is None and "stability" in far.loss.method
    signs = resting_loss(optax.sign_sgd(1e-3), inputs(), D, B)
    assert signs.loss.value is None and "linear" in signs.loss.method


def test_heavy_tails_and_short_memories_are_said_to_be_out_of_range():
    heavy = resting_loss(rmsprop(), inputs(tails=100), D, B)
    assert heavy.tails > TAILS and not heavy.loss.converged
    assert "out of its range" in heavy.loss.method
    short = resting_loss(rmsprop(rho=0.3), inputs(), D, B)
    assert short.tails > TAILS and not short.loss.converged
