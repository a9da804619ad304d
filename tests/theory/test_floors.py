"""Noise floors from a chain's answer to noise, against closed forms and runs."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxid.core.precision import float64
from jaxid.theory.floors import noise_floor, response

N, D, B, SIGMA2 = 400, 5, 8, 0.25
KEY, FEW = jax.random.key(0), 2**14
RMSPROP = partial(optax.rmsprop, decay=0.9, eps=1e-9, eps_in_sqrt=False)


def data(seed=0):
    """(inputs, targets, the least-squares weights, mean squared residual of each example)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, D)) * np.geomspace(1, 0.2, D)
    weights = rng.normal(size=(D, D))
    y = x @ weights + SIGMA2**0.5 * rng.normal(size=(N, D))
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    return x, y, best, np.mean((y - x @ best) ** 2, axis=1)


@partial(jax.jit, static_argnums=(0, 4))
def measured(optimizer, x, y, best, steps):
    """Mean excess over the second half of a run from the solution."""

    def step(at, key):
        w, state = at
        chosen = jax.random.randint(key, (B,), 0, N)
        gradient = jax.grad(lambda w: jnp.mean((x[chosen] @ w - y[chosen]) ** 2))(w)
        moves, state = optimizer.update(gradient, state, w)
        return (w + moves, state), jnp.mean((x @ (w - best)) ** 2)

    start = (best, optimizer.init(best))
    _, found = jax.lax.scan(step, start, jax.random.split(KEY, steps))
    return found[steps // 2 :].mean()


@pytest.mark.parametrize(
    ("optimizer", "within"),
    [(optax.sgd(0.1), 0.1), (RMSPROP(2e-3), 0.25), (optax.adam(2e-3), 0.25),
     (optax.sgd(0.02, momentum=0.9), 0.1)],
    ids=["sgd", "rmsprop", "adam", "momentum"],
)  # fmt: skip
def test_runs_come_to_rest_where_it_says(optimizer, within):
    x, y, best, noise = data()
    found = noise_floor(optimizer, x, noise, D, B, KEY, numbers=FEW)
    assert found.converged
    with float64():
        seen = float(measured(optimizer, *(jnp.asarray(a) for a in (x, y, best)), 30_000))
    assert abs(found.value / seen - 1) < within


def test_small_rates_have_the_floor_of_the_closed_form():
    # rate tr(C) / 4 over m outputs: rate sigma^2 tr(M) / (m b).
    x, _, _, noise = data()
    rate = 1e-3
    found = noise_floor(optax.sgd(rate), x, noise, D, B, KEY, numbers=FEW)
    expected = rate * np.mean(noise * (x**2).sum(axis=1)) / (D * B)
    assert np.isclose(found.value, expected, rtol=0.06)


def test_a_tenfold_rate_has_a_tenfold_floor_under_rmsprop():
    x, _, _, noise = data()
    one, ten = (
        noise_floor(RMSPROP(rate), x, noise, D, B, KEY, numbers=FEW).value for rate in (1e-4, 1e-3)
    )
    assert np.isclose(ten / one, 10, rtol=0.05)


def test_the_answer_of_gradient_descent_to_noise_is_its_rate():
    found = response(optax.sgd(0.3), np.array([1.0, 10.0]), KEY, FEW)
    assert np.allclose(found.gain, 0.3, rtol=0.02)
    assert np.allclose(found.spread, 0.09 * np.array([1.0, 100.0]), rtol=0.08)


def test_beyond_the_stability_limit_there_is_no_floor():
    x, _, _, noise = data()
    found = noise_floor(optax.sgd(1e3), x, noise, D, B, KEY, numbers=FEW)
    assert found.value is None and "stability" in found.method


def test_noise_that_is_not_most_of_the_gradient_is_out_of_range():
    x, _, _, noise = data()
    small = noise_floor(RMSPROP(2e-3), x, noise * 1e-4, D, B, KEY, numbers=FEW)
    assert not small.converged
    none = noise_floor(RMSPROP(2e-3), x, 0.0, D, B, KEY, numbers=FEW)
    assert none.value is None and "no noise" in none.method
