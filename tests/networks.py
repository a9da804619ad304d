"""Networks with known truths, shared by the tests of bounds."""

from __future__ import annotations

import itertools

import jax.numpy as jnp
import numpy as np

from jaxid.expressivity.family import Family
from jaxid.verification.intervals import Interval
from jaxid.verification.network import network

KINKED = {
    "relu, linear output": Family(2, 2, 5, "relu", "linear"),
    "relu, three layers": Family(2, 3, 4),
    "relu, one input": Family(1, 2, 6, "relu", "linear"),
    "relu, residual": Family(2, 3, 2, "relu", "linear", residual=True),
    "leaky relu": Family(2, 1, None, "relu", "leaky_relu"),
}
SMOOTH = {
    "tanh": Family(2, 1, None, "relu", "tanh"),
    "sigmoid and softplus": Family(2, 2, 4, "sigmoid", "softplus"),
    "gelu, residual": Family(2, 2, 2, "gelu", "linear", residual=True),
}


def drawn(family: Family, seed: int, scale: float = 1.0):
    """Random float32 layers as float64."""
    rng = np.random.default_rng(seed)
    d, k = family.features, family.hidden
    sizes = [d] + [k] * (family.depth - 1) + [d]
    return [
        (
            (scale * rng.normal(size=(a, b)) / a**0.5).astype(np.float32).astype(np.float64),
            (0.3 * scale * rng.normal(size=b)).astype(np.float32).astype(np.float64),
        )
        for a, b in itertools.pairwise(sizes)
    ]


def error_of(family: Family, layers):
    """f(x) - x as bounds take it."""
    apply = family.apply(layers)
    return network(lambda x: apply(x) - x, (family.features,))


def box_of(family: Family, seed: int) -> Interval:
    """A box about the origin, off centre."""
    rng = np.random.default_rng(100 + seed)
    d = family.features
    return Interval(-rng.uniform(0.3, 2, d), rng.uniform(0.3, 2, d))


def grid_of(box: Interval, points: int = 301):
    """Points of a box, (k, d)."""
    axes = [np.linspace(a, b, points) for a, b in zip(*box, strict=True)]
    return np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, len(axes))


def values(net, x):
    """Every output at every point, float64."""
    from jaxid.core.precision import float64
    from jaxid.verification.network import run

    with float64():
        return np.asarray(run(net.structure, net.numbers, jnp.asarray(x))[-1])
