"""What a family can represent: known answers, witnesses that do it, bounds that hold."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from networks import drawn, error_of

from jaxid.core.precision import float64
from jaxid.expressivity.family import Family, Target, affine, identity
from jaxid.expressivity.impossible import RANGES, least_error
from jaxid.expressivity.verdict import error_network, verdict
from jaxid.expressivity.witness import CENTRES, tangent_error, value_and_slope, witness
from jaxid.verification.attack import worst_found
from jaxid.verification.functions import FUNCTIONS
from jaxid.verification.intervals import Interval
from jaxid.verification.network import network


def test_one_relu_layer_is_exact_on_what_is_not_negative_and_a_off_on_minus_a():
    assert verdict(Family(3), identity(3, 0, 255)).kind == "exact"
    found = verdict(Family(3), identity(3, -2, 5))
    assert found.kind == "impossible" and found.attained
    assert found.lower.error == 2.0 and np.isclose(found.upper.value, 2.0)
    # The input shows it for every network: relu gives nothing below 0.
    assert found.lower.x[found.lower.output] == -2.0


@pytest.mark.parametrize(("activation", "depth"), [("relu", 2), ("gelu", 3), ("softplus", 2)])
def test_twice_the_width_and_a_linear_output_is_exact_everywhere(activation, depth):
    for half in (1.0, 1e3):
        found = verdict(Family(2, depth, 4, activation, "linear"), identity(2, -half, half))
        assert found.kind == "exact" and found.upper.value == 0.0
        assert found.upper.error < 1e-12 * half


def test_the_width_of_the_data_and_a_linear_output_is_exact_on_a_half_line():
    found = verdict(Family(2, 3, 2, "relu", "linear"), identity(2, -7, 100))
    assert found.kind == "exact"
    biases = [bias for _, bias in found.witness.layers]
    assert np.allclose(biases[0], 7.0) and np.allclose(biases[-1], -7.0)
    # Beyond -c it is not: the bias c in has to be chosen for the box.
    net = error_network(Family(2, 3, 2, "relu", "linear"), identity(2, -7, 100), found.witness)
    outside = Interval(np.full(2, -9.0), np.full(2, 0.0))
    assert np.isclose(worst_found(net, outside, jax.random.key(0), restarts=2).error, 2.0)


@pytest.mark.parametrize("activation", ["tanh"])
def test_smooth_units_come_as_near_as_their_taylor_bound(activation):
    target = identity(2, -3, 3)
    found = verdict(Family(2, 2, 2, activation, "linear"), target)
    assert found.kind == "bounded" and found.lower.error == 0.0
    h = float(np.abs(found.witness.layers[0][0]).max())
    rounding = (
        4e-16
        * FUNCTIONS[activation].allowance
        / (h * value_and_slope(activation, CENTRES[activation])[1])
    )
    assert found.upper.value <= 4 * tangent_error(activation, h, 3.0) + rounding


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "gelu", "silu", "softplus"])
def test_the_taylor_bound_holds_and_is_of_the_right_order(name):
    c = CENTRES[name]
    g, slope = value_and_slope(name, c)
    with float64():
        for h in (0.3, 0.1, 0.03):
            x = np.linspace(-1, 1, 2001)
            off = np.abs((np.asarray(FUNCTIONS[name].value(c + h * x)) - g) / (h * slope) - x).max()
            bound = tangent_error(name, h, 1.0)
            assert off <= bound + 1e-12
            assert off >= 0.2 * bound, "of the same order"


def test_shifted_smooth_units_are_nearly_exact():
    found = verdict(Family(2, 3, 2, "softplus", "linear"), identity(2, -4, 4))
    assert found.kind == "bounded" and found.upper.value < 1e-11


@pytest.mark.parametrize("output", ["linear", "relu", "tanh"])
def test_a_bottleneck_misses_one_of_two_opposite_points(output):
    sides = np.array([1.0, 3.0, 2.0])
    target = Target(np.ones(3), np.zeros(3), np.zeros(3), 2 * sides)
    lower = least_error(Family(3, 2, 2, "relu", output), target)
    assert lower.error >= 1.0
    if output == "linear":
        found = verdict(Family(3, 2, 2, "relu", "linear"), target)
        # It keeps the two widest and gives the middle of the third: half its width off.
        assert found.kind == "impossible" and found.attained and np.isclose(found.upper.value, 1.0)
    # No random network undercuts it.
    family = Family(3, 2, 2, "relu", "linear")
    box = Interval(target.low, target.high)
    for seed in range(3 if output == "linear" else 0):
        net = error_of(family, drawn(family, seed))
        assert worst_found(net, box, jax.random.key(seed), restarts=2).error >= 1.0


def test_bounded_outputs_miss_what_is_beyond_their_range():
    found = verdict(Family(2, 1, None, "relu", "tanh"), identity(2, -3, 3))
    assert found.kind == "impossible" and np.isclose(found.lower.error, 2.0)
    assert found.lower.error <= found.upper.value
    inside = verdict(Family(2, 1, None, "relu", "tanh"), identity(2, -0.4, 0.4))
    assert inside.kind == "bounded" and 0 < inside.upper.value < 0.01


def test_skip_connections_carry_the_input():
    found = verdict(Family(3, 4, 3, "tanh", "relu", residual=True), identity(3, -5, 5))
    assert found.kind == "exact" and not any(k.any() for k, _ in found.witness.layers)


def test_an_affine_target_and_networks_without_biases():
    target = Target(np.array([2.0, 0.5]), np.array([1.0, 0.0]), np.zeros(2), np.ones(2))
    assert verdict(Family(2, 2, 2, "relu", "linear"), target).kind == "exact"
    plain = Family(2, 2, 2, "relu", "linear", use_bias=False)
    assert witness(plain, identity(2, 0, 1)).exact
    assert witness(plain, identity(2, -1, 1)) is None
    assert verdict(plain, identity(2, -1, 1)).kind == "unknown"


@pytest.mark.slow
def test_any_affine_target_has_a_witness_or_a_bound():
    rng = np.random.default_rng(0)
    matrix, offset = rng.normal(size=(3, 2)), np.array([-3.0, 1.0])
    box = (np.array([-1.0, 0.0, -2.0]), np.array([1.0, 3.0, 0.5]))
    target = affine(matrix, offset, *box)
    corners = np.stack(np.meshgrid(*zip(*box, strict=True)), axis=-1).reshape(-1, 3)
    values = corners @ matrix + offset
    least, most = target.range
    assert np.allclose(least, values.min(axis=0)) and np.allclose(most, values.max(axis=0))
    assert verdict(Family(3, 1, None, "relu", "linear"), target).kind == "exact"
    assert verdict(Family(3, 3, 7, "gelu", "linear"), target).kind == "exact"
    found = verdict(Family(3, 2, 3, "relu", "relu"), target)
    assert found.kind == "impossible" and found.attained
    assert np.isclose(found.lower.error, -values.min())
    assert np.isclose((found.lower.x @ matrix + offset)[found.lower.output], values.min())


def test_a_bottleneck_bounds_any_affine_target():
    rng = np.random.default_rng(1)
    matrix = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    target = affine(matrix, np.zeros(3), -np.ones(3), np.ones(3))
    family = Family(3, 2, 2, "relu", "linear")
    lower = least_error(family, target)
    # A rotation: singular value 1, half width 1, three outputs.
    assert np.isclose(lower.error, 3**-0.5)
    found = verdict(family, target)
    assert found.kind == "impossible" and lower.error <= found.upper.value
    box = Interval(target.low, target.high)
    for seed in range(3):
        apply = family.apply(drawn(family, seed))
        net = network(lambda x, f=apply: f(x) - x @ matrix, (3,))
        assert worst_found(net, box, jax.random.key(seed), restarts=2).error >= lower.error


@pytest.mark.parametrize("name", RANGES)
def test_ranges_hold_all_values(name):
    low, high = RANGES[name]
    with float64():
        found = np.asarray(FUNCTIONS[name].value(np.linspace(-40, 40, 400_001)))
    assert low <= found.min() and found.max() <= high
    assert found.min() - low < 1e-5 and (np.isinf(high) or high - found.max() < 1e-5)
