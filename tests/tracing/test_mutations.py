"""Each rule of reading, made wrong: the net under certificates catches what it then claims."""

from __future__ import annotations

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.core.errors import Fault, InputError
from jaxid.tracing import elementwise, joint, linear, movement, normalised, patterns
from jaxid.tracing import expressions as one
from jaxid.verification import check
from jaxid.verification.bounds import output_bounds
from jaxid.verification.intervals import Interval
from jaxid.verification.network import network

# One for each rule of reading; most of their time is compilation.
pytestmark = pytest.mark.slow

ODD = np.array([[1.0, -0.5, 0.25], [0.5, 1.0, -1.0]], np.float32)
TABLE = np.array([1.0, -2.0, 4.0, 0.5], np.float32)
RULES = {
    "add": lambda x: x + jnp.abs(x),
    "sub": lambda x: x - jnp.abs(x),
    "mul": lambda x: x * jnp.tanh(x),
    "div": lambda x: jnp.tanh(x) / (2 + jnp.abs(x)),
    "neg": lambda x: -jnp.tanh(x),
    "max": lambda x: jnp.maximum(x, 0.5),
    "min": lambda x: jnp.minimum(x, 0.5),
    "abs": jnp.abs,
    "sign": jnp.sign,
    "clamp": lambda x: jax.lax.clamp(-0.5, x, 0.5),
    "floor": jnp.floor,
    "ceil": jnp.ceil,
    "rem": lambda x: jax.lax.rem(x, jnp.full_like(x, 0.75)),
    "square": jnp.square,
    "and": lambda x: ((x > -0.5) & (x < 0.5)) * 1.0,
    "or": lambda x: ((x < -0.5) | (x > 0.5)) * 1.0,
    "not": lambda x: ~(x > 0.5) * 1.0,
    "xor": lambda x: ((x > -0.5) ^ (x > 0.5)) * 1.0,
    "gt": lambda x: (x > 0.5) * 1.0,
    "ge": lambda x: (x >= 0.5) * 1.0,
    "lt": lambda x: (x < 0.5) * 1.0,
    "le": lambda x: (x <= 0.5) * 1.0,
    "eq": lambda x: (x.astype(jnp.int32) == 1) * 1.0,
    "ne": lambda x: (x.astype(jnp.int32) != 1) * 1.0,
    "tan": lambda x: jnp.tan(x / 4),
    **{
        name: (lambda x, name=name: getattr(jax.lax, name)(x + 3.0))
        for name in ("exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "cbrt", "tanh", "logistic",
                     "erf", "erfc", "sin", "cos", "sinh", "cosh", "atan", "asinh", "acosh", "exp2")
    },
    **{
        name: (lambda x, name=name: getattr(jax.lax, name)(x / 4))
        for name in ("asin", "acos", "atanh")
    },
}  # fmt: skip


def claimed(function):
    """Bounds on a function of two inputs, compared with it; raises where they don't hold."""
    with jax.numpy_rank_promotion("allow"):
        net = network(function, (2,), np.float32)
        box = Interval(np.array([-1.7, -1.2]), np.array([1.9, 2.8]))
        bounds = output_bounds(net, box, "intervals").output
        original = check.Original(function)
        key = jax.random.key(0)
        return check.check(net, original, box, bounds.low, bounds.high, np.zeros((1, 2)), key)


@pytest.fixture(autouse=True)
def fewer_points(monkeypatch):
    monkeypatch.setattr(check, "RANDOM", 300)


@pytest.mark.parametrize("name", RULES)
def test_a_wrong_rule_for_an_elementwise_primitive_is_caught(name, monkeypatch):
    def function(x):
        return RULES[name](x) @ ODD

    claimed(function)
    right = elementwise.RULES[name]

    def wrong(*operands):
        return one.plus(right(*operands), one.number(Fraction(1, 4)))

    monkeypatch.setitem(elementwise.RULES, name, wrong)
    # Truth values that are off by a quarter are no truth values any more.
    with pytest.raises((Fault, InputError)):
        claimed(function)


def off(value, by=0.3):
    """The same value and a little more."""
    return value._replace(expression=one.plus(value.expression, one.number(by)))


JOINT = {
    "movement": (lambda x: x[:, ::-1] @ ODD, movement, "moved", lambda right: (
        lambda *args: [v._replace(places=v.places[..., ::-1]) for v in right(*args)])),
    "linear": (lambda x: x @ ODD, linear, "linear", lambda right: (
        lambda *args: off(right(*args)))),
    "maxima": (lambda x: jnp.max(x, axis=1, keepdims=True), joint, "folded", lambda right: (
        lambda *args: off(right(*args)))),
    "products": (lambda x: jnp.einsum("bi,bj->bij", x, x), joint, "contracted", lambda right: (
        lambda *args: off(right(*args)))),
    "lookups": (lambda x: jnp.asarray(TABLE)[jnp.abs(x).astype(jnp.int32)], joint, "looked_up",
                lambda right: (lambda *args: off(right(*args)))),
    "softmax": (lambda x: jax.nn.softmax(x @ ODD), patterns, "quotient", lambda right: (
        lambda *args: None if right(*args) is None else off(right(*args)))),
    "log softmax": (lambda x: jax.nn.log_softmax(x @ ODD), patterns, "shifted_log", lambda right: (
        lambda *args: None if right(*args) is None else off(right(*args), 5))),
    "variance": (lambda x: jnp.mean(jnp.square(x), 1) - jnp.square(jnp.mean(x, 1)), normalised,
                 "variance", lambda right: (
        lambda *args: None if right(*args) is None else off(right(*args)))),
    "normalisation": (lambda x: x / jnp.sqrt(1e-3 + jnp.mean(x * x, 1, keepdims=True)), normalised,
                      "reach", lambda right: (
        lambda *args: None if right(*args) is None else 0.5 * right(*args))),
    "choices": (lambda x: jnp.where(np.array([[True, False]]), x, 0.0), elementwise, "picked",
                lambda right: (lambda b, which, cases, shape: right(b, 1 - which, cases, shape))),
    "sums": (lambda x: x[:, :1] + x[:, 1:], elementwise, "_total", lambda right: (
        lambda *args: off(right(*args)))),
    "gates": (lambda x: x[:, :1] * x[:, 1:], elementwise, "_times", lambda right: (
        lambda *args: off(right(*args)))),
    "extremes": (lambda x: jnp.minimum(x[:, :1], x[:, 1:]), elementwise, "_extreme",
                 lambda right: (lambda *args: off(right(*args)))),
    "conditions": (lambda x: jnp.where(x[:, :1] > x[:, 1:], x[:, :1], 2.0), elementwise, "_select",
                   lambda right: (lambda *args: off(right(*args), 5))),
}  # fmt: skip


@pytest.mark.parametrize("name", JOINT)
def test_a_wrong_rule_for_several_quantities_is_caught(name, monkeypatch):
    function, module, rule, mutated = JOINT[name]

    def flat(x):
        return function(x).reshape(x.shape[0], -1)

    claimed(flat)
    monkeypatch.setattr(module, rule, mutated(getattr(module, rule)))
    with pytest.raises(Fault, match="outside of its bounds"):
        claimed(flat)
