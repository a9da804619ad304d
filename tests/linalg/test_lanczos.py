"""Extremal eigenvalues on prescribed spectra; bounds must hold and flags must be right."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxid.linalg.lanczos import extremal_eigenvalues, ritz_values
from jaxid.precision import float64


def dense(matrix, v):
    return matrix @ v


def prescribed(values, seed=0):
    draw = np.random.default_rng(seed)
    basis = np.linalg.qr(draw.normal(size=(len(values), len(values))))[0]
    return (basis * np.asarray(values)) @ basis.T


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
    found = run(prescribed(values), dtype, steps=16, restarts=20)
    slack = 200 * np.finfo(dtype).eps * np.abs(values).max()
    assert found.largest.converged and found.smallest.converged
    assert abs(found.largest.value - values.max()) <= found.largest.error + slack
    assert abs(found.smallest.value - values.min()) <= found.smallest.error + slack


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=6, max_size=6), st.integers(0, 1000))
def test_some_eigenvalue_lies_within_each_bound_even_when_not_converged(values, seed):
    values = np.array(values)
    found = run(prescribed(values, seed), seed=seed, steps=2, restarts=0)
    for end in (found.largest, found.smallest):
        assert np.abs(values - end.value).min() <= end.error + 1e-12 * max(1, np.abs(values).max())
        assert values.min() - 1e-9 <= end.value <= values.max() + 1e-9


def test_a_budget_that_is_too_small_is_said_to_be():
    found = run(prescribed(np.linspace(0, 1, 80)), steps=3, restarts=0)
    assert not found.largest.converged and not found.smallest.converged
    assert found.products == 3 + 2


@pytest.mark.parametrize("values", [[0.0] * 10, [2.0] * 10, [0.0] * 8 + [5.0, -1.0]])
def test_krylov_spaces_that_end_early_give_exact_ends(values):
    found = run(prescribed(values), steps=10)
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
        found = extremal_eigenvalues(matvec, params, start, steps=12)
        assert np.isclose(found.largest.value, 6 * scale, rtol=1e-5)
        assert np.isclose(found.smallest.value, 0.5, rtol=1e-4)
        if scale == 1.0:
            first = traces
    assert traces == first


def test_ritz_values_stop_before_the_entries_that_are_not_finite():
    nan = np.nan
    found = ritz_values(np.array([1.0, 2.0, nan]), np.array([0.5, nan]), nan)
    assert np.allclose(found.values, np.linalg.eigvalsh([[1, 0.5], [0.5, 2]]))
    assert found.used.tolist() == [True, True, False]


def test_the_bound_is_beta_times_the_last_component():
    matrix = prescribed(np.linspace(-1, 2, 12))
    start = np.random.default_rng(1).normal(size=12)
    q = [start / np.linalg.norm(start)]
    for _ in range(4):  # orthogonalised Krylov vectors, the plain way
        w = matrix @ q[-1]
        for _ in range(2):
            w = w - np.stack(q).T @ (np.stack(q) @ w)
        last = np.linalg.norm(w)
        q.append(w / last)
    small = np.stack(q[:4]) @ matrix @ np.stack(q[:4]).T
    found = ritz_values(np.diag(small), np.diag(small, 1), last)
    for theta, s, bound in zip(found.values, found.vectors.T, found.bounds, strict=True):
        y = np.stack(q[:4]).T @ s
        assert np.isclose(np.linalg.norm(matrix @ y - theta * y), bound)


def test_float32_products_count_their_own_rounding():
    values = np.append(np.linspace(0, 1, 39), 1e6)
    found = run(prescribed(values), np.float32, steps=40, restarts=0)
    assert jax.numpy.isfinite(found.smallest.value)
    assert abs(found.smallest.value) <= found.smallest.error + 1e-6 * 1e6
