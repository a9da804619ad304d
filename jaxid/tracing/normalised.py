"""Normalisation by the input's own size: what RMSNorm, LayerNorm and x / |x| can't exceed.

z_e / sqrt(eps + c sum_k w_k z_k^2) is at most 1 / sqrt(c w_e) in magnitude, however small the
root becomes. Bounds on the two factors alone don't see that: near an input without variance the
root has no useful lower bound. So the product carries its own, if the root is nowhere 0: x / |x|
has no value at 0, and no bound on a box that may hold it.

A variance that a program forms as E z^2 - (E z)^2 is c sum_k (z_k - mean)^2; read that way it is
never negative, and nothing cancels.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from jaxid.tracing import expressions as one
from jaxid.tracing import pieces as exact
from jaxid.tracing.expressions import Expression
from jaxid.tracing.graph import Affine
from jaxid.tracing.patterns import rows_of
from jaxid.tracing.values import Builder, Shape, Value

ROUNDED = 1 + 1e-12
"""More than the rounding of a limit."""
COMPARED = 4 * 10**7
"""Numbers that are compared at most to find a factor among the squares."""


class Squares(NamedTuple):
    """c sum_k W_ks z_k^2 for each s.

    Attributes:
      factor: c.
      base: z.
      weight: W, (z's, sums), not negative.
    """

    factor: Fraction
    base: Value
    weight: np.ndarray


def squares(b: Builder, y: Value) -> Squares | None:
    """The sums of squares that y is, if it is."""
    line = y.expression.line
    if line is None or line[1] != 0:
        return None
    return _squares(b, y.node, line[0])


def _squares(b: Builder, node: int, factor: Fraction) -> Squares | None:
    own = b.nodes[node - 1] if node else None
    if not isinstance(own, Affine) or len(own.parents) != 1 or own.bias.any():
        return None
    weight = own.weights[0]
    inner = b.origin(own.parents[0])
    found = one.alone(inner.expression, "power")
    if found is None or found[1].power != 2 or found[0] <= 0:
        return None
    if weight is None or weight.ndim != 2 or weight.min() < 0:
        return None
    base = inner._replace(expression=found[1].operands[0])
    return None if base.expression.line is None else Squares(factor * found[0], base, weight)


def variance(b: Builder, first: Value, second: Value, shape: Shape) -> Value | None:
    """c sum z^2 - c / n (sum z)^2 as c sum (z - mean)^2; None if the two are no such pair."""
    sums = squares(b, first)
    square = one.alone(second.expression, "power")
    if sums is None or square is None or square[1].power != 2:
        return None
    line = square[1].operands[0].line
    total = b.nodes[second.node - 1] if second.node else None
    if line is None or line[1] != 0 or not isinstance(total, Affine):
        return None
    weight = total.weights[0]
    if len(total.parents) != 1 or total.bias.any() or weight is None or weight.ndim != 2:
        return None
    plain = b.origin(total.parents[0])
    # The same elements, each taken once, in groups of one size.
    alike = plain.aligned(sums.base) and plain.expression == sums.base.expression
    if not alike or not np.array_equal(weight, sums.weight) or set(np.unique(weight)) - {0.0, 1.0}:
        return None
    counts = weight.sum(axis=0)
    which, other = (np.broadcast_to(v.places, shape) for v in (first, second))
    if not np.array_equal(which, other) or np.any(counts != counts[0]):
        return None
    count = int(counts[0])
    if square[0] * line[0] ** 2 * count != sums.factor:
        return None
    groups = weight.argmax(axis=1)
    if not np.all(weight.sum(axis=1) == 1):
        return None
    mean = b.itself(second.node, (b.sizes[second.node],))
    mean = mean._replace(
        places=mean.places[groups], expression=one.scaled(one.Z, Fraction(1, count))
    )
    flat = plain._replace(places=plain.places.ravel())
    apart = b.summed(np.zeros(groups.size), [(1.0, flat), (-1.0, mean)], (groups.size,))
    powers = b.applied(apart.node, one.power(one.Z, 2))
    sized = b.add(Affine((powers,), (weight,), np.zeros(weight.shape[1])))
    return Value(sized, which, one.scaled(one.Z, sums.factor))


def reach(b: Builder, x: Value, gate: Value) -> np.ndarray | None:
    """How large x times ``gate`` can be at most, element by element; None if nothing is known."""
    factor = np.ones(gate.places.size)
    gate = gate._replace(places=gate.places.ravel())
    for _ in range(len(b.nodes)):
        moved = _unscaled(b, gate)
        if moved is None:
            break
        gate, own = moved
        factor = factor * own
    inner = b.origin(gate.node) if gate.expression == one.Z else gate
    if gate.expression == one.Z:
        inner = inner._replace(places=inner.places[gate.places])
    root = _root(inner.expression)
    sums = None if root is None else _squares(b, inner.node, Fraction(1))
    if root is None or sums is None:
        return None
    scale, least = root
    limit = np.full(factor.size, np.inf)
    size = abs(factor) * scale / math.sqrt(least * sums.factor)
    rows, bias = rows_of(b, x._replace(places=x.places.ravel()))
    z_rows, z_bias = rows_of(b, sums.base._replace(places=sums.base.places.ravel()))
    if set(rows) != set(z_rows) or len(z_bias) * sum(len(m) for m in rows.values()) > COMPARED:
        return None
    stacked = np.concatenate([*(rows[p] for p in sorted(rows)), bias[None]])
    others = np.concatenate([*(z_rows[p] for p in sorted(rows)), z_bias[None]])
    for e in range(factor.size):
        column = sums.weight[:, inner.places.ravel()[e]]
        for k in np.flatnonzero(column):
            if _same_size(stacked[:, e], others[:, k]):
                limit[e] = size[e] / math.sqrt(column[k])
                break
    return limit * ROUNDED


def _same_size(v: np.ndarray, w: np.ndarray) -> bool:
    """Whether two maps are one up to a sign, and not 0."""
    return bool(w.any()) and (np.array_equal(v, w) or np.array_equal(v, -w))


def _unscaled(b: Builder, value: Value) -> tuple[Value, np.ndarray] | None:
    """(the value it is a multiple of, the factors), one affine map further back."""
    line = value.expression.line
    own = b.nodes[value.node - 1] if value.node else None
    if line is None or line[1] != 0 or not isinstance(own, Affine):
        return None
    if len(own.parents) != 1 or own.bias.any():
        return None
    weight, places = own.weights[0], value.places
    factor = np.full(places.size, abs(float(line[0])))
    if weight is not None and np.issubdtype(weight.dtype, np.integer):
        places = weight[places]
    elif weight is not None and weight.ndim == 1:
        factor = factor * weight[places]
    elif weight is not None:
        return None
    return Value(own.parents[0], places), factor


def _root(e: Expression) -> tuple[float, Fraction] | None:
    """(c, s) if e has a value for every z >= 0 and |e(z)| <= c / sqrt(s z) for z > 0."""
    found = one.alone(e, "rsqrt")
    if found is not None:
        inside = found[1].operands[0]
        least = _slope(inside)
        if least is None or inside.straight(Fraction(0)) <= 0:
            return None
        return abs(float(found[0])), least
    found = one.alone(e, "reciprocal")
    if found is None:
        return None
    scale, root = found[0], found[1].operands[0]
    limited = one.alone(root, "max")
    if limited is not None:
        # The larger of a root and a number > 0.
        scale = scale / limited[0]
        numbers = [x for x in limited[1].operands if x.constant is not None and x.constant > 0]
        others = [x for x in limited[1].operands if x.constant is None]
        if limited[0] <= 0 or len(numbers) != 1 or len(others) != 1:
            return None
        root = one.plus(others[0], one.number(0))
    offset = root.straight.constant
    if len(root.terms) != 1 or offset is None or offset < 0 or root.terms[0][0] <= 0:
        return None
    c, term = root.terms[0]
    inside = term.operands[0]
    least = _slope(inside) if term.name == "sqrt" else None
    if least is None:
        return None
    defined = limited is not None or offset > 0 or inside.straight(Fraction(0)) > 0
    return (abs(float(scale / c)), least) if defined else None


def _slope(e: Expression) -> Fraction | None:
    """s > 0 with e(z) >= s z for every z >= 0."""
    if e.terms:
        return None
    p = e.straight
    slope = p.lines[-1][0]
    if slope <= 0:
        return None
    over = exact.add(p, exact.straight_line(-slope, Fraction(0)))
    # Taken at 0 left of it: what lies there does not count.
    right = exact.chosen(
        exact.compared(exact.IDENTITY, exact.constant(0), lambda z, zero: z >= zero),
        (exact.constant(0), over),
    )
    return slope if exact.larger(right, exact.constant(0)) == right else None
