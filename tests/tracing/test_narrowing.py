"""What a function does inside, read from its jaxpr."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from cases import CASES, case
from flax import nnx

from jaxid.core.precision import float64
from jaxid.tracing import narrowings


@pytest.mark.parametrize("name", CASES)
def test_the_cases_compute_in_double_precision_throughout(name):
    with float64():
        problem, params, data = case(name)
        assert narrowings(problem.mean_loss, params, data) == []


def test_a_layer_that_fixes_single_precision_inside_is_found():
    with float64():
        layer = nnx.MultiHeadAttention(1, 4, decode=False, rngs=nnx.Rngs(0))
        structure, state = nnx.split(layer)
        state = jax.tree.map(
            lambda v: v.astype(jnp.float64) if jnp.issubdtype(v.dtype, jnp.floating) else v, state
        )
        found = narrowings(lambda s, x: nnx.merge(structure, s)(x), state, jnp.ones((1, 3, 4)))
    assert found


def test_narrowing_is_found_inside_loops_and_branches():
    def loop(x):
        return jax.lax.fori_loop(0, 3, lambda _, y: y.astype(jnp.float32).astype(y.dtype), x)

    def branch(x):
        return jax.lax.cond(
            x[0] > 0,
            lambda y: y,
            lambda y: jnp.float32(1) * y.astype(jnp.float32).astype(y.dtype),
            x,
        )

    with float64():
        assert narrowings(loop, jnp.ones(3)) == ["convert_element_type"]
        assert narrowings(branch, jnp.ones(3)) == ["convert_element_type"]
        assert narrowings(lambda x: x.astype(jnp.int32), jnp.ones(3)) == []
    assert narrowings(loop, jnp.ones(3)) == [], "float32 throughout is not narrowed"
