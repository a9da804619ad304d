"""Rows of data made ready for many Gram matrices, by one look at them.

Columns that are zero in every row are dropped; small integers are shifted to the middle of
their range and kept as such.

Sums of integers are exact. A product of two uint8 values is below 2^16, so sums of fewer
than 2^37 of them are exact in float64. They are also exact in float32, twice as fast, over
chunks in which no sum exceeds 2^24: about the middle of their range (uint8 to -128..127)
1024 rows fit instead of 256, and the shift is undone in float64, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

CHUNK = 1024
"""Rows per product in float64: few enough for the error bound, enough to fill BLAS."""
SCAN = 8192
"""Rows looked at together when columns are examined."""
EXACT32, EXACT64 = 2**24, 2**53
"""Integers up to here are exact in float32, float64."""
LEAST_CHUNK = 256
"""With fewer rows per chunk float32 is no faster than float64."""
WIDE = 2**30
"""Bytes that all rows may take in float64; beyond that they are converted a part at a time."""


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


def widened(rows: Rows) -> Rows:
    """The same rows in float64, shift and all; as they are if that takes too much room.

    For many products: what is converted once need not be converted each time.
    """
    if 8 * rows.values.size > WIDE:
        return rows
    return rows._replace(values=np.add(rows.values, rows.shift, dtype=np.float64), shift=0.0)


def parts(rows: Rows) -> Iterator[tuple[slice, np.ndarray]]:
    """(slice, x~ in float64) of a part of the rows at a time."""
    for start in range(0, rows.values.shape[0], SCAN):
        part = slice(start, start + SCAN)
        values = rows.values[part].astype(np.float64, copy=False)
        yield part, values + rows.shift if np.any(rows.shift) else values


def product(rows: Rows, w: np.ndarray) -> np.ndarray:
    """x~ w, (n, m) float64, for w (k, m) on the kept columns."""
    z = np.empty((rows.values.shape[0], w.shape[1]))
    for part, x in parts(rows):
        np.matmul(x, w, out=z[part])
    return z


def transposed(rows: Rows, f: np.ndarray) -> np.ndarray:
    """sum_i x~_i f_i, (k, m) float64, for f (n, m)."""
    total = np.zeros((rows.columns.size, f.shape[1]))
    for part, x in parts(rows):
        total += x.T @ f[part]
    return total


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
