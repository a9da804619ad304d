"""The input on which a network is furthest off, sought by projected gradient ascent.

Every start climbs one side of one output, x <- clip(x + eta sign(grad)) with eta falling
(Madry et al. 2018, section 2.1), all of them in one batch. Whatever is found is evaluated once
more with rounding on the safe side, so that the error claimed is there: a lower bound on the
worst one.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import interrupt
from jaxid.core.precision import float64
from jaxid.core.types import Array, Key
from jaxid.verification.intervals import Interval, output_interval, propagate
from jaxid.verification.network import Network, Numbers, Structure, run

RESTARTS, STEPS, SIDES = 8, 60, 128
FIRST, LAST = 0.25, 1e-3
"""Steps over the box's width, from first to last."""
CHECKED = 16
"""Best points that are evaluated with their rounding."""
LEAST = 256
"""Points that climb at least."""
TOGETHER = 1024
"""Points that climb at once."""


class Attack(NamedTuple):
    """The worst input found.

    Attributes:
      error: |e| there is at least this, in real arithmetic.
      output: which component of e.
      x: (inputs,) float64, in the box.
      low, high: e's component at x lies between.
      points: how many climbed.
    """

    error: float
    output: int
    x: np.ndarray
    low: float
    high: float
    points: int


def worst_found(
    net: Network,
    box: Interval,
    key: Key,
    *,
    sides: np.ndarray | None = None,
    restarts: int = RESTARTS,
    steps: int = STEPS,
) -> Attack:
    """Search the box for the largest |e_j(x)|.

    Args:
      net: e, for instance f(x) - x.
      box: low and high, each (inputs,).
      key: of the starts.
      sides: (k, 2) pairs (output, sign) to climb; the `SIDES` largest at random points, and
        as many at corners, if None.
      restarts: starts for each side; more where that makes fewer than `LEAST` points.
      steps: of the ascent.
    """
    with float64():
        box = Interval(*(jnp.asarray(end, jnp.float64).ravel() for end in box))
        if sides is None:
            sides = _promising(net, box, jax.random.fold_in(key, 0))
        # Few sides leave room for more starts, at hardly any cost.
        restarts = max(restarts, -(-LEAST // len(sides)))
        pairs = np.repeat(np.asarray(sides), restarts, axis=0)
        found, errors = [], []
        for start in range(0, len(pairs), TOGETHER):
            interrupt.check()
            some = pairs[start : start + TOGETHER]
            own = jax.random.fold_in(key, 1 + start)
            starts = _starts(own, box, len(some))
            x = _climb(
                net.structure, net.numbers, starts, box, jnp.asarray(some[:, 0]),
                jnp.asarray(some[:, 1], jnp.float64), steps,
            )  # fmt: skip
            found.append(np.asarray(x))
            last = run(net.structure, net.numbers, x)[-1]
            # Where the function has no value, nothing is found.
            errors.append(np.nan_to_num(np.abs(np.asarray(last)), nan=0.0).max(axis=1))
    best = np.argsort(np.concatenate(errors))[::-1][:CHECKED]
    return evaluated(net, box, np.concatenate(found)[best])._replace(points=len(pairs))


def evaluated(net: Network, box: Interval, points: np.ndarray) -> Attack:
    """The worst of some inputs, (k, inputs), each moved into the box first."""
    with float64():
        low, high = (jnp.asarray(end, jnp.float64).ravel()[None, :] for end in box)
        x = jnp.clip(jnp.asarray(points, jnp.float64), low, high)
        at = output_interval(net.structure, propagate(net.structure, net.numbers, Interval(x, x)))
        inputs, least, most = np.asarray(x), np.asarray(at.low), np.asarray(at.high)
    sure = np.maximum(np.maximum(least, -most), 0.0)
    row, output = np.unravel_index(int(np.argmax(sure)), sure.shape)
    ends = float(least[row, output]), float(most[row, output])
    return Attack(float(sure[row, output]), int(output), inputs[row], *ends, len(inputs))


def _promising(net: Network, box: Interval, key: Key) -> np.ndarray:
    """(k, 2): sides of outputs that are largest somewhere among random points and corners."""
    x = _starts(key, box, 2 * SIDES)
    errors = np.nan_to_num(np.asarray(run(net.structure, net.numbers, x)[-1]), nan=0.0)
    most, least = errors.max(axis=0), -errors.min(axis=0)
    reach = np.concatenate([most, least])
    order = np.argsort(reach)[::-1][:SIDES]
    m = most.size
    return np.stack([order % m, np.where(order < m, 1, -1)], axis=1)


def _starts(key: Key, box: Interval, count: int) -> Array:
    """Random points of the box, every other one a corner."""
    inner, corner = jax.random.split(key)
    shape = (count, box.low.shape[0])
    share = jax.random.uniform(inner, shape, box.low.dtype)
    side = jax.random.bernoulli(corner, 0.5, shape).astype(box.low.dtype)
    mixed = jnp.where(jnp.arange(count)[:, None] % 2 == 0, share, side)
    low, high = box.low[None, :], box.high[None, :]
    return jnp.clip(low + mixed * (high - low), low, high)


@partial(jax.jit, static_argnums=(0, 6))
def _climb(
    structure: Structure,
    numbers: Numbers,
    x: Array,
    box: Interval,
    outputs: Array,
    signs: Array,
    steps: int,
) -> Array:
    """The best point of each ascent."""
    rows, low, high = jnp.arange(x.shape[0]), box.low[None, :], box.high[None, :]

    def height(x: Array) -> tuple[Array, Array]:
        each = signs * run(structure, numbers, x)[-1][rows, outputs]
        return each.sum(), each

    def step(at: tuple[Array, Array, Array], eta: Array) -> tuple[tuple[Array, Array, Array], None]:
        x, best, kept = at
        (_, each), gradient = jax.value_and_grad(height, has_aux=True)(x)
        better = each > best
        kept = jnp.where(better[:, None], x, kept)
        x = jnp.clip(x + eta * (high - low) * jnp.sign(gradient), low, high)
        return (x, jnp.maximum(best, each), kept), None

    rates = jnp.geomspace(FIRST, LAST, steps)
    start = (x, jnp.full(x.shape[0], -jnp.inf, x.dtype), x)
    (x, best, kept), _ = jax.lax.scan(step, start, rates)
    return jnp.where((height(x)[1] > best)[:, None], x, kept)
