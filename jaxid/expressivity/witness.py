"""Parameters that represent an affine target on a box, written down and not trained.

copy:     relu, leaky relu and linear units are the identity from 0 on, so x + s with s >= -low
          passes through any number of them (width d, exact on a half-line).
pairs:    g(z) - g(-z) = z for relu, gelu, silu and softplus (width 2 d, exact everywhere).
shifted:  gelu, silu and softplus come close to z as z grows: x + s with a large s (width d).
tangent:  (g(c + h x) - g(c)) / (h g'(c)) is x but for h x^2 max|g''| / (2 |g'(c)|); of third
          order where g''(c) = 0. Ever better as h falls, with weights that grow as 1 / h.
zero:     with skip connections and g(0) = 0 all weights 0.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from jaxid.core.precision import float64
from jaxid.expressivity.family import Family, Target
from jaxid.verification.functions import FUNCTIONS

Layers = list[tuple[np.ndarray, np.ndarray]]
"""(kernel (inputs, outputs), bias (outputs,)) of each layer, float64."""

COPIES = frozenset({"relu", "leaky_relu", "linear"})
PAIRS = frozenset({"relu", "gelu", "silu", "softplus"})
SHIFTS = {"gelu": 12.0, "silu": 50.0, "softplus": 50.0}
"""Least argument from which on g(z) - z is below 1e-19 in size."""
CENTRES = {"tanh": 0.0, "sigmoid": 0.0, "gelu": 2**0.5, "silu": 2.399357280520311, "softplus": 0.0}
"""Where the tangent is taken: an inflection where there is one."""
ZERO_AT_ZERO = frozenset({"relu", "linear", "leaky_relu", "tanh", "gelu", "silu"})
GRID = 401


class Witness(NamedTuple):
    """Parameters and what they are.

    Attributes:
      layers: the parameters.
      words: what they do.
      exact: whether in real arithmetic they are the target on the box.
    """

    layers: Layers
    words: str
    exact: bool


def witness(family: Family, target: Target) -> Witness | None:
    """Parameters that come close to the target, or are it; None where none are known."""
    if family.residual:
        return _zero(family, target)
    widths = np.abs(target.linear).max(axis=1) * (target.high - target.low)
    kept = keep(family, target.low, target.high, widths)
    if kept is None:
        return None
    layers, matrix, offset, words, exact = kept
    wanted = matrix @ target.linear, offset @ target.linear + target.offset
    wanted, fitted = _output(family, target, *wanted)
    layers.append(wanted)
    if not family.use_bias and any(bias.any() for _, bias in layers):
        return None
    if fitted:
        words, exact = f"{words}; {fitted}", False
    least, _ = target.range
    if family.output_activation in ("relu", "leaky_relu") and least.min() < 0:
        exact = False
    return Witness(layers, words, exact)


class Kept(NamedTuple):
    """Hidden layers, and how x is read off them: h M + o.

    Attributes:
      layers: of the hidden layers.
      matrix, offset: M (hidden, d) and o (d,); of the inputs themselves without hidden layers.
      words: what the layers do.
      exact: whether in real arithmetic h M + o is x.
    """

    layers: Layers
    matrix: np.ndarray
    offset: np.ndarray
    words: str
    exact: bool


def keep(family: Family, low: np.ndarray, high: np.ndarray, widths: np.ndarray) -> Kept | None:
    """Hidden layers that keep the inputs of a box, as many components as they have room for.

    Args:
      family: without skip connections.
      low, high: (d,), the box.
      widths: (d,), what each component is worth: a bottleneck keeps the largest, and of the
        others their centres.

    Returns:
      None where none are known.
    """
    d, k, g = family.features, family.hidden, family.activation
    if family.depth == 1:
        return Kept([], np.eye(d), np.zeros(d), "the target, weight by weight", True)
    if g in PAIRS and k >= 2 * d:
        return _pairs(family)
    n = min(d, k)
    chosen = np.sort(np.argsort(widths)[::-1][:n])
    pick = np.zeros((d, k))
    pick[chosen, np.arange(n)] = 1.0
    rest = 0.5 * (low + high)
    rest[chosen] = 0.0
    if g in COPIES or g in SHIFTS:
        shift = np.zeros(k)
        shift[:n] = np.maximum(0.0, SHIFTS.get(g, 0.0) - low[chosen])
        if g == "linear":
            shift[:] = 0.0
        layers = [(pick, shift)]
        layers += [(np.eye(k), np.zeros(k))] * (family.depth - 2)
        words = "copies, shifted to where each unit is the identity"
        return Kept(layers, pick.T, rest - shift @ pick.T, words, g in COPIES and n == d)
    return _tangent(family, low, high, tangent_scale(low, high), pick, rest)


def _pairs(family: Family) -> Kept:
    d, k = family.features, family.hidden
    both = np.zeros((d, k))
    both[:, :d], both[:, d : 2 * d] = np.eye(d), -np.eye(d)
    back = both.T
    layers = [(both, np.zeros(k))]
    layers += [(back @ both, np.zeros(k))] * (family.depth - 2)
    return Kept(layers, back, np.zeros(d), "g(x) - g(-x), which is x", True)


def _tangent(
    family: Family,
    low: np.ndarray,
    high: np.ndarray,
    h: float,
    pick: np.ndarray,
    rest: np.ndarray,
) -> Kept | None:
    g, k = family.activation, family.hidden
    if g not in CENTRES:
        return None
    c = CENTRES[g]
    value, slope = value_and_slope(g, c)
    middle = 0.5 * (low + high)
    layers: Layers = []
    used = np.zeros(k)
    used[: pick.any(axis=0).sum()] = 1.0
    matrix, offset = h * pick, c * used - h * (middle @ pick)
    for _ in range(family.depth - 1):
        layers.append((matrix, offset))
        # (g - value) / slope is c + h (x - middle) again, less c.
        matrix, offset = np.diag(used) / slope, (c - value / slope) * used
    back = pick.T / (h * slope)
    return Kept(
        layers, back, rest + (middle @ pick) @ pick.T - value * used @ back,
        f"the tangent of {g} at {c:g}, inputs times {h:.3g}", False,
    )  # fmt: skip


def tangent(family: Family, target: Target, h: float) -> Witness:
    """The tangent's witness at a scale of one's own; width d or more, a linear output.

    Raises:
      ValueError: for activations without one.
    """
    d = family.features
    kept = _tangent(family, target.low, target.high, h, np.eye(d, family.hidden), np.zeros(d))
    if kept is None:
        raise ValueError(f"{family.activation} has no tangent here")
    last = kept.matrix * target.scale[None, :], kept.offset * target.scale + target.offset
    return Witness([*kept.layers, last], kept.words, False)


def tangent_scale(low: np.ndarray, high: np.ndarray, share: float = 1e-5) -> float:
    """h such that h times the largest half width is ``share``."""
    half = 0.5 * float(np.max(high - low))
    return share / half if half > 0 else share


def tangent_error(name: str, h: float, half: float) -> float:
    """A bound on |(g(c + h x) - g(c)) / (h g'(c)) - x| for |x| <= half (Taylor), without
    rounding: h^2 x^3 max|g'''| / (6 |g'(c)|) where g''(c) = 0, else h x^2 max|g''| / (2 |g'|)."""
    c = CENTRES[name]
    _, slope = value_and_slope(name, c)
    if CURVED[name] is None:
        return h**2 * half**3 * THIRD[name] / (6 * abs(slope))
    return h * half**2 * float(CURVED[name] or 0.0) / (2 * abs(slope))


CURVED: dict[str, float | None] = {
    "tanh": None, "sigmoid": None, "gelu": None, "silu": None, "softplus": 0.25,
}  # fmt: skip
"""max |g''| where g''(c) is not 0."""
THIRD = {"tanh": 2.0, "sigmoid": 0.125, "gelu": 0.78, "silu": 0.31}
"""At least max |third derivative|: tanh 2 and the sigmoid 1/8, at 0; gelu, silu computed."""


def value_and_slope(name: str, c: float) -> tuple[float, float]:
    """(g(c), g'(c)) in float64."""
    function = FUNCTIONS[name]
    with float64():
        z = jnp.asarray(c, jnp.float64)
        return float(function.value(z)), float(function.derivative(z))


def _output(
    family: Family, target: Target, matrix: np.ndarray, offset: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], str]:
    """The last layer, and in words what was fitted there: a smooth output activation gets the
    line whose image is nearest to the target."""
    name = family.output_activation
    if name in COPIES:
        return (matrix, offset), ""
    least, most = target.range
    factors, shifts = np.ones(least.size), np.zeros(least.size)
    for pair in {*zip(least.tolist(), most.tolist(), strict=True)}:
        own = (least == pair[0]) & (most == pair[1])
        factors[own], shifts[own] = _nearest(name, *pair)
    words = f"output line fitted so that {name} of it is nearest to the target"
    return (matrix * factors, offset * factors + shifts), words


def _nearest(name: str, low: float, high: float) -> tuple[float, float]:
    """(a, b) with the least max |g(a y + b) - y| on a grid of [low, high], by Nelder and Mead."""
    y = np.linspace(low, high, GRID)
    function = FUNCTIONS[name]

    def worst(ab: np.ndarray) -> float:
        with float64():
            return float(np.max(np.abs(np.asarray(function.value(ab[0] * y + ab[1])) - y)))

    width = max(high - low, 1e-12)
    starts = [(1.0, 0.0), (4 / width, -4 * low / width - 2), (2.0, 0.0)]
    found = min((minimize(worst, start, method="Nelder-Mead") for start in starts),
                key=lambda result: result.fun)  # fmt: skip
    return float(found.x[0]), float(found.x[1])


def _zero(family: Family, target: Target) -> Witness | None:
    d = family.features
    silent = all(name in ZERO_AT_ZERO for name in family.names)
    same = target.matrix is None and np.all(target.scale == 1.0) and not target.offset.any()
    if not (silent and same and (family.depth == 1 or family.hidden == d)):
        return None
    layers = [(np.zeros((d, d)), np.zeros(d))] * family.depth
    return Witness(layers, "all weights 0: the skip connections carry the input", True)
