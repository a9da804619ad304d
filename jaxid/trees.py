"""Linear algebra on pytrees."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxid.types import Array, Key, Params


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
    leaves, structure = jax.tree.flatten(a)
    keys = jax.random.split(key, len(leaves))
    drawn = [draw(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, drawn)


def add_scaled(a: Params, scale: float | Array, b: Params) -> Params:
    """a + scale * b."""
    return jax.tree.map(lambda x, y: x + scale * y, a, b)
