"""Cells of piecewise linear networks, and the exact formula for one layer."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from networks import KINKED, box_of, drawn, error_of, grid_of, values
from scipy.optimize import linprog

from jaxid.core.errors import InputError
from jaxid.expressivity.family import Family
from jaxid.verification.certificate import one_layer
from jaxid.verification.enumeration import extremes
from jaxid.verification.intervals import Interval
from jaxid.verification.network import network
from jaxid.verification.one_layer import relu_layer


@pytest.mark.parametrize("name", KINKED)
@pytest.mark.parametrize("seed", range(3))
def test_no_grid_point_is_beyond_the_corners_and_some_are_near(name, seed):
    family = KINKED[name]
    net, box = error_of(family, drawn(family, seed)), box_of(family, seed)
    found = extremes(net, box)
    at = values(net, grid_of(box))
    width = found.high - found.low
    assert np.all(found.low <= at.min(axis=0) + 1e-12)
    assert np.all(at.max(axis=0) - 1e-12 <= found.high)
    assert np.all(at.min(axis=0) - found.low < 0.02 * width)
    assert np.all(found.high - at.max(axis=0) < 0.02 * width)
    rows = values(net, np.concatenate([found.at_low, found.at_high]))
    m = family.features
    assert np.allclose(np.diag(rows[:m]), found.low) and np.allclose(np.diag(rows[m:]), found.high)


def test_the_cells_of_known_networks():
    box = Interval(np.array([-1.0]), np.array([1.0]))
    net = network(lambda x: jnp.maximum(x - 0.5, 0) + jnp.maximum(-x, 0), (1,))
    assert extremes(net, box).cells == 3
    square = Interval(np.array([-1.0, -1.0]), np.array([1.0, 1.0]))
    plane = network(lambda x: jnp.maximum(x, 0.0), (2,))
    assert extremes(plane, square).cells == 4


def test_smooth_or_large_networks_are_refused_with_a_way_out():
    smooth = network(lambda x: jnp.tanh(x), (1,))
    with pytest.raises(InputError, match="tanh is not piecewise linear"):
        extremes(smooth, Interval(np.zeros(1), np.ones(1)))
    wide = network(lambda x: jnp.maximum(x, 0.0), (3,))
    with pytest.raises(InputError, match="3 inputs"):
        extremes(wide, Interval(np.zeros(3), np.ones(3)))


def parts(d, m, seed):
    rng = np.random.default_rng(seed)
    shapes = [(d, m), (m,), (d, m), (m,)]
    kernel, bias, target, offset = (rng.normal(size=shape) for shape in shapes)
    low = -rng.uniform(0, 2, d)
    return kernel, bias, target, offset, low, low + rng.uniform(0, 3, d)


@pytest.mark.parametrize("seed", range(6))
def test_one_layer_equals_the_linear_program(seed):
    d, m = 6, 5
    kernel, bias, target, offset, low, high = parts(d, m, seed)
    found = relu_layer(kernel, bias, target, offset, low, high)
    for j in range(m):
        # min s - t x - c over s >= 0, s >= w x + b: the least of relu less the target.
        cost = np.append(-target[:, j], 1.0)
        rows = np.append(kernel[:, j], -1.0)[None]
        bounds = [*zip(low, high, strict=True), (0, None)]
        solved = linprog(cost, A_ub=rows, b_ub=[-bias[j]], bounds=bounds)
        assert np.isclose(found.low[j], solved.fun - offset[j], atol=1e-9)
    for points, wanted in ((found.at_low, found.low), (found.at_high, found.high)):
        z = np.maximum(points @ kernel + bias, 0) - points @ target - offset
        assert np.all(points >= low - 1e-12) and np.all(points <= high + 1e-12)
        assert np.allclose(np.diag(z), wanted, atol=1e-9)


def test_one_layer_is_known_for_what_it_is_and_agrees_with_the_cells():
    family = Family(2)
    for seed in range(5):
        net, box = error_of(family, drawn(family, seed)), box_of(family, seed)
        layer = one_layer(net)
        assert layer is not None
        found = relu_layer(*layer, *box)
        truth = extremes(net, box)
        assert np.allclose(found.low, truth.low) and np.allclose(found.high, truth.high)
        assert np.all(found.rounding < 1e-12)
    deeper = error_of(Family(2, 2, 3), drawn(Family(2, 2, 3), 0))
    assert one_layer(deeper) is None
    assert one_layer(error_of(Family(2, 1, None, "relu", "tanh"), drawn(family, 0))) is None
