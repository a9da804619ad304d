"""The identity family against its formula in NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.core import trees
from jaxid.nets.mlp import identity_network, layer_params

D, WIDTH, N = 5, 7, 11
X = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)


def build(seed=0, **choices):
    model = identity_network(D, **choices)
    params = model.init(jax.random.key(seed), jnp.zeros((1, D)))
    # Biases start at 0: moved, so that their place in the formula is seen.
    keys = jax.random.split(jax.random.key(99), len(params["layers"]))
    for key, layer in zip(keys, params["layers"].values(), strict=True):
        if "bias" in layer:
            layer["bias"] = jax.random.normal(key, layer["bias"].shape)
    return model, params


def by_hand(params, depth, hidden, last, residual):
    """h <- phi(h W + b), plus h where residual and the shapes agree."""
    functions = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "linear": lambda z: z}
    h, record = X.astype(float), []
    for index, (kernel, bias) in enumerate(layer_params(params, depth)):
        z = h @ np.asarray(kernel, float)
        z = z if bias is None else z + np.asarray(bias, float)[None, :]
        out = functions[last if index == depth - 1 else hidden](z)
        skip = h if residual and h.shape == out.shape else None
        record.append((h, z, skip))
        h = out if skip is None else out + skip
    return h, record


CASES = [
    (1, None, "relu", True, False),
    (1, None, "relu", False, True),
    (2, None, "tanh", True, True),
    (2, WIDTH, "relu", True, False),
    (2, WIDTH, "relu", False, True),
    (4, None, "relu", True, True),
    (4, WIDTH, "relu", True, True),  # only the two layers in the middle keep their width
    (4, WIDTH, "tanh", False, False),
]


@pytest.mark.parametrize("depth, width, hidden, use_bias, residual", CASES)
def test_apply_and_inspect_are_the_formula(depth, width, hidden, use_bias, residual):
    model, params = build(
        depth=depth,
        width=width,
        activation=hidden,
        output_activation="linear",
        use_bias=use_bias,
        residual=residual,
    )
    expected, record = by_hand(params, depth, hidden, "linear", residual)
    assert np.allclose(model.apply(params, X), expected, rtol=1e-4, atol=1e-5)
    seen = model.inspect(params, X)
    assert np.array_equal(seen.outputs, model.apply(params, X))
    for (_, z, _), found in zip(record, seen.preactivations, strict=True):
        assert np.allclose(found, z, rtol=1e-4, atol=1e-5)
    features, _, skip = record[-1]
    assert np.allclose(seen.features, features, rtol=1e-4, atol=1e-5)
    assert (seen.skip is None) == (skip is None)
    if skip is not None:
        assert np.allclose(seen.skip, skip, rtol=1e-4, atol=1e-5)
    assert model.activations == (*[hidden] * (depth - 1), "linear")


@pytest.mark.parametrize("use_bias", [True, False])
def test_the_head_gives_the_outputs_and_goes_round(use_bias):
    model, params = build(depth=3, width=WIDTH, use_bias=use_bias)
    kernel, bias = model.head.get(params)
    assert kernel.shape == (WIDTH, D) and (bias is None) != use_bias
    seen = model.inspect(params, X)
    z = seen.features @ kernel
    z = z if bias is None else z + bias[None, :]
    assert model.head.activation == "relu"
    assert np.allclose(seen.outputs, np.maximum(z, 0), rtol=1e-6)
    same = model.head.put(params, kernel, bias)
    assert jax.tree.structure(same) == jax.tree.structure(params)
    assert jax.tree.all(jax.tree.map(np.array_equal, same, params))


@pytest.mark.parametrize("use_bias", [True, False])
def test_putting_a_head_changes_that_layer_alone_and_not_in_place(use_bias):
    model, params = build(depth=2, use_bias=use_bias)
    before = jax.tree.map(np.array, params)
    kernel, bias = model.head.get(params)
    other = model.head.put(params, 2 * kernel, None if bias is None else bias + 1)
    assert jax.tree.all(jax.tree.map(np.array_equal, before, params))
    assert np.array_equal(other["layers"][1]["kernel"], 2 * kernel)
    assert np.array_equal(other["layers"][0]["kernel"], params["layers"][0]["kernel"])
    if use_bias:
        assert np.array_equal(other["layers"][1]["bias"], bias + 1)


def test_sizes_and_zero_biases_are_as_keras_builds_them():
    model = identity_network(D, depth=3, width=WIDTH)
    params = model.init(jax.random.key(0), jnp.zeros((1, D)))
    shapes = [kernel.shape for kernel, _ in layer_params(params, 3)]
    assert shapes == [(D, WIDTH), (WIDTH, WIDTH), (WIDTH, D)]
    assert all(not np.any(bias) for _, bias in layer_params(params, 3))
    assert trees.size(identity_network(784).init(jax.random.key(0), None)) == 615440


@pytest.mark.parametrize("depth", [1, 3])
def test_identity_initialisation_is_the_identity_on_positive_inputs(depth):
    model = identity_network(D, depth=depth, init="identity")
    params = model.init(jax.random.key(0), None)
    assert np.array_equal(model.apply(params, X), np.maximum(X, 0))


@pytest.mark.parametrize("depth", [1, 2])
def test_residual_relu_from_identity_doubles_what_is_positive(depth):
    model = identity_network(D, depth=depth, init="identity", residual=True)
    expected = X
    for _ in range(depth):
        expected = np.maximum(expected, 0) + expected
    assert np.array_equal(model.apply(model.init(jax.random.key(0), None), X), expected)


def test_residual_with_zero_weights_is_the_identity_everywhere():
    model = identity_network(D, depth=3, init="zeros", residual=True)
    assert np.array_equal(model.apply(model.init(jax.random.key(0), None), X), X)


def test_seeds_differ_and_repeat():
    model = identity_network(D, depth=2)
    first, again, other = (model.init(jax.random.key(s), None) for s in (0, 0, 1))
    assert jax.tree.all(jax.tree.map(np.array_equal, first, again))
    kernels = [first["layers"][0]["kernel"], first["layers"][1]["kernel"]]
    assert not np.array_equal(kernels[0], other["layers"][0]["kernel"])
    assert not np.array_equal(*kernels), "layers draw from keys of their own"
