"""Maps of the features, fitted on the training inputs: fit, apply, invert.

With n training examples x of d features, mean mu, population variance sigma^2 (divisor n)
and covariance C = U diag(lambda) U^T:

    raw           x
    unit          x / max |x|, one number for all features
    centered      x - mu
    standardized  (x - mu) / sigma; a feature that is constant in training becomes 0
    whitened      (x - mu) C^(-1/2), ZCA (Bell and Sejnowski 1997), on the eigenvalues above
                  d eps lambda_max, (d + n) eps lambda_max for floats, eps that of float64

Fitting is float64 NumPy on the host, with sums of integers exact; applying is float32 on
the device. Where apply is not one-to-one (a constant feature, a null direction) invert
gives the training mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core.errors import InputError
from jaxid.core.types import Array
from jaxid.data.examples import host

NAMES = ("raw", "unit", "centered", "standardized", "whitened")


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Scaling:
    """An affine map of features, z = ((x - shift) * factor) @ matrix.

    A pytree; ``name`` is static. apply and invert may be jitted and vmapped.

    Attributes:
      name: one of `NAMES`.
      shift: (d,) float32.
      factor: (d,) float32, 0 for a feature that is mapped to 0.
      matrix: (d, d) float32, or None for the identity.
      inverse: (d, d) float32, the pseudo-inverse of matrix, or None.
    """

    name: str = field(metadata={"static": True})
    shift: Array | np.ndarray
    factor: Array | np.ndarray
    matrix: Array | np.ndarray | None = None
    inverse: Array | np.ndarray | None = None

    @property
    def elementwise(self) -> bool:
        """Whether each output depends on one input alone."""
        return self.matrix is None

    def apply(self, x: Array | np.ndarray) -> Array:
        """Map x (..., d) of any dtype, uint8 included, to z (..., d) float32."""
        x = jnp.asarray(x).astype(jnp.float32)
        z = (x - _row(self.shift, x)) * _row(self.factor, x)
        # Highest precision always: the small modes of raw pixels drown in TF32 or bfloat16.
        return z if self.matrix is None else jnp.matmul(z, self.matrix, precision="highest")

    def invert(self, z: Array | np.ndarray) -> Array:
        """Map z (..., d) to x (..., d): the inverse of apply on its range.

        The training mean in constant features and along directions without variance.
        """
        z = jnp.asarray(z)
        if self.inverse is not None:
            z = jnp.matmul(z, self.inverse, precision="highest")
        factor = _row(self.factor, z)
        kept = factor != 0
        return jnp.where(kept, z / jnp.where(kept, factor, 1), 0) + _row(self.shift, z)


def fit(name: str, train: np.ndarray) -> Scaling:
    """The scaling of that name, fitted on training inputs.

    Args:
      name: one of `NAMES`.
      train: (n, d), integers or floats, n >= 1.

    Raises:
      InputError: for an unknown name, an empty array, or values that are not finite.

    Example:
      >>> fit("standardized", train).apply(train).std(axis=0)  # 1, or 0 where constant
    """
    check_name(name)
    train = np.asarray(train)
    if train.ndim != 2 or train.size == 0:
        raise InputError(f"train has shape {train.shape}; give (examples, features), not empty")
    if not np.all(np.isfinite(train)):
        raise InputError("train has values that are not finite; remove those examples")
    zeros, ones = np.zeros(train.shape[1]), np.ones(train.shape[1])
    if name == "raw":
        return _scaling(name, zeros, ones)
    if name == "unit":
        # Magnitude, so that data with negative values do not change sign; 0 has no unit.
        largest = max(abs(float(train.max())), abs(float(train.min())))
        return _scaling(name, zeros, ones / (largest or 1.0))
    mean = _mean(train)
    if name == "centered":
        return _scaling(name, mean, ones)
    if name == "standardized":
        return _scaling(name, mean, _reciprocal(_deviation(train, mean)))
    values, vectors = np.linalg.eigh(_covariance(train, mean))
    # Forming the covariance is exact for integers; for floats its rounding counts too.
    order = train.shape[1] + (0 if _sums_exactly(train) else len(train))
    kept = values > order * np.finfo(np.float64).eps * max(values[-1], 0.0)
    basis, roots = vectors[:, kept], np.sqrt(values[kept])
    root_inverse = (basis / roots[None, :]) @ basis.T
    return _scaling(name, mean, ones, root_inverse, (basis * roots[None, :]) @ basis.T)


def check_name(name: str) -> None:
    """Check the name of a scaling.

    Raises:
      InputError: for an unknown name, listing the known ones.
    """
    if name not in NAMES:
        raise InputError(f"no scaling {name!r}; use one of {', '.join(NAMES)}")


def _scaling(
    name: str,
    shift: np.ndarray,
    factor: np.ndarray,
    matrix: np.ndarray | None = None,
    inverse: np.ndarray | None = None,
) -> Scaling:
    def single(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values.astype(np.float32)

    return Scaling(
        name, shift.astype(np.float32), factor.astype(np.float32), single(matrix), single(inverse)
    )


def _row(values: Array | np.ndarray, like: Array) -> Array:
    """(d,) -> (1, ..., 1, d), as many axes as ``like``: no implicit rank promotion."""
    return jnp.asarray(values).reshape((1,) * (like.ndim - 1) + (-1,))


def _sums_exactly(train: np.ndarray) -> bool:
    """Whether n sum(x_i x_j) and (sum x_i)(sum x_j) are integers that float64 holds."""
    if train.dtype.kind not in "bui":
        return False
    largest = max(abs(int(train.max())), abs(int(train.min())))
    return (len(train) * largest) ** 2 <= 2**53


def _constant(train: np.ndarray) -> np.ndarray:
    return train.max(axis=0) == train.min(axis=0)


def _mean(train: np.ndarray) -> np.ndarray:
    """(d,) float64; of a constant feature its very value, so that apply gives exactly 0."""
    if _sums_exactly(train):
        return train.sum(axis=0, dtype=np.int64) / len(train)
    mean = train.mean(axis=0, dtype=np.float64)
    return np.where(_constant(train), train[0].astype(np.float64), mean)


def _chunks(train: np.ndarray, mean: np.ndarray | None) -> Iterator[np.ndarray]:
    """Blocks of rows as float64, centred unless mean is None: never all of it at once."""
    for (rows,) in host(train):
        yield rows if mean is None else rows - mean[None, :]


def _deviation(train: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Population standard deviation, (d,) float64, exactly 0 for constant features."""
    n = len(train)
    if _sums_exactly(train):
        squares = sum(np.sum(rows**2, axis=0) for rows in _chunks(train, None))
        sums = train.sum(axis=0, dtype=np.int64).astype(np.float64)
        return np.sqrt(n * squares - sums**2) / n
    squares = sum(np.sum(rows**2, axis=0) for rows in _chunks(train, mean))
    return np.where(_constant(train), 0.0, np.sqrt(squares / n))


def _covariance(train: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Population covariance, (d, d) float64; for integers without any cancellation."""
    n = len(train)
    if _sums_exactly(train):
        sums = train.sum(axis=0, dtype=np.int64).astype(np.float64)
        moment = sum(rows.T @ rows for rows in _chunks(train, None))
        return (n * moment - np.outer(sums, sums)) / n**2
    return sum(rows.T @ rows for rows in _chunks(train, mean)) / n


def _reciprocal(deviation: np.ndarray) -> np.ndarray:
    """1 / sigma; 0 where sigma is 0 or so small that float32 has no reciprocal."""
    kept = deviation > 1 / np.finfo(np.float32).max
    return np.where(kept, 1 / np.where(kept, deviation, 1), 0.0)
