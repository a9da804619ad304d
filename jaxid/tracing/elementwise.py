"""Primitives that compute each element from the same element of their operands.

Where all operands are functions of one number, so is the result: it stays an expression, exact
and whole. Where they are functions of several, the operation becomes nodes of the graph.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np

from jaxid.tracing import expressions as one
from jaxid.tracing import normalised, patterns
from jaxid.tracing import pieces as exact
from jaxid.tracing.expressions import Expression
from jaxid.tracing.graph import Affine
from jaxid.tracing.source import unreadable
from jaxid.tracing.values import Builder, Shape, Value

Operand: TypeAlias = Expression | float
"""An expression, or a number that is not finite."""
COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le,
    "eq": operator.eq, "ne": operator.ne, "lt_to": operator.lt, "le_to": operator.le,
    "eq_to": operator.eq,
}  # fmt: skip
LOGICAL = {"and", "or", "not", "xor"}


def _compare(name: str, a: Expression, b: Expression) -> Expression | None:
    if not a.terms and not b.terms:
        return Expression(exact.compared(a.straight, b.straight, COMPARED[name]))
    apart = one.minus(a, b)
    plain = name.removesuffix("_to")
    if plain in ("lt", "le"):
        apart = one.scaled(apart, -exact.ONE)
    if plain in ("gt", "lt"):
        return one.positive(apart)
    if plain in ("ge", "le"):
        return one.natural(apart)
    return one.zero(apart) if plain == "eq" else one.negation(one.zero(apart))


def _remainder(a: Expression, b: Expression) -> Expression:
    return one.minus(a, one.times(b, one.truncated(one.times(a, one.reciprocal(b)))))


def _divide(a: Expression, b: Expression) -> Expression:
    return one.times(a, one.reciprocal(b))


def _clamp(low: Expression, x: Expression, high: Expression) -> Expression:
    return one.smaller(one.larger(x, low), high)


def _xor(a: Expression, b: Expression) -> Expression | None:
    return _compare("ne", a, b)


RULES: dict[str, Callable[..., Any]] = {
    "add": one.plus, "add_any": one.plus, "sub": one.minus, "mul": one.times, "div": _divide,
    "neg": lambda e: one.scaled(e, -exact.ONE), "max": one.larger, "min": one.smaller,
    "abs": one.absolute, "sign": one.sign, "clamp": _clamp, "floor": one.floor,
    "ceil": one.ceiling, "rem": _remainder, "square": lambda e: one.power(e, 2),
    "and": one.times, "or": one.larger, "not": one.negation, "xor": _xor,
    "is_finite": lambda e: one.number(1),
    "tan": lambda e: _divide(one.function("sin", e), one.function("cos", e)),
    **{name: (lambda e, name=name: one.function(name, e)) for name in one.FUNCTIONS},
    **{name: (lambda a, b, name=name: _compare(name, a, b)) for name in COMPARED},
}  # fmt: skip
"""What a primitive makes of expressions."""
OWN = {"integer_pow", "pow", "round", "select_n", "convert_element_type"}
"""Primitives with parameters or rules of their own."""


def known(name: str) -> bool:
    """Whether a primitive of that name is elementwise and has a rule."""
    return name in RULES or name in OWN


def expression(name: str, params: dict[str, Any], operands: list[Operand], kinds: list[np.dtype],
               result: np.dtype) -> Expression | None:  # fmt: skip
    """What a primitive makes of functions of one number; None where there is no rule.

    Args:
      name, params: the primitive.
      operands: expressions, and numbers that are not finite.
      kinds: their dtypes.
      result: the result's dtype.

    Raises:
      NotStraight: for too many pieces.
    """
    if not all(isinstance(e, Expression) for e in operands):
        return _not_finite(name, operands)
    found = [e for e in operands if isinstance(e, Expression)]
    if name == "convert_element_type":
        return _cast(found[0], kinds[0], result)
    if name == "select_n":
        return one.choose(found[0], tuple(found[1:]))
    if name == "integer_pow":
        e = one.power(found[0], int(params["y"]))
        return _whole(e, result) if jnp.issubdtype(result, jnp.integer) else e
    if name == "round":
        return one.rounded(found[0], even=int(params["rounding_method"]) == 1)
    if name == "pow":
        base, exponent = found[0].constant, found[1].constant
        if exponent is not None:
            return one.real_power(found[0], exponent)
        return one.exponential(base, found[1]) if base is not None and base > 0 else None
    if name in LOGICAL and kinds[0].kind != "b":
        return None
    if name == "div" and jnp.issubdtype(result, jnp.integer):
        return _whole(one.truncated(_divide(*found)), result)
    if name not in RULES:
        return None
    e = RULES[name](*found)
    if e is None:
        return None
    return _whole(e, result) if jnp.issubdtype(result, jnp.integer) else e


def _cast(e: Expression, before: np.dtype, after: np.dtype) -> Expression:
    """Floating-point numbers keep their values in others; to integers they are cut off."""
    if after.kind == "b":
        return one.negation(one.zero(e))
    if not jnp.issubdtype(after, jnp.integer):
        return e
    if jnp.issubdtype(before, jnp.inexact):
        return _whole(one.truncated(e), after)
    return _whole(e, after)


def _whole(e: Expression, kind: np.dtype) -> Expression:
    """Integers of a kind, which wrap around where they don't fit: not looked at beyond."""
    info = jnp.iinfo(kind)  # type: ignore[no-untyped-call]
    return one.within(e, int(info.min), int(info.max))


