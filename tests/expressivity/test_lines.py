"""Lines below and above an activation: never across it, always touching."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxid.expressivity.functions import FUNCTIONS
from jaxid.expressivity.lines import Slopes, least_area, lines, slope_range, support
from jaxid.precision import float64

EDGE = st.floats(-40, 40)


def gaps(name, slopes, low, high):
    """(g - line below, line above - g) on a fine grid of every interval."""
    return tuple(np.asarray(part) for part in _gaps(name, slopes, low, high))


@partial(jax.jit, static_argnums=0)
def _gaps(name, slopes, low, high):
    function = FUNCTIONS[name]
    drawn = lines(function, slopes, low, high)
    z = jnp.clip(low + (high - low) * jnp.linspace(0, 1, 3001)[:, None], low, high)
    g = function.value(z)
    below = g - (drawn.slopes.below * z + drawn.below)
    above = drawn.slopes.above * z + drawn.above - g
    return below, above


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=12, deadline=None)
@given(ends=st.tuples(EDGE, EDGE), slope=st.floats(-3, 3))
def test_any_slope_gives_a_line_that_bounds(name, ends, slope):
    low, high = sorted(ends)
    with float64():
        one, ends = jnp.full((1, 1), slope), (jnp.full((1, 1), low), jnp.full((1, 1), high))
        below, above = gaps(name, Slopes(one, one), *ends)
    # The grid's own evaluation of the line rounds too.
    rounding = 1e-15 * (1 + abs(slope)) * max(1, abs(low), abs(high))
    assert below.min() >= -rounding and above.min() >= -rounding


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "softplus"])
def test_lines_touch_and_no_slope_does_better_in_the_middle(name):
    function, rng = FUNCTIONS[name], np.random.default_rng(0)
    ends = np.sort(rng.normal(size=(2, 40)) * 4, axis=0)
    with float64():
        low, high = jnp.asarray(ends[:1]), jnp.asarray(ends[1:])
        best = jax.jit(lambda low, high: least_area(function, low, high))(low, high)
        below, above = gaps(name, best, low, high)
        assert np.all(below.min(axis=0) < 1e-4) and np.all(above.min(axis=0) < 1e-4)
        middle = 0.5 * (low + high)
        drawn = lines(function, best, low, high)
        at = [drawn.slopes.below * middle + drawn.below, drawn.slopes.above * middle + drawn.above]
        least, most = slope_range(function, low, high)
        # All slopes in one call: each compiles anew outside jit.
        slope = least + (most - least) * jnp.linspace(0, 1, 41)[:, None]
        other = lines(function, Slopes(slope, slope), low, high)
        assert np.all(slope * middle + other.below <= at[0] + 1e-9)
        assert np.all(slope * middle + other.above >= at[1] - 1e-9)


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "softplus"])
@pytest.mark.parametrize("above", [False, True])
def test_the_intercepts_derivative_is_minus_the_place_where_it_touches(name, above):
    function = FUNCTIONS[name]
    with float64():
        low, high = jnp.asarray([-2.0, -1.0, 0.3]), jnp.asarray([1.0, 3.0, 2.0])
        slope = jnp.asarray([0.3, 0.4, 0.6])

        def total(slope):
            return support(function, slope, low, high, above=above)[0].sum()

        found = jax.grad(total)(slope)
        _, place = support(function, slope, low, high, above=above)
        step = 1e-6
        apart = (
            support(function, slope + step, low, high, above=above)[0]
            - support(function, slope - step, low, high, above=above)[0]
        ) / (2 * step)
    assert np.allclose(found, -place) and np.allclose(apart, -place, atol=1e-5)
