"""Values and derivatives of functions of one variable on cells, against more digits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from verification.programs import (
    DIGITS,
    LONG,
    ROOMY,
    UNARY,
    WIDE,
    in_digits,
    numbers,
    of_program,
    program,
    table,
)

from jaxid.tracing.graph import PROGRAM, Instruction, Table
from jaxid.verification import enclosures, ranges
from jaxid.verification.enclosures import NAMES, Jet, enclose
from jaxid.verification.ranges import ELEMENTARY, Range
from jaxid.verification.rounding import UNIT

mpmath.mp.dps = 50
EXACT = np.zeros((0, 2))


def line(slope=1.0, constant=0.0):
    """slope z + constant as a table."""
    none = np.zeros((0, 1))
    return Table(none, none, np.full((1, 1), slope), np.full((1, 1), constant), none)


ITSELF = Instruction("pieces", (), (0,))


def on(name, low, high, *, inner=(), **options):
    """The jet of one instruction, of z or of what ``inner`` makes of it, on [low, high]."""
    steps = (ITSELF, *inner)
    last = Instruction(name, (len(steps) - 1,), **options)
    ends = (np.atleast_1d(np.asarray(end, float)) for end in (low, high))
    with np.errstate(all="ignore"):
        return enclose((*steps, last), EXACT, (line(),), *ends)


def test_every_instruction_is_known_and_tried():
    words = {word.strip(",") for row in PROGRAM.split("\n") for word in row[:11].split()}
    assert words - {"NAME"} <= set(NAMES) and set(DIGITS) <= set(NAMES)
    assert set(NAMES) == {*UNARY, "pieces", "sum", "mul", "max", "min", "select"}


def cells(name, rng, count=400):
    """Cells of every width in the domain, some of which end at its own ends or at 0."""
    size = 10.0 ** rng.uniform(-3, 1.5, count)
    low = rng.normal(size=count) * size
    high = low + size * 10.0 ** rng.uniform(-9, 1, count)
    ends = np.stack([low, np.where(rng.uniform(size=count) < 0.1, low, high)])
    ends = np.where(rng.uniform(size=ends.shape) < 0.1, 0.0, ends)
    if name in ELEMENTARY:
        ends = np.clip(ends, *ELEMENTARY[name].domain)
    return np.sort(ends, axis=0)


def holds(jet, z, g, compared=True):
    """Whether values are within, and difference quotients of neighbouring points, as far as they
    are known and there is something to compare them with."""
    seen = 16 * np.finfo(LONG).eps * np.abs(g)
    values = (g + seen >= LONG(jet.low)) & (g - seen <= LONG(jet.high))
    width = np.diff(z, axis=0)
    steep = LONG(np.maximum(np.abs(jet.slope_low), np.abs(jet.slope_high)))
    compared = compared & (width > 0) & np.isfinite(steep)
    width, steep = np.where(compared, width, 1), np.where(np.isfinite(steep), steep, 0)
    quotient = np.diff(g, axis=0) / width
    off = LONG(2) ** -50 * (np.abs(g[1:]) + steep * (1 + np.abs(z[1:]))) / width
    under = (quotient + off >= LONG(jet.slope_low)) | ~compared
    over = (quotient - off <= LONG(jet.slope_high)) | ~compared
    return np.all(values) and np.all(under & over)


@pytest.mark.skipif(not ROOMY, reason="no type with more digits than float64 here")
@pytest.mark.parametrize("name", DIGITS)
def test_values_and_derivatives_on_cells_hold_all_that_are_there(name):
    low, high = cells(name, np.random.default_rng(len(name)))
    z = LONG(low) + (LONG(high) - LONG(low)) * LONG(np.linspace(0, 1, 60))[:, None]
    jet = on(name, low, high)
    with np.errstate(all="ignore"):
        g = getattr(WIDE, name)(np.clip(z, low, high))
    # Where the function is infinite at an end of its domain there is nothing to compare.
    finite = np.isfinite(g).all(axis=0)
    jet, z, g, low, high = (
        Jet(*(part[finite] for part in jet)),
        *(part[..., finite] for part in (z, g, low, high)),
    )
    assert holds(jet, z, g)
    # No wider than needed: the least and the largest are there, up to what is allowed.
    loose = 2 * ranges.ROUGH * UNIT
    inside = np.isfinite(jet.low) & np.isfinite(jet.high)
    steep = np.where(
        np.isfinite(jet.slope_high), np.maximum(np.abs(jet.slope_low), jet.slope_high), 0
    )
    gap = (steep * (high - low) / 59 + loose * (1 + np.abs(g).max(axis=0))).astype(float)
    open_ended = ~np.isfinite(jet.slope_high) | ~np.isfinite(jet.slope_low)
    assert np.all(~inside | open_ended | (g.min(axis=0) - jet.low <= gap))
    assert np.all(~inside | open_ended | (jet.high - g.max(axis=0) <= gap))


@pytest.mark.parametrize(
    "name, low, high",
    [
        ("log", -1e-9, 1), ("log1p", -1.5, 0), ("sqrt", -1e-9, 1), ("rsqrt", -1, 1),
        ("rsqrt", 0, 1), ("asin", -2, 0), ("acos", 0, 1.0001), ("acosh", 0.999, 2),
        ("atanh", 0, 1.5),
        ("reciprocal", -1, 1), ("reciprocal", 0, 1), ("reciprocal", 0, 0), ("log", -3, -2),
    ],
)  # fmt: skip
def test_nothing_is_known_beyond_a_domain_nor_of_what_is_made_of_it(name, low, high):
    for inner in ((), (Instruction(name, (0,)), Instruction("tanh", (1,)))):
        jet = on(name if not inner else "positive", low, high, inner=inner)
        assert np.array_equal(jet, [[-np.inf], [np.inf], [-np.inf], [np.inf]])


def test_at_the_end_of_its_domain_a_function_is_infinite_or_steep_and_nothing_worse():
    jet = on("log", 0, 2)
    assert jet.low == -np.inf and abs(jet.high - np.log(2)) < 1e-13 and jet.slope_low > 0.4
    jet = on("sqrt", 0, 4)
    assert jet.low == 0 and 0.24 < jet.slope_low <= 0.25 and jet.slope_high == np.inf
    jet = on("exp", -2000, 1000)
    assert jet.low == 0 and jet.high == np.inf
    jet = on("exp", 1000, 1001)
    assert 1e300 < jet.low < np.inf and jet.high == np.inf
    for name in ("log", "sqrt", "cbrt"):
        assert np.array_equal(on(name, -0.0, 2), on(name, 0.0, 2))
    # 1 / (1 + exp(-z)) far out, where exp overflows.
    far = (
        Instruction("sum", (0,), (0,)), Instruction("exp", (1,)), Instruction("pieces", (), (1,)),
        Instruction("sum", (2, 3), (1, 1)), Instruction("reciprocal", (4,)),
    )  # fmt: skip
    constants = np.array([[-1.0, -1.0], [1.0, 1.0]])
    ends = np.array([-2000.0]), np.array([-1000.0])
    with np.errstate(all="ignore"):
        jet = enclose((ITSELF, *far), constants, (line(), line(0.0, 1.0)), *ends)
    assert 0 <= jet.low <= jet.high < 1e-280 and not np.isnan(jet).any()


def test_truths_are_decided_where_they_are_the_same_on_the_cell():
    low, high = np.array([-2, -1, 0, 0, 1e-9, -1, 0]), np.array([-1, 0, 0, 1, 1, 1, 1e-9])
    expected = {"positive": "00.?1??".replace(".", "0"), "natural": "0?111?1", "zero": "0?1?0??"}
    for name, row in expected.items():
        jet = on(name, low, high)
        for k, wanted in enumerate(row):
            least, most = {"0": (0, 0), "1": (1, 1), "?": (0, 1)}[wanted]
            assert (jet.low[k], jet.high[k]) == (least, most), (name, k)
            assert np.isinf(jet.slope_low[k]) == (wanted == "?"), (name, k)
    jet = on("floor", [0.1, 0.9, -0.5], [0.9, 1.1, 0.0])
    assert np.array_equal(jet.low, [0, 0, -1]) and np.array_equal(jet.high, [0, 1, 0])
    assert np.array_equal(np.isfinite(jet.slope_high), [True, False, False])


def test_a_branch_counts_only_where_it_may_be_taken():
    # log(z) where z > 1, else 0.
    steps = (
        ITSELF, Instruction("log", (0,)), Instruction("pieces", (), (1,)),
        Instruction("positive", (2,)), Instruction("pieces", (), (2,)),
        Instruction("select", (3, 4, 1)),
    )  # fmt: skip
    leaves = (line(), line(1.0, -1.0), line(0.0, 0.0))
    low, high = np.array([-2.0, 0.5, 2.0, -1.0]), np.array([0.5, 0.9, 3.0, 3.0])
    with np.errstate(all="ignore"):
        jet = enclose(steps, EXACT, leaves, low, high)
    assert np.array_equal(jet.low[:2], [0, 0]) and np.array_equal(jet.slope_high[:2], [0, 0])
    assert abs(jet.low[2] - np.log(2)) < 1e-13 and jet.low[3] == -np.inf


def test_what_is_guarded_is_kept_inside_and_lost_outside():
    steps = (ITSELF, Instruction("within", (0,), (0, 1)))
    ends = np.array([[-1.0, -1.0], [2.0, 2.0]])
    with np.errstate(all="ignore"):
        jet = enclose(
            steps, ends, (line(),), np.array([-0.9, -1.1, 0.0]), np.array([1.9, 1.0, 2.1])
        )
    assert np.array_equal(np.isfinite(jet.low), [True, False, False])
    assert np.array_equal(np.isfinite(jet.slope_high), [True, False, False])


@pytest.mark.skipif(not ROOMY, reason="no type with more digits than float64 here")
@pytest.mark.parametrize("unit", [1.0, 1e-12, 1e12])
def test_cells_of_random_programs_hold_values_and_difference_quotients(unit):
    seen = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        stored, true = zip(*(table(rng, 2, unit=unit) for _ in range(3)), strict=True)
        constants, exact = numbers(rng)
        steps = program(rng, int(rng.integers(1, 7)))
        low = rng.normal(size=60) * 2
        high = low + 10.0 ** rng.uniform(-6, 2, 60)
        with np.errstate(all="ignore"):
            jet = enclose(steps, constants, stored, low, high)
        assert not np.isnan(jet).any()
        z = LONG(low) + (LONG(high) - LONG(low)) * LONG(np.linspace(0, 1, 80))[:, None]
        places = np.concatenate([each.places for each in true])
        near = [np.clip(places * (1 + LONG(s) * LONG(2) ** -50), low, high) for s in (-1, 0, 1)]
        z = np.sort(np.concatenate([z, *near]), axis=0)
        g = of_program(steps, exact, true, z)
        lost = ~np.isfinite(g).all(axis=0)
        # What has no value somewhere is not said to lie anywhere.
        assert np.all(np.isinf(jet.low[lost]) | np.isinf(jet.high[lost]))
        kept = Jet(*(part[~lost] for part in jet))
        # A table's jump that rounding explains has no part in its slopes.
        kink = ((z[:-1, None] <= places) & (places <= z[1:, None])).any(axis=1)
        assert holds(kept, z[:, ~lost], g[:, ~lost], ~kink[:, ~lost]), (seed, steps)
        seen += np.isfinite(kept.slope_low).sum()
    assert seen > 500


def at_points(seeds):
    """How many values and derivatives of random programs at single points were compared with 50
    digits, and how many were beyond what is said of them."""
    compared = beyond = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        stored, true = zip(*(table(rng, 2) for _ in range(3)), strict=True)
        constants, exact = numbers(rng)
        steps = program(rng, int(rng.integers(1, 7)))
        z = rng.normal(size=8) * 2
        with np.errstate(all="ignore"):
            jet = enclose(steps, constants, stored, z, z)
        known = np.isfinite(jet).all(axis=0) & (np.abs(jet.high) < 1e6)
        for k in np.flatnonzero(known):
            at = mpmath.mpf(z[k])
            g = lambda p, steps=steps, own=(exact, true): in_digits(steps, *own, p)  # noqa: E731
            try:
                value, slope = g(at), mpmath.diff(g, at, h=mpmath.mpf(2) ** -80)
            except (ZeroDivisionError, OverflowError):  # in a branch that is not taken
                continue
            beyond += not jet.low[k] <= value <= jet.high[k]
            # Half of the digits are lost in the difference.
            seen = mpmath.mpf(2) ** -70 * (1 + abs(slope))
            beyond += not jet.slope_low[k] - seen <= slope <= jet.slope_high[k] + seen
            compared += 1
    return compared, beyond


def test_at_single_points_rounding_is_covered_to_50_digits():
    compared, beyond = at_points(range(150))
    assert compared > 300 and beyond == 0


@pytest.mark.parametrize("name", ["lowered", "_about"])
def test_the_comparison_sees_rounding_that_is_not_covered(name, monkeypatch):
    none = {"lowered": lambda v, e: v, "_about": lambda v, rough: Range(v, v)}
    monkeypatch.setattr(ranges, name, none[name])
    assert at_points(range(150))[1] > 0


@pytest.mark.parametrize("broken", ["product", "chain", "jump", "ends", "turning", "signs"])
def test_the_checks_see_a_rule_that_is_broken(broken, monkeypatch):
    swapped = {
        "product": (
            "mul",
            lambda s, o, n: Jet(*o[0].values, *ranges.times(*(f.slopes for f in o))),
        ),
        "chain": ("reciprocal", lambda s, o, n: Jet(*ranges.reciprocal(o[0].values), *o[0].slopes)),
        "jump": ("floor", lambda s, o, n: Jet(*map(np.floor, o[0].values), *(0 * o[0].low,) * 2)),
        "ends": ("max", lambda s, o, n: o[0]),
    }
    if broken in swapped:
        monkeypatch.setitem(enclosures.RULES, *swapped[broken])
        if broken == "jump":
            with pytest.raises(AssertionError):
                test_truths_are_decided_where_they_are_the_same_on_the_cell()
            return
    elif broken == "turning":
        monkeypatch.setattr(
            enclosures, "wave", lambda f, peak, a: Range(*np.sort(f(np.array(a)), 0))
        )
        for name in ("sin", "cos"):
            with pytest.raises(AssertionError):
                test_values_and_derivatives_on_cells_hold_all_that_are_there(name)
        return
    else:
        ends_only = lambda f, a: (Range(*f.value(np.array(a))), Range(*f.slope(np.array(a))))  # noqa: E731
        monkeypatch.setattr(enclosures, "image", ends_only)
    with pytest.raises(AssertionError):
        test_cells_of_random_programs_hold_values_and_difference_quotients(1.0)