def whole(value: Value, kind: np.dtype) -> Value:
    """A sum of integers, if it is of a kind of them: as they are while they fit."""
    if not jnp.issubdtype(kind, jnp.integer):
        return value
    return value._replace(expression=_whole(value.expression, kind))


def _not_finite(name: str, operands: list[Operand]) -> Expression | None:
    """The few things that infinite numbers and NaN are used for."""
    if name == "select_n":
        which = operands[0]
        if isinstance(which, Expression) and which.constant is not None:
            chosen = operands[1 + int(which.constant)]
            return chosen if isinstance(chosen, Expression) else None
        return None
    numbers = [e for e in operands if not isinstance(e, Expression)]
    others = [e for e in operands if isinstance(e, Expression)]
    if len(numbers) != 1 or len(others) != 1:
        return None
    value, e = numbers[0], others[0]
    if (name == "max" and value == -np.inf) or (name == "min" and value == np.inf):
        return e
    if name in COMPARED:
        # A real number beside infinity or NaN: as any other number.
        ends = (value, 0.0) if operands[0] is value else (0.0, value)
        return one.number(float(COMPARED[name](*ends)))
    return None


def uniform(constant: Any) -> Operand | None:
    """The one number that an array holds; None if there are several."""
    flat = np.asarray(constant).ravel()
    if flat.size == 0:
        return None
    first = flat[0]
    if not np.all(flat == first) and not (first != first and np.all(flat != flat)):
        return None
    exactly = flat.dtype.kind == "b" or jnp.issubdtype(flat.dtype, jnp.integer)
    value = Fraction(int(first)) if exactly else float(first)
    if isinstance(value, float) and not np.isfinite(value):
        return value
    return one.number(value)


def several(b: Builder, name: str, args: list[Any], shape: Shape) -> Value:
    """An elementwise primitive of several numbers for each element, as nodes.

    Args:
      b: collects them.
      name: the primitive.
      args: values and arrays, in the primitive's order.
      shape: of the result.

    Raises:
      InputError: for those that have no such form.
    """
    if name in ("add", "add_any", "sub"):
        return _total(b, [(1.0, args[0]), (-1.0 if name == "sub" else 1.0, args[1])], shape)
    if name == "mul":
        return _times(b, args[0], args[1], shape)
    if name == "div":
        return _over(b, args[0], args[1], shape)
    if name in ("max", "min"):
        return _extreme(b, args[0], args[1], shape, 1.0 if name == "max" else -1.0)
    if name in COMPARED:
        apart = _total(b, [(1.0, args[0]), (-1.0, args[1])], shape)
        zero = one.number(0)
        compared = _compare(name, apart.expression, zero)
        assert compared is not None
        return _then(apart, compared)
    if name == "clamp":
        inner = _extreme(b, args[1], args[0], shape, 1.0)
        return _extreme(b, inner, args[2], shape, -1.0)
    if name in LOGICAL:
        total = _total(b, [(1.0, args[0]), (1.0, args[1])], shape)
        return _then(total, _gate(name, total.expression))
    if name == "select_n":
        return _select(b, args, shape)
    raise unreadable(name, b.place, "of several quantities, or with other numbers for each element")


