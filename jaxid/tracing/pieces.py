"""Functions of one variable that are made of straight pieces, in exact arithmetic.

Every number of a program is a floating-point number, and so a rational one: where pieces of
sums, maxima, comparisons and choices meet is computed without any rounding, however near two
places lie and whatever the units. A function may jump, and may have at a place a value of its
own, apart from the limits on both sides (x == 0 as a number).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias

LIMIT = 4096
"""Places beyond which a function is not followed."""
Line: TypeAlias = tuple[Fraction, Fraction]
"""(a, b), z -> a z + b."""
ZERO, ONE, HALF = Fraction(0), Fraction(1), Fraction(1, 2)


class NotStraight(Exception):
    """The result is not made of finitely many straight pieces."""


@dataclass(frozen=True)
class Pieces:
    """p(z) = a_j z + b_j between place j - 1 and place j, and a value of its own at each place.

    Attributes:
      places: ascending.
      lines: one more than places.
      values: as many as places.
    """

    places: tuple[Fraction, ...]
    lines: tuple[Line, ...]
    values: tuple[Fraction, ...]

    def __call__(self, z: Fraction) -> Fraction:
        """p(z)."""
        j = bisect_left(self.places, z)
        if j < len(self.places) and self.places[j] == z:
            return self.values[j]
        a, b = self.lines[j]
        return a * z + b

    def near(self, z: Fraction) -> Line:
        """The line of the piece that z lies on; z is no place."""
        return self.lines[bisect_left(self.places, z)]

    @cached_property
    def line(self) -> Line | None:
        """(a, b) if it is one line."""
        return None if self.places else self.lines[0]

    @cached_property
    def constant(self) -> Fraction | None:
        """The number that it is everywhere, if there is one."""
        return self.lines[0][1] if not self.places and self.lines[0][0] == 0 else None

    @cached_property
    def stepped(self) -> bool:
        """Whether every piece is level."""
        return all(a == 0 for a, _ in self.lines)

    @cached_property
    def numbers(self) -> frozenset[Fraction]:
        """What it may be, where it is stepped."""
        return frozenset([*(b for _, b in self.lines), *self.values])

    @cached_property
    def truth(self) -> bool:
        """Whether it is 0 or 1 everywhere."""
        return self.stepped and self.numbers <= {ZERO, ONE}

    @cached_property
    def continuous(self) -> bool:
        """Whether it jumps nowhere."""
        return all(
            a * t + b == value == c * t + d
            for t, value, ((a, b), (c, d)) in zip(
                self.places, self.values, pairwise(self.lines), strict=True
            )
        )


def constant(number: float | Fraction) -> Pieces:
    """The same number everywhere; what is floating-point is taken exactly."""
    return Pieces((), ((ZERO, Fraction(number)),), ())


IDENTITY = Pieces((), ((ONE, ZERO),), ())
"""z."""


def straight_line(a: Fraction, b: Fraction) -> Pieces:
    """a z + b."""
    return Pieces((), ((a, b),), ())


def scaled(p: Pieces, factor: Fraction) -> Pieces:
    """factor times p."""
    if factor == 1:
        return p
    lines = tuple((factor * a, factor * b) for a, b in p.lines)
    return _tidy(p.places, lines, tuple(factor * v for v in p.values))


def add(p: Pieces, q: Pieces) -> Pieces:
    """p + q."""
    return _both(p, q, lambda k, m, _: (k[0] + m[0], k[1] + m[1]), lambda u, v: u + v)


def product(p: Pieces, q: Pieces) -> Pieces:
    """p q, one of them being level on each piece.

    Raises:
      NotStraight: where both rise.
    """

    def on_lines(k: Line, m: Line, _: Fraction) -> Line:
        if k[0] and m[0]:
            raise NotStraight
        return (k[1] * m[0], k[1] * m[1]) if not k[0] else (k[0] * m[1], k[1] * m[1])

    return _both(p, q, on_lines, lambda u, v: u * v)


def reciprocal(p: Pieces) -> Pieces:
    """1 / p of a stepped p that is nowhere 0.

    Raises:
      NotStraight: for any other.
    """
    if not p.stepped or ZERO in p.numbers:
        raise NotStraight
    return mapped(p, lambda number: 1 / number)


def mapped(p: Pieces, function: Callable[[Fraction], Fraction]) -> Pieces:
    """function(p) of a stepped p.

    Raises:
      NotStraight: for any other.
    """
    if not p.stepped:
        raise NotStraight
    lines = tuple((ZERO, function(b)) for _, b in p.lines)
    return _tidy(p.places, lines, tuple(function(v) for v in p.values))


def larger(p: Pieces, q: Pieces) -> Pieces:
    """max(p, q)."""

    def on_lines(k: Line, m: Line, z: Fraction) -> Line:
        return k if k[0] * z + k[1] >= m[0] * z + m[1] else m

    return _both(p, q, on_lines, max, crossing=True)


def smaller(p: Pieces, q: Pieces) -> Pieces:
    """min(p, q)."""
    return scaled(larger(scaled(p, -ONE), scaled(q, -ONE)), -ONE)


def compared(p: Pieces, q: Pieces, holds: Callable[[Fraction, Fraction], bool]) -> Pieces:
    """1 where holds(p, q), else 0; ``holds`` looks at the sign of p - q alone."""

    def on_lines(k: Line, m: Line, z: Fraction) -> Line:
        return ZERO, Fraction(int(holds(k[0] * z + k[1], m[0] * z + m[1])))

    return _both(p, q, on_lines, lambda u, v: Fraction(int(holds(u, v))), crossing=True)


def chosen(which: Pieces, cases: tuple[Pieces, ...]) -> Pieces:
    """cases[which], ``which`` being stepped.

    Raises:
      NotStraight: if it is not, or names no case.
    """
    if not which.stepped or not which.numbers <= {Fraction(k) for k in range(len(cases))}:
        raise NotStraight
    places = tuple(sorted({*which.places, *(t for case in cases for t in case.places)}))
    lines = tuple(cases[int(which.near(z)[1])].near(z) for z in _middles(places))
    values = tuple(cases[int(which(t))](t) for t in places)
    return _tidy(places, lines, values)


def steps(p: Pieces, step: Callable[[Fraction], int], offset: Fraction) -> Pieces:
    """step(p), where ``step`` is level between the numbers k + offset, k an integer.

    Raises:
      NotStraight: if p rises or falls without end, so that the steps have none.
    """
    places: list[Fraction] = list(p.places)
    ends = [None, *p.places, None]
    for (a, b), left, right in zip(p.lines, ends[:-1], ends[1:], strict=True):
        if a == 0:
            continue
        if left is None or right is None:
            raise NotStraight
        low, high = sorted((a * left + b - offset, a * right + b - offset))
        if high - low > LIMIT:
            raise NotStraight
        places += [(k + offset - b) / a for k in range(math.floor(low) + 1, math.ceil(high))]
    ordered = tuple(sorted(places))
    lines = tuple((ZERO, Fraction(step(p(z)))) for z in _middles(ordered))
    return _tidy(ordered, lines, tuple(Fraction(step(p(t))) for t in ordered))


def _both(
    p: Pieces,
    q: Pieces,
    on_lines: Callable[[Line, Line, Fraction], Line],
    on_values: Callable[[Fraction, Fraction], Fraction],
    *,
    crossing: bool = False,
) -> Pieces:
    """A result of two functions, piece by piece, also cut where they cross if that matters."""
    places = sorted({*p.places, *q.places})
    if crossing:
        places = sorted({*places, *_crossings(p, q, places)})
    ordered = tuple(places)
    lines = tuple(on_lines(p.near(z), q.near(z), z) for z in _middles(ordered))
    return _tidy(ordered, lines, tuple(on_values(p(t), q(t)) for t in ordered))


def _crossings(p: Pieces, q: Pieces, places: list[Fraction]) -> list[Fraction]:
    found = []
    ends = [None, *places, None]
    for z, left, right in zip(_middles(tuple(places)), ends[:-1], ends[1:], strict=True):
        (a, b), (c, d) = p.near(z), q.near(z)
        if a == c:
            continue
        place = (d - b) / (a - c)
        if (left is None or place > left) and (right is None or place < right):
            found.append(place)
    return found


def _middles(places: tuple[Fraction, ...]) -> list[Fraction]:
    """A number inside every piece."""
    if not places:
        return [ZERO]
    inside = [(a + b) * HALF for a, b in pairwise(places)]
    return [places[0] - 1, *inside, places[-1] + 1]


def _tidy(
    places: tuple[Fraction, ...], lines: tuple[Line, ...], values: tuple[Fraction, ...]
) -> Pieces:
    """The same function without places at which nothing happens.

    Raises:
      NotStraight: for more than `LIMIT` places.
    """
    kept_places: list[Fraction] = []
    kept_values: list[Fraction] = []
    kept_lines = [lines[0]]
    for place, value, line in zip(places, values, lines[1:], strict=True):
        before = kept_lines[-1]
        if line == before and line[0] * place + line[1] == value:
            continue
        kept_places.append(place)
        kept_values.append(value)
        kept_lines.append(line)
    if len(kept_places) > LIMIT:
        raise NotStraight
    return Pieces(tuple(kept_places), tuple(kept_lines), tuple(kept_values))
