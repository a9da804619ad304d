"""Lines below and above an activation: never across it, always touching."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxid.core.precision import float64
from jaxid.verification.functions import FUNCTIONS
from jaxid.verification.lines import Slopes, least_area, lines, slope_range, support

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
        middle = 0.5 * (low + high)

        # The best slopes and all others in one program: outside jit each step compiles anew.
        @jax.jit
        def drawn(low, high):
            best = least_area(function, low, high)
            least, most = slope_range(function, low, high)
            slope = least + (most - least) * jnp.linspace(0, 1, 41)[:, None]
            stacked = Slopes(*(jnp.concatenate([one, slope]) for one in best))
            return best, lines(function, stacked, low, high)

        best, found = drawn(low, high)
        below, above = gaps(name, best, low, high)
        assert np.all(below.min(axis=0) < 1e-4) and np.all(above.min(axis=0) < 1e-4)
        under = np.asarray(found.slopes.below) * np.asarray(middle) + np.asarray(found.below)
        over = np.asarray(found.slopes.above) * np.asarray(middle) + np.asarray(found.above)
        assert np.all(under[1:] <= under[:1] + 1e-9)
        assert np.all(over[1:] >= over[:1] - 1e-9)


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "softplus"])
@pytest.mark.parametrize("above", [False, True])
def test_the_intercepts_derivative_is_minus_the_place_where_it_touches(name, above):
    function = FUNCTIONS[name]
    with float64():
        low, high = jnp.asarray([-2.0, -1.0, 0.3]), jnp.asarray([1.0, 3.0, 2.0])
        slope = jnp.asarray([0.3, 0.4, 0.6])

        @partial(jax.value_and_grad, has_aux=True)
        def total(slope):
            intercept, place = support(function, slope, low, high, above=above)
            return intercept.sum(), (intercept, place)

        measured = jax.jit(total)
        (_, (_, place)), found = measured(slope)
        step = 1e-6
        (_, (up, _)), _ = measured(slope + step)
        (_, (down, _)), _ = measured(slope - step)
        apart = (up - down) / (2 * step)
    assert np.allclose(found, -place) and np.allclose(apart, -place, atol=1e-5)
