"""Activations as bounds need them: where they are convex, and how far off they are computed.

Each is convex on one interval (perhaps everything) and concave left and right of it; on
either side a line of given slope touches it where its derivative is that slope. Errors:
XLA documents none for its elementary functions in float64, so the ones here are allowances,
many times the largest deviation from 50 digits on the points of
`tests/expressivity/test_functions.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core.types import Array
from jaxid.nets.activations import ACTIVATIONS
from jaxid.verification.rounding import TINY, UNIT

ALLOWED = 64
"""Error of a smooth activation's value or derivative, in units of u (|g| + min(|z|, 1))."""
BISECTIONS = 60
ALMOST = 1 - 1e-15
INFINITE = float("inf")
ROOT, CUBIC = (float(np.float32(number)) for number in (np.sqrt(2 / np.pi), 0.044715))
"""Of the tanh approximation of gelu (Hendrycks and Gimpel 2016), as a float32 program has them."""
FAR = 60.0
"""Beyond it every derivative here is constant in float64."""
Side: TypeAlias = Literal["convex", "left", "right"]


class Function(NamedTuple):
    """One activation.

    Attributes:
      value, derivative: elementwise, float64; the derivative at a kink is either side's.
      convex: the interval on which it is convex.
      turning: where g' = s on that interval, s -> z; None: found by bisection, both ends of
        the interval being finite.
      allowance: error of a value, over u (|g| + min(|z|, 1)).
      kink: whether it is two straight pieces that meet at 0.
      lowest: where g is least, for those that first fall and then rise; None: it never falls.
    """

    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    convex: tuple[float, float]
    turning: Callable[[Array], Array] | None = None
    allowance: float = ALLOWED
    kink: bool = False
    lowest: float | None = None


def _derivative(name: str) -> Callable[[Array], Array]:
    function = ACTIVATIONS[name]
    return lambda z: jax.jvp(function, (z,), (jnp.ones_like(z),))[1]


def _tanh_slope(z: Array) -> Array:
    t = jnp.tanh(z)
    return (1 - t) * (1 + t)


def _sigmoid_slope(z: Array) -> Array:
    return jax.nn.sigmoid(z) * jax.nn.sigmoid(-z)


def _gelu_slope(z: Array) -> Array:
    density = jnp.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return 0.5 * jax.scipy.special.erfc(-z / np.sqrt(2)) + z * density


def _gelu_tanh(z: Array) -> Array:
    # (1 + tanh u) / 2 is the sigmoid of 2 u, which does not cancel on the left.
    return z * jax.nn.sigmoid(2 * ROOT * (z + CUBIC * z**3))


def _gelu_tanh_slope(z: Array) -> Array:
    u = 2 * ROOT * (z + CUBIC * z**3)
    steep = 2 * ROOT * (1 + 3 * CUBIC * z * z)
    return jax.nn.sigmoid(u) * (1 + z * jax.nn.sigmoid(-u) * steep)


def _silu_slope(z: Array) -> Array:
    s = jax.nn.sigmoid(z)
    return s * (1 + z * jax.nn.sigmoid(-z))


FUNCTIONS: dict[str, Function] = {
    "linear": Function(
        ACTIVATIONS["linear"], jnp.ones_like, (-INFINITE, INFINITE), jnp.zeros_like, 0, True
    ),
    "relu": Function(
        ACTIVATIONS["relu"], _derivative("relu"), (-INFINITE, INFINITE), jnp.zeros_like, 0, True
    ),
    "leaky_relu": Function(
        ACTIVATIONS["leaky_relu"],
        _derivative("leaky_relu"),
        (-INFINITE, INFINITE),
        jnp.zeros_like,
        4,
        True,
    ),
    "tanh": Function(
        ACTIVATIONS["tanh"],
        _tanh_slope,
        (-INFINITE, 0.0),
        lambda s: -jnp.arctanh(jnp.sqrt(jnp.clip(1 - s, 0.0, ALMOST))),
    ),
    "sigmoid": Function(
        ACTIVATIONS["sigmoid"],
        _sigmoid_slope,
        (-INFINITE, 0.0),
        lambda s: -2 * jnp.arctanh(jnp.sqrt(jnp.clip(1 - 4 * s, 0.0, ALMOST))),
    ),
    "softplus": Function(
        ACTIVATIONS["softplus"],
        jax.nn.sigmoid,
        (-INFINITE, INFINITE),
        lambda s: jnp.log(jnp.clip(s, 1e-300, 1.0)) - jnp.log1p(-jnp.clip(s, 0.0, ALMOST)),
    ),
    # alpha = 1, the only one without a kink.
    "elu": Function(
        jax.nn.elu,
        lambda z: jnp.exp(jnp.minimum(z, 0.0)),
        (-INFINITE, INFINITE),
        lambda s: jnp.log(jnp.clip(s, 1e-300, 1.0)),
    ),
    # g'' = phi(z) (2 - z^2), zero at the roots of 2; g' is 0 at -0.7518.
    "gelu": Function(
        ACTIVATIONS["gelu"],
        _gelu_slope,
        (-(2**0.5), 2**0.5),
        lowest=-0.7517915246935645,
    ),
    # The approximation that Flax and JAX take by default: numbers from its own derivatives.
    "gelu_tanh": Function(
        _gelu_tanh,
        _gelu_tanh_slope,
        (-1.4185040087908284, 1.4185040087908284),
        lowest=-0.7524614220710163,
    ),
    # g'' = s (1 - s) (2 - z tanh(z / 2)).
    "silu": Function(
        ACTIVATIONS["silu"],
        _silu_slope,
        (-2.399357280520311, 2.399357280520311),
        lowest=-1.2784645427610738,
    ),
}


def value_error(function: Function, z: Array, value: Array) -> Array:
    """A bound on the rounding of ``value`` = g(z)."""
    size = jnp.abs(value) + jnp.minimum(jnp.abs(z), 1.0)
    return function.allowance * UNIT * size + (TINY if function.allowance else 0.0)


def value_range(function: Function, low: Array, high: Array) -> tuple[Array, Array]:
    """The least and the largest value on [low, high], widened."""
    ends = [low, high]
    if function.lowest is not None:
        # Flat to second order there: what the place is off by does not matter.
        ends.append(jnp.clip(function.lowest, low, high))
    values = [function.value(z) for z in ends]
    errors = [value_error(function, z, v) for z, v in zip(ends, values, strict=True)]
    least = [v - e for v, e in zip(values, errors, strict=True)]
    most = [v + e for v, e in zip(values, errors, strict=True)]
    return reduce(jnp.minimum, least), reduce(jnp.maximum, most)


def touching(function: Function, slope: Array, side: Side) -> Array:
    """Where g' = slope on the convex interval, or left or right of it, where g' falls.

    Only a guess is promised, an end of the interval where there is no such place.
    """
    if side != "convex" and function.turning is not None:
        # tanh and the sigmoid are odd up to a constant: their derivatives are even.
        return -function.turning(slope)
    if function.turning is not None:
        return function.turning(slope)
    left, right = function.convex
    low, high = {"convex": (left, right), "left": (-FAR, left), "right": (right, FAR)}[side]
    rising = side == "convex"

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        a, b = ends
        middle = 0.5 * (a + b)
        beyond = (function.derivative(middle) > slope) == rising
        return jnp.where(beyond, a, middle), jnp.where(beyond, middle, b)

    start = (jnp.full_like(slope, low), jnp.full_like(slope, high))
    a, b = jax.lax.fori_loop(0, BISECTIONS, halve, start)
    return 0.5 * (a + b)
