"""Products with each curvature matrix against its dense definition, on every case."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import CASES, FEW, N, case

from jaxid.core import trees
from jaxid.core.errors import InputError
from jaxid.core.precision import float64
from jaxid.curvature.fields import HessianField
from jaxid.curvature.matrices import FIELDS, curvature_product
from jaxid.curvature.parts import Part, layer_names
from jaxid.curvature.products import CurvatureProduct

DENSE = {
    "hessian": oracles.dense_hessian,
    "gauss_newton": oracles.dense_gauss_newton,
    "gradient_covariance": oracles.dense_gradient_covariance,
    "residual": oracles.dense_residual,
}


def close(found, expected, name=""):
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * scale, err_msg=name)


# The others in the long sweep: most of their time is compilation.
SHORT = {"linear", "tanh", "relu output on bytes"}
EVERY = [n if n in SHORT else pytest.param(n, marks=pytest.mark.slow) for n in CASES]


@pytest.mark.parametrize("name", EVERY)
def test_every_matrix_of_every_case_equals_its_definition(name):
    with float64():
        problem, params, data = case(name)
        # Three chunks; one that is left over would be compiled for itself.
        data = jax.tree.map(lambda leaf: leaf[:12], data)
        v = trees.random_like(jax.random.key(1), params)
        expected = {m: DENSE[m](problem, params, data) for m in FIELDS if m != "residual"}
        expected["residual"] = expected["hessian"] - expected["gauss_newton"]
        for matrix in FIELDS:
            product = curvature_product(problem, matrix, chunk=4)
            found = oracles.columns(product, (params, data), params)
            close(found, expected[matrix], matrix)
            # The same by what is kept from one forward pass for many products.
            many = jax.jit(lambda operand, v, product=product: product.prepare(operand)(v))
            once = oracles.flat(many((params, data), v))
            close(once, expected[matrix] @ oracles.flat(v), matrix)


@pytest.mark.parametrize("name", FEW)
def test_a_layer_s_product_is_the_matrix_s_own_block(name):
    with float64():
        problem, params, data = case(name)
        for matrix in ("hessian", "gauss_newton"):
            whole = DENSE[matrix](problem, params, data)
            for layer in layer_names(params):
                part = Part((layer,))
                # A chunk that is left over is compiled for itself: once is enough.
                chunk = 5 if name == "relu" else N
                product = curvature_product(problem, matrix, chunk=chunk, part=part)
                chosen = part.take(params)
                # Which entries of the raveled tree belong to the layer: mark them and look.
                marks = jax.tree.map(jnp.zeros_like, params)
                ones = jax.tree.map(jnp.ones_like, chosen)
                rows = np.flatnonzero(oracles.flat(part.put(marks, ones)))
                block = oracles.columns(product, (params, data), chosen)
                close(np.linalg.eigvalsh(block), np.linalg.eigvalsh(whole[np.ix_(rows, rows)]))


@pytest.mark.parametrize("matrix", FIELDS)
def test_examples_left_over_by_the_chunks_count_as_the_others(matrix):
    with float64():
        problem, params, data = case("tanh")
        v = trees.random_like(jax.random.key(1), params)
        found = jax.jit(curvature_product(problem, matrix, chunk=5))((params, data), v)
        expected = DENSE[matrix](problem, params, data) @ oracles.flat(v)
        close(oracles.flat(found), expected)


@pytest.mark.parametrize("chunk", [1, 4, N - 1, N, 1000])
def test_the_chunk_changes_nothing_but_rounding(chunk):
    with float64():
        problem, params, data = case("tanh")
        expected = oracles.dense_hessian(problem, params, data)
        v = trees.random_like(jax.random.key(1), params)
        product = jax.jit(curvature_product(problem, chunk=chunk))
        close(oracles.flat(product((params, data), v)), expected @ oracles.flat(v))


def test_gauss_newton_is_the_hessian_where_every_residual_is_zero():
    with float64():
        problem, params, (x, _) = case("tanh")
        data = (x, problem.outputs(params, (x, None)))
        v = trees.random_like(jax.random.key(1), params)
        both = [
            oracles.flat(curvature_product(problem, m)((params, data), v))
            for m in ("hessian", "gauss_newton")
        ]
        rest = oracles.flat(curvature_product(problem, "residual")((params, data), v))
    close(*both)
    close(rest, 0 * both[0])


@pytest.mark.slow
def test_products_are_symmetric_and_gauss_newton_is_not_negative():
    with float64():
        problem, params, data = case("attention")
        u, v = (trees.random_like(jax.random.key(k), params) for k in (1, 2))
        for matrix in FIELDS:
            product = jax.jit(curvature_product(problem, matrix, chunk=5))
            once, again = product((params, data), u), product((params, data), v)
            np.testing.assert_allclose(trees.dot(v, once), trees.dot(u, again), rtol=1e-10)
            if matrix in ("gauss_newton", "gradient_covariance"):
                assert trees.dot(v, again) >= 0


def test_equal_operators_share_one_trace_and_vmap_over_seeds():
    problem, params, data = case("tanh", np.float32)
    traces = 0

    def loss(params, batch):
        nonlocal traces
        traces += 1
        return problem.mean_loss(params, batch)

    run = jax.jit(lambda product, operand, v: product(operand, v), static_argnums=0)
    first = run(CurvatureProduct(HessianField(loss), 5), (params, data), params)
    seen = traces
    doubled = jax.tree.map(lambda leaf: 2 * leaf, params)
    run(CurvatureProduct(HessianField(loss), 5), (doubled, data), params)
    assert traces == seen
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), params)
    batched = jax.vmap(CurvatureProduct(HessianField(loss), 5), in_axes=((0, None), 0))
    rows = batched((stacked, data), stacked)
    alone = oracles.flat(jax.tree.map(lambda leaf: leaf[0], rows))
    np.testing.assert_allclose(alone, oracles.flat(first), rtol=1e-4, atol=1e-6)


def test_the_memory_limit_decides_on_chunk_and_on_keeping():
    problem, params, data = case("relu", np.float32)
    product = curvature_product(problem)
    each = product.bytes_per_example(params, data)
    assert each > 3 * 4 * 4, "three layers of four units, float32"
    roomy = product.within(10**9, params, data)
    assert roomy.keep and roomy.chunk == N
    tight = product.within(4 * each * 2, params, data)
    assert not tight.keep and tight.chunk == 2
    with pytest.raises(InputError, match="allow more memory"):
        product.within(each, params, data)


def test_bytes_per_example_grow_with_the_width():
    small, large = (case(name, np.float32) for name in ("linear", "relu"))
    sizes = [curvature_product(p).bytes_per_example(w, d) for p, w, d in (small, large)]
    assert 0 < sizes[0] < sizes[1]
