"""Functions of one variable cut into cells: what bounds them, and how closely."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from verification.programs import LONG, ROOMY, numbers, of_program, program, table
from verification.test_tables import intervals, violation

from jaxid.core.precision import float64
from jaxid.tracing.graph import Instruction, Table
from jaxid.verification import curves, enclosures, envelopes, tables

pytestmark = pytest.mark.skipif(not ROOMY, reason="no type with more digits than float64 here")


def line(slope=1.0, constant=0.0):
    """slope z + constant as a table."""
    none = np.zeros((0, 1))
    return Table(none, none, np.full((1, 1), slope), np.full((1, 1), constant), none)


def exact(*values):
    """Constants that are known."""
    return np.array([[value, value] for value in values]).reshape(-1, 2)


def leaf(k=0):
    return Instruction("pieces", (), (k,))


RELU = Table(*(np.zeros((1, 1)),) * 2, np.array([[0.0], [1]]), np.zeros((2, 1)), np.zeros((1, 1)))
KNOWN = {
    "bell": (
        (leaf(), Instruction("power", (0,), power=2), Instruction("sum", (1,), (0,)),
         Instruction("exp", (2,))),
        exact(-1.0), (line(0.2, -19.2),), lambda z: np.exp(-(((z - 96) / 5) ** 2)), (0.0, 255.0),
    ),
    "silu": (
        (leaf(), Instruction("logistic", (0,)), Instruction("mul", (0, 1))),
        exact(), (line(),), lambda z: z / (1 + np.exp(-z)), (-8.0, 8.0),
    ),
    "sin": (
        (leaf(), Instruction("sin", (0,))), exact(), (line(10.0),), lambda z: np.sin(10 * z),
        (-3.0, 3.0),
    ),
    "softplus": (
        (leaf(), Instruction("exp", (0,)), leaf(1), Instruction("sum", (1, 2), (0, 0)),
         Instruction("log", (3,))),
        exact(1.0), (line(), line(0.0, 1.0)), lambda z: np.log1p(np.exp(z)), (-10.0, 10.0),
    ),
    "cauchy": (
        (leaf(), Instruction("mul", (0, 0)), leaf(1), Instruction("sum", (1, 2), (0, 0)),
         Instruction("reciprocal", (3,))),
        exact(1.0), (line(), line(0.0, 1.0)), lambda z: 1 / (1 + z**2), (-10.0, 10.0),
    ),
    "floor": (
        (leaf(), Instruction("floor", (0,))), exact(), (line(),), np.floor, (0.5, 10.3),
    ),
    "root": (
        (leaf(), Instruction("sqrt", (0,))), exact(), (RELU,), lambda z: np.sqrt(np.maximum(z, 0)),
        (-2.0, 5.0),
    ),
    "band": (
        (leaf(), Instruction("positive", (0,)), leaf(1), Instruction("positive", (2,)),
         Instruction("mul", (1, 3))),
        exact(), (line(1.0, -1.0), line(-1.0, 1.001)), lambda z: LONG(1) * ((z > 1) & (z < 1.001)),
        (-40.0, 60.0),
    ),
}  # fmt: skip


def bound(steps, constants, leaves, low, high):
    """(points, bounds) on the intervals, NumPy's."""
    with float64():
        own = (steps, constants, leaves, low, high)
        held, bounds = curves.points(*own), curves.bounds(*own)
        return type(held)(*map(np.asarray, held)), type(bounds)(*map(np.asarray, bounds))


@pytest.mark.parametrize("name", KNOWN)
def test_known_functions_are_bounded_to_a_hundredth_of_their_range(name):
    steps, constants, leaves, true, (low, high) = KNOWN[name]
    z = LONG(low) + (LONG(high) - LONG(low)) * LONG(np.linspace(0, 1, 20001))[:, None]
    z = np.clip(np.concatenate([z, LONG([[1 + 5e-4], [0]])]), low, high)
    g = true(z)
    held, bounds = bound(steps, constants, leaves, np.array([low]), np.array([high]))
    size = g.max() - g.min()
    assert g.min() - 0.01 * size <= bounds.low[0] <= g.min()
    assert g.max() <= bounds.high[0] <= g.max() + 0.01 * size
    slopes = np.random.default_rng(0).normal(size=20) * float(size / (high - low)) * 3
    assert violation(held, z, g, slopes) <= 0
    if name in ("floor", "band"):
        return
    # Lines of any slope are close to what they might be.
    for s in LONG(slopes):
        under = (held.below - s * held.z).min() - (g - s * z).min()
        over = (held.above - s * held.z).max() - (g - s * z).max()
        assert -0.02 * size <= under <= 1e-12 * size
        assert -1e-12 * size <= over <= 0.02 * size
        assert name != "bell" or over <= 0.01


