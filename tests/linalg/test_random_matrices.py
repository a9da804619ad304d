"""Random inputs in the setting of Le Cun, Kanter and Solla 1991: N = 400, 1,600 examples."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.curvature.conditioning import second_moment
from jaxid.linalg.density import spectral_density
from jaxid.linalg.lanczos import eigenpairs

N, EXAMPLES = 400, 1600
RATIO = N / EXAMPLES
EDGES = ((1 - RATIO**0.5) ** 2, (1 + RATIO**0.5) ** 2)
"""Of Marchenko and Pastur's law: 0.25 and 2.25."""


def inputs(mean):
    return (np.random.default_rng(0).normal(size=(EXAMPLES, N)) + mean).astype(np.float32)


def moment(x, v):
    return x.T @ (x @ v) / x.shape[0]


def ends(mean):
    x = jnp.asarray(inputs(mean))
    start = jax.random.normal(jax.random.key(1), (N,))
    return eigenpairs(moment, x, start, top=2, bottom=1, restarts=40)


def law(low, high, points=20001):
    """Marchenko and Pastur's share of eigenvalues between two places."""
    a, b = EDGES
    x = np.linspace(max(low, a), min(high, b), points)
    inside = np.maximum((b - x) * (x - a), 0)
    return np.trapezoid(np.sqrt(inside) / (2 * np.pi * RATIO * x), x)


def test_without_a_mean_the_spectrum_has_marchenko_and_pastur_s_edges():
    found = ends(0.0)
    assert found.converged.all()
    # Edges of a finite matrix lie within about N^(-2/3) of the law's.
    assert np.isclose(found.values[0], EDGES[1], rtol=0.03)
    assert np.isclose(found.values[-1], EDGES[0], rtol=0.06)
    exact = second_moment(inputs(0.0), bias=False)
    assert abs(found.values[0] - exact.lambda_max.value) <= found.bounds[0] + 1e-5


def test_a_mean_of_one_takes_one_eigenvalue_to_N_plus_1():
    found = ends(1.0)
    assert np.isclose(found.values[0], N + 1, rtol=0.02)
    assert np.isclose(found.values[1], EDGES[1], rtol=0.03)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.5), (0.5, 1.0), (1.0, 1.7), (1.7, 3.0)])
def test_the_density_is_the_law_s(low, high):
    x = jnp.asarray(inputs(0.0))
    found = spectral_density(moment, x, jnp.zeros(N), jax.random.key(2), steps=60, probes=30)
    share, error = found.share(low, high)
    assert abs(share - law(low, high)) <= 4 * error + 0.01
