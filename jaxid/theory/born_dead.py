"""How likely a ReLU network is dead before its first step: hidden signals zero on all inputs.

Zero biases, independent rows of symmetric weights, hidden layers of w_1, ..., w_k units; then
the output is the same for every input and no gradient leaves the last layer (Lu et al. 2019).

One example is at a layer whole or dead, and dies there with probability 2^-w: exactly
1 - prod_l (1 - 2^-w_l). What happens on several inputs together depends on their angles alone if
weights are normal. For two rays at angle t (x and -x: t = pi, all inputs of one feature) a unit
is negative on both with probability (pi - t) / (2 pi), so with u = ((pi - t) / (2 pi))^w a layer
ends both with u, each one alone with 2^-w - u, and the next angle is that of the images: a Markov
chain in (which live, t). Rays never revive, and a lone one has the closed form, so only t is
sampled, on condition that both live, each sample weighted with the probability that they do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from jaxid.core.types import Estimate

SAMPLES = 2**16


class Bounds(NamedTuple):
    """lower <= probability <= upper, both proved."""

    lower: float
    upper: float


def one_example(widths: Sequence[int]) -> float:
    """1 - prod (1 - 2^-w) over the hidden ReLU layers: exact, for any symmetric weights."""
    return -math.expm1(sum(_log_alive(width) for width in widths))


def _log_alive(width: int) -> float:
    return math.log1p(-(2.0**-width)) if width > 0 else -math.inf


def two_rays(
    widths: Sequence[int], *, angle: float = math.pi, samples: int = SAMPLES, seed: int = 0
) -> Estimate:
    """Probability that both of two inputs are dead at the last hidden layer, weights normal.

    At the angle pi that is every input of a network of one feature; and more than the
    probability for every set of inputs of more features that holds such a pair.

    Args:
      widths: units of the hidden ReLU layers (depth - 1 of them), input side first.
      angle: between the inputs, in [0, pi].
      samples: paths of the angle.
      seed: of the paths.

    Returns:
      An Estimate with its standard error; no path is a network: a layer costs a sample 2 w
      normal numbers in place of w^2.
    """
    rng = np.random.default_rng(seed)
    angles = np.full(samples, float(angle))
    alive, dead = np.ones(samples), np.zeros(samples)
    for layer, width in enumerate(widths):
        both = np.power((math.pi - angles) / (2 * math.pi), width)
        lone = one_example(widths[layer + 1 :])
        one = 2.0**-width - both
        dead += alive * (both + 2 * one * lone)
        alive *= 1 - both - 2 * one
        # Nothing is left to follow once a pair can't stay whole (a single unit on x and -x).
        if layer == len(widths) - 1 or not (alive > 0).all():
            break
        angles = _next_angles(angles, width, rng)
    error = float(dead.std(ddof=1)) / samples**0.5
    how = f"Markov chain of the angle of two rays, {samples:,} paths"
    return Estimate(float(dead.mean()), error, True, how)


def _next_angles(angles: np.ndarray, width: int, rng: np.random.Generator) -> np.ndarray:
    """Angle of the images of each pair in a layer in which both live."""
    found = np.empty_like(angles)
    left = np.arange(len(angles))
    while left.size:
        cosine, sine = np.cos(angles[left])[:, None], np.sin(angles[left])[:, None]
        first = rng.standard_normal((left.size, width))
        second = cosine * first + sine * rng.standard_normal((left.size, width))
        a, b = np.maximum(first, 0), np.maximum(second, 0)
        norms = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
        whole = norms > 0
        ratio = (a * b).sum(axis=1)[whole] / norms[whole]
        found[left[whole]] = np.arccos(np.clip(ratio, -1, 1))
        left = left[~whole]
    return found


def bounds(
    widths: Sequence[int],
    examples: int | None = None,
    *,
    nonnegative: bool = False,
    normal: bool = False,
) -> Bounds:
    """Bounds for a network that is dead on all of a data set, or on every input.

    Above: one example's. Below, the greater of two:

      1 - prod_l (1 - 2^-(w_{l-1} w_l)), l > 1: what is shown to a layer is nonnegative, so a
      layer of nothing but negative weights is dead, whatever the inputs;
      (1 - prod_l (1 - 2^-w_l))^n, as if the n examples died independently, l > 1 alone unless
      the inputs are nonnegative: normal pre-activations of nonnegative signals have
      nonnegative covariances, hence are associated (Pitt 1982), and death is decreasing in
      them; for normal weights only.

    The upper bound, and bounds below of this kind, are Lu et al. 2019's; for one feature
    `line_bounds` knows its first layer.

    Args:
      widths: units of the hidden ReLU layers.
      examples: n, examples of different directions; None for every input.
      nonnegative: whether no two inputs have a negative product (pixels).
      normal: whether the weights are normal.
    """
    upper = one_example(widths)
    pairs = [a * b for a, b in pairwise(widths)]
    lower = one_example(pairs)
    if examples is not None and normal:
        lower = max(lower, one_example(widths if nonnegative else widths[1:]) ** examples)
    return Bounds(lower, upper)


def line_bounds(widths: Sequence[int]) -> Bounds:
    """Bounds for every input of one feature, both signs, weights normal.

    With o_k = 1 - prod_{l > 1} (1 - 2^-w_l), the first layer ending one ray with 2^-w_1 each:
    2^(1 - w_1) o_k + (1 - 2^(1 - w_1)) o_k^2 <= P <= 1 - prod_l (1 - 2^-w_l).
    """
    if not widths:
        return Bounds(0.0, 0.0)
    later, one = one_example(widths[1:]), 2.0 ** (1 - widths[0])
    return Bounds(one * later + (1 - one) * later**2, one_example(widths))
