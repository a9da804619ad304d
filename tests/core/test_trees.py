"""Pytree algebra against NumPy on the flattened tree."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.core import trees
from jaxid.core.precision import float64


def tree(seed, dtype=np.float32):
    draw = np.random.default_rng(seed)
    return {
        "layers": [jnp.asarray(draw.normal(size=s), dtype) for s in [(3, 4), (4,)]],
        "scale": jnp.asarray(draw.normal(), dtype),
    }


def flat(a):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(a)]).astype(float)


def test_dot_norm_and_sums_are_those_of_the_flat_vectors():
    a, b = tree(0), tree(1)
    assert np.isclose(trees.dot(a, b), flat(a) @ flat(b), rtol=1e-5)
    assert np.isclose(trees.norm(a), np.linalg.norm(flat(a)), rtol=1e-6)
    assert np.allclose(flat(trees.add_scaled(a, -2.5, b)), flat(a) - 2.5 * flat(b), rtol=1e-5)
    assert jax.tree.structure(trees.add_scaled(a, 1.0, b)) == jax.tree.structure(a)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_leaves_dtype_is_kept_inside_double_precision(dtype):
    with float64():
        a = tree(0, dtype)
        for found in (trees.dot(a, a), trees.norm(a), trees.add_scaled(a, 0.5, a)["scale"]):
            assert found.dtype == dtype


def test_double_precision_is_double():
    with float64():
        a = {"x": jnp.asarray([1.0, 1e-12], jnp.float64)}
        assert float(trees.dot(a, {"x": jnp.ones(2, jnp.float64)})) == 1 + 1e-12
    assert jnp.asarray(1.0).dtype == np.float32


def test_an_empty_tree_has_size_and_length_zero():
    assert trees.size({}) == trees.nbytes({}) == 0
    assert trees.dot({}, {}) == 0 and trees.norm({}).shape == ()


def test_size_and_bytes_need_shapes_only():
    a = tree(0)
    assert trees.size(a) == flat(a).size == 17
    assert trees.nbytes(a) == 4 * 17
    assert trees.nbytes(jax.eval_shape(lambda: a)) == 4 * 17
    assert trees.nbytes({"pixels": np.zeros((5, 3), np.uint8)}) == 15


def test_random_like_is_standard_normal_in_the_trees_own_form():
    big = {"a": jnp.zeros((200, 200)), "b": jnp.zeros((200, 200))}
    found = trees.random_like(jax.random.key(0), big)
    values = flat(found)
    n = values.size
    assert abs(values.mean()) < 5 / np.sqrt(n)
    assert abs(values.var() - 1) < 5 * np.sqrt(2 / n)
    assert abs(np.corrcoef(*(np.ravel(found[k]) for k in "ab"))[0, 1]) < 5 / np.sqrt(n / 2)
    again = trees.random_like(jax.random.key(0), big)
    assert jax.tree.all(jax.tree.map(np.array_equal, found, again))
    assert not np.array_equal(trees.random_like(jax.random.key(1), big)["a"], found["a"])
    half = trees.random_like(jax.random.key(0), {"x": jnp.zeros(3, jnp.bfloat16)})
    assert half["x"].dtype == jnp.bfloat16


def test_one_draw_is_cut_up_whatever_its_size():
    # Drawing programs are shared by sizes: none may show in the numbers.
    for shapes in ([(3, 4), (4,), ()], [(70, 60), (5,)]):
        like = [jnp.zeros(shape) for shape in shapes]
        count = trees.size(like)
        for drawn, draw in (
            (trees.random_like, jax.random.normal),
            (trees.signs_like, jax.random.rademacher),
        ):
            found = flat(drawn(jax.random.key(3), like))
            assert np.array_equal(found, np.asarray(draw(jax.random.key(3), (count,), jnp.float32)))
