"""Deaths and losses foreseen from moments, against training."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxid.data import digits
from jaxid.theory.death import Course, course
from jaxid.theory.strata import strata

D, BATCH, STEPS = 64, 32, 940
RMSPROP = optax.rmsprop(1e-3, decay=0.9, eps=1e-7, eps_in_sqrt=False)
MARKS = np.array([0, 10, 47, 188, STEPS])
SIZES = np.full(47, BATCH)


def start(seed):
    rng = np.random.default_rng(seed)
    limit = (6 / (2 * D)) ** 0.5
    kernel = jnp.asarray(rng.uniform(-limit, limit, (D, D)), jnp.float32)
    return {"bias": jnp.zeros(D), "kernel": kernel}


@pytest.fixture(scope="module")
def pixels():
    return digits.load().train.astype(np.float32)


@pytest.fixture(scope="module")
def moments(pixels):
    return strata(pixels, pixels)


def trained(optimizer, x, params, seed):
    """(loss, dead outputs) at the marks."""
    x = jnp.asarray(x)

    def error(p, rows):
        return jnp.square(jax.nn.relu(x[rows] @ p["kernel"] + p["bias"][None, :]) - x[rows])

    def step(at, rows):
        p, state = at
        moves, state = optimizer.update(jax.grad(lambda p: error(p, rows).mean())(p), state, p)
        p = optax.apply_updates(p, moves)
        return (p, state), p

    every = jnp.arange(len(x))
    rng = np.random.default_rng(seed)
    orders = np.concatenate([rng.permutation(len(x))[: 46 * BATCH] for _ in range(21)])
    rows = jnp.asarray(orders[: STEPS * BATCH].reshape(STEPS, BATCH))
    _, seen = jax.jit(lambda p: jax.lax.scan(step, (p, optimizer.init(p)), rows))(params)
    at = [params] + [jax.tree.map(lambda leaf, k=k: leaf[k - 1], seen) for k in MARKS[1:]]
    losses = [float(jax.jit(error)(p, every).mean()) for p in at]
    fires = [np.asarray((x @ p["kernel"] + p["bias"][None, :]) > 0).any(axis=0) for p in at]
    return np.array(losses), ~np.stack(fires)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "within"),
    [(RMSPROP, 0.1), (optax.sgd(2e-3), 0.15)],
    ids=["rmsprop", "sgd"],
)
def test_the_loss_is_foreseen_seed_by_seed(pixels, moments, optimizer, within):
    told, seen = [], []
    for seed in range(2):
        params = start(seed)
        found = course(moments, params, optimizer, SIZES, MARKS, jax.random.key(seed))
        told.append(found.loss.mean(axis=1))
        seen.append(trained(optimizer, pixels, params, seed)[0])
    assert np.all(np.abs(np.mean(told, axis=0) / np.mean(seen, axis=0) - 1) < within)


@pytest.mark.slow
def test_as_many_outputs_fade_as_die_and_mostly_the_same(pixels, moments):
    varying = np.ptp(pixels, axis=0) > 0
    told, seen = [], []
    for seed in range(3):
        params = start(seed)
        found = course(moments, params, RMSPROP, SIZES, MARKS, jax.random.key(seed))
        told.append((found.activity * BATCH < 1) & varying)
        seen.append(trained(RMSPROP, pixels, params, seed)[1] & varying)
        assert np.array_equal(told[-1].sum(axis=1), found.fading(BATCH, varying))
    told, seen = np.stack(told), np.stack(seen)
    # Luck of single batches decides about some: 15 % in number, four fifths by name.
    assert abs(told[:, -1].sum() / seen[:, -1].sum() - 1) < 0.15
    assert (told & seen)[:, -1].sum() > 0.8 * seen[:, -1].sum()
    # Before the first step few are told, and few are dead.
    assert seen[:, 0].sum() < told[:, 0].sum() < 0.5 * told[:, -1].sum()


def test_marks_change_nothing(moments):
    one = course(moments, start(0), RMSPROP, SIZES, np.array([0, 7, 30]), jax.random.key(1))
    other = course(moments, start(0), RMSPROP, SIZES, np.array([30]), jax.random.key(1))
    assert np.allclose(one.loss[-1], other.loss[-1], rtol=1e-5)


def test_expected_deaths_are_of_so_many_examples():
    found = Course(np.array([0]), np.array([[0.0, 1e-3, 0.5]]), np.zeros((1, 3)))
    varying = np.array([True, True, True])
    assert np.isclose(found.dead(1000, varying)[0], 1 + np.exp(-1))
    assert found.fading(100, varying)[0] == 2
    assert found.fading(100, np.array([True, False, True]))[0] == 1
