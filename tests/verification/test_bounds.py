"""attack <= truth <= optimised <= linear <= interval bounds, and what breaks that chain."""

from __future__ import annotations

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import KINKED, SMOOTH, box_of, drawn, error_of, grid_of, values

from jaxid.core.precision import float64
from jaxid.verification import crown, intervals, lines
from jaxid.verification.attack import evaluated, worst_found
from jaxid.verification.bounds import METHODS, output_bounds
from jaxid.verification.enumeration import extremes
from jaxid.verification.intervals import Interval, propagate
from jaxid.verification.network import network


def chain(net, box):
    """(low, high) of each method, dearest last."""
    found = [output_bounds(net, box, name, steps=15).output for name in METHODS]
    return [(np.asarray(b.low), np.asarray(b.high)) for b in found]


# The others in the long sweep: most of their time is compilation.
SHORT = {("relu, one input", 0)}
EVERY = [
    case if case in SHORT else pytest.param(*case, marks=pytest.mark.slow)
    for case in [*((name, 0) for name in KINKED), ("relu, residual", 1)]
]


@pytest.mark.parametrize(("name", "seed"), EVERY)
def test_bounds_and_attack_enclose_the_enumerated_truth(name, seed):
    family = KINKED[name]
    net, box = error_of(family, drawn(family, seed)), box_of(family, seed)
    truth = extremes(net, box)
    (low, high), *others = chain(net, box)
    for tighter_low, tighter_high in others:
        assert np.all(low <= tighter_low) and np.all(tighter_high <= high)
        low, high = tighter_low, tighter_high
    # The enumeration's own rounding: it is no certificate.
    assert np.all(low <= truth.low + 1e-12) and np.all(truth.high - 1e-12 <= high)
    worst = max(np.abs(truth.low).max(), np.abs(truth.high).max())
    if seed == 0:
        attack = worst_found(net, box, jax.random.key(0), restarts=4)
        assert attack.error <= worst + 1e-12
        assert attack.error >= 0.98 * worst
        assert np.all(box.low <= attack.x) and np.all(attack.x <= box.high)


@pytest.mark.parametrize(
    "name",
    [n if n == "tanh" else pytest.param(n, marks=pytest.mark.slow) for n in SMOOTH],
)
def test_bounds_enclose_a_fine_grid_of_smooth_networks(name):
    family = SMOOTH[name]
    net, box = error_of(family, drawn(family, 0)), box_of(family, 0)
    at = values(net, grid_of(box))
    (low, high), *others = chain(net, box)
    for tighter_low, tighter_high in others:
        assert np.all(low <= tighter_low) and np.all(tighter_high <= high)
        low, high = tighter_low, tighter_high
    assert np.all(low <= at.min(axis=0)) and np.all(at.max(axis=0) <= high)
    # On a small box every activation is nearly linear, and so nearly known.
    small = Interval(0.01 * box.low, 0.01 * box.high)
    (wide, _), _, (least, most) = chain(net, small)
    at = values(net, grid_of(small))
    assert np.all(at.min(axis=0) - least <= 0.05 * (at.min(axis=0) - wide))
    assert np.all(most - at.max(axis=0) < 1e-3)


def two_units(x):
    """relu(x1 + x2) - relu(x1 - x2)."""
    kernel = jnp.array([[1.0, 1.0], [1.0, -1.0]])
    return jax.nn.relu(x @ kernel) @ jnp.array([[1.0], [-1.0]])


def hat(x):
    """relu(relu(x + 1) - 2 relu(x)) of one input."""
    h = jax.nn.relu(jnp.concatenate([x + 1.0, x], axis=1))
    return jax.nn.relu(h @ jnp.array([[1.0], [-2.0]]))


def test_two_networks_by_hand():
    box = Interval(np.array([-1.0, -1.0]), np.array([1.0, 1.0]))
    net = network(two_units, (2,))
    # Both arguments lie in [-2, 2]. Intervals: [0, 2] - [0, 2]. Lines: relu >= 0 or >= z at
    # will (the middle is 0: slope 0), <= z / 2 + 1, so the difference is at most
    # (x1 + x2) / 2 + 1 <= 2 and at least -(x1 - x2) / 2 - 1 >= -2.
    for name in ("intervals", "crown"):
        found = output_bounds(net, box, name).output
        assert np.allclose([found.low[0], found.high[0]], [-2, 2], rtol=0, atol=1e-12)
    # relu(x1 + x2) >= s (x1 + x2), so that (s - 1/2) x1 + (s + 1/2) x2 - 1: with s = 1/2
    # -1 - |x2| = -2 again; the truth, at (-1, 1)... is -2: relu(0) - relu(-2) = 0.
    truth = extremes(net, box)
    assert np.allclose([truth.low[0], truth.high[0]], [-2, 2])
    line = Interval(np.array([-2.0]), np.array([2.0]))
    net = network(hat, (1,))
    # h1 = relu(x + 1) in [0, 3], h2 = relu(x) in [0, 2]; z = h1 - 2 h2 in [-4, 3] by intervals.
    found = output_bounds(net, line, "intervals").output
    assert np.allclose([found.low[0], found.high[0]], [0, 3], rtol=0, atol=1e-12)
    # Above: h1 <= 3/4 (x + 1) + 3/4 (on [-1, 3]), h2 >= 0 (the middle is 0): z <= 3/4 x + 3/2
    # <= 3. Below: h1 >= x + 1 (middle 1 > 0), h2 <= x / 2 + 1: z >= 1 - 2 = -1. On [-1, 3] the
    # last relu is below 3/4 (z + 1), z <= 3/4 x + 3/2: at most 3.
    found = output_bounds(net, line, "crown").output
    assert np.allclose([found.low[0], found.high[0]], [0, 3], rtol=0, atol=1e-12)
    # With h2 >= x the line above is z <= 3/2 - 5/4 x; slopes between meet the truth only
    # where the two sides' ends balance: s with 3/4 - 2 s = 0, z <= 3/2, so relu <= 3/4 (3/2 + 1).
    best = output_bounds(net, line, "alpha", steps=100).output
    truth = extremes(net, line)
    assert truth.high[0] == 1.0 and truth.low[0] == 0.0
    assert 1.0 <= best.high[0] <= 1.55


