"""Gauss quadrature of a vector's spectral measure, by Lanczos without a basis.

A start z of length 1 and k products give a tridiagonal T whose eigenvalues theta_j and
squared first components w_j of its eigenvectors are a Gauss quadrature of z's spectral
measure: sum_j w_j f(theta_j) equals z^T f(A) z for polynomials f of degree 2 k - 1 (Golub
and Meurant 2010, chapter 6).

No vector is orthogonalised or kept but the last two. Ghost copies of eigenvalues then
appear, but in a cluster whose weights add up to the right one: quadrature stays right to
about rounding (Greenbaum 1989; Chen, Trogdon and Ubaru 2021). 100 products so need two
vectors of the parameters' size where a full basis, which `matfree.decomp.tridiag_sym`
allocates with or without orthogonalising, holds 100.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import interrupt, trees
from jaxid.core.types import Array, Params
from jaxid.linalg.operators import Product, applied


class Tridiagonal(NamedTuple):
    """T of a recurrence: ``diagonal`` (k,), ``off`` (k,), whose last entry is outside T, and
    the length of the start."""

    diagonal: Array
    off: Array
    length: Array


def tridiagonal(product: Product, steps: int, start: Params) -> Tridiagonal:
    """The three-term recurrence of ``steps`` products from a start of any length.

    A start of zero, or a Krylov space that ends, is followed by entries of 0, whose nodes
    have the weight 0.
    """
    at, length = _begun(start, steps)
    for _ in range(steps):
        interrupt.check()
        at = _advanced(at, applied(product, at.q))
    return Tridiagonal(at.diagonal, at.off, length)


class _Recurrence(NamedTuple):
    """The last two vectors, T so far, the largest entry seen, and the step."""

    before: Params
    q: Params
    diagonal: Array
    off: Array
    scale: Array
    step: Array


@partial(jax.jit, static_argnums=1)
def _begun(start: Params, steps: int) -> tuple[_Recurrence, Array]:
    length = trees.norm(start)
    inverse = _over(length, jnp.zeros_like(length))
    q = jax.tree.map(lambda leaf: inverse * leaf, start)
    zeros = jnp.zeros((steps,), length.dtype)
    none = jax.tree.map(jnp.zeros_like, q)
    zero = jnp.zeros_like(length)
    return _Recurrence(none, q, zeros, zeros, zero, jnp.asarray(0, jnp.int32)), length


@partial(jax.jit, donate_argnums=0)
def _advanced(at: _Recurrence, w: Params) -> _Recurrence:
    """One step, w being A q."""
    before, q, diagonal, off, scale, step = at
    beta = jnp.where(step > 0, off[step - 1], 0.0)
    w = trees.add_scaled(w, -beta, before)
    alpha = trees.dot(q, w)
    w = trees.add_scaled(w, -alpha, q)
    beta = trees.norm(w)
    scale = jnp.maximum(scale, jnp.maximum(jnp.abs(alpha), beta))
    inverse = _over(beta, float(np.finfo(beta.dtype).eps) * scale)
    beta = jnp.where(inverse > 0, beta, jnp.zeros_like(beta))
    after = jax.tree.map(lambda leaf: inverse * leaf, w)
    diagonal, off = diagonal.at[step].set(alpha), off.at[step].set(beta)
    return _Recurrence(q, after, diagonal, off, scale, step + 1)


def _over(value: Array, least: Array) -> Array:
    """1 / value, 0 where the value is at most ``least``; not finite where it is not."""
    ended = value <= least
    return jnp.where(ended, 0.0, 1.0 / jnp.where(ended, 1.0, value))


def quadrature(diagonal: np.ndarray, off: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the Gauss quadrature of a tridiagonal matrix.

    Args:
      diagonal: (k,).
      off: (k - 1,) or more.

    Returns:
      ((k,) ascending, (k,) summing to 1), float64.
    """
    k = diagonal.size
    inner = off[: k - 1].astype(np.float64)
    small = np.diag(diagonal.astype(np.float64)) + np.diag(inner, 1) + np.diag(inner, -1)
    nodes, vectors = np.linalg.eigh(small)
    return nodes, vectors[0] ** 2


def wasserstein(x: np.ndarray, v: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    """The Wasserstein-1 distance of two discrete measures of mass 1 (nodes, weights)."""
    points = np.concatenate([x, y])
    ranked = np.argsort(points, kind="stable")
    gap = np.cumsum(np.concatenate([v, -w])[ranked])[:-1]
    return float(np.sum(np.abs(gap) * np.diff(points[ranked])))
