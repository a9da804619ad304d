"""The last layer's blocks for any loss and activation, against the whole dense Hessian."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from oracles import unit_blocks

from jaxid.core.precision import float64
from jaxid.curvature.last_layer.output_curvature import output_curvature
from jaxid.curvature.last_layer.spectrum import head_spectrum
from jaxid.nets.mlp import identity_network
from jaxid.problem.problem import Problem, cross_entropy, squared_error

D, N = 3, 17


def huber(outputs, targets):
    return jnp.sum(jnp.sqrt(1 + jnp.square(outputs - targets)) - 1, axis=1)


def coupled(outputs, targets):
    return jnp.square(jnp.sum(outputs - targets, axis=1))


LOSSES = {"mse": squared_error, "huber": huber, "cross_entropy": cross_entropy, "coupled": coupled}


def setting(loss, activation):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(N, D))
    y = draw.integers(0, D, N) if loss == "cross_entropy" else draw.normal(size=(N, D))
    model = identity_network(D, depth=1, output_activation=activation)
    problem = Problem(model=model, loss=LOSSES[loss], train=(x, y), optimizer=None)
    params = model.init(jax.random.key(0), jnp.zeros((1, D)))
    params = jax.tree.map(lambda w: jnp.asarray(w, jnp.float64) + 0.1, params)
    return problem, params, (jnp.asarray(x), jnp.asarray(y))


@pytest.mark.parametrize("activation", ["relu", "linear", "sigmoid", "gelu"])
@pytest.mark.parametrize("loss", LOSSES)
def test_blocks_are_the_dense_hessian_s(loss, activation):
    with float64():
        problem, params, data = setting(loss, activation)
        whole = oracles.dense_hessian(problem, params, data)
        marks = jax.tree.map(lambda w: jnp.arange(float(w.size)).reshape(w.shape), params)
        layer = params["layers"][0]
        kernel, bias = np.asarray(layer["kernel"]), np.asarray(layer["bias"])
        x, y = (np.asarray(part) for part in data)
        blocks = unit_blocks(x, y, kernel, bias, activation, loss=LOSSES[loss])
        spectrum = head_spectrum(x, y, kernel, bias, activation, loss=LOSSES[loss])
        curvature = output_curvature(LOSSES[loss], activation, x @ kernel + bias, y)
    # The raveled tree has the biases first (dictionary order), then the kernel by rows.
    assert list(marks["layers"][0]) == ["bias", "kernel"]
    for j in range(D):
        rows = np.array([D + D * i + j for i in range(D)] + [j])
        expected = whole[np.ix_(rows, rows)]
        np.testing.assert_allclose(blocks[j], expected, rtol=1e-10, atol=1e-12)
        values = np.linalg.eigvalsh(expected)
        np.testing.assert_allclose(spectrum.eigenvalues[j], values, rtol=1e-8, atol=1e-12)
    between = whole[np.ix_([0, *range(D, 2 * D)], [1])]
    separable = loss in ("mse", "huber")
    assert curvature.separable == separable or not curvature.weights.any()
    if separable:
        assert np.abs(between[[0]]).max() < 1e-14


def test_the_default_is_the_squared_error():
    with float64():
        _, params, data = setting("mse", "tanh")
        layer = params["layers"][0]
        x, y = (np.asarray(part) for part in data)
        arguments = (x, y, np.asarray(layer["kernel"]), np.asarray(layer["bias"]), "tanh")
        np.testing.assert_allclose(
            unit_blocks(*arguments), unit_blocks(*arguments, loss=squared_error), rtol=1e-10
        )
