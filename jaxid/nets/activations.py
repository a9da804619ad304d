"""Elementwise activations by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp

from jaxid.core.types import Array

Activation: TypeAlias = Callable[[Array], Array]
ActivationName: TypeAlias = Literal[
    "relu", "linear", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "softplus"
]


def linear(x: Array) -> Array:
    """The identity."""
    return x


def leaky_relu(x: Array) -> Array:
    """max(x, 0.01 x), Maas et al. 2013's slope."""
    return jax.nn.leaky_relu(x, 0.01)


def gelu(x: Array) -> Array:
    """x Phi(x), exact rather than the tanh approximation (Hendrycks and Gimpel 2016)."""
    return jax.nn.gelu(x, approximate=False)


ACTIVATIONS: dict[str, Activation] = {
    "relu": jax.nn.relu,  # derivative 0 at 0
    "linear": linear,
    "leaky_relu": leaky_relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "gelu": gelu,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
}

PIECEWISE_LINEAR = frozenset({"relu", "linear", "leaky_relu"})
"""Second derivative zero wherever it exists: last-layer blocks are then Gram matrices."""

CAN_DIE = frozenset({"relu"})
"""Gradient exactly zero on a half-line: units that can stop for good."""


def activation(name: str) -> Activation:
    """The activation of that name.

    Raises:
      KeyError: for an unknown name (the specs check names first).
    """
    return ACTIVATIONS[name]
