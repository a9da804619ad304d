"""R^(1/2) H R^(1/2) against its dense form."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxid.core import trees
from jaxid.core.precision import float64
from jaxid.curvature.fields import HessianField
from jaxid.curvature.preconditioned import largest_rate_times_curvature
from jaxid.curvature.products import CurvatureProduct
from jaxid.linalg.operators import Scaled


def loss(params, batch):
    return jnp.mean(jnp.sum(jnp.tanh(batch @ params["w"] + params["b"][None, :]) ** 2, axis=1))


HESSIAN = CurvatureProduct(HessianField(loss), 16)


def case():
    draw = np.random.default_rng(0)
    params = {"w": jnp.asarray(draw.normal(size=(4, 3))), "b": jnp.asarray(draw.normal(size=3))}
    rates = jax.tree.map(lambda leaf: jnp.asarray(draw.uniform(0.1, 9.0, leaf.shape)), params)
    return params, rates, jnp.asarray(draw.normal(size=(50, 4)))


def dense(params, rates, x):
    flat, unravel = ravel_pytree(params)
    hessian = np.asarray(jax.jit(jax.hessian(lambda w: loss(unravel(w), x)))(flat))
    root = np.sqrt(np.asarray(ravel_pytree(rates)[0]))
    return root[:, None] * hessian * root[None, :]


def test_the_product_equals_the_dense_matrix():
    with float64():
        params, rates, x = case()
        v = trees.random_like(jax.random.key(0), params)
        found = jax.jit(Scaled(HESSIAN))(((params, x), rates), v)
        expected = dense(params, rates, x) @ np.asarray(ravel_pytree(v)[0])
        np.testing.assert_allclose(ravel_pytree(found)[0], expected, rtol=1e-10)


def test_the_largest_eigenvalue_lies_within_its_bound():
    with float64():
        params, rates, x = case()
        found = largest_rate_times_curvature(HESSIAN, params, x, rates, jax.random.key(1))
        top = np.linalg.eigvalsh(dense(params, rates, x))[-1]
        assert found.converged
        assert abs(found.value - top) <= found.error + 1e-12 * top


def test_gradient_descent_with_these_rates_turns_unstable_where_it_passes_two():
    with float64():
        _, rates, x = case()
        quadratic = lambda w, batch: jnp.mean(jnp.square(batch @ w))  # noqa: E731
        w, rates = jnp.ones(4), rates["w"][:, 0]
        product = CurvatureProduct(HessianField(quadratic))
        top = largest_rate_times_curvature(product, w, x, rates, jax.random.key(2)).value
        gradient = jax.jit(jax.grad(quadratic))
        for share, grows in ((1.95, False), (2.05, True)):
            at = w
            for _ in range(500):
                at = at - share / top * rates * gradient(at, x)
            assert (quadratic(at, x) > quadratic(w, x)) == grows
