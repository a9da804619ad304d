"""Functions of straight pieces: their values, and points that bound them for every slope."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from verification.programs import LONG, ROOMY, of_table, table

from jaxid.core.precision import float64
from jaxid.tracing.graph import Table
from jaxid.verification import tables

pytestmark = pytest.mark.skipif(not ROOMY, reason="no type with more digits than float64 here")
SCALES = [(1.0, 1.0), (1e-12, 1.0), (1e12, 1e-12), (1e-12, 1e12)]


def hat():
    """1 - |z| on [-1, 1], else 0, as an exact table."""
    places = np.array([[-1.0], [0.0], [1.0]])
    slopes, constants = np.array([[0.0], [1], [-1], [0]]), np.array([[0.0], [1], [1], [0]])
    return Table(places, np.zeros((3, 1)), slopes, constants, np.array([[0.0], [1], [0]]))


def intervals(rng, true, spacing, count):
    """Ends (2, count): of any width, some at places or next to them, some of no width."""
    low = rng.normal(size=count) * 2 * spacing
    width = 10.0 ** rng.uniform(-6, 3, count) * spacing
    ends = np.stack([low, low + width])
    near = true.places[rng.integers(true.places.shape[0], size=count), 0].astype(float)
    near = near + rng.integers(-3, 4, count) * np.spacing(near)
    side = rng.integers(6, size=count)
    ends[0] = np.where(side == 0, near, ends[0])
    ends[1] = np.where(side == 1, near, ends[1])
    ends[1] = np.where(side == 2, ends[0], ends[1])
    ends = np.where(side[None] == 3, near[None], ends)
    return np.sort(ends, axis=0)


def inside(rng, true, low, high, count=300):
    """Points of every interval, (S, n) long: even ones, its ends, every place and next to it."""
    even = LONG(low) + (LONG(high) - LONG(low)) * LONG(np.linspace(0, 1, count))[:, None]
    places = np.broadcast_to(true.places, (true.places.shape[0], low.size))
    far = np.maximum(np.abs(places) * LONG(2) ** -60, LONG(1e-300))
    near = [places, places - far, places + far, places * (1 - LONG(1e-12))]
    return np.clip(np.concatenate([even, *near]), low, high)


def violation(found, z, g, slopes):
    """By how much, of what is visible, some g - s z is beyond the points' own, over all slopes;
    at most 0 where they hold."""
    worst = []
    for s in LONG(slopes):
        rise = s * z
        seen = 8 * np.finfo(LONG).eps * (np.abs(g) + np.abs(rise))
        under = (LONG(found.below) - s * LONG(found.z)).min(axis=0)
        over = (LONG(found.above) - s * LONG(found.z)).max(axis=0)
        worst += [(under - (g - rise + seen)).max(), (g - rise - seen - over).max()]
    return max(worst)


def checked(seed, unit=1.0, spacing=1.0, count=40):
    """The largest violation of a random table."""
    rng = np.random.default_rng(seed)
    stored, true = table(rng, int(rng.integers(1, 6)), unit=unit, spacing=spacing)
    low, high = intervals(rng, true, spacing, count)
    z = inside(rng, true, low, high)
    g = of_table(true, z)
    found = tables.points(stored, low, high)
    bounds = tables.bounds(stored, low, high)
    assert all(np.isfinite(part).all() for part in (*found, *bounds))
    assert np.all(found.z >= low) and np.all(found.z <= high)
    # What the points say of slope 0, and nothing else.
    assert np.array_equal(bounds.low, found.below.min(axis=0))
    assert np.array_equal(bounds.high, found.above.max(axis=0))
    slopes = rng.normal(size=12) * unit / spacing * 10.0 ** rng.uniform(-2, 4, 12)
    return violation(found, z, g, [0.0, *slopes, *stored.slopes[:, 0]])


@pytest.mark.parametrize("unit, spacing", SCALES)
def test_points_bound_the_true_function_for_every_slope(unit, spacing):
    assert max(checked(seed, unit, spacing) for seed in range(40)) <= 0


@pytest.mark.parametrize("broken", ["rounding", "spread", "values", "limits"])
def test_the_check_sees_what_is_left_out(broken, monkeypatch):
    pieces, line = tables._pieces, tables._line
    if broken == "rounding":
        exact = lambda p, z: tables.Range(*(p.slope * z + p.constant,) * 2)  # noqa: E731
        monkeypatch.setattr(tables, "_line", exact)
    elif broken == "spread":
        monkeypatch.setattr(tables, "reach", lambda own: (own.places, own.places))
    elif broken == "values":
        limits = lambda own: own.slopes[:-1] * own.places + own.constants[:-1]  # noqa: E731
        changed = lambda own: pieces(own._replace(values=limits(own)))  # noqa: E731
        monkeypatch.setattr(tables, "_pieces", changed)
    else:
        ahead = lambda p, z: line(p._replace(slope=0 * p.slope), z)  # noqa: E731
        monkeypatch.setattr(tables, "_line", ahead)
    assert max(checked(seed) for seed in range(40)) > 0


def test_bounds_are_no_wider_than_rounding_and_the_doubt_about_places():
    rng = np.random.default_rng(3)
    for _ in range(40):
        stored, true = table(rng, 4)
        low, high = intervals(rng, true, 1.0, 30)
        z = inside(rng, true, low, high)
        g = of_table(true, z)
        # A place that may lie in the interval counts, whether it does or not.
        earliest, latest = tables.reach(stored)
        sure = np.all(((earliest > high) | (latest < low)) | ((earliest >= low) & (latest <= high)),
                      axis=0)  # fmt: skip
        found = tables.bounds(stored, low, high)
        size = 1e-8 * (1 + np.abs(g).max(axis=0) + np.maximum(np.abs(low), np.abs(high)))
        assert np.all((g.min(axis=0) - found.low < size) | ~sure)
        assert np.all((found.high - g.max(axis=0) < size) | ~sure)


def test_a_place_counts_where_it_lies_and_a_limit_on_its_side_only():
    place, none = np.array([[1.0]]), np.zeros((1, 1))
    step = Table(place, none, np.zeros((2, 1)), np.array([[2.0], [3]]), np.array([[7.0]]))
    low = np.array([0.0, 0.0, 1.0, 1.0, 1.5, 0.0])
    high = np.array([0.5, 1.0, 1.0, 2.0, 2.0, 3.0])
    found = tables.bounds(step, low, high)
    assert np.allclose(found.low, [2, 2, 7, 3, 3, 2]) and np.allclose(
        found.high, [2, 7, 7, 7, 3, 7]
    )
    # Not known to the last bit: at the stored number it may be either limit, or the value.
    doubt = step._replace(spread=np.full((1, 1), 1e-15))
    found = tables.bounds(doubt, np.array([1.0]), np.array([1.0]))
    assert found.low[0] < 2.001 and found.high[0] > 6.999


def test_exact_zeros_stay_zeros():
    found = tables.bounds(hat(), np.array([-3.0, 1.0, 1.0]), np.array([-2.0, 1.0, 2.0]))
    assert np.array_equal(found.low, [0, 0, 0]) and np.array_equal(found.high, [0, 0, 0])
    relu = Table(
        *(np.zeros((1, 1)),) * 2, np.array([[0.0], [1]]), np.zeros((2, 1)), np.zeros((1, 1))
    )
    found = tables.bounds(relu, np.array([-3.0, -1e-300, 0.0]), np.array([2.0, 1e-290, 1e-12]))
    assert np.array_equal(found.low, [0, 0, 0]) and np.all(found.high > 0)


@np.errstate(invalid="ignore")
def test_an_infinite_end_leaves_what_is_flat_there():
    low, high = np.array([-np.inf, -np.inf, 0.5]), np.array([np.inf, -2.0, np.inf])
    found = tables.bounds(hat(), low, high)
    assert np.allclose(found.low, 0) and np.allclose(found.high, [1, 0, 0.5])
    held = tables.points(hat(), low, high)
    assert np.isfinite(held.z).all()
    assert np.all(held.below.min(axis=0) == -np.inf) and np.all(held.above.max(axis=0) == np.inf)
    line = Table(*(np.zeros((0, 1)),) * 2, np.ones((1, 1)), np.ones((1, 1)), np.zeros((0, 1)))
    found = tables.bounds(line, low, high)
    assert np.array_equal(np.isfinite(found.low), [False, False, True])
    assert np.array_equal(np.isfinite(found.high), [False, True, False])


def test_slopes_hold_those_of_the_pieces_met_and_are_infinite_at_a_jump():
    found = tables.slopes(hat(), np.array([-3, -0.5, -3, 0.5, 1.5]), np.array([-2, 0.5, 3, 0.9, 2]))
    assert np.allclose(found.low, [0, -1, -1, -1, 0]) and np.allclose(found.high, [0, 1, 1, -1, 0])
    broken = hat()._replace(values=np.array([[0.0], [1], [0.25]]))
    low, high = np.array([0.5, 0.5, 1.0, 1.01]), np.array([0.9, 1.0, 2.0, 2.0])
    found = tables.slopes(broken, low, high)
    assert np.array_equal(np.isfinite(found.low), [True, False, False, True])
    assert np.array_equal(np.isfinite(found.high), [True, False, False, True])
    # A kink whose place and constants are rounded is no jump; what is larger than that is.
    third = Table(
        np.array([[1 / 3]]),
        np.full((1, 1), 1e-16),
        np.array([[0.0], [3.0]]),
        np.array([[0.1], [0.1 - 1.0]]),
        np.array([[0.1]]),
    )
    ends = np.array([0.0]), np.array([1.0])
    assert np.isfinite(tables.slopes(third, *ends)).all()
    above = third._replace(constants=np.array([[0.1], [0.1 - 1.0 + 1e-14]]))
    assert not np.isfinite(tables.slopes(above, *ends)).any()


@pytest.mark.parametrize("count", [0, 3, 40])
@pytest.mark.parametrize("width", [1, 5])
def test_values_are_those_of_the_pieces_and_of_places_padding_or_not(count, width):
    rng = np.random.default_rng(count + width)
    stored, _ = table(rng, count, width)
    exact = Table(*(LONG(part) for part in stored))
    z = rng.normal(size=(50, 5)) * 3
    for j, place in enumerate(stored.places):
        z[j] = place
    expected = of_table(exact, LONG(z)).astype(float)
    blank = np.full((2, width), np.inf)
    padded = Table(
        np.concatenate([stored.places, blank]),
        np.concatenate([stored.spread, 0 * stored.spread[:1], 0 * stored.spread[:1]])
        if count
        else np.zeros((2, width)),
        *(np.concatenate([part, np.full((2, width), 9.0)]) for part in stored[2:]),
    )
    steep = np.array([stored.slopes[(place <= row).sum(axis=0), np.arange(width)]
                      if width > 1 else stored.slopes[(place <= row[None]).sum(axis=0), 0]
                      for row, place in ((row, stored.places) for row in z)])  # fmt: skip
    with float64():
        for own in (stored, padded):
            own = jax.tree.map(jnp.asarray, own)
            points = jnp.asarray(z)
            got = np.asarray(tables.value(own, points))
            assert np.allclose(got, expected, rtol=1e-13, atol=1e-13)
            assert np.array_equal(np.asarray(tables.derivative(own, points)), steep)
            slope = jax.grad(lambda x, own=own: tables.value(own, x).sum())(points)
            assert np.array_equal(np.asarray(slope), steep)


@pytest.mark.parametrize("count, width", [(3, 1), (3, 6), (20, 6)])
def test_compiled_bounds_are_the_same_to_rounding(count, width):
    rng = np.random.default_rng(count)
    stored, _ = table(rng, count, width)
    low = rng.normal(size=6)
    high = low + rng.uniform(0, 4, 6)
    with float64():
        own = jax.tree.map(jnp.asarray, stored)
        ends = (jnp.asarray(low), jnp.asarray(high))
        found = jax.jit(lambda *a: (tables.points(*a), tables.bounds(*a), tables.slopes(*a)))(
            own, *ends
        )
        found = jax.tree.map(np.asarray, found)
    expected = (
        tables.points(stored, low, high),
        tables.bounds(stored, low, high),
        tables.slopes(stored, low, high),
    )
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.allclose(one, other, rtol=1e-14, atol=1e-14)