def _gate(name: str, total: Expression) -> Expression:
    """and, or, xor of two truth values by their sum."""
    if name == "and":
        return one.larger(one.minus(total, one.number(1)), one.number(0))
    if name == "or":
        return one.smaller(total, one.number(1))
    return one.minus(one.number(1), one.absolute(one.minus(total, one.number(1))))


def _then(value: Value, e: Expression) -> Value:
    return value._replace(expression=e)


def _finite(b: Builder, constant: Any) -> np.ndarray:
    array = np.asarray(constant, np.float64)
    if not np.isfinite(array).all():
        raise unreadable(
            "with an infinite number or NaN", b.place, "a large finite one, such as -1e9, is read"
        )
    return array


def _total(b: Builder, parts: list[tuple[float, Any]], shape: Shape) -> Value:
    """sum of factor times operand."""
    constant, values = np.zeros(shape), []
    for factor, operand in parts:
        if isinstance(operand, Value):
            values.append((factor, spread(operand, shape)))
        else:
            constant = constant + factor * np.broadcast_to(_finite(b, operand), shape)
    if len(values) == 2 and values[0][1].aligned(values[1][1]):
        (f, x), (g, y) = values
        e = one.combined([(Fraction(f), x.expression), (Fraction(g), y.expression)])
        values = [(1.0, _then(x, e))]
    if len(values) == 1:
        factor, value = values[0]
        value = _then(value, one.scaled(value.expression, Fraction(factor)))
        if not constant.any():
            return value
        if value.expression == one.Z or value.expression.line is None:
            return b.affine(value, None, constant, shape)
        values = [(1.0, value)]
    if len(values) == 2 and not constant.any():
        for (f, x), (g, y) in (values, values[::-1]):
            found = patterns.shifted_log(b, x, f, y, shape) if g == 1.0 else None
            if found is not None:
                return found
        if values[0][0] == -values[1][0] == 1.0:
            found = normalised.variance(b, values[0][1], values[1][1], shape)
            if found is not None:
                return found
    return b.summed(constant, values, shape)


def spread(value: Value, shape: Shape) -> Value:
    """Its elements repeated to a larger shape."""
    return value._replace(places=np.broadcast_to(value.places, shape))


def _times(b: Builder, x: Any, y: Any, shape: Shape) -> Value:
    if isinstance(x, Value) and isinstance(y, Value):
        x, y = spread(x, shape), spread(y, shape)
        limit = normalised.reach(b, x, y)
        if limit is None:
            limit = normalised.reach(b, y, x)
        return b.product(x, y, shape, np.inf if limit is None else limit.reshape(shape))
    value, factors = (x, y) if isinstance(x, Value) else (y, x)
    weight = np.broadcast_to(_finite(b, factors), shape).ravel().astype(np.float64)
    return b.affine(spread(value, shape), weight, np.zeros(weight.size), shape)


def _over(b: Builder, x: Any, y: Any, shape: Shape) -> Value:
    if not isinstance(y, Value):
        divisors = _finite(b, y)
        if not divisors.all():
            raise unreadable("div", b.place, "by 0")
        return _times(b, x, 1.0 / divisors, shape)
    if isinstance(x, Value):
        found = patterns.quotient(b, spread(x, shape), spread(y, shape), shape)
        if found is not None:
            return found
    inverse = _then(y, one.reciprocal(y.expression))
    return _times(b, x, inverse, shape)


