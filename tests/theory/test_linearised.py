"""The linearised prediction against a dense Jacobian and against real runs of the network."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxid.core.errors import InputError
from jaxid.core.precision import float64, widened
from jaxid.core.types import Estimate
from jaxid.data import examples
from jaxid.nets.mlp import identity_network
from jaxid.nets.model import Model
from jaxid.problem.problem import LOSSES, Problem
from jaxid.theory.chains import measured_chain
from jaxid.theory.linear_range import MISSED
from jaxid.theory.linearised import linearised, stable_share

N, D = 40, 6
KEY = jax.random.key(0)
FIXED = np.random.default_rng(3).normal(size=(D, 12)).astype(np.float32)


def inputs(n=N, d=D, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def features():
    """Random ReLU features under a last layer that learns: linear in its parameters."""

    def init(key, x):
        return {"w": 0.3 * jax.random.normal(key, (12, D)), "b": jnp.zeros(D)}

    def apply(params, x):
        hidden = jax.nn.relu(x @ jnp.asarray(FIXED))
        return hidden @ params["w"] + params["b"][None, :]

    return Model(init, apply)


def full_batch(model, optimizer, x=None, **more):
    x = inputs() if x is None else x
    return Problem(model=model, train=(x, None), optimizer=optimizer, batch_size=len(x), **more)


def predicted(problem, params, epochs, **more):
    steps = epochs * problem.steps_per_epoch
    chain, _, why = measured_chain(problem.optimizer, params, steps)
    assert chain is not None, why
    return linearised(problem, params, chain, epochs, KEY, **more)


def trained(problem, params, epochs):
    """The loss at the start and after each step of full-batch training, (epochs + 1,)."""
    batch = jnp.asarray(problem.train[0]), None

    def step(at, _):
        params, state = at
        loss, gradient = jax.value_and_grad(problem.mean_loss)(params, batch)
        moves, state = problem.optimizer.update(gradient, state, params)
        return (optax.apply_updates(params, moves), state), loss

    @jax.jit
    def run(params):
        start = (params, problem.optimizer.init(params))
        return jax.lax.scan(step, start, None, length=epochs + 1)[1]

    return np.asarray(run(params), np.float64)


CHAINS = {
    "gradient descent": optax.sgd(0.2),
    "heavy ball": optax.sgd(0.03, momentum=0.9),
    "nesterov": optax.sgd(0.03, momentum=0.9, nesterov=True),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_network_that_is_linear_in_its_parameters_is_predicted_exactly(name):
    problem = full_batch(features(), CHAINS[name])
    params = problem.init(jax.random.key(1))
    found = predicted(problem, params, 60, tolerance=1e-5)
    real = trained(problem, params, 60)
    assert real[-1] < 0.1 * real[0]
    assert found.converged and np.all(found.error <= 1e-5 * found.curve + 1e-6 * real[0])
    assert np.allclose(found.curve, real, rtol=1e-4)
    rough = predicted(problem, params, 60)
    assert np.all(np.abs(rough.curve - real) <= rough.error + 1e-6 * real[0])
    assert found.range.until == 60.0
    assert found.range.missed.max() < 1e-4 and found.range.moved.max() < 1e-4
    assert np.allclose(found.range.losses, real[found.range.checked.astype(int)], rtol=1e-4)


def test_batches_count_as_steps_and_a_floor_is_not_crossed():
    # Targets that are noise: thirteen features cannot fit forty examples.
    x = inputs()
    problem = Problem(
        model=features(), train=(x, np.random.default_rng(9).normal(size=(N, D))),
        optimizer=optax.sgd(0.2), batch_size=10,
    )  # fmt: skip
    params = problem.init(jax.random.key(1))
    found = predicted(problem, params, 500, tolerance=1e-5)
    one = predicted(
        Problem(model=features(), train=problem.train, optimizer=problem.optimizer, batch_size=N),
        params,
        8,
    )
    assert np.allclose(found.curve[:3], one.curve[::4], rtol=1e-2)
    hidden = np.concatenate([np.maximum(x @ FIXED, 0), np.ones((N, 1))], axis=1, dtype=np.float64)
    y = problem.train[1]
    least = np.mean((hidden @ np.linalg.lstsq(hidden, y, rcond=None)[0] - y) ** 2)
    assert found.floor.converged and found.floor.value == pytest.approx(least, rel=1e-3)
    assert found.curve[-1] == pytest.approx(least, rel=1e-2)


def oracle(problem, params, rate, steps):
    """(losses, largest curvature) of the linearised network, by its dense Jacobian, float64."""
    x = jnp.asarray(problem.train[0])
    flat, back = jax.flatten_util.ravel_pytree(params)
    outputs = jax.jit(jax.jacobian(lambda w: problem.outputs(back(w), (x, None)).ravel()))
    dense = np.asarray(outputs(flat))
    residual = np.asarray((problem.outputs(params, (x, None)) - x).ravel())
    h, modes = np.linalg.eigh(2.0 / residual.size * dense @ dense.T)
    start = modes.T @ residual
    left = (1 - rate * h)[None, :] ** (2 * np.asarray(steps)[:, None])
    return left @ start**2 / residual.size, h[-1]


NETS = {
    "tanh": {"depth": 2, "activation": "tanh", "output_activation": "linear"},
    "relu, relu outputs": {"depth": 3, "width": 8},
    "residual": {
        "depth": 3,
        "activation": "tanh",
        "output_activation": "linear",
        "residual": True,
    },
}


@pytest.mark.parametrize("name", ["relu, relu outputs", "residual"])
def test_the_curve_is_that_of_a_dense_jacobian(name):
    with float64():
        problem = full_batch(identity_network(D, **NETS[name]), optax.sgd(0.1))
        params = widened(problem.init(jax.random.key(2)))
        x = jnp.asarray(problem.train[0], jnp.float64)
        problem = full_batch(problem.model, problem.optimizer, np.asarray(x))
        found = predicted(problem, params, 40)
        expected, top = oracle(problem, params, 0.1, range(41))
    assert np.all(np.abs(found.curve - expected) <= found.error + 1e-12)
    assert np.allclose(found.curve, expected, rtol=0.005)
    assert found.sharpness.converged
    assert abs(found.sharpness.value - top) <= 1e-3 * top


def test_float32_and_more_than_one_chunk_give_the_same_curve(monkeypatch):
    monkeypatch.setattr(examples, "DIFFERENTIATED", 16)
    x = inputs()
    problem = full_batch(identity_network(D, **NETS["tanh"]), optax.sgd(0.1), x)
    params = problem.init(jax.random.key(2))
    found = predicted(problem, params, 40)
    with float64():
        wide = full_batch(problem.model, problem.optimizer, x.astype(np.float64))
        expected, _ = oracle(wide, widened(params), 0.1, range(41))
    assert np.all(np.abs(found.curve - expected) <= found.error + 2e-6 * expected[0])


def test_a_wide_network_is_in_range_and_is_as_predicted():
    x = inputs(60, 8)
    network = identity_network(8, width=512, depth=2, activation="tanh", output_activation="linear")
    problem = full_batch(network, optax.sgd(0.05), x)
    params = problem.init(jax.random.key(0))
    found = predicted(problem, params, 24)
    real = trained(problem, params, 24)
    assert real[-1] < 0.4 * real[0]
    assert found.range.until == 24.0
    assert np.all(found.range.missed <= MISSED) and found.range.missed[-1] > 1e-4
    assert np.abs(found.curve / real - 1).max() < 0.03


def test_a_narrow_one_at_a_large_rate_is_out_of_range_and_is_off():
    x = inputs(60, 8)
    network = identity_network(8, depth=4, output_activation="linear")
    problem = full_batch(network, optax.sgd(0.5), x)
    params = problem.init(jax.random.key(0))
    found = predicted(problem, params, 200)
    assert found.range.until < 10.0  # said before anything is trained
    assert found.range.missed[0] < found.range.missed[-1] and found.range.missed[-1] > MISSED
    assert found.range.holds(np.array([0.0, found.range.until, 200.0])).tolist() == [1, 1, 0]
    real = trained(problem, params, 200)
    assert np.abs(real / found.curve - 1).max() > 0.2
    assert np.abs(found.curve[0] / real[0] - 1) < 1e-5


def test_a_rate_beyond_the_limit_diverges_in_the_curve():
    problem = full_batch(features(), optax.sgd(1.0))
    params = problem.init(jax.random.key(1))
    sharpness = predicted(problem, params, 1).sharpness
    assert sharpness.value is not None
    for share in (0.98, 1.02):
        chained = full_batch(features(), optax.sgd(share * 2 / sharpness.value))
        found = predicted(chained, params, 4000)
        told = stable_share(measured_chain(chained.optimizer, params, 4000).chain, sharpness)
        assert told.value == pytest.approx(share, rel=1e-6) and told.converged
        assert (found.curve[-1] > found.curve[0]) == (share > 1)
    far = predicted(full_batch(features(), optax.sgd(50 / sharpness.value)), params, 4000)
    assert np.isinf(far.curve[-1]) and far.range.until < 4000 and not np.isnan(far.curve).any()


def test_momentum_counts_in_the_share_and_moments_give_none():
    sharpness = Estimate(3.0, 0.0, True, "")
    chain = measured_chain(optax.sgd(0.1, momentum=0.9), jnp.zeros(()), 10).chain
    ball = stable_share(chain, sharpness)
    assert ball.value == pytest.approx(0.1 * 3.0 / 3.8, rel=1e-6)
    varying = measured_chain(optax.sgd(optax.linear_schedule(1.0, 0.1, 5)), jnp.zeros(()), 10)
    none = stable_share(varying.chain, sharpness)
    assert none.value is None and "changes" in none.method


def test_a_subset_lies_between_the_whole_set_and_other_examples():
    x = inputs(2000)
    problem = full_batch(identity_network(D, **NETS["tanh"]), optax.sgd(0.1), x)
    params = problem.init(jax.random.key(2))
    whole = predicted(problem, params, 60)
    assert whole.elsewhere is None and whole.examples == 2000
    chain = measured_chain(problem.optimizer, params, 60).chain
    falls = []
    for seed in range(4):
        part = linearised(problem, params, chain, 60, jax.random.key(seed), examples=64)
        assert part.examples == 64
        # The start differs by chance; what is left of it does not.
        falls.append([curve[-1] / curve[0] for curve in (part.curve, part.elsewhere)])
    subset, others = np.mean(falls, axis=0)
    assert subset < whole.curve[-1] / whole.curve[0] < others < 1.2 * subset


def test_neither_the_loss_nor_the_optimizer_is_called(monkeypatch):
    def never(*_):
        raise AssertionError("called")

    passes = []
    network = identity_network(D, **NETS["tanh"])

    def counted(params, x):
        jax.debug.callback(lambda: passes.append(1))
        return network.apply(params, x)

    optimizer = optax.sgd(0.1)
    chain = measured_chain(optimizer, jnp.zeros(()), 10).chain
    problem = Problem(
        model=Model(network.init, counted), train=(inputs(), None),
        optimizer=optax.GradientTransformation(never, never), batch_size=N,
    )  # fmt: skip
    params = problem.init(KEY)
    before = jax.tree.map(np.array, params)
    monkeypatch.setitem(LOSSES, "mse", never)
    assert chain is not None
    few = linearised(problem, params, chain, 4, KEY, products=8)
    count = len(passes)
    passes.clear()
    many = linearised(problem, params, chain, 2000, KEY, products=8)
    # A run of 500 times the steps reads the network at a few more places, as 1, 2, 4, ...
    assert few.curve.shape == (5,) and many.curve.shape == (2001,)
    assert 0 < len(passes) < count + 4 * 10
    jax.tree.map(np.testing.assert_array_equal, before, params)


def test_no_gradient_means_nothing_moves():
    def dead(params, x):
        return jax.nn.relu(x * params["w"] - 100.0)

    model = Model(lambda key, x: {"w": jnp.ones(())}, dead)
    problem = full_batch(model, optax.sgd(0.1))
    found = predicted(problem, problem.init(KEY), 3)
    assert np.allclose(found.curve, np.mean(inputs() ** 2)) and found.floor.value == found.curve[0]
    assert found.sharpness.value is None and found.range.until == 3.0


def test_what_has_no_linearised_prediction_says_so():
    network = identity_network(D, **NETS["tanh"])
    chain = measured_chain(optax.sgd(0.1), jnp.zeros(()), 10).chain
    assert chain is not None
    own = full_batch(network, optax.sgd(0.1), loss=lambda f, y: jnp.abs(f - y).mean(axis=1))
    with pytest.raises(InputError, match="only mse"):
        linearised(own, own.init(KEY), chain, 1, KEY)
    few = Problem(model=network, train=(inputs(), inputs()[:, :2]), optimizer=optax.sgd(0.1))
    with pytest.raises(InputError, match="same shape"):
        linearised(few, few.init(KEY), chain, 1, KEY)
    problem = full_batch(network, optax.sgd(0.1))
    broken = jax.tree.map(lambda leaf: leaf * np.nan, problem.init(KEY))
    with pytest.raises(InputError, match="not finite"):
        linearised(problem, broken, chain, 1, KEY)
