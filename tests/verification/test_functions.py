"""Activations as bounds know them, against 50 digits."""

from __future__ import annotations

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from jaxid.core.precision import float64
from jaxid.verification.functions import (
    ALLOWED,
    CUBIC,
    FUNCTIONS,
    ROOT,
    touching,
    value_error,
    value_range,
)
from jaxid.verification.rounding import UNIT

mpmath.mp.dps = 50


def _phi(z):
    return mpmath.erfc(-z / mpmath.sqrt(2)) / 2


def _logistic(z):
    return 1 / (1 + mpmath.exp(-z))


TRUE = {
    "linear": lambda z: z,
    "relu": lambda z: max(z, mpmath.mpf(0)),
    "leaky_relu": lambda z: z if z >= 0 else z * mpmath.mpf(0.01),
    "tanh": mpmath.tanh,
    "sigmoid": _logistic,
    "gelu": lambda z: z * _phi(z),
    # With the constants of a float32 program.
    "gelu_tanh": lambda z: z / 2 * (1 + mpmath.tanh(ROOT * (z + CUBIC * z**3))),
    "silu": lambda z: z * _logistic(z),
    "elu": lambda z: z if z > 0 else mpmath.expm1(z),
    "softplus": lambda z: mpmath.log1p(mpmath.exp(z)),
}
POINTS = np.concatenate(
    [
        np.random.default_rng(0).normal(size=300) * 3,
        np.random.default_rng(1).uniform(-30, 30, 200),
        np.random.default_rng(2).normal(size=40) * 1e-6,
        [0.0, -0.7517915246935645, -1.2784645427610738, 1e4, -1e4],
    ]
)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives_err_by_less_than_what_is_allowed(name):
    function = FUNCTIONS[name]
    with float64():
        z = jnp.asarray(POINTS)
        value = function.value(z)
        allowed = np.asarray(value_error(function, z, value))
        slope = np.asarray(function.derivative(z))
    exact = [TRUE[name](mpmath.mpf(p)) for p in POINTS]
    off = np.array(
        [float(abs(mpmath.mpf(v) - e)) for v, e in zip(np.asarray(value), exact, strict=True)]
    )
    # A wide margin: other backends have other roundings.
    assert np.all(off <= allowed / 4)
    steep = [float(mpmath.diff(TRUE[name], mpmath.mpf(p))) for p in POINTS if p != 0]
    own = slope[POINTS != 0]
    assert np.all(np.abs(own - steep) <= ALLOWED * UNIT / 4 * (1 + np.abs(own)) + 1e-15)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_is_convex_where_it_says_and_concave_elsewhere(name):
    left, right = FUNCTIONS[name].convex
    for p in np.linspace(-6, 6, 241):
        h = mpmath.mpf("1e-8")
        z = mpmath.mpf(p)
        bend = TRUE[name](z + h) - 2 * TRUE[name](z) + TRUE[name](z - h)
        if left + 1e-6 < p < right - 1e-6:
            assert bend >= -mpmath.mpf("1e-40"), p
        elif not left - 1e-6 <= p <= right + 1e-6:
            assert bend <= mpmath.mpf("1e-40"), p


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_range_on_an_interval_holds_every_value_and_little_more(name):
    function = FUNCTIONS[name]
    rng = np.random.default_rng(3)
    ends = np.sort(rng.normal(size=(60, 2)) * 3, axis=1)
    with float64():
        low, high = (
            np.asarray(end) for end in value_range(function, *(jnp.asarray(e) for e in ends.T))
        )
        grid = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * np.linspace(0, 1, 2001)[None, :]
        grid = jnp.asarray(np.clip(grid, ends[:, :1], ends[:, 1:]))
        values = np.asarray(function.value(grid))
    assert np.all(low <= values.min(axis=1)) and np.all(values.max(axis=1) <= high)
    assert np.all(values.min(axis=1) - low < 1e-5) and np.all(high - values.max(axis=1) < 1e-12)


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if not FUNCTIONS[n].kink])
def test_a_line_touches_where_the_derivative_is_its_slope(name):
    function = FUNCTIONS[name]
    left, right = function.convex
    pieces = {"convex": (left, right), "left": (-np.inf, left), "right": (right, np.inf)}
    for side, (start, end) in pieces.items():
        a, b = max(start, -8.0), min(end, 8.0)
        if a >= b:
            continue
        if name == "elu":
            b = 0.0  # its derivative stays 1 from there on
        z = np.linspace(a, b, 52)[1:-1]
        with float64():
            slope = function.derivative(jnp.asarray(z))
            again = np.asarray(function.derivative(touching(function, slope, side)))
        assert np.allclose(again, np.asarray(slope), rtol=0, atol=1e-12), side
