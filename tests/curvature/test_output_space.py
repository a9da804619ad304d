"""The exact trace of the Gauss-Newton matrix against its dense definition."""

from __future__ import annotations

import jax
import numpy as np
import oracles
import pytest
from cases import case

from jaxid.core.precision import float64
from jaxid.curvature.fields import GaussNewtonField
from jaxid.curvature.output_space import gauss_newton_trace, passes_cost
from jaxid.curvature.parts import leaf_names


def field_of(problem):
    return GaussNewtonField(problem.outputs, problem.output_losses)


@pytest.mark.parametrize(
    "name", ["relu output on bytes", "convolution", "linen", "plain functions"]
)
def test_the_trace_is_the_dense_matrix_s_leaf_by_leaf(name):
    with float64():
        problem, params, data = case(name)
        diagonal = np.diag(oracles.dense_gauss_newton(problem, params, data))
        total, parts = gauss_newton_trace(field_of(problem), params, data)
        np.testing.assert_allclose(total.value, diagonal.sum(), rtol=1e-12)
        assert total.converged and list(parts) == leaf_names(params)
        start = 0
        for leaf, found in zip(jax.tree.leaves(params), parts.values(), strict=True):
            own = diagonal[start : start + leaf.size].sum()
            np.testing.assert_allclose(found.value, own, rtol=1e-11, atol=1e-14)
            start += leaf.size


def test_memory_changes_nothing_and_float32_stays_within_its_error():
    with float64():
        problem, params, data = case("linen")
        whole = gauss_newton_trace(field_of(problem), params, data)[0]
        few = gauss_newton_trace(field_of(problem), params, data, memory=1)[0]
        np.testing.assert_allclose(few.value, whole.value, rtol=1e-13)
    problem, params, data = case("linen", np.float32)
    narrow = gauss_newton_trace(field_of(problem), params, data)[0]
    assert 0 < abs(narrow.value - whole.value) <= narrow.error <= 1e-4 * whole.value


def test_the_cost_counts_examples_outputs_and_parameters():
    problem, params, data = case("convolution", np.float32)
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert passes_cost(field_of(problem), params, data) == 13 * 3 * size
