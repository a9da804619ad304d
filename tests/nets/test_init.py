"""Initialisers against the distributions that Keras defines them by."""

from __future__ import annotations

from typing import get_args

import jax
import numpy as np
import pytest
from scipy import stats

from jaxid.nets.init import INITIALIZERS, InitializerName, initializer

FAN_IN, FAN_OUT = 300, 200
# Keras draws a normal within two deviations and widens it so that the variance is as named.
_WIDEN = 1 / stats.truncnorm(-2, 2).std()


def uniform(limit):
    return stats.uniform(-limit, 2 * limit)


def normal(variance):
    return stats.truncnorm(-2, 2, scale=np.sqrt(variance) * _WIDEN)


DISTRIBUTIONS = {
    "glorot_uniform": uniform(np.sqrt(6 / (FAN_IN + FAN_OUT))),
    "glorot_normal": normal(2 / (FAN_IN + FAN_OUT)),
    "he_uniform": uniform(np.sqrt(6 / FAN_IN)),
    "he_normal": normal(2 / FAN_IN),
    "lecun_normal": normal(1 / FAN_IN),
}


def draw(name, shape=(FAN_IN, FAN_OUT), seed=0):
    return np.asarray(initializer(name)(jax.random.key(seed), shape, np.float32))


def test_every_name_has_an_initialiser():
    assert set(get_args(InitializerName)) == set(INITIALIZERS)
    assert set(INITIALIZERS) - set(DISTRIBUTIONS) == {"orthogonal", "identity", "zeros"}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_weights_have_the_distribution_of_the_formula(name):
    weights, expected = draw(name).ravel().astype(float), DISTRIBUTIONS[name]
    low, high = expected.support()
    assert weights.min() >= low * (1 + 1e-6) and weights.max() <= high * (1 + 1e-6)
    assert weights.max() > 0.99 * high and weights.min() < 0.99 * low
    # 60000 draws: five standard errors of the mean and of the variance.
    n, variance = weights.size, expected.var()
    excess = float(expected.stats("k"))
    assert abs(weights.mean()) < 5 * np.sqrt(variance / n)
    assert abs(weights.var() / variance - 1) < 5 * np.sqrt((excess + 2) / n)
    assert stats.kstest(weights, expected.cdf).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(30, 20), (20, 20), (20, 30)])
def test_orthogonal_rows_or_columns_are_orthonormal(shape):
    w = draw("orthogonal", shape).astype(float)
    gram = w.T @ w if shape[0] >= shape[1] else w @ w.T
    assert np.allclose(gram, np.eye(min(shape)), atol=20 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
def test_identity_and_zeros_ignore_the_key(shape):
    assert np.array_equal(draw("identity", shape, 0), np.eye(*shape))
    assert np.array_equal(draw("identity", shape, 1), np.eye(*shape))
    assert not draw("zeros", shape).any()


def test_other_keys_give_other_weights():
    for name in set(INITIALIZERS) - {"identity", "zeros"}:
        assert np.array_equal(draw(name, (5, 4), 0), draw(name, (5, 4), 0))
        assert not np.array_equal(draw(name, (5, 4), 0), draw(name, (5, 4), 1))
