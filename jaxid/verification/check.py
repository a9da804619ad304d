"""A net under certificates: bounds compared with the function itself at many inputs.

No proof, and none is needed: the bounds hold by construction. But a construction has faults like
any other, and one that a point shows must not leave the house. The points are random ones,
corners, both sides of places where a hidden unit bends or jumps, and the attack's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import interrupt
from jaxid.core.errors import Fault
from jaxid.core.precision import float64
from jaxid.core.types import Array, Key
from jaxid.tracing import in_float64
from jaxid.verification.intervals import UNBOUNDED, Interval
from jaxid.verification.network import Network, PointwiseStep, StraightStep, run

RANDOM, CORNERS, BENDS = 10_000, 1024, 512
"""Points of each kind, at most; a bend has two sides."""
INTERPOLATIONS = 8
"""Steps towards a bend along a segment."""
BESIDE = 1e-9
"""How far from a bend its two sides are looked at, over the segment's length."""
TOLERANCE = 1e-12
"""What rounding in float64 may have done, over the largest number on the way."""

WORST = 16
"""Worst points that are handed on."""
ROWS = 2048
"""Points that are evaluated at once."""


class Original:
    """The function that was certified, (batch, ...) -> (batch, m), as it runs and in float64.

    Args:
      function: traceable, in float32.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self._compiled: dict[Any, Any] = {}

    def own(self, x: np.ndarray) -> np.ndarray:
        """The program as it runs, (points, ...) -> (points, ...), in float64's form."""
        if "own" not in self._compiled:
            self._compiled["own"] = jax.jit(self.function)
        compiled = self._compiled["own"]
        return _in_chunks(lambda part: compiled(jnp.asarray(part, jnp.float32)), x)

    def wide(self, x: np.ndarray) -> np.ndarray:
        """Its program in float64 arithmetic, likewise."""
        return self.wide_and_size(x)[0]

    def wide_and_size(self, x: np.ndarray) -> tuple[np.ndarray, float]:
        """The same, and the largest number on the way."""
        if "wide" not in self._compiled:
            example = np.zeros((min(len(x), ROWS), *x.shape[1:]), np.float32)
            self._compiled["wide"] = jax.jit(in_float64(self.function, example))
        compiled = self._compiled["wide"]
        sizes = [0.0]

        def one(part: np.ndarray) -> Any:
            value, size = compiled(jnp.asarray(part, jnp.float64))
            sizes.append(float(size))
            return value

        with float64():
            return _in_chunks(one, x), max(sizes)


def _in_chunks(function: Callable[[np.ndarray], Any], x: np.ndarray) -> np.ndarray:
    """Chunks of one size, the last one filled up with its own first rows."""
    size = min(len(x), ROWS)
    found = []
    for start in range(0, len(x), size):
        interrupt.check()
        part = x[start : start + size]
        whole = np.resize(part, (size, *x.shape[1:]))
        found.append(np.asarray(function(whole), np.float64)[: len(part)])
    return np.concatenate(found)


class Checked(NamedTuple):
    """What the points showed.

    Attributes:
      points: how many.
      largest: the largest |e| that the function had at one.
      apart: the largest difference between the program as it runs and real arithmetic.
      overflown: points at which the program as it runs gives no finite number though float64
        does.
      undefined: points at which float64 gives none either; they are not compared.
      worst: (k, inputs), the points with the largest |e|.
    """

    points: int
    largest: float
    apart: float
    overflown: int
    undefined: int
    worst: np.ndarray


def check(
    net: Network,
    original: Original,
    box: Interval,
    low: np.ndarray,
    high: np.ndarray,
    found: np.ndarray,
    key: Key,
) -> Checked:
    """Compare bounds on a box with the function.

    Args:
      net: what the bounds were derived from.
      original: what it was read from.
      box: low and high, each (inputs,).
      low, high: (outputs,), the bounds.
      found: (k, inputs), points of an attack.
      key: of the random points.

    Raises:
      Fault: where the function leaves its bounds.
    """
    x = np.concatenate([points(net, box, key), np.asarray(found, np.float64)])
    values, size = original.wide_and_size(x.reshape(-1, *net.shape))
    values = values.reshape(len(x), -1)
    known = (low > -UNBOUNDED) & (high < UNBOUNDED)
    finite = np.isfinite(values)
    nothing = np.isnan(values) & known[None]
    if nothing.any() and np.isfinite(size):
        row, output = np.argwhere(nothing)[0]
        raise Fault(
            f"output {output} has no value at the input {_few(x[row])}, though it has bounds, "
            f"{low[output]:.9g} to {high[output]:.9g}"
        )
    slack = TOLERANCE * size + 1e-300
    # What overflows in float64 says nothing of real arithmetic.
    gaps = np.maximum(low[None] - values, values - high[None])
    beyond = np.where(finite & known[None], gaps, -np.inf)
    row, output = np.unravel_index(int(np.argmax(beyond)), beyond.shape)
    if beyond[row, output] > slack:
        raise Fault(
            f"output {output} is {values[row, output]:.9g} at the input {_few(x[row])}, outside of "
            f"its bounds {low[output]:.9g} to {high[output]:.9g}"
        )
    own = original.own(x.reshape(-1, *net.shape)).reshape(len(x), -1)
    both = finite & np.isfinite(own)
    apart = float(np.abs(own - values)[both].max(initial=0.0))
    overflown = int(np.any(finite & ~np.isfinite(own), axis=1).sum())
    undefined = int(np.any(~finite, axis=1).sum())
    largest = float(np.abs(values[finite]).max(initial=0.0))
    sizes = np.where(finite, np.abs(values), -np.inf).max(axis=1)
    worst = x[np.argsort(sizes)[::-1][:WORST]]
    return Checked(len(x), largest, apart, overflown, undefined, worst)


