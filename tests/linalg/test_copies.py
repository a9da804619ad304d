"""Eigenvalues as often as they occur, against matrices whose spectrum is prescribed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.linalg import copies
from jaxid.linalg.copies import all_copies
from jaxid.linalg.lanczos import Stop, eigenpairs


def dense(matrix, v):
    return matrix @ v


def with_spectrum(values, seed=0):
    """A symmetric matrix with that spectrum."""
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))[0]
    return jnp.asarray(basis @ np.diag(values) @ basis.T, jnp.float32)


def found(values, top=10, bottom=3, seed=0):
    matrix = with_spectrum(np.asarray(values, float), seed)
    start = jax.random.normal(jax.random.key(seed), (len(values),))
    return all_copies(dense, matrix, start, jax.random.key(seed + 1), top=top, bottom=bottom)


SPECTRA = {
    "one of many copies": [3.0] * 25 + list(np.linspace(2, 0.1, 30)) + [-1.0] * 6,
    "two of some": [3.0] * 4 + [2.5] * 4 + [2.0] * 4 + list(np.linspace(1, 0, 40)),
    "all alike": [2.0] * 30,
    "all different": list(np.linspace(5, -3, 60)),
    "copies below only": list(np.linspace(5, 1, 50)) + [-2.0] * 8,
    "a null space": [4.0, 3.0] + [0.0] * 40,
    "negative ones": [-1.0] * 12 + list(-np.linspace(2, 5, 30)),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_each_end_is_listed_with_its_copies(name):
    values = np.sort(SPECTRA[name])[::-1]
    ends = found(values)
    expected = np.concatenate([values[:10], values[-3:]])
    np.testing.assert_allclose(ends.values, expected, atol=2e-3 * np.abs(values).max())
    assert ends.converged.all()
    flat = np.asarray(ends.vectors, np.float64)
    np.testing.assert_allclose(flat @ flat.T, np.eye(13), atol=2e-3)


def test_without_it_copies_are_missed():
    values = np.asarray(SPECTRA["one of many copies"], float)
    matrix = with_spectrum(values)
    start = jax.random.normal(jax.random.key(0), (len(values),))
    once = eigenpairs(dense, matrix, start, top=10, bottom=3)
    assert not np.allclose(once.values[:10], 3.0, atol=1e-2)


def test_where_deflations_are_spent_it_is_said(monkeypatch):
    monkeypatch.setattr(copies, "ROUNDS", 1)
    ends = found(SPECTRA["one of many copies"])
    assert ends.stopped is Stop.DEFLATIONS and "missing" in ends.method
    assert not ends.converged[1:-1].any()
    assert ends.converged[0] and ends.converged[-1]


def test_a_small_matrix_is_listed_whole():
    ends = found([2.0, 2.0, 1.0, 0.5], top=2, bottom=2)
    np.testing.assert_allclose(ends.values, [2, 2, 1, 0.5], atol=1e-4)
