"""Full passes over a data set against NumPy in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxid.data import examples
from jaxid.data.scaling import fit
from jaxid.nets.mlp import identity_network
from jaxid.nets.model import Model
from jaxid.problem.problem import Problem
from jaxid.training.metrics import MAPE_FLOOR, make_evaluate, residual_shift

D, N = 5, 23
DRAW = np.random.default_rng(2)
X = DRAW.integers(0, 200, (N, D)).astype(np.uint8)
X[DRAW.random((N, D)) < 0.3] = 0
X[:, 2] = 0


def problem(scaling=None, **choices):
    affine = None if scaling is None else fit(scaling, X)
    given = {
        "model": identity_network(D, depth=2, output_activation="linear"),
        "train": (X, None),
        "optimizer": optax.sgd(0.1),
        "input_map": affine,
        "target_map": affine,
        **choices,
    }
    return Problem(**given)


def by_hand(p, params, x, y=None):
    """Everything from the outputs, which other tests check, in float64."""
    seen = p.net.inspect(params, p.inputs(jnp.asarray(x)))
    outputs = np.asarray(seen.outputs, float)
    target = np.asarray(p.targets(jnp.asarray(x), y), float)
    truth = (x if y is None else np.asarray(y)).astype(float)
    f = np.asarray(p.original(seen.outputs), float)
    relative = 100 * np.abs(truth - f) / np.maximum(np.abs(truth), MAPE_FLOOR)
    return {
        "loss": np.mean((outputs - target) ** 2),
        "output_loss": np.mean((outputs - target) ** 2, axis=0),
        "original_loss": np.mean((f - truth) ** 2),
        "mape": relative.mean(),
        "mape_zero": np.where(truth == 0, relative, 0).mean(),
        "mape_rest": np.where(truth == 0, 0, relative).mean(),
        "fires": [(np.asarray(z) > 0).sum(axis=0) for z in seen.preactivations],
    }


def agree(found, expected, rtol=2e-5):
    for name in ("loss", "output_loss", "original_loss", "mape", "mape_zero", "mape_rest"):
        assert np.allclose(getattr(found, name), expected[name], rtol=rtol), name
    for layer, counts in zip(found.fires, expected["fires"], strict=True):
        assert layer.dtype == jnp.int32 and np.array_equal(layer, counts)


@pytest.mark.parametrize("chunk", [1, 10, 23, 2000])
def test_all_numbers_equal_numpys_for_every_chunking(chunk, monkeypatch):
    monkeypatch.setattr(examples, "DEVICE", chunk)
    p = problem()
    params = p.init(jax.random.key(0))
    found = jax.jit(make_evaluate(p))(params, jnp.asarray(X), None)
    agree(found, by_hand(p, params, X))
    assert 0 < found.mape_zero <= found.mape
    assert np.isclose(np.mean(found.output_loss), found.loss, rtol=1e-6)


@pytest.mark.parametrize("scaling", ["unit", "centered", "standardized", "whitened"])
def test_errors_also_come_in_original_units_against_the_data_themselves(scaling):
    p = problem(scaling)
    params = p.init(jax.random.key(1))
    found = jax.jit(make_evaluate(p))(params, jnp.asarray(X), None)
    expected = by_hand(p, params, X)
    agree(found, expected)
    assert found.mape_zero > 0


def test_the_percentage_error_is_keras_with_its_floor():
    """By hand: |2 - 1| / 2, |y - 3| / max(|y|, 1e-7), |4 - 4| / 4, |-5 - 0| / 5, in percent."""
    outputs = jnp.array([[1.0, 3.0], [4.0, 0.0]])
    p = problem(model=Model(lambda key, x: jnp.zeros(()), lambda w, x: outputs + w))
    for y, part, floored in ((0.0, 3e7, 3e7), (1e-8, 3e7, 3e7), (1e-6, 3e6, 0), (2.0, 0.5, 0)):
        x = jnp.array([[2.0, y], [4.0, -5.0]])
        found = make_evaluate(p)(jnp.zeros(()), x, None)
        assert np.isclose(found.mape, 100 * (0.5 + part + 0 + 1) / 4, rtol=1e-5)
        assert np.isclose(found.mape_zero, 100 * floored / 4, rtol=1e-5)
    assert found.fires == ()


def test_targets_of_their_own():
    p = problem()
    params = p.init(jax.random.key(0))
    y = DRAW.normal(size=(N, D)).astype(np.float32)
    found = make_evaluate(p)(params, jnp.asarray(X), jnp.asarray(y))
    agree(found, by_hand(p, params, X, jnp.asarray(y)))


def test_other_losses_are_averaged_over_examples():
    p = problem(loss="cross_entropy", train=(X, np.arange(N) % D))
    params = p.init(jax.random.key(0))
    classes = np.arange(N) % D
    found = jax.jit(make_evaluate(p))(params, jnp.asarray(X), jnp.asarray(classes))
    z = np.asarray(p.net.apply(params, jnp.asarray(X, jnp.float32)), float)
    z -= z.max(axis=1, keepdims=True)
    expected = np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(N), classes])
    assert np.isclose(found.loss, expected, rtol=1e-5)
    assert found.output_loss.shape == (0,) and len(found.fires) == 2


def test_a_unit_at_zero_does_not_fire():
    model = identity_network(D, init="zeros")
    p = problem(model=model)
    (fires,) = make_evaluate(p)(p.init(jax.random.key(0)), jnp.asarray(X), None).fires
    assert not fires.any()


@pytest.mark.parametrize("chunk", [10, 2000])
def test_the_difference_of_two_networks_splits_into_mean_and_variance(chunk, monkeypatch):
    monkeypatch.setattr(examples, "DEVICE", chunk)
    p = problem("unit")
    a, b = (p.init(jax.random.key(seed)) for seed in (0, 1))
    inputs = p.inputs(jnp.asarray(X))
    d = np.asarray(p.net.apply(a, inputs), float) - np.asarray(p.net.apply(b, inputs), float)
    coherent, incoherent = residual_shift(p, a, b, jnp.asarray(X))
    assert np.allclose(coherent, d.mean(axis=0) ** 2, rtol=1e-4, atol=1e-7)
    assert np.allclose(incoherent, d.var(axis=0), rtol=1e-4, atol=1e-7)
    assert np.isclose(np.mean(coherent + incoherent), np.mean(d**2), rtol=1e-5)
