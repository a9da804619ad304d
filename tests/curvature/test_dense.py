"""Dense matrices and blocks on every case, and refusals before anything is computed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import FEW, case
from oracles import layer_blocks

from jaxid.core.errors import InputError
from jaxid.core.precision import float64
from jaxid.curvature.dense import check_dense, dense_bytes, dense_matrix, rounding
from jaxid.curvature.matrices import curvature_product
from jaxid.curvature.parts import Part, layer_names


@pytest.mark.parametrize("name", FEW)
def test_the_dense_matrix_is_the_hessian_from_float32_parameters_too(name):
    problem, params, data = case(name, np.float32)
    found = dense_matrix(curvature_product(problem), params, data)
    with float64():
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        expected = oracles.dense_hessian(problem, wide, data)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * scale)
    np.testing.assert_array_equal(found, found.T)


def test_layers_are_the_diagonal_blocks():
    with float64():
        problem, params, data = case("gelu")
        whole = oracles.dense_gauss_newton(problem, params, data)
        blocks = layer_blocks(curvature_product(problem, "gauss_newton"), params, data)
        assert list(blocks) == layer_names(params) == ["layers/0", "layers/1"]
        zeros = jax.tree.map(jnp.zeros_like, params)
        for name, block in blocks.items():
            part = Part((name,))
            ones = jax.tree.map(jnp.ones_like, part.take(params))
            rows = np.flatnonzero(oracles.flat(part.put(zeros, ones)))
            np.testing.assert_allclose(block, whole[np.ix_(rows, rows)], rtol=1e-9, atol=1e-12)


def test_what_does_not_fit_is_refused_with_its_bytes_and_the_alternative():
    assert dense_bytes(615_440) > 9e12
    with pytest.raises(InputError, match=r"615,440 parameters needs 9.*GB.*Krylov"):
        check_dense(615_440)
    problem, params, data = case("relu", np.float32)
    with pytest.raises(InputError, match="one layer's block"):
        dense_matrix(curvature_product(problem), params, data, limit=10_000)


def test_rounding_covers_what_another_order_of_summation_changes():
    with float64():
        problem, params, data = case("attention")
        expected = oracles.dense_hessian(problem, params, data)
    found = dense_matrix(curvature_product(problem, chunk=4), params, data)
    difference = np.linalg.norm(found - expected, 2)
    assert 0 < difference <= rounding(found, 13)
