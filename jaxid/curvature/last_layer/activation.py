"""Activations and their derivatives in float64 on the host, from the same functions as the nets."""

from __future__ import annotations

import jax
import numpy as np

from jaxid.core.precision import float64
from jaxid.nets.activations import activation


def value(name: str, z: np.ndarray) -> np.ndarray:
    """phi(z), float64."""
    if name == "relu":
        return np.maximum(z, 0.0)
    if name == "linear":
        return z
    with float64():
        return np.asarray(activation(name)(jax.numpy.asarray(z)))


def derivative(name: str, z: np.ndarray, order: int = 1) -> np.ndarray:
    """The first or second derivative of phi, elementwise, float64, by forward mode.

    At a kink it is the value that training uses: 0 for ReLU, 1 for leaky ReLU.
    """
    if name == "relu":
        return (z > 0).astype(np.float64) if order == 1 else np.zeros_like(z)
    if name == "linear":
        return np.ones_like(z) if order == 1 else np.zeros_like(z)

    def first(t: jax.Array) -> jax.Array:
        return jax.jvp(activation(name), (t,), (jax.numpy.ones_like(t),))[1]

    def second(t: jax.Array) -> jax.Array:
        return jax.jvp(first, (t,), (jax.numpy.ones_like(t),))[1]

    with float64():
        return np.asarray((first if order == 1 else second)(jax.numpy.asarray(z)))
