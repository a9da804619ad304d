"""Linear algebra on pytrees."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core.types import Array, Key, Params

SHARED = 4096
"""Numbers up to which one program draws for trees of several sizes."""


def dot(a: Params, b: Params) -> Array:
    """Sum over all leaves of <a, b>, in the leaves' own dtype."""
    products = jax.tree.map(lambda x, y: jnp.vdot(x, y), a, b)
    # A Python 0.0 is weakly typed: an array of zeros would be float64 inside `float64()`.
    return jnp.asarray(sum(jax.tree.leaves(products), start=0.0))


def norm(a: Params) -> Array:
    """Euclidean norm over all leaves."""
    return jnp.sqrt(dot(a, a))


def size(a: Params) -> int:
    """Number of scalars in the tree."""
    return sum(leaf.size for leaf in jax.tree.leaves(a))


def nbytes(a: Params) -> int:
    """Bytes of the tree's arrays (or of arrays of the same shapes and dtypes)."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(a))


def random_like(key: Key, a: Params) -> Params:
    """Standard normal entries in the tree's structure, shapes and dtypes."""
    return _drawn(jax.random.normal, key, a)


def signs_like(key: Key, a: Params) -> Params:
    """Independent random signs, -1 and 1, in the tree's structure, shapes and dtypes."""
    return _drawn(jax.random.rademacher, key, a)


def _drawn(draw: Callable[..., Array], key: Key, a: Params) -> Params:
    # Draws take long to compile. So there is one, not one for each leaf; and small ones are
    # rounded up to a power of two, for trees of many sizes to share it. JAX draws the same
    # numbers first whatever the count.
    count = size(a)
    rounded = count if count > SHARED else 1 << max(count - 1, 0).bit_length()
    return _cut(_draw(draw, key, rounded, jnp.result_type(*jax.tree.leaves(a))), a)


@partial(jax.jit, static_argnums=(0, 2, 3))
def _draw(draw: Callable[..., Array], key: Key, count: int, dtype: Any) -> Array:
    return draw(key, (count,), dtype)


@jax.jit
def _cut(drawn: Array, a: Params) -> Params:
    leaves, structure = jax.tree.flatten(a)
    drawn = drawn[: size(a)]
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    parts = zip(jnp.split(drawn, ends), leaves, strict=True)
    return jax.tree.unflatten(structure, [p.reshape(x.shape).astype(x.dtype) for p, x in parts])


def add_scaled(a: Params, scale: float | Array, b: Params) -> Params:
    """a + scale * b."""
    return jax.tree.map(lambda x, y: x + scale * y, a, b)
