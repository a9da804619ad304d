"""Weighted Gram matrices G = sum_i s_i x~_i x~_i^T of many rows, x~ = x or [x, 1].

Everything is streamed in chunks of rows, rows of weight 0 are left out, and columns that
are zero in every row are dropped and put back as zeros.

Integers are exact. A product of two uint8 values is below 2^16, so sums of fewer than 2^37
of them are exact in float64. They are also exact in float32, twice as fast, over chunks in
which no sum exceeds 2^24: values are shifted to the middle of their range first (uint8 to
-128..127, so that 1024 rows fit instead of 256) and the shift is undone in float64, exactly.

For other values every entry is a sum over chunks of sums over a chunk's rows, so no more
than c = rows per chunk + number of chunks + 4 roundings lie on any path, and the error of
the matrix in the 2-norm is at most c u sum_i |s_i| |x~_i|^2 with u = eps / 2 (Higham 2002,
sections 3.1 and 4.2); `Gram.error` uses eps, which also covers the terms of higher order.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.types import Array

CHUNK = 1024
"""Rows per product in float64: few enough for the error bound, enough to fill BLAS."""
SCAN = 8192
"""Rows looked at together when columns are examined."""
EXACT32, EXACT64 = 2**24, 2**53
"""Integers up to here are exact in float32, float64."""
LEAST_CHUNK = 256
"""With fewer rows per chunk float32 is no faster than float64."""
EPS = float(np.finfo(np.float64).eps)


class Rows(NamedTuple):
    """Rows made ready for many Gram matrices; ``values + shift`` are the rows x~.

    Attributes:
      values: (n, k), the columns of x~ that are not zero throughout; small integers are
        kept as int8 or int16 about the middle of their range, other values as they came.
      shift: what to add to ``values``: a scalar, or (k,).
      columns: (k,) the kept columns' places in x~.
      order: number of columns of x~.
      exact: whether sums of products are exact.
      chunk: rows per product; chunks of integer ``values`` are exact in float32.
    """

    values: np.ndarray
    shift: float | np.ndarray
    columns: np.ndarray
    order: int
    exact: bool
    chunk: int

    @property
    def integer(self) -> bool:
        """Whether products run in float32, exactly."""
        return self.values.dtype.kind == "i"

    def expand(self, matrix: np.ndarray) -> np.ndarray:
        """(k, k) -> (order, order), zeros in dropped rows and columns."""
        if self.columns.size == self.order:
            return matrix
        whole = np.zeros((self.order, self.order))
        whole[np.ix_(self.columns, self.columns)] = matrix
        return whole


class Gram(NamedTuple):
    """A weighted Gram matrix over the kept columns.

    Attributes:
      matrix: (k, k) float64.
      error: bound on the 2-norm of its rounding error; 0 where it is exact.
    """

    matrix: np.ndarray
    error: float


def prepare_rows(x: np.ndarray, *, ones: bool = False) -> Rows:
    """Look at the data once, for many Gram matrices of it.

    Args:
      x: (n, p), real, of any dtype.
      ones: whether x~ = [x, 1].

    Raises:
      ValueError: if x is not a matrix with rows and columns, or not finite.
    """
    x = np.asarray(x)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"rows have shape {x.shape}; a Gram matrix needs (n, p), not empty")
    n, p = x.shape
    low, high, integral, used = _examine(x)
    columns = np.flatnonzero(used)
    order = p + ones
    if ones:
        columns = np.append(columns, p)
        low, high = min(low, 1.0), max(high, 1.0)
    largest = max(abs(low), abs(high))
    exact = integral and largest < 2.0**26 and n * largest**2 < EXACT64
    shift = (low + high + 1) // 2
    reach = max(high - shift, shift - low, 1.0)
    chunk = int(EXACT32 // reach**2) if exact else 0
    if chunk >= LEAST_CHUNK:
        dtype = np.int8 if shift - 128 <= low and high <= shift + 127 else np.int16
        values = np.empty((n, columns.size), dtype)
        for start in range(0, n, SCAN):
            part = slice(start, start + SCAN)
            values[part, : columns.size - ones] = x[part, used].astype(np.int32) - int(shift)
        if ones:
            values[:, -1] = 1 - int(shift)
        return Rows(values, float(shift), columns, order, True, min(chunk, 4 * CHUNK))
    values = x if used.all() else x[:, used]
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    if ones:
        values = np.concatenate([values, np.ones((n, 1), values.dtype)], axis=1)
    return Rows(values, 0.0, columns, order, exact, CHUNK)


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


def weighted_gram(
    x: np.ndarray | Rows, weights: np.ndarray | None = None, *, ones: bool = False
) -> np.ndarray:
    """G = sum_i s_i x~_i x~_i^T, (q, q) float64 on the host.

    Args:
      x: (n, p) of any real dtype, or `Rows` when many Gram matrices are wanted.
      weights: (n,) s; 1 if None.
      ones: whether x~ = [x, 1]; for `Rows` it was decided there.

    Example:
      >>> weighted_gram(np.array([[1, 2], [3, 4]], np.uint8), np.array([True, False]))
      array([[1., 2.],
             [2., 4.]])
    """
    rows = x if isinstance(x, Rows) else prepare_rows(x, ones=ones)
    return rows.expand(reduced_gram(rows, weights).matrix)


@jax.jit
def weighted_grams(x: Array, weights: Array) -> Array:
    """G_k = sum_i weights[i, k] x_i x_i^T for all k at once, for accelerators.

    Args:
      x: (n, p), converted to the weights' dtype.
      weights: (n, k) floating point; float64 inside `jaxid.precision.float64` makes sums of
        uint8 products exact.

    Returns:
      (k, p, p) in the weights' dtype. One (n, p) array is held per output in turn.
    """
    rows = x.astype(weights.dtype)

    def one(column: Array) -> Array:
        scaled = rows * column[:, None]
        return jnp.matmul(scaled.T, rows, precision=jax.lax.Precision.HIGHEST)

    return jax.lax.map(one, weights.T)


def _examine(x: np.ndarray) -> tuple[float, float, bool, np.ndarray]:
    """(least, largest, whether all are integers, which columns are not all zero)."""
    low, high, used = np.inf, -np.inf, np.zeros(x.shape[1], bool)
    integral = True
    for start in range(0, x.shape[0], SCAN):
        part = x[start : start + SCAN]
        least, largest = float(part.min()), float(part.max())
        if not (np.isfinite(least) and np.isfinite(largest)):
            raise ValueError("rows hold values that are not finite; make them finite first")
        low, high = min(low, least), max(high, largest)
        used |= part.any(axis=0)
        if integral and part.dtype.kind == "f":
            # A glance at one row in eight settles it for most data.
            integral = bool(np.all(np.rint(part[::8]) == part[::8]))
            integral = integral and bool(np.all(np.rint(part) == part))
    return low, high, integral, used


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
