"""Weighted Gram matrices G = sum_i s_i x~_i x~_i^T of many rows, x~ = x or [x, 1].

Everything is streamed in chunks of rows, rows of weight 0 are left out. Sums of integers
are exact (`jaxid.linalg.rows` says how). For other values every entry is a sum over chunks
of sums over a chunk's rows, so no more than c = rows per chunk + number of chunks + 4
roundings lie on any path, and the error of the matrix in the 2-norm is at most
c u sum_i |s_i| |x~_i|^2 with u = eps / 2 (Higham 2002, sections 3.1 and 4.2); `Gram.error`
uses eps, which also covers the terms of higher order.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import interrupt
from jaxid.core.types import Array
from jaxid.linalg.rows import CHUNK, Rows

EPS = float(np.finfo(np.float64).eps)


class Gram(NamedTuple):
    """A weighted Gram matrix over the kept columns.

    Attributes:
      matrix: (k, k) float64.
      error: bound on the 2-norm of its rounding error; 0 where it is exact.
    """

    matrix: np.ndarray
    error: float


def reduced_gram(
    rows: Rows, weights: np.ndarray | None = None, *, full: Gram | None = None
) -> Gram:
    """sum_i s_i x~_i x~_i^T over the kept columns.

    Args:
      rows: from `prepare_rows`.
      weights: (n,) s, bool or real, of any sign; 1 if None. With two values only (masks,
        leaky ReLU) no weight is multiplied into the rows.
      full: the Gram matrix with all weights 1, if it is at hand: then of a mask and its
        complement the smaller is summed, where sums are exact.

    Raises:
      ValueError: if weights have another shape than (n,).
    """
    n = rows.values.shape[0]
    if weights is None:
        return full if full is not None else _sum(rows, None)
    weights = np.asarray(weights)
    if weights.shape != (n,):
        raise ValueError(f"weights have shape {weights.shape}; {n} rows need ({n},)")
    if weights.dtype == bool:
        return _masked(rows, weights, full)
    low, high = float(weights.min()), float(weights.max())
    upper = weights == high
    if low >= 0 and np.all(upper | (weights == low)):
        if low in (0.0, high):
            return _scaled(_masked(rows, upper, full), high)
        if full is not None:
            return _plus(_scaled(full, low), _scaled(_masked(rows, upper, full), high - low))
        below = _scaled(_masked(rows, ~upper, None), low)
        return _plus(below, _scaled(_masked(rows, upper, None), high))
    return _weighted(rows, weights.astype(np.float64))


def changed_gram(rows: Rows, gram: Gram, before: np.ndarray, after: np.ndarray) -> Gram:
    """The Gram matrix of the rows ``after`` from that of the rows ``before``.

    Rows that came are added and rows that went are taken off: with few of either it costs
    that part of a new sum. Integers stay exact; for other values the bound on the error
    grows by what the changed rows weigh, and what was taken off leaves its own behind.

    Args:
      rows: from `prepare_rows`.
      gram: ``reduced_gram(rows, before)``.
      before, after: (n,) bool.
    """
    came, went = np.flatnonzero(after & ~before), np.flatnonzero(before & ~after)
    for index, sign in ((came, 1.0), (went, -1.0)):
        if index.size:
            part = _sum(rows, index)
            sums = 0.0 if rows.exact else EPS * float(np.trace(gram.matrix + part.matrix))
            gram = Gram(gram.matrix + sign * part.matrix, gram.error + part.error + sums)
    return gram


@jax.jit
def weighted_grams(x: Array, weights: Array) -> Array:
    """G_k = sum_i weights[i, k] x_i x_i^T for all k at once, for accelerators.

    Args:
      x: (n, p), converted to the weights' dtype.
      weights: (n, k) floating point; float64 inside `jaxid.core.precision.float64` makes sums of
        uint8 products exact.

    Returns:
      (k, p, p) in the weights' dtype. One (n, p) array is held per output in turn.
    """
    rows = x.astype(weights.dtype)

    def one(column: Array) -> Array:
        scaled = rows * column[:, None]
        return jnp.matmul(scaled.T, rows, precision=jax.lax.Precision.HIGHEST)

    return jax.lax.map(one, weights.T)


def _masked(rows: Rows, mask: np.ndarray, full: Gram | None) -> Gram:
    count = int(np.count_nonzero(mask))
    if full is not None and rows.exact and 2 * count > mask.size:
        return Gram(full.matrix - _sum(rows, np.flatnonzero(~mask)).matrix, 0.0)
    return _sum(rows, None if count == mask.size else np.flatnonzero(mask))


def _scaled(gram: Gram, factor: float) -> Gram:
    if factor == 1.0:
        return gram
    matrix = factor * gram.matrix
    return Gram(matrix, factor * gram.error + EPS * float(np.trace(matrix)))


def _plus(a: Gram, b: Gram) -> Gram:
    matrix = a.matrix + b.matrix
    return Gram(matrix, a.error + b.error + EPS * float(np.trace(matrix)))


def _sum(rows: Rows, index: np.ndarray | None) -> Gram:
    """The Gram matrix of the rows named by ``index`` (all if None), weights 1."""
    n = rows.values.shape[0] if index is None else index.size
    k = rows.columns.size
    total = np.zeros((k, k))
    sums = np.zeros(k)
    for start in range(0, n, rows.chunk):
        interrupt.check()
        part = slice(start, start + rows.chunk)
        chosen = rows.values[part] if index is None else rows.values[index[part]]
        if rows.integer:
            small = chosen.astype(np.float32)
            total += small.T @ small
            sums += small.sum(axis=0)
        else:
            large = chosen.astype(np.float64) + rows.shift
            total += large.T @ large
    if rows.integer:
        # (v + t)(v + t)^T = v v^T + t (v 1^T + 1 v^T) + t^2 1 1^T; all of it integers.
        cross = rows.shift * sums
        total += cross[:, None] + cross[None, :] + rows.shift**2 * n
    return Gram(total, 0.0 if rows.exact else _roundings(rows, n) * EPS * float(np.trace(total)))


def _weighted(rows: Rows, weights: np.ndarray) -> Gram:
    """General weights: rows times sqrt|s|, those of negative weight taken off."""
    k = rows.columns.size
    total, size = np.zeros((k, k)), 0.0
    for sign in (1.0, -1.0):
        index = np.flatnonzero(sign * weights > 0)
        root = np.sqrt(sign * weights[index])
        part_sum = np.zeros((k, k))
        for start in range(0, index.size, CHUNK):
            interrupt.check()
            part = slice(start, start + CHUNK)
            scaled = rows.values[index[part]].astype(np.float64)
            scaled += rows.shift
            scaled *= root[part, None]
            part_sum += scaled.T @ scaled
        total += sign * part_sum
        size += float(np.trace(part_sum))
    return Gram(total, (CHUNK + weights.size / CHUNK + 4) * EPS * size)


def _roundings(rows: Rows, n: int) -> float:
    return min(n, rows.chunk) + n / rows.chunk + 4
