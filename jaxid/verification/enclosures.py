"""What a function of one variable may be on an interval, and what its derivative may be.

A `Jet` holds both, through every instruction of a program (`jaxid.tracing.graph.PROGRAM`), by
interval arithmetic: the derivative of f g lies in f' g + f g', and so on (Moore, Kearfott and
Cloud 2009, section 6.1). Where a function may jump its derivative is infinite; where it may
have no value, both are.

The function is any whose numbers are within those stored: constants between their least and
largest, those of tables next to what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np

from jaxid.core.types import Array
from jaxid.tracing.graph import Instruction, Table
from jaxid.verification import tables
from jaxid.verification.arrays import xp
from jaxid.verification.ranges import (
    ELEMENTARY,
    Elementary,
    Range,
    either,
    hull,
    image,
    lost,
    minus,
    plus,
    power,
    reciprocal,
    times,
    unknown,
    wave,
)


class Jet(NamedTuple):
    """A function on cells, each (..., n).

    Attributes:
      low, high: its values, ends of the cell included.
      slope_low, slope_high: its derivatives, at a kink everything between those of both sides.
        If both are finite it is continuous on the cell, but for jumps that the rounding of a
        table's numbers explains (`tables.meets_place` says where they may be).
    """

    low: Array
    high: Array
    slope_low: Array
    slope_high: Array

    @property
    def values(self) -> Range:
        """(low, high)."""
        return Range(self.low, self.high)

    @property
    def slopes(self) -> Range:
        """(slope_low, slope_high)."""
        return Range(self.slope_low, self.slope_high)


Rule = Callable[[Instruction, list[Jet], list[Range]], Jet]
"""(instruction, its operands, its constants) -> what it makes of them."""


def enclose(
    program: tuple[Instruction, ...],
    constants: Array,
    leaves: Sequence[Table],
    low: Array,
    high: Array,
) -> Jet:
    """The function on each cell [low, high], both (..., n).

    Args:
      program: the steps; the last one's value is the function's.
      constants: (c, 2), the least and the largest that each number may be.
      leaves: the tables of "pieces", last axis 1.
      low, high: ends of the cells.
    """
    found: list[Jet] = []
    for step in program:
        if step.name == "pieces":
            table = leaves[step.numbers[0]]
            ends = (low, high)
            found.append(Jet(*tables.bounds(table, *ends), *tables.slopes(table, *ends)))
            continue
        operands = [found[k] for k in step.operands]
        numbers = [Range(constants[k, 0], constants[k, 1]) for k in step.numbers]
        found.append(_kept(step, operands, _rule(step.name)(step, operands, numbers)))
    return found[-1]


def _rule(name: str) -> Rule:
    if name in RULES:
        return RULES[name]
    return lambda step, operands, numbers: _unary(ELEMENTARY[name], operands[0])


def _kept(step: Instruction, operands: list[Jet], result: Jet) -> Jet:
    """Without a value wherever an operand may have none; the branch not taken doesn't matter.
    Where it has none its derivative bounds nothing: 1 / z falls everywhere, but not across 0."""
    needed = operands[:1] if step.name == "select" else operands
    mask = reduce(xp.logical_or, [lost(jet.values) for jet in (*needed, result)])
    nothing = unknown(result.low)
    return _jet(either(mask, nothing, result.values), either(mask, nothing, result.slopes))


def _jet(values: Range, slopes: Range) -> Jet:
    return Jet(*values, *slopes)


def _flat(values: Range, decided: Array) -> Jet:
    """Constant on the cell where it is decided, else it may jump."""
    nothing = unknown(values.low)
    none = Range(*(xp.zeros_like(values.low) for _ in range(2)))
    return _jet(values, either(decided, none, nothing))


def _truth(yes: Array, no: Array) -> Jet:
    """1 where it is known to hold, 0 where it is known not to, else either."""
    values = Range(xp.where(yes, 1.0, 0.0), xp.where(no, 0.0, 1.0))
    return _flat(values, yes | no)


def _unary(function: Elementary, f: Jet) -> Jet:
    values, steep = image(function, f.values)
    return _jet(values, times(steep, f.slopes))


def _sum(step: Instruction, operands: list[Jet], numbers: list[Range]) -> Jet:
    terms = [
        (times(number, jet.values), times(number, jet.slopes))
        for number, jet in zip(numbers, operands, strict=True)
    ]
    return reduce(lambda f, g: _jet(plus(f.values, g.values), plus(f.slopes, g.slopes)),
                  [_jet(*term) for term in terms])  # fmt: skip


def _mul(step: Instruction, operands: list[Jet], numbers: list[Range]) -> Jet:
    if step.operands[0] == step.operands[1]:
        return _power(step._replace(power=2), operands[:1], numbers)
    f, g = operands
    slopes = plus(times(f.slopes, g.values), times(f.values, g.slopes))
    return _jet(times(f.values, g.values), slopes)


def _power(step: Instruction, operands: list[Jet], numbers: list[Range]) -> Jet:
    (f,), n = operands, step.power
    count = Range(*(xp.full_like(f.low, float(n)) for _ in range(2)))
    steep = times(count, power(f.values, n - 1))
    return _jet(power(f.values, n), times(steep, f.slopes))


def _reciprocal(step: Instruction, operands: list[Jet], numbers: list[Range]) -> Jet:
    values = reciprocal(operands[0].values)
    return _jet(values, times(minus(power(values, 2)), operands[0].slopes))


def _max(step: Instruction, operands: list[Jet], numbers: list[Range]) -> Jet:
    f, g = operands
    values = Range(xp.maximum(f.low, g.low), xp.maximum(f.high, g.high))
    slopes = either(f.low >= g.high, f.slopes, hull(f.slopes, g.slopes))
    return _jet(values, either(g.low >= f.high, g.slopes, slopes))


def _negative(f: Jet) -> Jet:
    return _jet(minus(f.values), minus(f.slopes))


def _min(step: Instruction, operands: list[Jet], numbers: list[Range]) -> Jet:
    return _negative(_max(step, [_negative(jet) for jet in operands], numbers))


def _floor(step: Instruction, operands: list[Jet], numbers: list[Range]) -> Jet:
    values = Range(*(xp.floor(end) for end in operands[0].values))
    return _flat(values, values.low == values.high)


def _select(step: Instruction, operands: list[Jet], numbers: list[Range]) -> Jet:
    which, off, on = operands
    # Nothing else than 0 or 1, whatever rounding has made of it.
    yes, no = which.low > 0, which.high < 1
    values = either(yes, on.values, either(no, off.values, hull(off.values, on.values)))
    slopes = either(yes, on.slopes, either(no, off.slopes, unknown(which.low)))
    return _jet(values, slopes)


def _within(step: Instruction, operands: list[Jet], numbers: list[Range]) -> Jet:
    f, (least, most) = operands[0], numbers
    inside = (f.low >= least.high) & (f.high <= most.low)
    nothing = unknown(f.low)
    return _jet(either(inside, f.values, nothing), either(inside, f.slopes, nothing))


def _positive(step: Instruction, operands: list[Jet], numbers: list[Range]) -> Jet:
    return _truth(operands[0].low > 0, operands[0].high <= 0)


def _natural(step: Instruction, operands: list[Jet], numbers: list[Range]) -> Jet:
    return _truth(operands[0].low >= 0, operands[0].high < 0)


def _zero(step: Instruction, operands: list[Jet], numbers: list[Range]) -> Jet:
    low, high = operands[0].values
    return _truth((low == 0) & (high == 0), (low > 0) | (high < 0))


def _sin(step: Instruction, operands: list[Jet], numbers: list[Range]) -> Jet:
    f = operands[0]
    steep = wave(xp.cos, 0.0, f.values)
    return _jet(wave(xp.sin, np.pi / 2, f.values), times(steep, f.slopes))


def _cos(step: Instruction, operands: list[Jet], numbers: list[Range]) -> Jet:
    f = operands[0]
    steep = minus(wave(xp.sin, np.pi / 2, f.values))
    return _jet(wave(xp.cos, 0.0, f.values), times(steep, f.slopes))


RULES: dict[str, Rule] = {
    "sum": _sum,
    "mul": _mul,
    "power": _power,
    "reciprocal": _reciprocal,
    "max": _max,
    "min": _min,
    "floor": _floor,
    "select": _select,
    "positive": _positive,
    "natural": _natural,
    "zero": _zero,
    "within": _within,
    "sin": _sin,
    "cos": _cos,
}
"""All but "pieces" and the functions in `ELEMENTARY`."""
NAMES = frozenset({"pieces", *RULES, *ELEMENTARY})
"""The instructions that can be bounded."""
