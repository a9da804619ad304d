"""Functions of straight pieces against their definition, at and between all places."""

from __future__ import annotations

import math
import operator
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from jaxid.tracing import pieces as exact
from jaxid.tracing.pieces import NotStraight, Pieces

Z = exact.IDENTITY


def number(rng):
    return Fraction(int(rng.integers(-12, 13)), int(rng.integers(1, 6)))


def drawn(rng, depth):
    """(pieces, the same function by its definition)."""
    if depth == 0:
        if rng.uniform() < 0.3:
            c = number(rng)
            return exact.constant(c), lambda z: c
        a, b = number(rng), number(rng)
        return exact.straight_line(a, b), lambda z: a * z + b
    p, f = drawn(rng, depth - 1)
    q, g = drawn(rng, int(rng.integers(0, depth)))
    kind = int(rng.integers(7))
    if kind == 0:
        return exact.add(p, q), lambda z: f(z) + g(z)
    if kind == 1:
        return exact.larger(p, q), lambda z: max(f(z), g(z))
    if kind == 2:
        return exact.smaller(p, q), lambda z: min(f(z), g(z))
    if kind == 3:
        name = [operator.gt, operator.ge, operator.eq, operator.ne][rng.integers(4)]
        return exact.compared(p, q, name), lambda z: Fraction(int(name(f(z), g(z))))
    if kind == 4:
        which = exact.compared(p, q, operator.gt)
        r, h = drawn(rng, 0)
        return exact.chosen(which, (r, p)), lambda z: f(z) if f(z) > g(z) else h(z)
    if kind == 5:
        low = exact.smaller(exact.larger(p, exact.constant(-3)), exact.constant(3))
        return exact.steps(low, math.floor, Fraction(0)), lambda z: Fraction(
            math.floor(min(max(f(z), -3), 3))
        )
    mask = exact.compared(q, exact.constant(0), operator.ge)
    return exact.product(mask, p), lambda z: f(z) if g(z) >= 0 else Fraction(0)


def at(p):
    """Every place, points beside and between them, far out."""
    ends = [Fraction(-1000), *p.places, Fraction(1000)]
    tiny = Fraction(1, 10**30)
    between = [(a + b) / 2 for a, b in pairwise(ends)]
    return [*ends, *between, *(t - tiny for t in p.places), *(t + tiny for t in p.places)]


@pytest.mark.parametrize("seed", range(60))
def test_random_compositions_are_exact_everywhere(seed):
    rng = np.random.default_rng(seed)
    p, f = drawn(rng, 4)
    assert list(p.places) == sorted(set(p.places))
    assert all(p(z) == f(z) for z in at(p))


def test_places_at_which_nothing_happens_are_gone():
    p = exact.add(exact.larger(Z, exact.constant(0)), exact.smaller(Z, exact.constant(0)))
    assert p == Z
    assert exact.add(p, exact.scaled(Z, Fraction(-1))).constant == 0


def test_a_value_of_its_own_is_kept_apart_from_both_limits():
    zero = exact.compared(Z, exact.constant(0), operator.eq)
    assert zero.places == (0,) and zero.values == (1,) and set(zero.lines) == {(0, 0)}
    assert not zero.continuous and zero.truth
    assert exact.larger(Z, exact.constant(0)).continuous


def test_places_nearer_than_any_float_stay_apart():
    tiny = Fraction(1, 2**2000)
    left = exact.compared(Z, exact.constant(Fraction(1)), operator.gt)
    right = exact.compared(Z, exact.constant(1 + tiny), operator.gt)
    band = exact.add(left, exact.scaled(right, Fraction(-1)))
    assert band.places == (1, 1 + tiny) and band(1 + tiny / 2) == 1 and band(1 + 2 * tiny) == 0


def test_what_has_no_end_of_steps_or_bends_is_refused():
    for wrong in (
        lambda: exact.steps(Z, math.floor, Fraction(0)),
        lambda: exact.product(Z, Z),
        lambda: exact.reciprocal(Z),
        lambda: exact.reciprocal(exact.compared(Z, exact.constant(0), operator.gt)),
        lambda: exact.mapped(Z, abs),
        lambda: exact.chosen(Z, (Z, Z)),
    ):
        with pytest.raises(NotStraight):
            wrong()
    steps = Pieces((), ((Fraction(10**6), Fraction(0)),), ())
    with pytest.raises(NotStraight):
        clipped = exact.smaller(exact.larger(steps, exact.constant(0)), exact.constant(10**5))
        exact.steps(clipped, math.floor, Fraction(0))


def test_rounding_takes_halves_where_the_program_does():
    wide = exact.smaller(exact.larger(Z, exact.constant(-3)), exact.constant(3))
    p = exact.steps(wide, round, exact.HALF)
    assert [p(Fraction(k, 2)) for k in (-5, -3, -1, 1, 3, 5)] == [-2, -2, 0, 0, 2, 2]