def checked(seed, unit=1.0, scale=1.0):
    """(largest violation of a random program, whether anything is known of it, how wide its
    bounds are over what was seen)."""
    rng = np.random.default_rng(seed)
    pairs = [table(rng, 2, unit=unit, spacing=scale) for _ in range(3)]
    stored, true = zip(*pairs, strict=True)
    constants, precise = numbers(rng)
    steps = program(rng, int(rng.integers(1, 7)))
    low, high = intervals(rng, true[0], scale, 10)
    held, bounds = bound(steps, constants, stored, low, high)
    assert not any(np.isnan(part).any() for part in (*held, *bounds))
    assert np.all((held.z >= low) & (held.z <= high))
    z = LONG(low) + (LONG(high) - LONG(low)) * LONG(np.linspace(0, 1, 1000))[:, None]
    places = np.concatenate([each.places for each in true])
    near = [places * (1 + LONG(s)) for s in (-1e-3, -1e-6, -1e-18, 0, 1e-18, 1e-6, 1e-3)]
    near = np.broadcast_to(np.concatenate(near), (7 * places.shape[0], low.size))
    z = np.clip(np.concatenate([z, near]), low, high)
    g = of_program(steps, precise, true, z)
    lost = ~np.isfinite(g).all(axis=0)
    # What has no value somewhere is bounded nowhere, at least on one side.
    assert np.all(np.isinf(bounds.low[lost]) | np.isinf(bounds.high[lost]))
    held, bounds = (type(part)(*(each[..., ~lost] for each in part)) for part in (held, bounds))
    z, g = z[:, ~lost], g[:, ~lost]
    if lost.all():
        return -np.inf, 0
    rounding = 8 * np.finfo(LONG).eps * np.abs(g)
    beyond = max((bounds.low - g - rounding).max(), (g - rounding - bounds.high).max())
    # Slopes of the function itself, on all lengths: their lines touch it, the points' must not.
    order = np.argsort(z, axis=0)
    z, g = (np.take_along_axis(part, order, axis=0) for part in (z, g))
    slopes = [np.zeros(z.shape[1], LONG)]
    for length in (1, 1, 1, 3, 3, 10, 30, 100, 300, 999):
        k = rng.integers(z.shape[0] - length)
        width = z[k + length] - z[k]
        slopes.append((g[k + length] - g[k]) / np.where(width > 0, width, 1))
    return max(beyond, violation(held, z, g, slopes)), np.isfinite(bounds).all(axis=0).sum()


@pytest.mark.parametrize("unit, scale", [(1.0, 1.0), (1e-12, 1e-12), (1e12, 1e12), (1.0, 1e-12)])
def test_nothing_is_beyond_the_points_of_random_programs(unit, scale):
    found = [checked(seed, unit, scale) for seed in range(60)]
    worst = [seed for seed, (violated, _) in enumerate(found) if violated > 0]
    assert not worst and sum(count for _, count in found) > 250


@pytest.mark.parametrize("broken", ["slopes", "places", "line", "ends", "jumps", "rounding"])
def test_the_check_sees_what_is_broken(broken, monkeypatch):
    line_, below, enclose = envelopes.line, envelopes.below, curves.enclose

    def swapped(nodes, side):
        return below(nodes, side._replace(slopes=curves.Range(*side.slopes[::-1])))

    def too_flat(value, slope, way):
        return line_(value, 0.99 * slope, way)

    def middle_for_ends(nodes, side):
        return [below(nodes, side)[k] for k in (1, 1, 2, 2)]

    def without_jumps(*own):
        jet = enclose(*own)
        finite = [np.where(np.isfinite(part), part, 0.0) for part in jet[2:]]
        return jet._replace(slope_low=finite[0], slope_high=finite[1])

    def to_the_right(own, a, b):
        piece = (own.places[:, :, None] <= b[None]).sum(axis=0)
        return curves.Range(own.slopes[piece, 0], own.slopes[piece, 0])

    if broken == "places":
        monkeypatch.setattr(tables, "meets_place", lambda own, a, b: np.zeros(a.shape, bool))
        monkeypatch.setattr(tables, "slopes", to_the_right)
    elif broken == "rounding":
        monkeypatch.setattr(envelopes, "lowered", lambda value, error: value)
        monkeypatch.setattr(tables, "lowered", lambda value, error: value)
    else:
        change = {
            "slopes": (curves, "below", swapped), "line": (envelopes, "line", too_flat),
            "ends": (curves, "below", middle_for_ends), "jumps": (curves, "enclose", without_jumps),
        }[broken]  # fmt: skip
        monkeypatch.setattr(*change)
    assert any(checked(seed)[0] > 0 for seed in range(70))


def test_a_line_is_below_the_true_one_even_where_it_cancels():
    rng = np.random.default_rng(0)
    a = rng.normal(size=4000)
    z = a + rng.uniform(0, 1, 4000) * 10.0 ** rng.uniform(-14, 1, 4000)
    slope = rng.normal(size=4000) * 10.0 ** rng.uniform(-12, 12, 4000)
    value = -slope * (z - a) * (1 + rng.integers(-2, 3, 4000) * 1e-16)
    found = envelopes.line(value, slope, z - a)
    true = LONG(value) + LONG(slope) * (LONG(z) - LONG(a))
    off = np.abs(LONG(slope) * (LONG(z) - LONG(a))) * LONG(2) ** -50 + LONG(2e-290)
    assert np.all(found <= true) and np.all(true <= found + off)


