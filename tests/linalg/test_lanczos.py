"""Extremal eigenvalues on prescribed spectra; bounds must hold and flags must be right."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxid.core.precision import float64
from jaxid.linalg.lanczos import Stop, eigenpairs, extremal_eigenvalues
from jaxid.linalg.operators import Deflated, Scaled


def dense(matrix, v):
    return matrix @ v


def prescribed(values, seed=0):
    draw = np.random.default_rng(seed)
    basis = np.linalg.qr(draw.normal(size=(len(values), len(values))))[0]
    return (basis * np.asarray(values)) @ basis.T


def start_of(matrix, dtype=np.float64, seed=0):
    return jnp.asarray(np.random.default_rng(seed + 1).normal(size=len(matrix)), dtype)


def run(matrix, dtype=np.float64, seed=0, **options):
    start = np.random.default_rng(seed + 1).normal(size=matrix.shape[0])
    with float64():
        return extremal_eigenvalues(
            dense, jnp.asarray(matrix, dtype), jnp.asarray(start, dtype), **options
        )


SPECTRA = {
    "outlier": np.append(np.linspace(0, 1, 79), 50.0),
    "flat with one negative": np.append(np.zeros(79), -1.0),
    "both ends": np.concatenate([[-3.0], np.linspace(-0.1, 0.1, 78), [9.0]]),
    "decaying": np.logspace(0, -12, 80),
    "negative definite": -np.linspace(1, 2, 80),
}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_ends_converge_within_their_bounds(name, dtype):
    values = SPECTRA[name]
    found = run(prescribed(values), dtype, basis=16, restarts=40)
    slack = 200 * np.finfo(dtype).eps * np.abs(values).max()
    assert found.largest.converged and found.smallest.converged
    assert abs(found.largest.value - values.max()) <= found.largest.error + slack
    assert abs(found.smallest.value - values.min()) <= found.smallest.error + slack


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=6, max_size=6), st.integers(0, 1000))
def test_some_eigenvalue_lies_within_each_bound_even_when_not_converged(values, seed):
    values = np.array(values)
    found = run(prescribed(values, seed), seed=seed, basis=2, restarts=0)
    for end in (found.largest, found.smallest):
        assert np.abs(values - end.value).min() <= end.error + 1e-12 * max(1, np.abs(values).max())
        assert values.min() - 1e-9 <= end.value <= values.max() + 1e-9


def test_a_budget_that_is_too_small_is_said_to_be():
    found = run(prescribed(np.linspace(0, 1, 80)), basis=4, restarts=0)
    assert not found.largest.converged and not found.smallest.converged
    assert found.products == 4 + 2
    assert "budget of 0 restarts was spent" in found.largest.method


@pytest.mark.parametrize("values", [[0.0] * 10, [2.0] * 10, [0.0] * 8 + [5.0, -1.0]])
def test_krylov_spaces_that_end_early_give_exact_ends(values):
    found = run(prescribed(values), basis=10)
    assert found.largest.converged and found.smallest.converged
    assert np.isclose(found.largest.value, max(values), atol=1e-12)
    assert np.isclose(found.smallest.value, min(values), atol=1e-12)


def test_an_operator_that_is_not_finite_has_no_value():
    found = run(np.full((5, 5), np.nan))
    assert found.largest.value is None and not found.smallest.converged


def test_a_start_of_zero_has_no_value():
    found = extremal_eigenvalues(dense, jnp.eye(4), jnp.zeros(4))
    assert found.largest.value is None


def test_pytrees_and_trace_counts():
    traces = 0

    def matvec(params, v):
        nonlocal traces
        traces += 1
        return {"a": params["a"] * v["a"], "b": 0.5 * v["b"]}

    start = {"a": jnp.ones((2, 3)), "b": jnp.ones(4)}
    for scale in (1.0, 2.0):
        params = {"a": scale * jnp.arange(1.0, 7.0).reshape(2, 3)}
        found = extremal_eigenvalues(matvec, params, start, basis=12)
        assert np.isclose(found.largest.value, 6 * scale, rtol=1e-5)
        assert np.isclose(found.smallest.value, 0.5, rtol=1e-4)
        if scale == 1.0:
            first = traces
    assert traces == first


def test_float32_products_count_their_own_rounding():
    values = np.append(np.linspace(0, 1, 39), 1e6)
    found = run(prescribed(values), np.float32, basis=40, restarts=0)
    assert jax.numpy.isfinite(found.smallest.value)
    assert abs(found.smallest.value) <= found.smallest.error + 1e-6 * 1e6


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize(("top", "bottom"), [(5, 0), (0, 4), (3, 2)])
def test_several_at_each_end_come_in_order_with_orthonormal_vectors(name, top, bottom):
    values = np.sort(SPECTRA[name])
    matrix = prescribed(values)
    with float64():
        found = eigenpairs(
            dense, jnp.asarray(matrix), start_of(matrix), top=top, bottom=bottom, restarts=100
        )
    assert found.converged.all() and found.stopped is Stop.TOLERANCE
    assert np.all(np.diff(found.values) <= 0)
    vectors = np.asarray(found.vectors)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(top + bottom), atol=1e-6)
    residuals = np.linalg.norm(vectors @ matrix - found.values[:, None] * vectors, axis=1)
    np.testing.assert_allclose(residuals, found.bounds, atol=1e-12)
    near = np.abs(found.values[:, None] - values[None, :]).min(axis=1)
    assert np.all(near <= found.bounds + 1e-12)


def test_well_separated_eigenvalues_are_found_in_every_trial_within_their_bounds():
    values = np.concatenate([np.linspace(0, 1, 180), 10.0 * 1.5 ** np.arange(10)])
    for seed in range(20):
        matrix = prescribed(values, seed)
        with float64():
            found = eigenpairs(dense, jnp.asarray(matrix), start_of(matrix, seed=seed), top=10)
        assert found.converged.all()
        error = np.abs(found.values - np.sort(values)[::-1][:10])
        assert np.all(error <= found.bounds + 1e-12 * values.max())


def test_copies_are_seen_when_what_was_found_is_taken_out():
    values = np.concatenate([[5.0, 5.0, 3.0], np.linspace(0, 1, 60)])
    matrix = jnp.asarray(prescribed(values), jnp.float32)
    start = start_of(matrix, np.float32)
    first = eigenpairs(dense, matrix, start, top=1, tolerance=1e-6)
    assert np.isclose(first.values[0], 5.0)
    again = eigenpairs(Deflated(dense), (matrix, first.vectors), start, top=2, tolerance=1e-6)
    np.testing.assert_allclose(again.values, [5.0, 3.0], rtol=1e-5)


def test_a_krylov_space_that_ends_goes_on_to_the_copies():
    values = np.repeat([4.0, 2.0, -1.0], 5)
    matrix = prescribed(values)
    with float64():
        found = eigenpairs(dense, jnp.asarray(matrix), start_of(matrix), top=7, bottom=3)
    np.testing.assert_allclose(found.values, [4.0] * 5 + [2.0] * 2 + [-1.0] * 3, atol=1e-10)


def test_scaling():
    matrix = prescribed(np.linspace(-1, 2, 12))
    d = np.linspace(0, 3, 12)
    v = np.random.default_rng(0).normal(size=12)
    with float64():
        scaled = Scaled(dense)((jnp.asarray(matrix), jnp.asarray(d)), jnp.asarray(v))
    np.testing.assert_allclose(scaled, np.sqrt(d) * (matrix @ (np.sqrt(d) * v)), atol=1e-12)


@pytest.mark.parametrize(("top", "bottom"), [(0, 0), (5, 4), (-1, 2)])
def test_a_number_of_eigenvalues_that_cannot_be_is_refused(top, bottom):
    with pytest.raises(ValueError, match="ask for 1 to 8"):
        eigenpairs(dense, jnp.eye(8), jnp.ones(8), top=top, bottom=bottom)


def test_a_warm_start_needs_fewer_products():
    matrix = prescribed(np.linspace(0, 1, 200) ** 4)
    near = matrix + 1e-4 * prescribed(np.linspace(-1, 1, 200), 3)
    with float64():
        start = start_of(matrix)
        cold = eigenpairs(dense, jnp.asarray(near), start, basis=8, restarts=200)
        before = eigenpairs(dense, jnp.asarray(matrix), start, basis=8, restarts=200)
        warm = eigenpairs(
            dense, jnp.asarray(near), before.vectors.sum(axis=0), basis=8, restarts=200
        )
    assert warm.converged.all() and cold.converged.all()
    assert warm.products < cold.products
