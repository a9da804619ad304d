"""Between what and what the worst error lies: a proof from above, an input from below.

Everything that is known is used: exact formulas where the network is one ReLU layer, bounds by
`jaxid.verification.bounds`, an attack; in one or two dimensions also the cells' corners, as
inputs. What each method gives alone stands beside the result.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jaxid.core.types import Key
from jaxid.verification.attack import RESTARTS, Attack, evaluated, worst_found
from jaxid.verification.bounds import METHODS, STEPS, MethodName, output_bounds
from jaxid.verification.endless import Endless, NoBound, endless
from jaxid.verification.enumeration import enumerable, extremes
from jaxid.verification.intervals import Interval
from jaxid.verification.network import AffineStep, Network, PointwiseStep
from jaxid.verification.one_layer import relu_layer

ROUNDING = (
    "for the function in real arithmetic with the stored parameters; computed in float64, dot "
    "products widened by gamma_n |W||x|, activations by an allowance for their own error"
)


class Method(enum.Enum):
    """What an upper bound rests on: an exact formula, or bounds of rising cost."""

    EXACT = "exact"
    INTERVALS = "intervals"
    CROWN = "crown"
    ALPHA = "alpha"


@dataclass(frozen=True)
class ByMethod:
    """The upper bound that each method gives with all cheaper ones, in the units of e.

    Attributes:
      exact: the formula's; None for networks that have none.
      intervals, crown, alpha: infinite where there is no bound, None where it was not computed.
    """

    exact: float | None = None
    intervals: float | None = None
    crown: float | None = None
    alpha: float | None = None


class Certificate(NamedTuple):
    """The worst |e_j(x)| over a box, from both sides.

    Attributes:
      lower: attained by ``attack.x``.
      upper: no input in the box has a larger one.
      low, high: (outputs,), bounds on each e_j.
      method: what the upper bound rests on.
      by_method: the upper bound of each method with all cheaper ones.
      looser: share of all sides on which the dearest linear method alone was looser.
      attack: the worst input found.
      endless: why there is no upper bound; None if there is one.
    """

    lower: float
    upper: float
    low: np.ndarray
    high: np.ndarray
    method: Method
    by_method: ByMethod
    looser: float | None
    attack: Attack
    endless: Endless | None = None


def certify(
    net: Network,
    box: Interval,
    key: Key,
    *,
    method: MethodName = "alpha",
    steps: int = STEPS,
    restarts: int = RESTARTS,
    said: Callable[[str], None] = lambda _: None,
) -> Certificate:
    """Bound the worst |e_j(x)| over a box from both sides.

    Args:
      net: e, for instance f(x) - x, from `jaxid.verification.network.network`.
      box: low and high, each (inputs,).
      key: of the attack's starts.
      method: the dearest bound to compute.
      steps: of its optimisation.
      restarts: of the attack, for each side that it climbs.
      said: told what is being done.
    """
    low, high = (np.asarray(end, np.float64).ravel() for end in box)
    box = Interval(low, high)
    worst: dict[Method, float] = {}
    least = np.full(net.structure.sizes[-1], -np.inf)
    most, looser = -least, None
    layer = one_layer(net)
    if layer is not None:
        said("one ReLU layer, exactly")
        found = relu_layer(*layer, low, high)
        least, most = found.low - found.rounding, found.high + found.rounding
        worst[Method.EXACT] = _worst(least, most)
    for name in METHODS[: METHODS.index(method) + 1]:
        if layer is not None and name == "alpha":
            break
        said(name)
        bounds = output_bounds(net, box, name, steps=steps)
        worst[Method(name)] = _worst(*bounds.output)
        least = np.maximum(least, bounds.output.low)
        most = np.minimum(most, bounds.output.high)
        looser = None if name == "intervals" else bounds.looser
    said("attack")
    attack = worst_found(net, box, key, restarts=restarts)
    extra = None if layer is None else np.concatenate([found.at_low, found.at_high])
    if extra is None and enumerable(net) is None:
        corners = extremes(net, box)
        extra = np.concatenate([corners.at_low, corners.at_high])
    if extra is not None:
        attack = max(attack, evaluated(net, box, extra), key=lambda one: one.error)
    upper = _worst(least, most)
    # The first, and plainest, of those that come to the same.
    alike = [name for name in worst if worst[name] <= upper * (1 + 1e-9)]
    best = alike[0] if alike else min(worst, key=lambda name: worst[name])
    by_method = ByMethod(**{name.value: bound for name, bound in worst.items()})
    why = None if np.isfinite(upper) else endless(net, box) or Endless(NoBound.NO_NUMBERS)
    return Certificate(attack.error, upper, least, most, best, by_method, looser, attack, why)


def one_layer(
    net: Network,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """(W, b, T, c) if e(x) = relu(x W + b) - (x T + c), else None."""
    steps, last = net.structure.steps, net.structure.last
    units = [k for k, step in enumerate(steps, start=1) if isinstance(step, PointwiseStep)]
    if len(units) != 1:
        return None
    unit = steps[units[0] - 1]
    assert isinstance(unit, PointwiseStep)
    below, top = steps[unit.parent - 1], steps[last - 1]
    if unit.name != "relu" or unit.parent == 0 or not isinstance(below, AffineStep):
        return None
    if below.parents != (0,) or not isinstance(top, AffineStep):
        return None
    if sorted(top.parents) != sorted({0, units[0]}) or len(steps) != 3:
        return None
    (weight,), bias = net.numbers[unit.parent - 1]
    weights, offset = net.numbers[last - 1]
    pairs = dict(zip(top.parents, weights, strict=True))
    if pairs[units[0]] is not None:
        return None
    m = net.structure.sizes[-1]
    kernel, minus = _dense(weight, m), _dense(pairs[0], m)
    return kernel, np.asarray(bias), -minus, -np.asarray(offset)


def _dense(weight: object, m: int) -> np.ndarray:
    if weight is None:
        return np.eye(m)
    array = np.asarray(weight)
    return np.diag(array) if array.ndim == 1 else array


def _worst(low: np.ndarray, high: np.ndarray) -> float:
    return float(np.maximum(np.abs(low), np.abs(high)).max())
