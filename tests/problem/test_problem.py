"""The loss's conventions, the units, and what a Problem refuses."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxid.core.errors import InputError
from jaxid.data.scaling import fit
from jaxid.nets.mlp import identity_network
from jaxid.problem.problem import LOSSES, Problem, cross_entropy, squared_error

D, N = 3, 7
DRAW = np.random.default_rng(0)
X = DRAW.integers(0, 256, (N, D)).astype(np.uint8)
ONES = np.ones(N, np.float32)


def problem(**choices):
    given = {
        "model": identity_network(D, output_activation="linear"),
        "train": (X, None),
        "optimizer": optax.sgd(0.1),
        **choices,
    }
    return Problem(**given)


def outputs_by_hand(params, x):
    layer = params["layers"][0]
    return x.astype(float) @ np.asarray(layer["kernel"], float) + np.asarray(layer["bias"], float)


def test_squared_error_is_the_mean_over_outputs_without_a_half():
    f, y = DRAW.normal(size=(2, 5, 4)).astype(np.float32)
    assert np.allclose(squared_error(f, y), ((f - y) ** 2).sum(axis=1) / 4, rtol=1e-6)
    assert squared_error(jnp.full((1, 2), 3.0), jnp.zeros((1, 2))) == 9
    deep = squared_error(f.reshape(5, 2, 2), y.reshape(5, 2, 2))
    assert np.allclose(deep, squared_error(f, y), rtol=1e-6)


def test_shapes_that_would_be_broadcast_are_refused():
    with pytest.raises(InputError, match="one target for each output"):
        squared_error(jnp.zeros((5, 3)), jnp.zeros((5, 1)))


def test_the_batch_loss_is_the_mean_over_examples_and_outputs():
    p = problem()
    params = p.init(jax.random.key(0))
    residual = outputs_by_hand(params, X) - X
    loss, original = p.batch_loss(params, jnp.asarray(X), None, ONES)
    assert np.isclose(loss, np.mean(residual**2), rtol=1e-5)
    assert loss == original
    gradient = jax.grad(lambda q: p.batch_loss(q, jnp.asarray(X), None, ONES)[0])(params)
    bias = gradient["layers"][0]["bias"]
    assert np.allclose(bias, 2 * residual.mean(axis=0) / D, rtol=1e-4)


@pytest.mark.parametrize("padding", [1, 4])
def test_padding_changes_neither_loss_nor_gradient(padding):
    p = problem()
    params = p.init(jax.random.key(0))
    short = jnp.asarray(X[:-padding])
    weights = jnp.asarray(ONES).at[-padding:].set(0)
    plain, padded = (
        jax.value_and_grad(lambda q, x=x, w=w: p.batch_loss(q, x, None, w)[0])(params)
        for x, w in ((short, ONES[:-padding]), (jnp.asarray(X), weights))
    )
    assert np.isclose(plain[0], padded[0], rtol=1e-6)
    for a, b in zip(jax.tree.leaves(plain[1]), jax.tree.leaves(padded[1]), strict=True):
        assert np.allclose(a, b, rtol=1e-5, atol=1e-4)


def test_a_padded_row_of_nan_leaves_the_loss_alone():
    p = problem()
    params = p.init(jax.random.key(0))
    x = jnp.asarray(X, jnp.float32)
    weights = jnp.asarray(ONES).at[2].set(0)
    expected, _ = p.batch_loss(params, x, None, weights)
    for bad in (jnp.nan, jnp.inf):
        found, original = p.batch_loss(params, x.at[2].set(bad), None, weights)
        assert found == original == expected
    assert not np.isfinite(p.batch_loss(params, x.at[1].set(jnp.nan), None, weights)[0])


def test_cross_entropy_takes_classes_or_one_hot_rows():
    logits = DRAW.normal(size=(5, 4)).astype(np.float32)
    classes = np.array([0, 3, 1, 1, 2])
    exact = logits.astype(float)
    expected = np.log(np.exp(exact).sum(axis=1)) - exact[np.arange(5), classes]
    assert np.allclose(cross_entropy(logits, classes), expected, rtol=1e-5)
    assert np.allclose(cross_entropy(logits, np.eye(4)[classes]), expected, rtol=1e-5)
    p = problem(loss="cross_entropy", train=(X, np.arange(N) % D), target_map=fit("unit", X))
    assert np.array_equal(p.targets(jnp.asarray(X), jnp.asarray(p.train[1])), p.train[1])


def test_a_loss_of_the_users_own_is_averaged_over_examples():
    p = problem(loss=lambda f, y: jnp.sum(jnp.abs(f - y), axis=1))
    params = p.init(jax.random.key(0))
    expected = np.abs(outputs_by_hand(params, X) - X).sum(axis=1).mean()
    assert np.isclose(p.batch_loss(params, jnp.asarray(X), None, ONES)[0], expected, rtol=1e-5)


def test_training_units_and_original_units():
    p = problem(input_map=fit("standardized", X), target_map=fit("unit", X))
    top = X.max()
    x = jnp.asarray(X)
    standardized = (X - X.mean(axis=0)) / X.std(axis=0)
    assert np.allclose(p.inputs(x), standardized, rtol=1e-5, atol=1e-6)
    assert np.allclose(p.targets(x, None), X / top, rtol=1e-6)
    assert np.allclose(p.original(p.targets(x, None)), X, rtol=1e-6)
    params = p.init(jax.random.key(0))
    loss, original = p.batch_loss(params, x, None, ONES)
    residual = outputs_by_hand(params, standardized) - X / top
    assert np.isclose(loss, np.mean(residual**2), rtol=1e-5)
    assert np.isclose(original, np.mean(residual**2) * float(top) ** 2, rtol=1e-5)


def test_other_targets_than_the_inputs():
    y = DRAW.normal(size=(N, D)).astype(np.float32)
    p = problem(train=(X, y))
    assert not p.is_identity and problem().is_identity
    params = p.init(jax.random.key(0))
    expected = np.mean((outputs_by_hand(params, X) - y) ** 2)
    assert np.isclose(p.batch_loss(params, jnp.asarray(X), y, ONES)[0], expected, rtol=1e-5)


def test_integers_become_float32_and_floats_stay():
    p = problem()
    assert p.inputs(jnp.asarray(X)).dtype == jnp.float32
    assert p.inputs(jnp.asarray(X, jnp.bfloat16)).dtype == jnp.bfloat16


@pytest.mark.parametrize("batch, steps", [(1, 7), (2, 4), (7, 1), (8, 1), (128, 1)])
def test_the_last_batch_counts_as_a_step(batch, steps):
    p = problem(batch_size=batch)
    assert p.examples == N and p.steps_per_epoch == steps


def test_a_model_may_be_given_as_a_factory():
    p = problem(model=lambda rngs: nnx.Linear(D, D, rngs=rngs))
    params = p.init(jax.random.key(0))
    assert p.net.apply(params, p.inputs(jnp.asarray(X))).shape == (N, D)


@pytest.mark.parametrize(
    "choices, says",
    [
        ({"loss": "mae"}, f"use one of {', '.join(LOSSES)}"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"train": (np.zeros((0, D)), None)}, "train inputs"),
        ({"train": (np.zeros(D), None)}, "train inputs"),
        ({"test": (np.zeros((0, D)), None)}, "test inputs"),
        ({"train": (X, X[:-1])}, "7 inputs and 6 targets"),
        ({"train": (X, X[:, 0])}, "train targets"),
        ({"model": 3}, "model is a int"),
    ],
)
def test_wrong_input_is_refused_in_one_line(choices, says):
    with pytest.raises(InputError, match=says) as refused:
        problem(**choices)
    assert "\n" not in str(refused.value)


def labelled(loss):
    labels = np.arange(N, dtype=np.int32) % D
    model = identity_network(D, output_activation="linear")
    return Problem(model=model, loss=loss, train=(X, labels), optimizer=optax.sgd(0.1))


def test_a_loss_of_one_s_own_gets_labels_as_they_are():
    p = labelled(optax.softmax_cross_entropy_with_integer_labels)
    p.check_loss()
    y = jnp.asarray(p.train[1])
    assert p.targets(jnp.asarray(X), y).dtype == jnp.int32
    params = p.init(jax.random.key(0))
    named = labelled("cross_entropy")
    data = (jnp.asarray(X), y)
    assert p.mean_loss(params, data) == named.mean_loss(params, data)


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (
            lambda f, y: jnp.mean(jnp.square(f)),
            r"shape \(\) for 2 examples; give one",
        ),
        (lambda f, y: jnp.square(f), r"shape \(2, 3\)"),
        (lambda f: jnp.sum(f, axis=1), "does not take outputs"),
    ],
)
def test_a_loss_that_gives_something_else_is_refused_in_one_line(loss, says):
    with pytest.raises(InputError, match=says) as refused:
        labelled(loss).check_loss()
    assert "\n" not in str(refused.value)