OFFSETS = (1e6, 1e8)


def offset_net(offset):
    """relu(x + c) - relu(x + c - 1) - 1 = 0 on [0, 1] for c > 1, in real arithmetic."""
    kernel, bias = np.ones((1, 2)), np.array([offset, offset - 1.0])

    def function(x):
        h = jax.nn.relu(x @ jnp.asarray(kernel) + jnp.asarray(bias)[None, :])
        return h @ jnp.array([[1.0], [-1.0]]) - 1.0

    return network(function, (1,))


@pytest.mark.parametrize("offset", OFFSETS)
def test_large_offsets_break_float32_bounds_and_not_the_certificate(offset):
    net, box = offset_net(offset), Interval(np.array([0.0]), np.array([1.0]))
    naive = np.float32(0.25) + np.float32(offset) - (np.float32(0.25) + np.float32(offset - 1)) - 1
    assert offset < 1e7 or naive != 0.0, "float32 has no room for the fraction"
    for name in METHODS:
        found = output_bounds(net, box, name, steps=5).output
        # Weighing the two sums apart, intervals can't see that x cancels.
        assert found.low[0] <= 0.0 <= found.high[0]
    assert found.high[0] - found.low[0] < 1e-14 * offset * 100
    assert worst_found(net, box, jax.random.key(0), restarts=2).error == 0.0


def exact_value(kernel, bias, x):
    """A product and a bias in rational arithmetic."""
    rows = [Fraction(float(v)) for v in x]
    return [
        Fraction(float(b)) + sum(r * Fraction(float(w)) for r, w in zip(rows, column, strict=True))
        for column, b in zip(kernel.T, bias, strict=True)
    ]


def cancelling(seed):
    """A product whose terms are 1e8 times its value: float64 keeps half its digits."""
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(60, 4)) * 1e8
    x = rng.normal(size=60)
    bias = -(x @ kernel)
    return kernel, bias, x


def enclosed(seed):
    """Whether the interval at a point holds the exact value of every output."""
    kernel, bias, x = cancelling(seed)

    def function(v):
        return v @ jnp.asarray(kernel) + jnp.asarray(bias)[None, :]

    net = network(function, (60,))
    with float64():
        point = Interval(jnp.asarray(x), jnp.asarray(x))
        found = propagate(net.structure, net.numbers, point)[-1]
    truth = exact_value(kernel, bias, x)
    return all(
        Fraction(float(a)) <= t <= Fraction(float(b))
        for a, t, b in zip(found.low, truth, found.high, strict=True)
    )


def test_the_widening_is_needed_and_enough(monkeypatch):
    assert all(enclosed(seed) for seed in range(5))
    monkeypatch.setattr(intervals, "gamma", lambda n: 0.0)
    assert not all(enclosed(seed) for seed in range(5)), "without it a certificate lies"


def sound(family, seed):
    """Whether linear bounds hold on a grid."""
    net, box = error_of(family, drawn(family, seed)), box_of(family, seed)
    with float64():
        known = propagate(net.structure, net.numbers, Interval(*map(jnp.asarray, box)))
        made = {
            index: crown.start_lines(index, net.structure, net.numbers, known)
            for index, step in enumerate(net.structure.steps, start=1)
            if hasattr(step, "name")
        }
        found = crown.both_sides(net.structure, net.numbers, net.structure.last, known, made)
    at = values(net, grid_of(box, 101))
    low, high = np.asarray(found.low), np.asarray(found.high)
    return bool(np.all(low <= at.min(axis=0)) and np.all(at.max(axis=0) <= high))


def test_a_line_with_a_flipped_slope_is_found_out(monkeypatch):
    family = KINKED["relu, linear output"]
    assert all(sound(family, seed) for seed in range(4))
    right = lines.lines

    def wrong(function, slopes, low, high):
        drawn = right(function, slopes, low, high)
        return drawn._replace(slopes=drawn.slopes._replace(above=-drawn.slopes.above))

    monkeypatch.setattr(crown, "lines", wrong)
    assert not all(sound(family, seed) for seed in range(4))


def test_an_input_outside_the_box_is_moved_in_before_it_counts():
    family = KINKED["relu, linear output"]
    net, box = error_of(family, drawn(family, 0)), box_of(family, 0)
    found = evaluated(net, box, np.array([[50.0, 50.0]]))
    assert np.array_equal(found.x, box.high)


def test_shared_parts_cancel():
    # f(x) - x with f the identity: intervals see 2 (high - low), linear bounds nothing.
    net = network(lambda x: x @ jnp.eye(3) - x, (3,))
    box = Interval(np.full(3, -2.0), np.full(3, 5.0))
    wide = output_bounds(net, box, "intervals").output
    tight = output_bounds(net, box, "crown").output
    assert np.allclose(wide.high, 7.0) and np.abs(tight.high).max() < 1e-13
