"""The last layer's blocks against `jax.hessian` of the whole layer's loss."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import unit_blocks, unit_hessians

from jaxid.core.precision import float64
from jaxid.curvature.last_layer.blocks import curvature_weights
from jaxid.nets.activations import ACTIVATIONS, activation

N, P, M = 60, 5, 4


def layer(name, use_bias, *, dead=(), integers=True, seed=0):
    """Features, targets, kernel, bias; ``dead`` outputs never have z > 0."""
    draw = np.random.default_rng(seed)
    x = draw.integers(0, 256, (N, P)).astype(np.uint8) if integers else draw.normal(size=(N, P))
    x[:, 1] = 0
    x[:, 3] = x[:, 4]
    scale = 0.01 if integers else 1.0
    kernel = draw.normal(size=(P, M)) * scale
    bias = draw.normal(size=M) if use_bias else None
    for j in dead:
        kernel[:, j] = -np.abs(kernel[:, j]) if integers else 0.0
        if use_bias:
            bias[j] = -1.0
    return x, draw.normal(size=(N, M)), kernel, bias


def dense_blocks(x, y, kernel, bias, name):
    """The diagonal blocks and the rest of the whole layer's Hessian, (m, q, q) twice."""
    with float64():
        params = [jnp.asarray(kernel)] + ([] if bias is None else [jnp.asarray(bias)[None, :]])
        stacked = jnp.concatenate(params)

        def loss(stacked):
            rows = jnp.asarray(x, jnp.float64)
            if bias is not None:
                rows = jnp.concatenate([rows, jnp.ones((N, 1))], axis=1)
            return jnp.mean((activation(name)(rows @ stacked) - jnp.asarray(y)) ** 2)

        whole = np.asarray(jax.jit(jax.hessian(loss))(stacked))
    blocks = np.stack([whole[:, j, :, j] for j in range(M)])
    rest = whole.copy()
    for j in range(M):
        rest[:, j, :, j] = 0
    return blocks, rest


CASES = [
    pytest.param(name, bias, dead, integers, id=f"{name}-{bias}-{dead}-{integers}")
    for name in ACTIVATIONS
    for bias in (True, False)
    for dead, integers in (((), True), ((0, 2), True), ((), False))
]


@pytest.mark.parametrize("name, use_bias, dead, integers", CASES)
def test_fast_and_differentiated_blocks_equal_the_whole_hessian(name, use_bias, dead, integers):
    x, y, kernel, bias = layer(name, use_bias, dead=dead, integers=integers)
    expected, rest = dense_blocks(x, y, kernel, bias, name)
    fast = unit_blocks(x, y, kernel, bias, name)
    assert not rest.any(), "output units share no curvature"
    for j in range(M):
        size = np.abs(np.linalg.eigvalsh(expected[j])).max()
        assert np.linalg.norm(fast[j] - expected[j], 2) <= 1e-10 * size
        if name == "relu" and j in dead:
            assert not fast[j].any()


@pytest.mark.parametrize("name", ["relu", "linear", "gelu"])
def test_vmapped_hessians_equal_the_whole_hessian(name):
    x, y, kernel, bias = layer(name, True, dead=(1,))
    expected, _ = dense_blocks(x, y, kernel, bias, name)
    found = unit_hessians(x, y, kernel, bias, name, chunk=3)
    assert found.dtype == np.float64
    assert np.allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    some = unit_hessians(x, y, kernel, bias, name, units=[3, 0])
    assert np.allclose(some, expected[[3, 0]], rtol=0, atol=1e-10 * np.abs(expected).max())
    assert np.allclose(unit_blocks(x, y, kernel, bias, name, units=[3, 0]), expected[[3, 0]])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_weights_are_half_the_second_derivative_of_the_squared_error(name):
    z = np.array([-2.0, -0.5, 0.3, 1.7])
    y = np.array([0.0, 1.0, -1.0, 0.4])
    step = 1e-4

    with float64():
        error = lambda t: (np.asarray(activation(name)(jnp.asarray(t))) - y) ** 2  # noqa: E731
        numeric = (error(z + step) - 2 * error(z) + error(z - step)) / (2 * step**2)
    assert np.allclose(curvature_weights(name, z, y), numeric, atol=1e-6)


def test_a_unit_at_its_kink_is_off():
    assert curvature_weights("relu", np.array([0.0, 1e-300]), np.zeros(2)).tolist() == [False, True]
