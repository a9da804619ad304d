"""Initialisers by the names that people use, with Keras' definitions.

Sources: Glorot and Bengio 2010 (eq. 16), He et al. 2015 (eq. 10), LeCun et al. 1998,
Saxe et al. 2014 (orthogonal), Bartlett, Helmbold and Long 2018 (identity).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp

from jaxid.core.types import Array, Key

Initializer: TypeAlias = Callable[..., Array]
InitializerName: TypeAlias = Literal[
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_normal",
    "orthogonal",
    "identity",
    "zeros",
]


def identity(key: Key, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """The (rectangular) identity matrix: W[i, j] = 1 if i = j else 0. Ignores the key."""
    del key
    rows, columns = shape
    return jnp.eye(rows, columns, dtype=dtype)


INITIALIZERS: dict[str, Initializer] = {
    # U(-a, a), a = sqrt(6 / (fan_in + fan_out)); Keras' default for Dense.
    "glorot_uniform": jax.nn.initializers.glorot_uniform(),
    "glorot_normal": jax.nn.initializers.glorot_normal(),
    "he_uniform": jax.nn.initializers.he_uniform(),
    "he_normal": jax.nn.initializers.he_normal(),
    # Flax's default for Dense.
    "lecun_normal": jax.nn.initializers.lecun_normal(),
    # Columns orthonormal in float32 to rounding.
    "orthogonal": jax.nn.initializers.orthogonal(),
    "identity": identity,
    "zeros": jax.nn.initializers.zeros,
}


def initializer(name: str) -> Initializer:
    """The initialiser of that name: (key, shape, dtype) -> array.

    Raises:
      KeyError: for an unknown name (the specs check names first).
    """
    return INITIALIZERS[name]
