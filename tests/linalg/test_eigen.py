"""Dense eigenvalues on prescribed spectra, with rows of zeros put in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxid.linalg.eigen import EPS, eigen


def prescribed(draw, values):
    basis = np.linalg.qr(draw.normal(size=(len(values), len(values))))[0]
    matrix = (basis * values) @ basis.T
    return 0.5 * (matrix + matrix.T)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 2**32 - 1),
)
def test_prescribed_eigenvalues_come_back_with_the_zeros(values, inside, beyond, seed):
    draw = np.random.default_rng(seed)
    matrix = prescribed(draw, np.array(values))
    for place in draw.integers(0, len(values), inside):
        matrix = np.insert(np.insert(matrix, place, 0, axis=0), place, 0, axis=1)
    order = matrix.shape[0] + beyond
    found = eigen(matrix, order=order)
    expected = np.sort(np.concatenate([values, np.zeros(inside + beyond)]))
    # Twice: making the matrix rounds too.
    assert np.abs(found.values - expected).max() <= 2 * max(found.threshold, 1e-300) * 8
    assert np.all(np.diff(found.values) >= 0)


@pytest.mark.parametrize("beyond", [0, 2])
def test_coordinates_give_the_quadratic_form(beyond):
    draw = np.random.default_rng(0)
    matrix = prescribed(draw, np.array([0.0, 1e-3, 1.0, 50.0]))
    matrix = np.insert(np.insert(matrix, 1, 0, axis=0), 1, 0, axis=1)
    order = 5 + beyond
    whole = np.zeros((order, order))
    whole[:5, :5] = matrix
    vectors = draw.normal(size=(order, 3))
    found = eigen(matrix, order=order, vectors=vectors)
    assert np.allclose(found.values, np.linalg.eigvalsh(whole), rtol=0, atol=1e-12)
    forms = np.sum(found.values[:, None] * found.coordinates**2, axis=0)
    assert np.allclose(forms, np.einsum("pk,pq,qk->k", vectors, whole, vectors), rtol=1e-12)
    assert np.allclose(np.sum(found.coordinates**2, axis=0), np.sum(vectors**2, axis=0))
    alone = eigen(matrix, order=order, vectors=vectors[:, 0])
    assert np.allclose(alone.coordinates, found.coordinates[:, 0])


def test_threshold_is_order_times_eps_plus_the_error_of_forming():
    found = eigen(np.diag([1.0, -4.0]), order=7, error=0.25)
    assert found.threshold == 7 * EPS * 4.0 + 0.25
    assert found.null == 5


def test_the_zero_matrix_is_all_null():
    found = eigen(np.zeros((3, 3)), vectors=np.arange(3.0))
    assert found.null == 3 and found.threshold == 0
    assert sorted(found.coordinates) == [0, 1, 2]
