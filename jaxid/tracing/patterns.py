"""Sums of exponentials, as softmax and its kin write them, read so that what cancels is gone.

exp(u_i - m) / sum_j exp(u_j - m) is 1 / sum_j exp(u_j - u_i) whatever m is: the maximum that a
program takes off, so that nothing overflows, is no part of the function. In that form each
component is bounded exactly on a box of u. The same for v - log sum_j exp(u_j), which is
-log sum_j exp(u_j - v).
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from jaxid.tracing import expressions as one
from jaxid.tracing.expressions import Expression
from jaxid.tracing.graph import Affine
from jaxid.tracing.pieces import ONE
from jaxid.tracing.values import Builder, Shape, Value

PAIRS, ENTRIES = 20_000, 2 * 10**7
"""Differences that are formed at most, and entries of their matrix."""
FAR = 690
"""Exponents beyond it are left out: e^690 is 1e299."""
Rows = dict[int, np.ndarray]
"""What a node is of others: parent -> (parent's elements, elements)."""


class Exponentials(NamedTuple):
    """sum_j W_js exp(u_j) for each s.

    Attributes:
      exponents: u.
      weight: W, (exponents, sums), not negative.
    """

    exponents: Value
    weight: np.ndarray


def quotient(b: Builder, x: Value, y: Value, shape: Shape) -> Value | None:
    """x / y, if it is an exponential over a sum of such; else None."""
    top = _exponent(x)
    sums = _sums(b, y)
    if top is None or sums is None:
        return None
    factor, exponent = top
    # Beyond FAR the reciprocal is below what underflow is allowed for, cut off or not.
    power = one.function("exp", one.smaller(one.Z, one.number(FAR)))
    total = _differences(b, sums, y.places, exponent, shape, -1.0, power)
    if total is None:
        return None
    scale = factor / y.expression.line[0] if y.expression.line is not None else ONE
    return total._replace(expression=one.scaled(one.reciprocal(one.Z), scale))


def shifted_log(b: Builder, log: Value, sign: float, v: Value, shape: Shape) -> Value | None:
    """v + sign log sum exp, the shift taken into the exponents where it cancels there."""
    found = one.alone(log.expression, "log")
    # A sum of exponentials is its own magnitude.
    plain = (one.Z, one.absolute(one.Z))
    if found is None or found[0] != 1 or found[1].operands[0] not in plain:
        return None
    sums = _sums(b, log._replace(expression=one.Z))
    if sums is None or v.expression.line is None:
        return None
    power = one.function("exp", one.Z)
    total = _differences(b, sums, log.places, v, shape, sign, power, cancelling=True)
    if total is None:
        return None
    e = one.function("log", one.Z)
    return total._replace(expression=e if sign > 0 else one.scaled(e, -ONE))


def _exponent(x: Value) -> tuple[Fraction, Value] | None:
    """(c, u) if x is c exp(u)."""
    found = one.alone(x.expression, "exp")
    if found is None:
        return None
    return found[0], x._replace(expression=found[1].operands[0])


def _sums(b: Builder, y: Value) -> Exponentials | None:
    """The sum of exponentials that y is, up to a positive factor."""
    line = y.expression.line
    if line is None or line[0] <= 0 or line[1] != 0 or y.node == 0:
        return None
    node = b.nodes[y.node - 1]
    if not isinstance(node, Affine) or len(node.parents) != 1 or node.bias.any():
        return None
    weight = node.weights[0]
    if weight is None or weight.ndim != 2 or weight.min() < 0:
        return None
    inner = b.origin(node.parents[0])
    top = _exponent(inner)
    if top is None or top[0] != 1:
        return None
    return Exponentials(top[1], weight)


def _differences(
    b: Builder,
    sums: Exponentials,
    places: np.ndarray,
    v: Value,
    shape: Shape,
    sign: float,
    power: Expression,
    *,
    cancelling: bool = False,
) -> Value | None:
    """sum_j W_js exp(u_j + sign v) for each element of a shape; None if it is too much, or if
    nothing cancels where something should."""
    which = np.broadcast_to(places, shape).ravel()
    column = sums.weight[:, which]
    j, e = np.nonzero(column)
    if len(j) > PAIRS:
        return None
    u_rows, u_bias = rows_of(b, sums.exponents)
    v_rows, v_bias = rows_of(b, v._replace(places=np.broadcast_to(v.places, shape)))
    parts: Rows = {}
    for parent in {*u_rows, *v_rows}:
        if b.sizes[parent] * len(j) > ENTRIES:
            return None
        first = u_rows[parent][:, j] if parent in u_rows else 0.0
        second = v_rows[parent][:, e] if parent in v_rows else 0.0
        own = first + sign * second
        if np.any((np.asarray(own) == 0) & ((np.asarray(first) != 0) | (np.asarray(second) != 0))):
            # What cancels must have a value all the same.
            b.guard(b.itself(parent, (b.sizes[parent],)))
        if np.any(own):
            parts[parent] = np.asarray(own)
    if cancelling and not set(v_rows) - set(parts):
        return None
    bias = u_bias[j] + sign * v_bias[e]
    if not parts or (cancelling and np.abs(bias).max() > FAR):
        return None
    apart = b.add(Affine(tuple(parts), tuple(parts.values()), bias))
    powers = b.applied(apart, power)
    gather = np.zeros((len(j), which.size))
    gather[np.arange(len(j)), e] = column[j, e]
    return b.itself(b.add(Affine((powers,), (gather,), np.zeros(which.size))), shape)


def rows_of(b: Builder, value: Value) -> tuple[Rows, np.ndarray]:
    """A value as an affine map of nodes, through what only moves, scales and adds elements."""
    if value.expression.line is None:
        value = b.itself(b.applied(value.node, value.expression), (b.sizes[value.node],))._replace(
            places=value.places, expression=one.Z
        )
    assert value.expression.line is not None
    slope, shift = (float(part) for part in value.expression.line)
    rows, bias = _rows(b, value.node)
    flat = value.places.ravel()
    return {p: slope * m[:, flat] for p, m in rows.items()}, slope * bias[flat] + shift


def _rows(b: Builder, node: int) -> tuple[Rows, np.ndarray]:
    size = b.sizes[node]
    own = b.nodes[node - 1] if node else None
    dense = isinstance(own, Affine) and any(w is not None and w.ndim == 2 for w in own.weights)
    if not isinstance(own, Affine) or dense or own.larger is not None:
        return {node: np.eye(size)}, np.zeros(size)
    found: Rows = {}
    bias = own.bias.copy()
    for parent, weight in zip(own.parents, own.weights, strict=True):
        inner, constant = _rows(b, parent)
        moved = weight is not None and np.issubdtype(weight.dtype, np.integer)
        factor = 1.0 if weight is None or moved else weight
        take = weight if weight is not None and moved else slice(None)
        for p, matrix in inner.items():
            part = matrix[:, take] * factor
            found[p] = found[p] + part if p in found else part
        bias = bias + constant[take] * factor
    return found, bias
