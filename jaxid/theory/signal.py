"""How large signals and gradients are, layer by layer, before the first step.

Layers z_l = h_{l-1} W_l + b, h_l = phi(z_l), phi ReLU or the identity, weights independent, mean 0,
variance v_l. Mean squares per unit, over the weights, for an input of mean square p_0 = |x|^2 / d:

  forward   q_l = n_{l-1} v_l p_{l-1} + b^2,   p_l = E phi(z_l)^2 = q_l / 2 (ReLU, b = 0)
  backward  g_l = n_{l+1} v_{l+1} g_{l+1} E phi'(z_l)^2,   E phi'^2 = 1/2 (ReLU, b = 0)
  weights   E (dL / dW_l)^2 = p_{l-1} g_l

(Glorot and Bengio 2010; He et al. 2015, section 2.2). With b = 0 and symmetric weights they hold at
every width: a unit's row of weights is as likely as its negative, so half of E z^2 passes and masks
are fair coins that know nothing of the squares (Hanin 2018); born-dead networks take 2^-width of
it. Glorot's weights at equal widths have n v = 1: each ReLU layer halves both. With b != 0, z is
taken as normal, as it is for wide layers (Poole et al. 2016).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import ndtr

from jaxid.core.errors import InputError

Activation = Literal["relu", "linear"]
NODES, FAR = 200, 12.0
"""Gauss-Legendre nodes, and where a normal density ends, of the product with biases."""


class Signal(NamedTuple):
    """Mean squares by layer, input side first, (L,) each, float64.

    Attributes:
      forward: q_l of the pre-activations, mean over the examples.
      backward: g_l of the loss's derivative by the pre-activations, over that at the output.
      weights: of the derivative by a weight, over g at the output.
      spread: relative standard deviation of q_l, mean over the units, from network to network;
        exact for normal weights and one example, at most that for a mean over examples.
        None for orthogonal weights and for biases.
    """

    forward: np.ndarray
    backward: np.ndarray
    weights: np.ndarray
    spread: np.ndarray | None


def weight_variance(init: str, inputs: int, outputs: int) -> float:
    """Variance of a kernel's entries, by the name in `jaxid.nets.init`.

    2 / (inputs + outputs), 2 / inputs or 1 / inputs; orthogonal 1 / max(inputs, outputs).

    Raises:
      InputError: for initialisers that are not random, and unknown ones.
    """
    kind = init.split("_")[0]
    variances = {
        "glorot": 2 / (inputs + outputs),
        "he": 2 / inputs,
        "lecun": 1 / inputs,
        "orthogonal": 1 / max(inputs, outputs),
    }
    if kind not in variances:
        raise InputError(f"init {init!r} draws no weights; use glorot, he, lecun or orthogonal")
    return variances[kind]


def signal(
    sizes: Sequence[int],
    squares: float | np.ndarray,
    *,
    init: str = "glorot_uniform",
    activation: Activation = "relu",
    bias: float = 0.0,
) -> Signal:
    """Forward, backward and weight mean squares of every layer.

    Args:
      sizes: (d, n_1, ..., n_L).
      squares: |x|^2 / d, of one example or of each, (n,); without biases its mean is enough.
      init: name of the kernels' initialiser.
      activation: between the layers; the output's is left out.
      bias: of every unit.

    Raises:
      InputError: for an initialiser that is not random.

    Example:
      >>> signal((784, 64, 784), 1.0).forward  # 2 * 784 / 848, then times 64 / 848
    """
    passed = np.atleast_1d(np.asarray(squares, np.float64))
    variances = [weight_variance(init, a, b) for a, b in pairwise(sizes)]
    shown, forward, slopes = [], [], []
    for inputs, variance in zip(sizes, variances, strict=False):
        shown.append(passed)
        spread = inputs * variance * passed
        forward.append(float(spread.mean()) + bias**2)
        passed, slope = _moments(spread, bias, activation)
        slopes.append(slope)
    layers = len(variances)
    backward = [np.ones_like(passed)]
    for layer in range(layers - 1, 0, -1):
        factor = sizes[layer + 1] * variances[layer]
        backward.insert(0, factor * backward[0] * slopes[layer - 1])
    return Signal(
        np.array(forward),
        np.array([float(g.mean()) for g in backward]),
        np.array([float((p * g).mean()) for p, g in zip(shown, backward, strict=True)]),
        _spread(sizes, activation) if bias == 0 and init != "orthogonal" else None,
    )


def _moments(
    variance: np.ndarray, bias: float, activation: Activation
) -> tuple[np.ndarray, np.ndarray]:
    """E phi(z)^2 and E phi'(z)^2 for z ~ N(bias, variance)."""
    if activation == "linear":
        return variance + bias**2, np.ones_like(variance)
    if bias == 0:
        return variance / 2, np.full_like(variance, 0.5)
    with np.errstate(divide="ignore"):
        ratio = bias / np.sqrt(variance)
    share = ndtr(ratio)
    edge = bias * np.sqrt(variance) * np.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)
    return (variance + bias**2) * share + edge, share


def _spread(sizes: Sequence[int], activation: Activation) -> np.ndarray:
    """A sum over n units of phi(z)^2 has E S^2 / (E S)^2 = 1 + c / n: c = 2, or 5 after ReLU."""
    c = 5 if activation == "relu" else 2
    widths = np.array(sizes[1:], np.float64)
    below = np.concatenate([[1.0], np.cumprod(1 + c / widths)[:-1]])
    return np.sqrt(below * (1 + 2 / widths) - 1)
