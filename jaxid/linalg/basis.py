"""The basis of a Lanczos iteration: one orthonormal row for each product, on the device.

Each new vector is orthogonalised against all rows, once more where that took away most of it
(Daniel, Gragg, Kaufman and Stewart 1976); without it ghost eigenvalues appear. Where the
Krylov space ends, a random vector goes on outside it.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import trees
from jaxid.core.types import Array, Params
from jaxid.linalg.operators import combination, inner_products

LOST = 0.7
"""A vector that an orthogonalisation leaves shorter than this share of it needs another."""


class Basis(NamedTuple):
    """What an iteration holds.

    Attributes:
      vectors: the rows of Q, of which the last ones may still be 0, stacked along a leading
        axis: one more than ``diagonal`` has entries.
      diagonal, off: of T, what is known so far; ``off[j]`` couples the rows j and j + 1.
      scale: the largest entry seen.
      q: the row whose product comes next.
    """

    vectors: Params
    diagonal: Array
    off: Array
    scale: Array
    q: Params


@partial(jax.jit, static_argnums=1)
def start_basis(start: Params, rows: int) -> Basis:
    """The basis with its first row."""
    length = trees.norm(start)
    q = jax.tree.map(lambda v: v / length, start)
    vectors = jax.tree.map(lambda v: jnp.zeros((rows + 1, *v.shape), v.dtype).at[0].set(v), q)
    zeros = jnp.zeros((rows,), length.dtype)
    return Basis(vectors, zeros, zeros, jnp.zeros_like(length), q)


@partial(jax.jit, donate_argnums=0)
def grow(basis: Basis, w: Params, j: Array | int, kept: Array | int) -> Basis:
    """One row more, w being A times row j; rows before ``kept`` are Ritz vectors."""
    vectors, diagonal, off, scale, q = basis
    before = jnp.maximum(j - 1, 0)
    coupling = jnp.where(j > kept, off[before], 0.0)
    w = trees.add_scaled(w, -coupling, _at(vectors, before))
    alpha = trees.dot(q, w)
    left = _outside(vectors, trees.add_scaled(w, -alpha, q), j, jnp.maximum(scale, jnp.abs(alpha)))
    after = jax.tree.map(lambda x: x / left.length, left.w)
    vectors = jax.tree.map(
        lambda rows, x: jax.lax.dynamic_update_index_in_dim(rows, x, j + 1, 0), vectors, after
    )
    beta = jnp.where(left.ended, 0.0, left.length)
    return Basis(vectors, diagonal.at[j].set(alpha), off.at[j].set(beta), left.scale, after)


class _Outside(NamedTuple):
    """A vector less its part in the basis, its length, the largest entry seen; whether it is
    a random one because the Krylov space ended; what is still to do."""

    w: Params
    length: Array
    scale: Array
    ended: Array
    again: Array
    draw: Array


def _outside(vectors: Params, w: Params, last: Array | int, scale: Array) -> _Outside:
    """w less its part in the rows 0 .. last; a random vector where nothing is left of it.

    One loop for all cases, since each copy of its body is compiled.
    """
    tiny = jax.tree.leaves(vectors)[0].shape[0] * float(np.finfo(scale.dtype).eps)

    def step(at: _Outside) -> _Outside:
        w = jax.lax.cond(at.draw, lambda: _random(vectors, last), lambda: at.w)
        parts = inner_products(vectors, w)
        parts = jnp.where(jnp.arange(parts.size) <= last, parts, 0.0)
        left = trees.add_scaled(w, -1.0, combination(parts, vectors))
        length = trees.norm(left)
        again = ~at.again & (length < LOST * trees.norm(w))
        scale = jnp.where(again | at.ended, at.scale, jnp.maximum(at.scale, length))
        draw = ~again & ~at.ended & ~(length > tiny * scale)
        return _Outside(left, length, scale, at.ended | draw, again, draw)

    no = jnp.asarray(False)
    start = _Outside(w, jnp.full_like(scale, -1.0), scale, no, no, no)
    return jax.lax.while_loop(lambda at: (at.length < 0) | at.again | at.draw, step, start)


def _random(vectors: Params, last: Array | int) -> Params:
    like = jax.tree.map(lambda q: q[0], vectors)
    return trees.random_like(jax.random.fold_in(jax.random.key(0), last), like)


def _at(vectors: Params, j: Array | int) -> Params:
    return jax.tree.map(lambda q: jax.lax.dynamic_index_in_dim(q, j, 0, keepdims=False), vectors)


row = jax.jit(_at)
"""(vectors, j) -> row j."""


@partial(jax.jit, donate_argnums=0)
def compress(basis: Basis, weights: Array) -> Basis:
    """The rows weights^T Q, then the last row of Q, then zeros."""

    def leaf(q: Array) -> Array:
        flat = q.reshape(q.shape[0], -1)
        kept = weights.T.astype(q.dtype) @ flat[:-1]
        rest = jnp.zeros((q.shape[0] - kept.shape[0] - 1, flat.shape[1]), q.dtype)
        return jnp.concatenate([kept, flat[-1:], rest]).reshape(q.shape)

    return basis._replace(vectors=jax.tree.map(leaf, basis.vectors))


@jax.jit
def ritz_vectors(vectors: Params, weights: Array) -> Params:
    """The rows weights^T Q, each of length 1."""

    def leaf(q: Array) -> Array:
        flat = q.reshape(q.shape[0], -1)[:-1]
        return (weights.T.astype(q.dtype) @ flat).reshape(-1, *q.shape[1:])

    def unit(y: Params) -> Params:
        length = trees.norm(y)
        return jax.tree.map(lambda x: x / length, y)

    return jax.vmap(unit)(jax.tree.map(leaf, vectors))
