"""The Kronecker factors of deep linear networks against dense Gauss-Newton blocks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import layer_blocks

from jaxid.curvature.depth import linear_network_factors
from jaxid.curvature.matrices import curvature_product
from jaxid.nets.mlp import identity_network, layer_params
from jaxid.problem.problem import Problem


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(("depth", "width"), [(1, None), (3, None), (3, 6), (4, 3)])
def test_blocks_are_products_of_the_factors(depth, width, use_bias):
    d = 4
    model = identity_network(
        d, width=width, depth=depth, activation="linear", output_activation="linear",
        use_bias=use_bias,
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(50, d)) * [1, 2, 3, 4] + 0.3
    x = x.astype(np.float32)
    problem = Problem(model=model, train=(x, None), optimizer=None)
    params = model.init(jax.random.key(1), jnp.zeros((1, d)))
    params = jax.tree.map(lambda w: w + 0.1, params)
    blocks = layer_blocks(
        curvature_product(problem, "gauss_newton"), params, (jnp.asarray(x), None)
    )
    layers = [
        (np.asarray(kernel), None if bias is None else np.asarray(bias))
        for kernel, bias in layer_params(params, depth)
    ]
    factors = linear_network_factors(layers, x)
    for block, factor in zip(blocks.values(), factors, strict=True):
        values = np.linalg.eigvalsh(block)
        products = np.outer(factor.shown.eigenvalues, factor.made.eigenvalues).ravel()
        np.testing.assert_allclose(values, np.sort(products), atol=1e-12 * values[-1])
        assert np.isclose(factor.lambda_max.value, values[-1], rtol=1e-9)
        above = values[values > 1e-10 * values[-1]]
        assert np.isclose(factor.kappa.value, values[-1] / above[0], rtol=1e-6)
