"""Weighted Gram matrices against exact integer arithmetic and extended precision."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import weighted_gram

from jaxid.core.precision import float64
from jaxid.linalg.gram import changed_gram, reduced_gram, weighted_grams
from jaxid.linalg.rows import prepare_rows

SEEDS = st.integers(0, 2**32 - 1)


def integer_gram(x, mask, ones):
    """In Python's integers, which cannot round."""
    rows = np.concatenate([x, np.ones((x.shape[0], 1), x.dtype)], axis=1) if ones else x
    rows = rows.astype(np.int64)[mask]
    return (rows.T @ rows).astype(np.float64)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 3000), st.integers(1, 6), st.booleans(), st.floats(0, 1))
def test_masked_gram_of_uint8_is_exact(seed, n, p, ones, density):
    draw = np.random.default_rng(seed)
    x = draw.integers(0, 256, (n, p), dtype=np.uint8)
    x[:, draw.random(p) < 0.3] = 0
    mask = draw.random(n) < density
    expected = integer_gram(x, mask, ones)
    assert np.array_equal(weighted_gram(x, mask, ones=ones), expected)
    rows = prepare_rows(x, ones=ones)
    with_full = reduced_gram(rows, mask, full=reduced_gram(rows))
    assert np.array_equal(rows.expand(with_full.matrix), expected)
    assert with_full.error == 0


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 3000), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_a_gram_brought_up_to_date_is_that_of_the_new_rows(seed, n, density, change, integers):
    draw = np.random.default_rng(seed)
    x = draw.integers(0, 256, (n, 4)).astype(np.uint8) if integers else draw.normal(size=(n, 4))
    rows = prepare_rows(x, ones=True)
    before = draw.random(n) < density
    after = before ^ (draw.random(n) < change)
    found = changed_gram(rows, reduced_gram(rows, before), before, after)
    difference = rows.expand(found.matrix) - extended(x, after, True)
    off = np.linalg.norm(difference.astype(np.float64), 2)
    assert off == 0 if integers else off <= found.error or off == 0
    # The bound stays that of two plain sums over all rows that were ever in this one.
    size = float(np.trace(extended(x, before | after, True)))
    assert found.error <= 2 * (min(n, 1024) + n / 1024 + 6) * np.finfo(float).eps * size


@pytest.mark.parametrize("value", [0, 1, 127, 128, 255])
@pytest.mark.parametrize("ones", [False, True])
def test_sums_of_the_extreme_values_over_many_chunks_are_exact(value, ones):
    x = np.full((5000, 3), value, np.uint8)
    x[::2, 1] = 255 - value
    assert np.array_equal(weighted_gram(x, ones=ones), integer_gram(x, slice(None), ones))


@pytest.mark.parametrize(
    "dtype, low, high",
    [(np.int8, -128, 128), (np.int16, -300, 301), (np.float32, 0, 17), (np.int32, -5000, 5000)],
)
def test_other_integer_ranges_are_exact(dtype, low, high):
    x = np.random.default_rng(0).integers(low, high, (3000, 4)).astype(dtype)
    rows = prepare_rows(x, ones=True)
    assert rows.exact
    found = rows.expand(reduced_gram(rows).matrix)
    assert np.array_equal(found, integer_gram(x, slice(None), True))


def test_booleans_count_as_zeros_and_ones():
    x = np.random.default_rng(1).random((100, 3)) < 0.5
    assert np.array_equal(weighted_gram(x), integer_gram(x.astype(np.uint8), slice(None), False))


def test_zero_columns_come_back_as_zeros():
    x = np.zeros((10, 4), np.uint8)
    x[:, 2] = 7
    rows = prepare_rows(x)
    assert rows.columns.tolist() == [2]
    assert np.array_equal(weighted_gram(x), np.diag([0.0, 0.0, 490.0, 0.0]))
    assert np.array_equal(weighted_gram(0 * x), np.zeros((4, 4)))


def extended(x, weights, ones):
    rows = np.asarray(x, np.longdouble)
    if ones:
        rows = np.concatenate([rows, np.ones((rows.shape[0], 1), np.longdouble)], axis=1)
    return np.einsum("n,np,nq->pq", np.asarray(weights, np.longdouble), rows, rows)


WEIGHTS = {
    "ones": lambda draw, n: np.ones(n),
    "mask": lambda draw, n: draw.random(n) < 0.3,
    "zeros": lambda draw, n: np.zeros(n),
    "constant": lambda draw, n: np.full(n, 0.3),
    "two levels": lambda draw, n: np.where(draw.random(n) < 0.7, 1.0, 1e-4),
    "positive": lambda draw, n: draw.random(n),
    "signed": lambda draw, n: draw.normal(size=n),
    "two signs": lambda draw, n: np.where(draw.random(n) < 0.7, 1.0, -0.5),
}


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("ones", [False, True])
@pytest.mark.parametrize("data", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("given_full", [False, True])
def test_error_is_within_its_bound_for_all_weights(kind, ones, data, given_full):
    draw = np.random.default_rng(2)
    n = 2500
    x = draw.integers(0, 256, (n, 5)).astype(np.uint8)
    if data != "uint8":
        x = (draw.normal(size=(n, 5)) * [1e-3, 1, 1, 30, 0] + 1).astype(data)
    weights = WEIGHTS[kind](draw, n)
    rows = prepare_rows(x, ones=ones)
    found = reduced_gram(rows, weights, full=reduced_gram(rows) if given_full else None)
    difference = rows.expand(found.matrix) - extended(x, weights, ones)
    off = np.linalg.norm(difference.astype(np.float64), 2)
    assert off <= found.error or off == 0
    size = np.linalg.norm(extended(x, np.abs(weights), ones).astype(np.float64), 2)
    assert found.error <= 1e-12 * size


@pytest.mark.parametrize("x", [np.zeros((0, 3)), np.zeros((3, 0)), np.zeros(3)])
def test_shapes_without_rows_or_columns_are_refused(x):
    with pytest.raises(ValueError, match="needs \\(n, p\\)"):
        prepare_rows(x)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="not finite"):
        prepare_rows(np.array([[1.0, bad]]))


def test_weights_of_another_length_are_refused():
    with pytest.raises(ValueError, match="weights"):
        weighted_gram(np.ones((3, 2)), np.ones(2))


def test_the_accelerator_version_equals_the_host_version():
    draw = np.random.default_rng(3)
    x = draw.integers(0, 256, (700, 6), dtype=np.uint8)
    weights = draw.random((700, 4)) < 0.4
    with float64():
        found = weighted_grams(jnp.asarray(x), jnp.asarray(weights, jnp.float64))
        found = np.asarray(found)
    expected = np.stack([weighted_gram(x, weights[:, k]) for k in range(4)])
    assert found.dtype == np.float64
    assert np.array_equal(found, expected)