def _few(x: np.ndarray) -> str:
    shown = ", ".join(f"{number:.9g}" for number in x[:4])
    return f"[{shown}{', ...' if x.size > 4 else ''}]"


def points(net: Network, box: Interval, key: Key) -> np.ndarray:
    """Random points, corners, both sides of bends, (k, inputs), float64."""
    low, high = (np.asarray(end, np.float64).ravel() for end in box)
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    inside = low + (high - low) * random.uniform(size=(RANDOM, low.size))
    if low.size <= 10:
        sides = (np.arange(2**low.size)[:, None] >> np.arange(low.size)[None]) & 1
    else:
        sides = random.integers(0, 2, (CORNERS, low.size))
    corners = np.where(sides == 1, high, low)
    starts = np.concatenate([inside[:256], corners[:256]])
    return np.clip(np.concatenate([inside, corners, _bends(net, starts, random)]), low, high)


def _bends(net: Network, starts: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Both sides of places where a function of a node bends or jumps, along segments."""
    others = starts[random.permutation(len(starts))]
    kinks = _kinks(net)
    if not kinks:
        return starts[:0]
    first, second = _arguments(net, starts, kinks), _arguments(net, others, kinks)
    segment, unit = np.nonzero(first * second < 0)
    # Each unit in turn, so that none is left out while another has many.
    order = np.lexsort((random.permutation(unit.size), unit))
    rank = np.zeros(unit.size, int)
    rank[order] = np.arange(unit.size) - np.searchsorted(unit[order], unit[order])
    chosen = np.argsort(rank, kind="stable")[:BENDS]
    segment, unit = segment[chosen], unit[chosen]
    if not unit.size:
        return starts[:0]
    a, b = starts[segment], others[segment]
    left, right = np.zeros(unit.size), np.ones(unit.size)
    at_left, at_right = first[segment, unit], second[segment, unit]
    rows = np.arange(unit.size)
    for step in range(INTERPOLATIONS):
        share = at_left / np.where(at_left == at_right, 1.0, at_left - at_right)
        # Every other step halves, so that no end stays where it is.
        t = left + (right - left) * (share if step % 2 == 0 else 0.5)
        values = _arguments(net, a + t[:, None] * (b - a), kinks)[rows, unit]
        same = np.sign(values) == np.sign(at_left)
        left, at_left = np.where(same, t, left), np.where(same, values, at_left)
        right, at_right = np.where(same, right, t), np.where(same, at_right, values)
    t = np.concatenate([left - BESIDE, left, right, right + BESIDE])
    a, b = np.tile(a, (4, 1)), np.tile(b, (4, 1))
    return a + t[:, None] * (b - a)


def _kinks(net: Network) -> list[tuple[int, np.ndarray]]:
    """(node, values at which a function of it bends or jumps), the steepest being everywhere."""
    found = []
    for step, own in zip(net.structure.steps, net.numbers, strict=True):
        if isinstance(step, PointwiseStep) and step.function.kink:
            found.append((step.parent, np.zeros((1, net.structure.sizes[step.parent]))))
        elif isinstance(step, StraightStep):
            places = np.asarray(own.places)
            wide = (len(places), net.structure.sizes[step.parent])
            found.append((step.parent, np.broadcast_to(places, wide)))
    return found


def _arguments(net: Network, x: np.ndarray, kinks: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """(points, bends): how far each argument is from its bend."""
    with float64():
        nodes: list[Array] = run(net.structure, net.numbers, jnp.asarray(x))
        parts = [
            (np.asarray(nodes[parent])[:, None, :] - places[None]).reshape(len(x), -1)
            for parent, places in kinks
        ]
    whole = np.concatenate(parts, axis=1)
    return np.where(np.isfinite(whole), whole, 0.0)
