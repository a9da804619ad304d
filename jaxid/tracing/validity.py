"""Where functions of one variable have a value: what rewriting must not lose.

log(z) - log(z) is 0 where z > 0 and nothing elsewhere; so is 0 log(z), and a program that divides
by zero gives NaN whatever it multiplies the quotient by. Identities of real arithmetic forget
that, and a bound on what is left would be one on a function with a larger domain. What a result
has forgotten of its operands is therefore noted, and bounded beside it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from jaxid.tracing import expressions as one
from jaxid.tracing.expressions import Expression, Term

LEAST = Fraction(1, 10**40)
"""Below every positive number that a float32 program holds with all its digits."""
DOMAIN = {
    "log": "positive", "log1p": "beyond -1", "rsqrt": "positive", "sqrt": "natural",
    "reciprocal": "not zero", "asin": "sine", "acos": "sine", "acosh": "beyond 1",
    "atanh": "inside", "within": "within",
}  # fmt: skip
"""What the operand must be."""
IMPLIES = {"positive": ("natural", "not zero")}


class Condition(NamedTuple):
    """That a term's operand lies where the term has a value.

    Attributes:
      domain: of `DOMAIN`.
      operand: whose.
      numbers: of "within".
      term: the one that has no value elsewhere; not part of what is asked.
    """

    domain: str
    operand: Expression
    numbers: tuple[Fraction, ...]
    term: Term

    @property
    def asked(self) -> tuple[str, Expression, tuple[Fraction, ...]]:
        """What must hold."""
        return self.domain, self.operand, self.numbers


def partial(e: Expression) -> bool:
    """Whether it may have no value somewhere."""
    return bool(conditions(e))


def conditions(e: Expression) -> list[Condition]:
    """What must hold for e to have a value, as far as it doesn't plainly hold everywhere."""
    return [found for _, term in e.terms for found in _of(term)]


def _of(term: Term) -> list[Condition]:
    # Of a choice, the branch that is not taken doesn't matter, and the one that is does: it has a
    # value where the choice itself has one.
    operands = term.operands[:1] if term.name == "select" else term.operands
    inner = [found for e in operands for found in conditions(e)]
    if term.name == "select" and any(partial(branch) for branch in term.operands[1:]):
        return [*inner, Condition("choice", _alone(term), (), term)]
    if term.name not in DOMAIN or _holds(term):
        return inner
    own = term.operands[0]
    domain = DOMAIN[term.name]
    if domain == "beyond -1":
        domain, own = "positive", one.plus(own, one.number(1))
    return [*inner, Condition(domain, own, term.numbers, term)]


def _alone(term: Term) -> Expression:
    return Expression(one.number(0).straight, ((Fraction(1), term),))


def _holds(term: Term) -> bool:
    own = term.operands[0]
    if term.name == "sqrt":
        return one.never_negative(own)
    if term.name == "log1p":
        own = one.plus(own, one.number(1))
    if term.name in ("log", "log1p", "rsqrt", "reciprocal"):
        return one.never_negative(one.minus(own, one.number(LEAST)))
    return False


def forgotten(result: Expression, operands: list[Expression]) -> list[Expression]:
    """Terms of operands that have no value somewhere where the result has one.

    Args:
      result: what an operation made.
      operands: those of them that it always needs.
    """
    before = [found for e in operands for found in conditions(e)]
    if not before:
        return []
    held = {found.asked for found in conditions(result)}
    held |= {(also, e, n) for domain, e, n in held for also in IMPLIES.get(domain, ())}
    lost = {found.asked: found.term for found in before if found.asked not in held}
    return [_alone(term) for term in lost.values()]
