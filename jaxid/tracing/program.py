"""What an expression of one variable becomes in a graph: numbers in float64, each known to a bit.

Exact numbers are kept until here. What float64 can't hold becomes the two numbers next to it,
so that whatever is derived from them holds for the true one.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from jaxid.tracing import pieces as exact
from jaxid.tracing.expressions import Expression, Term, plus, power, scaled
from jaxid.tracing.graph import Instruction, Table
from jaxid.tracing.pieces import ONE, Line, Pieces

HALVES = 2.0**-40
"""Below a half, so far that a value at which rounding may go either way goes both ways."""
ROOT, CUBIC = Fraction(float(np.float32(np.sqrt(2 / np.pi)))), Fraction(float(np.float32(0.044715)))
"""Of the tanh approximation of gelu, as a float32 program holds them."""


class Known(NamedTuple):
    """c_0 + s_0 z + c g(s z + t): a function that bounds know by name, g, and a line.

    Attributes:
      name: g.
      inner: (s, t); next to the true one where that is irrational, which bounds allow for.
      factor: c, likewise.
      rest: (s_0, c_0).
    """

    name: str
    inner: tuple[float, float]
    factor: float
    rest: Line


def table(p: Pieces) -> Table:
    """The same function with its numbers in float64, last axis 1."""
    places = np.array([float(t) for t in p.places], np.float64)
    off = [float(abs(Fraction(float(t)) - t)) for t in p.places]
    spread = np.where(np.array(off, np.float64) > 0, np.spacing(np.abs(places)), 0.0)
    slopes, constants = ([float(line[k]) for line in p.lines] for k in (0, 1))
    values = [float(v) for v in p.values]
    return Table(*(np.asarray(c, np.float64)[:, None] for c in
                   (places, spread, slopes, constants, values)))  # fmt: skip


def between(value: Fraction) -> tuple[float, float]:
    """The numbers of float64 around it; twice itself if it is one."""
    near = float(value)
    if not math.isfinite(near) or Fraction(near) == value:
        return near, near
    return math.nextafter(near, -math.inf), math.nextafter(near, math.inf)


class _Writer:
    """Collects instructions, each made once."""

    def __init__(self) -> None:
        self.steps: list[Instruction] = []
        self.constants: list[tuple[float, float]] = []
        self.tables: list[Table] = []
        self.made: dict[Expression | Term | Pieces | Instruction, int] = {}

    def emit(self, step: Instruction) -> int:
        if step not in self.made:
            self.steps.append(step)
            self.made[step] = len(self.steps) - 1
        return self.made[step]

    def constant(self, ends: tuple[float, float]) -> int:
        self.constants.append(ends)
        return len(self.constants) - 1

    def expression(self, e: Expression) -> int:
        if e not in self.made:
            self.made[e] = self._expression(e)
        return self.made[e]

    def _expression(self, e: Expression) -> int:
        if not e.terms:
            return self.straight(e.straight)
        parts = [(c, self.term(t)) for c, t in e.terms]
        if e.straight.constant != 0:
            parts.insert(0, (ONE, self.straight(e.straight)))
        if len(parts) == 1 and parts[0][0] == 1:
            return parts[0][1]
        numbers = tuple(self.constant(between(c)) for c, _ in parts)
        return self.emit(Instruction("sum", tuple(k for _, k in parts), numbers))

    def straight(self, p: Pieces) -> int:
        if p not in self.made:
            self.tables.append(table(p))
            self.made[p] = self.emit(Instruction("pieces", (), (len(self.tables) - 1,)))
        return self.made[p]

    def term(self, t: Term) -> int:
        if t not in self.made:
            self.made[t] = self._term(t)
        return self.made[t]

    def _term(self, t: Term) -> int:
        operands = tuple(self.expression(e) for e in t.operands)
        if t.name == "round":
            half = float(t.numbers[0])
            one = self.straight(exact.constant(1))
            ends = (self.constant((1.0, 1.0)), self.constant((half - HALVES, half)))
            moved = self.emit(Instruction("sum", (*operands, one), ends))
            return self.emit(Instruction("floor", (moved,)))
        if t.name == "times_log":
            log = math.log(t.numbers[0])
            ends = log - 4 * np.spacing(abs(log)), log + 4 * np.spacing(abs(log))
            place = self.constant((float(ends[0]), float(ends[1])))
            return self.emit(Instruction("sum", operands, (place,)))
        numbers = tuple(self.constant(between(n)) for n in t.numbers)
        return self.emit(Instruction(t.name, operands, numbers, t.power))


def program(
    e: Expression,
) -> tuple[tuple[Instruction, ...], np.ndarray, tuple[Table, ...]]:
    """(instructions, constants (c, 2), tables) of `jaxid.tracing.graph.Curve`."""
    writer = _Writer()
    last = writer.expression(e)
    if last != len(writer.steps) - 1:
        # The last instruction gives the value.
        numbers = (writer.constant((1.0, 1.0)),)
        writer.steps.append(Instruction("sum", (last,), numbers))
    constants = np.array(writer.constants, np.float64).reshape(-1, 2)
    return tuple(writer.steps), constants, tuple(writer.tables)


def known(e: Expression) -> Known | None:
    """What ``e`` is, if it is one named function of a line and a line; else None."""
    if len(e.terms) != 1:
        return None
    c, term = e.terms[0]
    found = _named(term)
    if found is None:
        return None
    name, inner, factor, rest = found
    left = exact.add(e.straight, exact.scaled(rest, c))
    if left.line is None:
        return None
    return Known(name, (float(inner[0]), float(inner[1])), float(c) * float(factor), left.line)


_Found = tuple[str, tuple[Fraction | float, Fraction | float], Fraction | float, Pieces]
"""(g, (s, t), c, p): the term is c g(s z + t) + p."""
NOTHING = exact.constant(0)


def _named(term: Term) -> _Found | None:
    first = term.operands[0]
    if term.name == "mul":
        return _gate(first, term.operands[1])
    if first.terms:
        return None
    names = {"tanh": "tanh", "logistic": "sigmoid", "softplus": "softplus"}
    if term.name in names and first.line is not None:
        return names[term.name], first.line, ONE, NOTHING
    if term.name == "softplus":
        # softplus(-|u|) = softplus(u) - max(u, 0).
        u = _peak(first.straight)
        return None if u is None else ("softplus", u, ONE, _minus_relu(u))
    if term.name in ("exp", "expm1"):
        # expm1(min(u, 0)) = elu(u) - max(u, 0).
        u = _clipped(first.straight)
        if u is None:
            return None
        one = exact.constant(1 if term.name == "exp" else 0)
        return "elu", u, ONE, exact.add(_minus_relu(u), one)
    return None


def _minus_relu(u: Line) -> Pieces:
    return exact.scaled(exact.larger(exact.straight_line(*u), exact.constant(0)), -ONE)


def _clipped(p: Pieces) -> Line | None:
    """u if p is min(u, 0)."""
    for u in p.lines if len(p.lines) == 2 else ():
        if u[0] and exact.smaller(exact.straight_line(*u), exact.constant(0)) == p:
            return u
    return None


def _peak(p: Pieces) -> Line | None:
    """u, rising, if p is -|u|."""
    if len(p.lines) != 2:
        return None
    a, b = p.lines[0]
    u = exact.straight_line(a, b)
    bent = exact.smaller(u, exact.scaled(u, -ONE))
    return (a, b) if a > 0 and bent == p else None


def _ratio(inner: Expression, outer: Expression) -> Fraction | None:
    """k if inner is k times outer, both lines."""
    if inner.line is None or outer.line is None or not outer.line[0]:
        return None
    k = inner.line[0] / outer.line[0]
    return k if k * outer.line[1] == inner.line[1] else None


def _gate(z: Expression, gate: Expression) -> _Found | None:
    """Activations that are z times a gate: silu, gelu and its approximation."""
    if z.line is None or len(gate.terms) != 1 or gate.straight.constant is None:
        return None
    c, term = gate.terms[0]
    k = _ratio(term.operands[0], z)
    base = gate.straight.constant
    if term.name == "logistic" and base == 0 and k is not None and k > 0:
        return "silu", _stretched(z, k), c / k, NOTHING
    # z (1 + erf(k z)) and z erfc(-k z) are sqrt(2) / k gelu(sqrt(2) k z).
    error = term.name == "erf" and base == c
    complement = term.name == "erfc" and base == 0
    if k is not None and (error or complement):
        k = k if error else -k
        if k > 0:
            s, t = _stretched(z, k)
            root = math.sqrt(2)
            return "gelu", (float(s) * root, float(t) * root), float(c) * root / float(k), NOTHING
    if term.name == "tanh" and base == c:
        # 1 + tanh(ROOT (u + CUBIC u^3)), u being k z.
        k = _ratio(Expression(term.operands[0].straight), scaled(z, ROOT))
        if k is not None and k != 0:
            u = scaled(z, k)
            assert u.line is not None
            if term.operands[0] == plus(scaled(u, ROOT), scaled(power(u, 3), ROOT * CUBIC)):
                return "gelu_tanh", u.line, 2 * c / k, NOTHING
    return None


def _stretched(z: Expression, k: Fraction) -> Line:
    assert z.line is not None
    return z.line[0] * k, z.line[1] * k
