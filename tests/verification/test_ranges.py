"""Interval arithmetic and elementary functions, against 50 digits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from verification.programs import DIGITS

from jaxid.core.precision import float64
from jaxid.verification import ranges
from jaxid.verification.ranges import ELEMENTARY, Range
from jaxid.verification.rounding import TINY, UNIT

mpmath.mp.dps = 50


def spread_points(name, count=260):
    """Numbers of the domain, of all sizes."""
    rng = np.random.default_rng(len(name))
    sizes = 10.0 ** rng.uniform(-280, 280, count // 4) * rng.choice([-1, 1], count // 4)
    near = rng.choice([-1.0, 0.0, 1.0], count // 4) + rng.normal(size=count // 4) * 10.0 ** -(
        rng.uniform(0, 15, count // 4)
    )
    z = np.concatenate([rng.normal(size=count) * 2, rng.uniform(-40, 40, count), sizes, near])
    z = np.concatenate([z, rng.uniform(-700, 700, count // 2), np.linspace(-0.5, 0.5, count)])
    if name in ("sin", "cos"):
        turns = np.round(rng.uniform(-1e7, 1e7, count)) * np.pi / 2
        z = np.concatenate([z, rng.uniform(-1e8, 1e8, count), turns])
        return z[np.abs(z) <= ranges.TURNS]
    low, high = ELEMENTARY[name].domain
    if high == 1:
        z = np.concatenate([z, np.tanh(z)])
    if name == "erfc":
        z = z[z < 30]  # mpmath has none further out
    return z[(z > low) & (z < high) & (z != 0)]


def deviations(name, functions, exact, z):
    """The largest relative error in units of u, where neither over- nor underflows."""
    values = np.asarray(functions(z))
    worst = 0.0
    for point, value in zip(z, values, strict=True):
        true = mpmath.re(exact(mpmath.mpf(point)))
        if 1e-290 < abs(true) < 1e300:
            worst = max(worst, float(abs(mpmath.mpf(float(value)) - true) / abs(true) / UNIT))
    return worst


@pytest.mark.parametrize("name", ELEMENTARY)
def test_elementary_functions_err_by_much_less_than_is_allowed(name):
    function, exact = ELEMENTARY[name], DIGITS[name]
    z = spread_points(name)
    # A step to either side stays inside.
    few = z[(np.abs(z) > 1e-9) & (np.abs(z) < 30) & (np.abs(np.abs(z) - 1) > 1e-9)][::6]

    def slope(p):
        # Of erf even 50 digits leave nothing far out.
        bell = {"erf": 1, "erfc": -1}.get(name, 0) * 2 / mpmath.sqrt(mpmath.pi)
        return bell * mpmath.exp(-p * p) or mpmath.diff(exact, p, h=mpmath.mpf(2) ** -80)

    with np.errstate(all="ignore"):
        value = deviations(name, function.value, exact, z)
        steep = deviations(name, function.slope, slope, few)
    with float64():
        compiled = deviations(
            name, lambda p: jax.jit(function.value)(jnp.asarray(p)), exact, z[::3]
        )
    assert value <= function.rough / 4 and compiled <= function.rough / 4
    assert steep <= function.steep / 4


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_waves_err_by_much_less_than_is_allowed(name):
    z, exact = spread_points(name), DIGITS[name]
    value = getattr(np, name)(z)
    for point, found in zip(z, value, strict=True):
        allowed = ranges.ALLOWED * UNIT * (abs(found) + min(abs(point), 1.0)) + TINY
        assert abs(mpmath.mpf(float(found)) - exact(mpmath.mpf(point))) <= allowed / 4


@pytest.mark.parametrize("n", [2, 3, 4, 7, 32])
def test_powers_hold_the_true_ones(n):
    rng = np.random.default_rng(n)
    low = rng.normal(size=60) * 10.0 ** rng.uniform(-12, 3, 60)
    high = low + np.abs(rng.normal(size=60)) * 10.0 ** rng.uniform(-12, 3, 60)
    found = ranges.power(Range(low, high), n)
    for a, b, least, most in zip(low, high, *found, strict=True):
        ends = [mpmath.mpf(a) ** n, mpmath.mpf(b) ** n]
        true = min(ends) if n % 2 or a * b > 0 else mpmath.mpf(0)
        size = max(abs(e) for e in ends) * mpmath.mpf(2) ** -45 + TINY * 2
        assert true - size <= least <= true and max(ends) <= most <= max(ends) + size


@pytest.mark.parametrize("operation", ["plus", "times", "reciprocal"])
def test_interval_operations_hold_every_combination_and_miss_by_little(operation):
    rng = np.random.default_rng(len(operation))
    exact = {
        "plus": lambda x, y: x + y, "times": lambda x, y: x * y, "reciprocal": lambda x, y: 1 / x,
    }[operation]  # fmt: skip
    size = 10.0 ** rng.uniform(-12, 12, (2, 80))
    ends = np.sort(rng.normal(size=(2, 2, 80)) * size[None], axis=0)
    ends = np.where(rng.uniform(size=ends.shape) < 0.1, 0.0, ends)
    a, b = (Range(*np.sort(ends[:, k], axis=0)) for k in range(2))
    with np.errstate(all="ignore"):
        found = getattr(ranges, operation)(*((a, b) if operation != "reciprocal" else (a,)))
    for k in range(80):
        if operation == "reciprocal" and a.low[k] <= 0 <= a.high[k]:
            assert (found.low[k], found.high[k]) == (-np.inf, np.inf)
            continue
        corners = [
            exact(mpmath.mpf(x), mpmath.mpf(y)) for x in (a.low[k], a.high[k])
            for y in (b.low[k], b.high[k])
        ]  # fmt: skip
        slack = max(abs(c) for c in corners) * mpmath.mpf(2) ** -49 + 2 * TINY
        assert min(corners) - slack <= found.low[k] <= min(corners)
        assert max(corners) <= found.high[k] <= max(corners) + slack


def test_zero_times_what_may_be_infinite_is_not_known():
    none, rest = Range(np.zeros(1), np.zeros(1)), Range(np.ones(1), np.full(1, np.inf))
    with np.errstate(invalid="ignore"):
        assert np.array_equal(ranges.times(none, rest), ranges.unknown(none.low))


@pytest.mark.parametrize("operation", ["plus", "times", "reciprocal"])
def test_the_comparison_sees_rounding_that_is_not_covered(operation, monkeypatch):
    monkeypatch.setattr(ranges, "widened", Range)
    with pytest.raises(AssertionError):
        test_interval_operations_hold_every_combination_and_miss_by_little(operation)
