"""Null directions with their reasons, on inputs made to have them."""

from __future__ import annotations

import numpy as np
import pytest

from jaxid.curvature.conditioning import second_moment
from jaxid.curvature.last_layer.nullspace import input_null_basis, null_reasons
from jaxid.curvature.last_layer.spectrum import head_spectrum


def inputs(n=300):
    """9 features: 0 and 1 constant (0 and 3), 4 = 2 + 3, 8 = 0 except on ten examples."""
    draw = np.random.default_rng(0)
    x = draw.integers(0, 100, (n, 9)).astype(np.uint8)
    x[:, 0], x[:, 1] = 0, 3
    x[:, 4] = x[:, 2] + x[:, 3]
    x[10:, 8] = 0
    return x


def reasons(x, kernel, bias, name="relu"):
    y = np.zeros((x.shape[0], kernel.shape[1]))
    spectrum = head_spectrum(x, y, kernel, bias, name)
    return spectrum, null_reasons(x, spectrum, bias=bias is not None)


def test_each_direction_gets_its_one_reason():
    x = inputs()
    kernel, bias = np.zeros((9, 4)), np.array([-1.0, 1.0, 0.0, 1.0])
    kernel[8, 3] = -1000.0  # active only where feature 8 is 0
    kernel[8, 2] = 1.0  # active only on the ten examples where feature 8 is not
    x[:10, 8] = np.arange(1, 11)
    spectrum, found = reasons(x, kernel, bias)
    # Ten examples span all 7 of 10 directions that the data have, for output 2.
    assert found.by_output.tolist() == [
        [10, 0, 0, 0],
        [0, 2, 1, 0],
        [0, 2, 1, 0],
        [0, 2, 1, 1],
    ]
    assert found.counts == {
        "dead_unit": 10,
        "constant_input": 6,
        "collinear_input": 3,
        "rarely_active": 1,
    }
    assert found.null_dim == spectrum.null_dim == 20
    assert set(found.texts) == set(found.counts)
    assert found.texts["constant_input"].startswith("2 of 9 inputs are constant")


def test_without_a_bias_only_zeros_are_constant_and_other_constants_can_be_collinear():
    x = inputs()
    x[:, 5] = 6
    _, found = reasons(x, np.zeros((9, 1)), None, "linear")
    assert found.counts == {
        "dead_unit": 0,
        "constant_input": 1,  # feature 0
        "collinear_input": 2,  # 4 = 2 + 3; 5 = 2 * 1
        "rarely_active": 0,
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["relu", "linear", "tanh", "leaky_relu"])
def test_reasons_sum_to_the_null_dimension(seed, name):
    draw = np.random.default_rng(seed)
    x = inputs(40)
    kernel, bias = draw.normal(size=(9, 30)), 40 * draw.normal(size=30)
    spectrum, found = reasons(x, kernel, bias, name)
    assert sum(found.counts.values()) == found.null_dim == spectrum.null_dim
    assert np.array_equal(found.by_output.sum(axis=1), spectrum.null_dims)
    assert found.by_output.min() >= 0


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("scale", [1, 1 / 255])
def test_null_basis_is_orthonormal_complete_and_invisible(bias, scale):
    x = inputs() * scale if scale != 1 else inputs()
    basis = input_null_basis(x, bias)
    rows = np.concatenate([x, np.ones((len(x), 1))], axis=1) if bias else x.astype(float)
    assert basis.shape == (rows.shape[1], second_moment(x, bias=bias).null_dim)
    assert basis.shape[1] == (3 if bias else 2)
    assert np.allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-14)
    assert np.abs(rows @ basis).max() <= 1e-12 * np.abs(rows).max()


def test_full_rank_inputs_have_no_null_basis():
    x = np.random.default_rng(0).normal(size=(50, 4))
    assert input_null_basis(x).shape == (5, 0)


def test_inputs_that_are_all_zero_are_all_null():
    assert input_null_basis(np.zeros((5, 3)), bias=False).shape == (3, 3)
    assert input_null_basis(np.zeros((5, 3), np.uint8), bias=True).shape == (4, 3)
