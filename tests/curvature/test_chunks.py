"""However examples are cut into chunks, the curvature is one, to rounding: over all cases."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from admissions import HEALTHY
from cases import CASES, N

from jaxid.curvature.dense import dense_matrix
from jaxid.curvature.matrices import curvature_product

FAST = {"tanh"}


def agree(problem, examples):
    """Dense Hessians of chunks of 1 to n."""
    params = problem.init(jax.random.key(0))
    x, y = problem.train
    data = jnp.asarray(x), None if y is None else jnp.asarray(y)
    whole = dense_matrix(curvature_product(problem, chunk=examples), params, data)
    for chunk in range(1, examples):
        found = dense_matrix(curvature_product(problem, chunk=chunk), params, data)
        np.testing.assert_allclose(found, whole, rtol=0, atol=1e-12 * np.abs(whole).max())


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in CASES]
)
def test_chunks_of_one_to_all_examples_give_one_matrix(name):
    agree(CASES[name](), N)


@pytest.mark.slow
def test_with_batch_norm_in_training_too():
    agree(HEALTHY["batch norm in training"](), 40)
