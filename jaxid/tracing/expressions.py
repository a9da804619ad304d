"""Functions of one variable as a program computes them, read exactly.

An expression is p(z) + sum_k c_k t_k(z): straight pieces p, and multiples of terms that are not
made of straight pieces: a known function of an expression, a product, a maximum, a choice.
Numbers are rational, so that equal things are equal and what cancels is gone. The rules below
are identities of real arithmetic; they bring what people type out for one function
(1 / (1 + exp(-z)), log(1 + exp(z))) into one form that is also better bounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from functools import partial as with_first

from jaxid.tracing import pieces as exact
from jaxid.tracing.pieces import ONE, ZERO, NotStraight, Pieces

FUNCTIONS = frozenset(
    {"exp", "exp2", "expm1", "log", "log1p", "sqrt", "rsqrt", "cbrt", "tanh", "logistic",
     "softplus", "erf", "erfc", "sin", "cos", "sinh", "cosh", "asin", "acos", "atan", "asinh",
     "acosh", "atanh"}
)  # fmt: skip
"""Functions of one variable that bounds know by name."""
AT_ZERO = {"exp": ONE, "expm1": ZERO}
"""What those are at 0 that a choice between pieces may be drawn into."""


@dataclass(frozen=True)
class Term:
    """Something that is not made of straight pieces.

    Attributes:
      name: a function of `FUNCTIONS`, or what `jaxid.tracing.graph.PROGRAM` lists.
      operands: expressions.
      power: of "power".
      numbers: of "within", "round" and "times_log".
    """

    name: str
    operands: tuple[Expression, ...]
    power: int = 0
    numbers: tuple[Fraction, ...] = ()

    @cached_property
    def _hash(self) -> int:
        return hash((self.name, self.operands, self.power, self.numbers))

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True)
class Expression:
    """p(z) + sum_k c_k t_k(z).

    Attributes:
      straight: p.
      terms: (c_k, t_k), no t_k twice, no c_k zero.
    """

    straight: Pieces
    terms: tuple[tuple[Fraction, Term], ...] = ()

    @cached_property
    def _hash(self) -> int:
        return hash((self.straight, frozenset(self.terms)))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def depth(self) -> int:
        """How many terms stand inside one another."""
        inner = (e.depth for _, term in self.terms for e in term.operands)
        return 1 + max(inner, default=0) if self.terms else 0

    @property
    def constant(self) -> Fraction | None:
        """The number that it is everywhere, if it plainly is one."""
        return None if self.terms else self.straight.constant

    @property
    def line(self) -> tuple[Fraction, Fraction] | None:
        """(a, b) if it is a z + b."""
        return None if self.terms else self.straight.line


Z = Expression(exact.IDENTITY)
"""The variable."""


def number(value: float | Fraction) -> Expression:
    """The same finite number everywhere."""
    return Expression(exact.constant(value))


def _term(name: str, *operands: Expression, power: int = 0, numbers: tuple[Fraction, ...] = ()
          ) -> Expression:  # fmt: skip
    return Expression(exact.constant(0), ((ONE, Term(name, operands, power, numbers)),))


def combined(parts: list[tuple[Fraction, Expression]]) -> Expression:
    """sum of factor times expression."""
    straight = exact.constant(0)
    terms: dict[Term, Fraction] = {}
    for factor, part in parts:
        straight = exact.add(straight, exact.scaled(part.straight, factor))
        for c, term in part.terms:
            terms[term] = terms.get(term, ZERO) + factor * c
    return Expression(straight, tuple((c, t) for t, c in terms.items() if c))


def scaled(e: Expression, factor: Fraction) -> Expression:
    """factor times e."""
    return combined([(factor, e)])


def plus(a: Expression, b: Expression) -> Expression:
    """a + b."""
    return combined([(ONE, a), (ONE, b)])


def minus(a: Expression, b: Expression) -> Expression:
    """a - b."""
    return combined([(ONE, a), (-ONE, b)])


def alone(e: Expression, name: str) -> tuple[Fraction, Term] | None:
    """(c, t) if e is c t and t a term of that name."""
    if len(e.terms) == 1 and e.straight.constant == 0 and e.terms[0][1].name == name:
        return e.terms[0]
    return None


def _factored(e: Expression) -> tuple[Fraction, Expression]:
    """(c, f), e = c f, for f as plain as can be."""
    if len(e.terms) == 1 and e.straight.constant == 0:
        c, term = e.terms[0]
        return c, Expression(e.straight, ((ONE, term),))
    if e.line is not None and e.line[0] != 0:
        return e.line[0], scaled(e, 1 / e.line[0])
    return ONE, e


def times(a: Expression, b: Expression) -> Expression:
    """a b."""
    for one, other in ((a, b), (b, a)):
        if one.constant is not None:
            return scaled(other, one.constant)
    if not a.terms and not b.terms:
        try:
            return Expression(exact.product(a.straight, b.straight))
        except NotStraight:
            pass
    for one, other in ((a, b), (b, a)):
        if not one.terms and one.straight.truth:
            return choose(one, (number(0), other))
    (c, a), (d, b) = _factored(a), _factored(b)
    return scaled(_product(a, b), c * d)


def _product(a: Expression, b: Expression) -> Expression:
    if a == b:
        return power(a, 2)
    for one, other in ((a, b), (b, a)):
        e, s = alone(one, "exp"), alone(other, "logistic")
        if e and s and plus(e[1].operands[0], s[1].operands[0]).constant == 0:
            # exp(u) / (1 + exp(u))
            return _term("logistic", e[1].operands[0])
    exps = [alone(e, "exp") for e in (a, b)]
    if exps[0] and exps[1]:
        return function("exp", plus(exps[0][1].operands[0], exps[1][1].operands[0]))
    return _term("mul", *((b, a) if a.terms and not b.terms else (a, b)))


def power(e: Expression, n: int) -> Expression:
    """e^n, n an integer."""
    if n < 0:
        return reciprocal(power(e, -n))
    if n <= 1:
        return e if n else number(1)
    if not e.terms and e.straight.stepped:
        return Expression(exact.mapped(e.straight, lambda b: b**n))
    c, e = _factored(e)
    inner = alone(e, "exp")
    if inner:
        return scaled(function("exp", scaled(inner[1].operands[0], Fraction(n))), c**n)
    return scaled(_term("power", e, power=n), c**n)


def reciprocal(e: Expression) -> Expression:
    """1 / e; unbounded where e may be 0."""
    if not e.terms:
        try:
            return Expression(exact.reciprocal(e.straight))
        except NotStraight:
            pass
    if e.straight.constant is not None and e.straight.constant > 0 and len(e.terms) == 1:
        c, term = e.terms[0]
        if term.name == "exp" and c == e.straight.constant:
            return scaled(_term("logistic", scaled(term.operands[0], -ONE)), 1 / c)
    c, e = _factored(e)
    for name, other in (("exp", None), ("sqrt", "rsqrt")):
        found = alone(e, name)
        if found:
            inner = found[1].operands[0]
            known = _term(other, inner) if other else function("exp", scaled(inner, -ONE))
            return scaled(known, 1 / c)
    return scaled(_term("reciprocal", e), 1 / c)


def function(name: str, e: Expression) -> Expression:
    """A function of `FUNCTIONS` of an expression."""
    if name == "log":
        inner = alone(e, "exp")
        if inner and inner[0] == 1:
            return inner[1].operands[0]
        if e.straight.constant == 1:
            return function("log1p", minus(e, number(1)))
    if name == "log1p":
        inner = alone(e, "exp")
        if inner and inner[0] == 1:
            return _term("softplus", inner[1].operands[0])
    if name == "expm1" and not e.terms and e.straight.constant == 0:
        return number(0)
    return _term(name, e)


def larger(a: Expression, b: Expression) -> Expression:
    """max(a, b)."""
    if not a.terms and not b.terms:
        return Expression(exact.larger(a.straight, b.straight))
    apart = minus(a, b)
    if not apart.terms:
        return plus(b, Expression(exact.larger(apart.straight, exact.constant(0))))
    return _term("max", a, b)


def smaller(a: Expression, b: Expression) -> Expression:
    """min(a, b)."""
    return scaled(larger(scaled(a, -ONE), scaled(b, -ONE)), -ONE)


def absolute(e: Expression) -> Expression:
    """|e|."""
    return larger(e, scaled(e, -ONE))


def positive(e: Expression) -> Expression:
    """1 where e > 0, else 0."""
    if not e.terms:
        return Expression(exact.compared(e.straight, exact.constant(0), lambda a, b: a > b))
    return _term("positive", e)


def natural(e: Expression) -> Expression:
    """1 where e >= 0, else 0."""
    if not e.terms:
        return Expression(exact.compared(e.straight, exact.constant(0), lambda a, b: a >= b))
    return _term("natural", e)


def zero(e: Expression) -> Expression:
    """1 where e = 0, else 0."""
    if not e.terms:
        return Expression(exact.compared(e.straight, exact.constant(0), lambda a, b: a == b))
    return _term("zero", e)


def sign(e: Expression) -> Expression:
    """-1, 0 or 1."""
    return minus(positive(e), positive(scaled(e, -ONE)))


POSITIVE = frozenset({"exp", "exp2", "sqrt", "rsqrt", "logistic", "softplus", "cosh"})
"""Functions that are negative nowhere."""


def never_negative(e: Expression) -> bool:
    """Whether it plainly is >= 0 wherever it has a value."""
    if exact.larger(e.straight, exact.constant(0)) != e.straight:
        return False
    even = [term.name == "power" and term.power % 2 == 0 for _, term in e.terms]
    known = [term.name in POSITIVE for _, term in e.terms]
    return all(c > 0 and (a or b) for (c, _), a, b in zip(e.terms, even, known, strict=True))


def negation(e: Expression) -> Expression:
    """1 - e of a truth value e."""
    return minus(number(1), e)


def choose(which: Expression, cases: tuple[Expression, ...]) -> Expression:
    """cases[which]."""
    if len(cases) == 2 and cases[0] == cases[1]:
        return cases[0]
    if which.terms:
        chosen = cases[0]
        for k, case in enumerate(cases[1:], start=1):
            later = which if len(cases) == 2 else natural(minus(which, number(k)))
            chosen = _term("select", later, chosen, case)
        return chosen
    straight = Expression(exact.chosen(which.straight, tuple(c.straight for c in cases)))
    parts = [(ONE, straight)]
    shared = [term for term in cases[0].terms if all(term in c.terms for c in cases[1:])]
    parts += [(c, Expression(exact.constant(0), ((ONE, t),))) for c, t in shared]
    for k, case in enumerate(cases):
        mask = exact.mapped(which.straight, with_first(_equal, k))
        parts += [(c, _gated(mask, t)) for c, t in case.terms if (c, t) not in shared]
    return combined(parts)


def _equal(k: int, b: Fraction) -> Fraction:
    return Fraction(int(b == k))


def _gated(mask: Pieces, term: Term) -> Expression:
    """mask t of a mask that is 0 or 1."""
    if mask.constant is not None:
        return scaled(Expression(exact.constant(0), ((ONE, term),)), mask.constant)
    value = AT_ZERO.get(term.name)
    if value is not None and not term.operands[0].terms:
        # Where the mask is 0 the function is taken at 0, which is known, and that is taken off.
        inside = exact.product(mask, term.operands[0].straight)
        if inside.continuous:
            off = exact.scaled(exact.add(exact.constant(1), exact.scaled(mask, -ONE)), -value)
            return plus(function(term.name, Expression(inside)), Expression(off))
    whole = Expression(exact.constant(0), ((ONE, term),))
    return _term("select", Expression(mask), number(0), whole)


def floor(e: Expression) -> Expression:
    """The largest integer <= e."""
    return _stepped(e, math.floor, ZERO) or _term("floor", e)


def ceiling(e: Expression) -> Expression:
    """The least integer >= e."""
    return scaled(floor(scaled(e, -ONE)), -ONE)


def truncated(e: Expression) -> Expression:
    """Rounded towards 0, as a cast to integers does."""
    found = _stepped(e, math.trunc, ZERO)
    if found is not None:
        return found
    up, down = larger(e, number(0)), larger(scaled(e, -ONE), number(0))
    return minus(floor(up), floor(down))


def rounded(e: Expression, *, even: bool) -> Expression:
    """Rounded to the nearest integer; halves to even ones, or away from 0."""

    def away(value: Fraction) -> int:
        return int(math.copysign(math.floor(abs(value) + exact.HALF), value))

    found = _stepped(e, round if even else away, exact.HALF)
    # Which way halves go is left open there: bounds take both.
    return found if found is not None else _term("round", e, numbers=(exact.HALF,))


def _stepped(e: Expression, step: object, offset: Fraction) -> Expression | None:
    if e.terms:
        return None
    try:
        return Expression(exact.steps(e.straight, step, offset))  # type: ignore[arg-type]
    except NotStraight:
        return None


def within(e: Expression, low: int, high: int) -> Expression:
    """Integers e in [low, high]: what a program does with others is not looked at."""
    if not e.terms and e.straight.stepped:
        numbers = e.straight.numbers
        if min(numbers) >= low and max(numbers) <= high:
            return e
    # Halfway to the next integer, where no rounding of bounds reaches.
    return _term("within", e, numbers=(low - exact.HALF, high + exact.HALF))


def real_power(e: Expression, exponent: Fraction) -> Expression:
    """e^exponent, e >= 0 unless the exponent is an integer."""
    if exponent.denominator == 1:
        return power(e, int(exponent))
    if exponent in (Fraction(1, 2), Fraction(-1, 2)):
        return _term("sqrt" if exponent > 0 else "rsqrt", e)
    return _term("exp", scaled(_term("log", e), exponent))


def exponential(base: Fraction, e: Expression) -> Expression:
    """base^e, base > 0."""
    if base == 2:
        return _term("exp2", e)
    return _term("exp", _term("times_log", e, numbers=(base,)))
