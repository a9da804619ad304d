"""The training loop against Keras' semantics written out in NumPy."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxid.core.random import role_key, seed_key
from jaxid.data.scaling import fit
from jaxid.nets.mlp import identity_network
from jaxid.nets.model import Model
from jaxid.optim.by_name import make_optimizer
from jaxid.problem.problem import Problem
from jaxid.training.loop import Anneal, batch_weights, make_loop, make_train
from jaxid.training.run import Runner

D, N, BATCH, EPOCHS = 5, 23, 6, 4
X = np.random.default_rng(1).integers(0, 17, (N, D)).astype(np.uint8)


def problem(activation="relu", **choices):
    given = {
        "model": identity_network(D, output_activation=activation),
        "train": (X, None),
        "optimizer": make_optimizer("rmsprop", 1e-2),
        "batch_size": BATCH,
        "epochs": EPOCHS,
        **choices,
    }
    return Problem(**given)


def keras(kernel, bias, orders, activation, rate=1e-2, rho=0.9, eps=1e-7):
    """One dense layer, MSE and RMSprop as Keras 2.2 has them, in float64.

    Returns the batch losses by epoch, each epoch's reported loss, and the weights.
    """
    weights = [kernel.astype(float), bias.astype(float)]
    moments = [np.zeros_like(w) for w in weights]
    batch_losses, epoch_losses = [], []
    for order in orders:
        losses, sizes = [], []
        for start in range(0, N, BATCH):
            x = X[order[start : start + BATCH]].astype(float)
            z = x @ weights[0] + weights[1]
            f = np.maximum(z, 0) if activation == "relu" else z
            losses.append(np.mean((f - x) ** 2))
            sizes.append(len(x))
            delta = 2 * (f - x) / f.size * ((z > 0) if activation == "relu" else 1)
            for i, g in enumerate((x.T @ delta, delta.sum(axis=0))):
                moments[i] = rho * moments[i] + (1 - rho) * g**2
                weights[i] = weights[i] - rate * g / (np.sqrt(moments[i]) + eps)
        batch_losses.append(losses)
        epoch_losses.append(np.average(losses, weights=sizes))
    return np.array(batch_losses), np.array(epoch_losses), weights


def orders(seed, epochs=EPOCHS):
    keys = [role_key(seed_key(seed), "shuffle", epoch) for epoch in range(epochs)]
    return [np.asarray(jax.random.permutation(key, N)) for key in keys]


def start(seed):
    layer = problem().init(role_key(seed_key(seed), "init"))["layers"][0]
    return np.asarray(layer["kernel"]), np.asarray(layer["bias"])


@functools.cache
def trainer(activation):
    return jax.jit(make_train(problem(activation)))


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_training_is_keras_to_float32(activation):
    for seed in (0, 1):
        batches, epochs, weights = keras(*start(seed), orders(seed), activation)
        trained = trainer(activation)(seed_key(seed), jnp.asarray(X), None)
        assert np.allclose(trained.losses.train, batches, rtol=2e-5)
        assert np.allclose(trained.train, epochs, rtol=2e-5)
        final = trained.state.params["layers"][0]
        assert np.allclose(final["kernel"], weights[0], rtol=1e-4, atol=1e-5)
        assert np.allclose(final["bias"], weights[1], rtol=1e-4, atol=1e-5)
        assert trained.state.step == EPOCHS * 4 and trained.state.first_bad == -1


def test_the_check_sees_another_eps_decay_order_and_weighting():
    trained = trainer("relu")(seed_key(0), jnp.asarray(X), None)
    others = [
        keras(*start(0), orders(0), "relu", eps=1e-3),
        keras(*start(0), orders(0), "relu", rho=0.99),
        keras(*start(0), [orders(0)[0]] * EPOCHS, "relu"),
    ]
    for batches, _, _ in others:
        assert not np.allclose(trained.losses.train, batches, rtol=2e-5)
    _, epochs, _ = keras(*start(0), orders(0), "relu")
    assert not np.allclose(trained.losses.train.mean(axis=1), epochs, rtol=2e-5)


def test_batches_weigh_by_their_sizes():
    assert np.allclose(batch_weights(problem()), np.array([6, 6, 6, 5]) / 23)
    assert np.allclose(batch_weights(problem(batch_size=23)), [1])
    assert np.allclose(batch_weights(problem(batch_size=50)), [1])


POWERS = (2.0 ** np.arange(N)).astype(np.float32)[:, None]


@functools.cache
def revealing(batch_size):
    """A loop in which example i has the loss 2^i, so that a sum names its terms."""
    p = problem(
        model=Model(lambda key, x: jnp.zeros(()), lambda w, x: x + 0 * w),
        loss=lambda f, y: f[:, 0],
        train=(POWERS, None),
        optimizer=optax.sgd(0.0),
        batch_size=batch_size,
    )
    loop = make_loop(p)
    return p.steps_per_epoch, loop.init, jax.jit(loop.steps)


def seen(batch_size, epochs, seed=0):
    """Which examples each batch held, as (epoch, rows)."""
    per_epoch, init, steps = revealing(batch_size)
    state, batches = init(seed_key(seed)), []
    for epoch in range(epochs):
        state, losses = steps(state, POWERS, None, epoch, 0, per_epoch, Anneal())
        for index, mean in enumerate(np.asarray(losses.train)):
            size = min(batch_size, N - index * batch_size)
            total = round(float(mean) * size)
            batches.append((epoch, [i for i in range(N) if total >> i & 1]))
            assert len(batches[-1][1]) == size
    return batches


@pytest.mark.parametrize("batch_size", [6, 23, 50])
def test_every_epoch_visits_every_example_once(batch_size):
    batches = seen(batch_size, 2)
    for epoch in range(2):
        rows = sorted(i for at, batch in batches for i in batch if at == epoch)
        assert rows == list(range(N))


def test_every_epoch_and_seed_has_an_order_of_its_own():
    first, second = ([b for at, b in seen(6, 2) if at == epoch] for epoch in (0, 1))
    assert first != second
    assert first != [b for _, b in seen(6, 1, seed=1)]
    assert first == [b for _, b in seen(6, 1)]


def test_an_epoch_in_parts_is_the_epoch():
    p = problem()
    loop = make_loop(p)
    steps, start = jax.jit(loop.steps), loop.init(seed_key(0))
    x = jnp.asarray(X)
    whole, losses = steps(start, x, None, 0, 0, 4, Anneal())
    half, first = steps(start, x, None, 0, 0, 1, Anneal())
    both, second = steps(half, x, None, 0, 1, 4, Anneal())
    assert np.array_equal(first.train + second.train, losses.train)
    assert not np.any(np.asarray(first.train)[1:]) and np.asarray(second.train)[0] == 0
    assert jax.tree.all(jax.tree.map(np.array_equal, both.params, whole.params))


def test_losses_also_come_in_original_units():
    scaling = fit("unit", X)
    p = problem(input_map=scaling, target_map=scaling)
    trained = jax.jit(make_train(p))(seed_key(0), jnp.asarray(X), None)
    top = float(X.max()) ** 2
    assert np.allclose(trained.losses.original, top * trained.losses.train, rtol=1e-5)


def test_the_pure_function_under_vmap_is_the_runner():
    p = problem()
    keys = jnp.stack([seed_key(seed) for seed in (3, 4)])
    trained = jax.jit(jax.vmap(make_train(p), in_axes=(0, None, None)))(keys, jnp.asarray(X), None)
    history = Runner(p, "sequential").train([3, 4])
    assert np.allclose(trained.losses.train.reshape(2, -1), history.step_loss, rtol=1e-5)
    assert np.allclose(trained.train, history.train, rtol=1e-5)
    for a, b in zip(
        jax.tree.leaves(trained.state.params), jax.tree.leaves(history.state.params), strict=True
    ):
        assert np.allclose(a, b, rtol=1e-4, atol=1e-5)


def test_annealing_falls_from_one_to_zero_and_stays():
    length = 8
    anneal = Anneal(100, length)
    factors = np.array([float(anneal.factor(jnp.asarray(100 + k))) for k in range(length + 3)])
    expected = [(length - k - 0.5) / length for k in range(length)] + [0, 0, 0]
    assert np.allclose(factors, expected, atol=1e-6)
    assert anneal.factor(jnp.asarray(0)) == 1 and factors.sum() == pytest.approx(length / 2)
    assert Anneal().factor(jnp.asarray(12345)) == 1


def test_annealed_updates_add_up_to_half_the_steps():
    """The gradient is 1 throughout, so the way is the rate times the sum of the factors."""
    model = Model(lambda key, x: jnp.zeros(()), lambda w, x: x * 0 + w)
    p = problem(model=model, loss=lambda f, y: f[:, 0], optimizer=optax.sgd(0.1))
    loop = make_loop(p)
    state = loop.init(seed_key(0))
    x = jnp.asarray(X, jnp.float32)
    for epoch in range(3):  # the ramp starts after the first step and ends within the third
        state, _ = loop.steps(state, x, None, epoch, 0, 4, Anneal(1, 8))
    assert float(state.params) == pytest.approx(-0.1 * (1 + 8 / 2), rel=1e-5)