def _extreme(b: Builder, x: Any, y: Any, shape: Shape, sign: float) -> Value:
    """max for sign 1, min for sign -1."""
    if isinstance(x, Value) and isinstance(y, Value):
        x, y = spread(x, shape), spread(y, shape)
        if x.aligned(y):
            rule = one.larger if sign > 0 else one.smaller
            return _then(x, rule(x.expression, y.expression))
        if sign > 0:
            return b.maximum(x, y, shape)
        low = b.maximum(_negative(x), _negative(y), shape)
        return _then(low, one.scaled(low.expression, -exact.ONE))
    value, constant = (x, y) if isinstance(x, Value) else (y, x)
    limits = np.broadcast_to(np.asarray(constant, np.float64), shape)
    # Beyond every number: no limit.
    free = limits == -sign * np.inf
    finite = np.where(free, 0.0, _finite(b, np.where(free, 0.0, limits)))
    value = spread(value, shape)
    apart = _total(b, [(1.0, value), (-1.0, finite)], shape)
    rule = one.larger if sign > 0 else one.smaller
    bent = _then(apart, rule(apart.expression, one.number(0)))
    result = _total(b, [(1.0, bent), (1.0, finite)], shape)
    return picked(b, free.astype(int), [result, value], shape) if free.any() else result


def _negative(x: Value) -> Value:
    return _then(x, one.scaled(x.expression, -exact.ONE))


def _select(b: Builder, args: list[Any], shape: Shape) -> Value:
    """Cases chosen by constants, or by a value: a + w (b - a), w being 0 or 1."""
    which, cases = args[0], args[1:]
    if not isinstance(which, Value):
        return picked(b, np.asarray(which).astype(int), cases, shape)
    chosen = cases[0]
    for k, case in enumerate(cases[1:], start=1):
        later = which
        if len(cases) > 2:
            later = _then(which, one.natural(one.minus(which.expression, one.number(k))))
        if not isinstance(chosen, Value) and not isinstance(case, Value):
            factors = _finite(b, case) - _finite(b, chosen)
            step = _times(b, later, factors, shape)
        else:
            apart = _total(b, [(1.0, case), (-1.0, chosen)], shape)
            step = _times(b, spread(later, shape), apart, shape)
        chosen = _total(b, [(1.0, step), (1.0, chosen)], shape)
    return chosen


def picked(b: Builder, which: np.ndarray, cases: list[Any], shape: Shape) -> Any:
    """Elements of several values or arrays, chosen by constants."""
    which = np.broadcast_to(which, shape).ravel()
    values: list[Any] = [
        spread(c, shape) if isinstance(c, Value) else np.broadcast_to(np.asarray(c), shape)
        for c in cases
    ]
    used = sorted(set(which.tolist()))
    if not used:
        return np.zeros(shape)
    if len(used) == 1:
        return values[used[0]]
    traced = [values[k] for k in used if isinstance(values[k], Value)]
    if not traced:
        chosen = np.ravel(values[used[0]]).copy()
        for k in used[1:]:
            chosen = np.where(which == k, np.ravel(values[k]), chosen)
        return chosen.reshape(shape)
    first = traced[0]
    if len(traced) == len(used) and all(
        v.node == first.node and v.expression == first.expression for v in traced
    ):
        places = np.zeros(which.size, first.places.dtype)
        for k in used:
            places = np.where(which == k, values[k].places.ravel(), places)
        return first._replace(places=places.reshape(shape))
    weights: dict[int, np.ndarray] = {}
    bias = np.zeros(which.size)
    for k in used:
        mask = which == k
        if isinstance(values[k], Value):
            parent = b.settled(values[k])
            weights[parent] = weights.get(parent, np.zeros(which.size)) + mask
        else:
            bias[mask] = _finite(b, np.ravel(values[k])[mask])
    return b.itself(b.add(Affine(tuple(weights), tuple(weights.values()), bias)), shape)