def test_cells_keep_every_place_apart():
    rng = np.random.default_rng(0)
    stored, _ = table(rng, 3)
    low, high = np.array([-3.0, -1.0, 0.5]), np.array([4.0, -1.0, 0.6])
    ends = curves.cells((leaf(),), (stored, line()), low, high, 16)
    assert ends.shape == (19 + 6, 3) and np.all(np.diff(ends, axis=0) >= 0)
    assert np.array_equal(ends[0], low) and np.array_equal(ends[-1], high)
    meets = tables.meets_place(stored, ends[:-1], ends[1:])
    width = np.diff(ends, axis=0)
    assert np.all(width[meets] < 1e-8) and meets[:, 0].sum() >= 1
    assert np.all(width <= (high - low) / 16 * (1 + 1e-12))


def test_an_infinite_interval_is_bounded_by_nothing_and_a_point_by_itself():
    steps, constants, leaves, true, _ = KNOWN["silu"]
    low, high = np.array([-np.inf, 0.0, 0.7]), np.array([1.0, np.inf, 0.7])
    held, bounds = bound(steps, constants, leaves, low, high)
    assert np.isfinite(held.z).all() and np.all((held.z >= low) & (held.z <= high))
    assert np.all(held.below[:, :2] == -np.inf) and np.all(held.above[:, :2] == np.inf)
    assert np.all(np.isinf(bounds.low[:2])) and np.all(np.isinf(bounds.high[:2]))
    assert bounds.low[2] <= true(0.7) <= bounds.high[2] and bounds.high[2] - bounds.low[2] < 1e-13


def test_inside_a_compiled_loop_not_a_bit_is_lost():
    steps, constants, leaves, _, _ = KNOWN["softplus"]
    rng = np.random.default_rng(0)
    low = rng.normal(size=(5, 7))
    high = low + rng.uniform(size=(5, 7))
    with float64():
        numbers_ = jax.tree.map(jnp.asarray, (constants, leaves, low, high))

        @jax.jit
        def found(constants, leaves, low, high):
            def one(ends):
                own = (steps, constants, leaves, *ends)
                return curves.points(*own), curves.bounds(*own)

            return jax.lax.map(one, (low, high)), jax.vmap(lambda *e: one(e))(low, high)

        looped, mapped = found(*numbers_)
        for k in range(5):
            expected = jax.tree.leaves(bound(steps, constants, leaves, low[k], high[k]))
            for got in (looped, mapped):
                for one, other in zip(jax.tree.leaves(got), expected, strict=True):
                    assert np.array_equal(np.asarray(one)[k], other)


def test_values_and_their_derivatives_are_the_functions_own():
    for name, (steps, constants, leaves, true, (low, high)) in KNOWN.items():
        z = np.linspace(low + 0.01, high, 57)
        with float64():
            own = jax.tree.map(jnp.asarray, (constants, leaves))
            whole = jax.jit(lambda x, steps=steps, own=own: curves.value(steps, *own, x))
            got = np.asarray(whole(jnp.asarray(z)))
            slope = np.asarray(jax.grad(lambda x, f=whole: f(x).sum())(jnp.asarray(z)))
        assert np.allclose(got, true(LONG(z)).astype(float), rtol=1e-12, atol=1e-14), name
        step = LONG(1e-7)
        around = ((true(z + step) - true(z - step)) / (2 * step)).astype(float)
        assert np.allclose(slope, around, rtol=1e-5, atol=1e-5), name


def test_a_branch_that_is_not_taken_leaves_the_derivative_alone():
    # sqrt(z) where z > 0, else z; the root's derivative is infinite at 0, and none below.
    steps = (
        leaf(), Instruction("sqrt", (0,)), Instruction("positive", (0,)),
        Instruction("select", (2, 0, 1)),
    )  # fmt: skip
    with float64():
        own = jax.tree.map(jnp.asarray, (exact(), (line(),)))
        slope = jax.grad(lambda z: curves.value(steps, *own, z).sum())(jnp.array([-1.0, 0.0, 4.0]))
    assert np.allclose(slope, [1.0, 1.0, 0.25])


def test_programs_of_all_known_names_have_values():
    z = np.array([0.3, 0.7])
    with float64():
        for name in sorted(enclosures.NAMES - {"pieces", "sum", "select", "within"}):
            count = 2 if name in ("mul", "max", "min") else 1
            power = 3 if name == "power" else 0
            steps = (leaf(), leaf(), Instruction(name, (0, 1)[:count], power=power))
            shift = 1.0 if name == "acosh" else 0.0
            own = jax.tree.map(jnp.asarray, (exact(), (line(1.0, shift),)))
            got = np.asarray(curves.value(steps, *own, jnp.asarray(z)))
            true = of_program(steps, [], (line(1.0, shift),), LONG(z)[None])[0]
            assert np.allclose(got, true.astype(float), rtol=1e-12), name
