"""The bound on what batches add, against runs of linear networks and closed forms."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxid.problem.problem import Problem
from jaxid.theory.chains import measured_chain, plain
from jaxid.theory.jacobian import started
from jaxid.theory.linear_noise import _answers, _worst, rounding_loss
from jaxid.theory.linearised import linearised

N, D, M = 64, 4, 2
RUNS = 200


def problem(optimizer, batch, epochs, noise=0.5):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, D)).astype(np.float32)
    y = x @ rng.normal(size=(D, M)) + noise * rng.normal(size=(N, M))
    return Problem(
        model=lambda rngs: nnx.Linear(D, M, rngs=rngs), train=(x, y.astype(np.float32)),
        optimizer=optimizer, batch_size=batch, epochs=epochs,
    )  # fmt: skip


def measured(problem, params):
    """(mean loss over many shuffles, its standard error) at every epoch's end."""
    x, y = map(jnp.asarray, problem.train)

    def loss(p, rows):
        return jnp.mean(jnp.square(problem.net.apply(p, x[rows]) - y[rows]))

    def epoch(at, key):
        def step(at, rows):
            p, state = at
            moves, state = problem.optimizer.update(jax.grad(loss)(p, rows), state, p)
            return (optax.apply_updates(p, moves), state), None

        order = jax.random.permutation(key, N).reshape(-1, problem.batch_size)
        at, _ = jax.lax.scan(step, at, order)
        return at, loss(at[0], jnp.arange(N))

    def run(key):
        start = params, problem.optimizer.init(params)
        return jax.lax.scan(epoch, start, jax.random.split(key, problem.epochs))[1]

    with jax.numpy_rank_promotion("allow"):
        found = np.asarray(jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(1), RUNS)))
    return found.mean(axis=0), found.std(axis=0, ddof=1) / RUNS**0.5


@pytest.mark.parametrize(
    ("optimizer", "batch"),
    [pytest.param(optax.sgd(0.05), 4, marks=pytest.mark.slow),
     (optax.sgd(0.01, 0.9), 8), (optax.sgd(0.1), 32),
     (optax.sgd(optax.cosine_decay_schedule(0.08, 100)), 8)],
    ids=["small batches", "momentum", "two batches", "cosine"],
)  # fmt: skip
def test_the_bound_lies_above_what_batches_add_and_not_far(optimizer, batch):
    case = problem(optimizer, batch, 8)
    params = case.init(jax.random.key(0))
    chain, _, why = measured_chain(optimizer, params, 8 * N // batch)
    assert why == ""
    found = linearised(case, params, chain, 8, jax.random.key(3), tolerance=1e-4)
    mean, error = measured(case, params)
    added = mean - found.curve[1:]
    bound = found.noise.added[1:]
    assert np.all(added <= bound + 4 * error)
    # What a reshuffled epoch takes away, as foreseen; and less of it than that and a half more.
    drift = found.noise.drift[1:] * mean
    assert np.all(-added <= 1.2 * drift + 4 * error)
    assert np.all(np.abs(added) <= bound + 1.2 * drift + 4 * error)


def test_the_drift_of_a_reshuffled_epoch_is_foreseen():
    # Without noise of the targets it grows with every epoch.
    case = problem(optax.sgd(0.3), 32, 8, noise=0.0)
    params = case.init(jax.random.key(0))
    chain = measured_chain(case.optimizer, params, 16).chain
    found = linearised(case, params, chain, 8, jax.random.key(3), tolerance=1e-4)
    mean, _ = measured(case, params)
    real = 1 - mean / found.curve[1:]
    assert real[-1] > 0.1
    np.testing.assert_allclose(found.noise.drift[1:], real, rtol=0.25, atol=0.005)
    assert found.noise.until < 2


def test_whole_batches_add_nothing():
    case = problem(optax.sgd(0.05), N, 5)
    params = case.init(jax.random.key(0))
    chain = measured_chain(case.optimizer, params, 5).chain
    found = linearised(case, params, chain, 5, jax.random.key(3))
    assert found.noise.until == 5 and not found.noise.added.any()


def test_independent_noise_of_one_batch_an_epoch_has_its_closed_form():
    # One batch of b of n examples an epoch, the others of no use: variance 1/b - 1/n each time.
    rate, h, b, epochs = 0.1, np.array([0.5, 2.0]), 8.0, 30
    found = _answers(plain(rate), h, np.ones(epochs), np.array([b, 56.0]))
    left = 1 - rate * h
    kicks = np.array([left / 8**0.0, np.ones(2)]) * rate
    own = (kicks**2 / np.array([[b], [56.0]])).sum(axis=0) - kicks.sum(axis=0) ** 2 / 64
    expected = own * (1 - left ** (4 * epochs)) / (1 - left**4)
    np.testing.assert_allclose(found[-1], expected, rtol=1e-10)


def test_the_worst_distribution_has_the_moments():
    h = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 95)])
    answers = np.stack([h, h**2, np.ones_like(h)])
    # All at h = 1/2: the worst can't have more of h than its moment, 10 % of room apart.
    traces = np.array([[1.0, 0.5, 0.25, 0.125]])
    found = _worst(answers, h, traces)
    assert 0.5 <= found[0] <= 0.5 * 1.11 and 0.25 <= found[1] <= 0.25 * 1.11
    assert found[2] == pytest.approx(1.0)


def test_rounding_is_told_from_parameters_and_outputs():
    case = problem(optax.sgd(0.1), N, 1, noise=0.0)
    params = case.init(jax.random.key(0))
    at = started(case, params, np.arange(N))
    levels = rounding_loss(at, plain(0.1), np.array([0, 100]))
    assert 0 < levels[0] < levels[1] < 1e-11
