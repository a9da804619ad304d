"""Products with the whole network's Hessian and Gauss-Newton matrix, and their least eigenvalue."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from jaxid import trees
from jaxid.curvature.hessian import GaussNewtonProduct, HessianProduct, least_eigenvalue
from jaxid.nets.mlp import identity_network
from jaxid.precision import float64
from jaxid.problem import squared_error

D, N = 4, 23


def network(activation="tanh", dtype=jnp.float64, depth=2):
    model = identity_network(D, depth=depth, activation=activation, output_activation=activation)
    params = model.init(jax.random.key(0), jnp.zeros((1, D)))
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(N, D)), dtype)

    def loss(params, batch):
        return jnp.mean(squared_error(model.apply(params, batch), batch))

    return model, params, x, loss


def dense(loss, params, x):
    flat, unravel = ravel_pytree(params)
    return np.asarray(jax.hessian(lambda w: loss(unravel(w), x))(flat))


@pytest.mark.parametrize("activation", ["tanh", "relu", "linear"])
@pytest.mark.parametrize("chunk", [1, 7, 23, 1000])
def test_products_equal_the_dense_hessian_for_every_chunking(activation, chunk):
    with float64():
        _, params, x, loss = network(activation)
        product = jax.jit(HessianProduct(loss, chunk))
        v = trees.random_like(jax.random.key(1), params)
        expected = dense(loss, params, x) @ np.asarray(ravel_pytree(v)[0])
        found = np.asarray(ravel_pytree(product((params, x), v))[0])
    assert np.allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_gauss_newton_equals_two_over_m_times_the_jacobians_square():
    with float64():
        model, params, x, _ = network("tanh")
        flat, unravel = ravel_pytree(params)
        jacobian = np.asarray(jax.jacobian(lambda w: model.apply(unravel(w), x))(flat))
        expected = 2 / (D * N) * np.einsum("nmp,nmq->pq", jacobian, jacobian)
        product = GaussNewtonProduct(model.apply, squared_error, 7)
        v = trees.random_like(jax.random.key(1), params)
        found = np.asarray(ravel_pytree(product((params, (x, x)), v))[0])
        flat_v = np.asarray(ravel_pytree(v)[0])
    assert np.allclose(found, expected @ flat_v, rtol=1e-10, atol=1e-12)


def test_the_two_agree_where_the_residuals_are_zero():
    with float64():
        model, params, x, _ = network("tanh")
        y = model.apply(params, x)
        v = trees.random_like(jax.random.key(1), params)
        full = HessianProduct(lambda p, b: jnp.mean(squared_error(model.apply(p, b[0]), b[1])))
        half = GaussNewtonProduct(model.apply, squared_error)
        a, b = (ravel_pytree(f((params, (x, y)), v))[0] for f in (full, half))
    assert np.allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_least_eigenvalue_equals_the_dense_one_within_its_bound(dtype):
    with float64():
        _, params, x, loss = network("tanh", dtype)
        found = least_eigenvalue(loss, params, x, jax.random.key(2), chunk=10)
        values = np.linalg.eigvalsh(dense(loss, *network("tanh")[1:3]))
    slack = 100 * float(jnp.finfo(dtype).eps) * values[-1]
    assert values[0] < 0, "the case has negative curvature"
    assert found.smallest.converged and found.largest.converged
    assert abs(found.smallest.value - values[0]) <= found.smallest.error + slack
    assert abs(found.largest.value - values[-1]) <= found.largest.error + slack


def test_a_small_budget_does_not_claim_convergence():
    _, params, x, loss = network("tanh", jnp.float32)
    found = least_eigenvalue(loss, params, x, jax.random.key(2), steps=3, restarts=0)
    assert not found.smallest.converged and found.smallest.error > 0


def test_one_trace_serves_all_seeds():
    model, params, x, _ = network("tanh", jnp.float32)
    traces = 0

    def loss(params, batch):
        nonlocal traces
        traces += 1
        return jnp.mean(squared_error(model.apply(params, batch), batch))

    for seed in range(3):
        shifted = jax.tree.map(lambda leaf, s=seed: leaf + 0.1 * s, params)
        least_eigenvalue(loss, shifted, x, jax.random.key(seed), chunk=10, steps=5, restarts=1)
        if seed == 0:
            first = traces
    assert traces == first
    batched = jax.vmap(HessianProduct(loss, 10), in_axes=((0, None), 0))
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), params)
    rows = batched((stacked, x), stacked)
    alone = HessianProduct(loss, 10)((params, x), params)
    assert np.allclose(ravel_pytree(rows)[0][:2].shape, (2,))
    first_row = jax.tree.map(lambda leaf: leaf[0], rows)
    assert np.allclose(ravel_pytree(first_row)[0], ravel_pytree(alone)[0], rtol=1e-4, atol=1e-6)
