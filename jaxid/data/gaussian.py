"""Made inputs with a prescribed covariance spectrum, mean and tail weight.

An example is

    x = mu + s Q diag(sqrt(lambda)) z,    z ~ N(0, I_d),

with Q a rotation drawn from the Haar measure (or the identity) and s = 1 for normal inputs,
s = sqrt((nu - 2) / c) with c ~ chi^2_nu drawn per example for Student's t. E[s^2] = 1, so
that for every nu > 2 the mean is mu and the covariance exactly Sigma = Q diag(lambda) Q^T:
nu changes the tails alone (each coordinate's kurtosis is 3 (nu - 2) / (nu - 4), nu > 4).

The spectrum, largest first, is by default geometric, lambda_i = largest kappa^(-(i-1)/(d-1)),
of condition number kappa; or a power law, lambda_i = largest i^(-exponent), of condition
number d^exponent; or given outright. A mean of m in every feature adds one eigenvalue near
largest + d m^2 to the second moment (Le Cun, Kanter and Solla 1991). Examples are float32:
rotated, eigenvalues below about 1e-15 of the mean square of a feature drown in rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jaxid.core.errors import InputError


@dataclass(frozen=True)
class GaussianSpec:
    """What to draw.

    Raises:
      InputError: for a size below 1, a spectrum that is no spectrum, or a tail weight at
        which no covariance exists.

    Example:
      >>> sample(GaussianSpec(features=8, kappa=100.0)).train.shape
      (2000, 8)
    """

    features: int = 64
    """d, the number of features."""
    examples: int = 2000
    """Training examples."""
    test_examples: int = 500
    """Test examples."""
    kappa: float = 1e3
    """Condition number of the covariance, spectrum geometric."""
    exponent: float | None = None
    """Power law i^-exponent instead of the geometric spectrum; kappa is then not used."""
    eigenvalues: tuple[float, ...] | None = None
    """The spectrum outright, d values >= 0 in any order; kappa, exponent, largest unused."""
    largest: float = 1.0
    """Largest eigenvalue of the covariance."""
    mean: float | tuple[float, ...] = 0.0
    """Mean of every feature, or of each."""
    degrees_of_freedom: float = math.inf
    """Tail weight, Student's nu > 2; inf is normal."""
    rotate: bool = True
    """Whether the eigenvectors are a random rotation; else they are the axes."""
    exact: bool = False
    """Whether mean and covariance of the training sample itself (divisor n) are prescribed."""
    seed: int = 0
    """Seed of rotation and examples."""

    def __post_init__(self) -> None:
        for name in ("features", "examples", "test_examples"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; it must be 0 or more")
        if not self.degrees_of_freedom > 2:
            raise InputError(
                f"degrees_of_freedom is {self.degrees_of_freedom}; "
                "the covariance exists only above 2"
            )
        if not 1 <= self.kappa < math.inf:
            raise InputError(f"kappa is {self.kappa}; a condition number is 1 or more")
        if self.exponent is not None and not 0 <= self.exponent < math.inf:
            raise InputError(f"exponent is {self.exponent}; it must be 0 or more")
        if not 0 < self.largest < math.inf:
            raise InputError(f"largest is {self.largest}; it must be positive")
        if self.eigenvalues is not None:
            self._check_length("eigenvalues", self.eigenvalues)
            if not all(0 <= value < math.inf for value in self.eigenvalues):
                raise InputError("an eigenvalue is negative or not finite; give values >= 0")
        means = self.mean if isinstance(self.mean, tuple) else (self.mean,) * self.features
        self._check_length("mean", means)
        if not all(map(math.isfinite, means)):
            raise InputError("a mean is not finite; give finite numbers")
        if self.exact and self.examples <= self.features:
            raise InputError(
                f"an exact sample covariance needs more examples than features; "
                f"give {self.features + 1} or more, not {self.examples}"
            )

    def _check_length(self, name: str, values: tuple[float, ...]) -> None:
        if len(values) != self.features:
            raise InputError(
                f"{name} has {len(values)} values for {self.features} features; give one for each"
            )


class Sample(NamedTuple):
    """train (n, d) and test (k, d), float32."""

    train: np.ndarray
    test: np.ndarray


def spectrum(spec: GaussianSpec) -> np.ndarray:
    """The eigenvalues of the covariance, (d,) float64, largest first."""
    if spec.eigenvalues is not None:
        return np.sort(np.asarray(spec.eigenvalues, np.float64))[::-1]
    index = np.arange(spec.features)
    if spec.exponent is not None:
        return spec.largest * (index + 1.0) ** -spec.exponent
    return spec.largest * spec.kappa ** (-index / max(spec.features - 1, 1))


def mean(spec: GaussianSpec) -> np.ndarray:
    """mu, (d,) float64."""
    return np.broadcast_to(np.asarray(spec.mean, np.float64), (spec.features,))


def rotation(spec: GaussianSpec) -> np.ndarray:
    """Q, (d, d) float64, its columns the eigenvectors in the order of `spectrum`.

    QR of a normal matrix with the signs of R's diagonal made positive is Haar distributed
    (Mezzadri 2007).
    """
    if not spec.rotate:
        return np.eye(spec.features)
    q, r = np.linalg.qr(_stream(spec, 0).standard_normal((spec.features, spec.features)))
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)[None, :]


def covariance(spec: GaussianSpec) -> np.ndarray:
    """Sigma = Q diag(lambda) Q^T, (d, d) float64: the population's, whatever nu."""
    q = rotation(spec)
    return (q * spectrum(spec)[None, :]) @ q.T


def sample(spec: GaussianSpec) -> Sample:
    """Training and test examples.

    With ``exact`` the training sample is centred and whitened by its own mean and
    covariance (divisor n) before it is coloured, so that both are the prescribed ones to
    rounding in float32; the test sample stays as drawn. Training, test and rotation have
    streams of their own: the size of one changes no number of another.
    """
    train = _standard(spec, 1, spec.examples)
    if spec.exact:
        train = train - train.mean(axis=0)[None, :]
        # With train^T train / n = L L^T, the rows of train L^-T have the identity.
        lower = np.linalg.cholesky(train.T @ train / spec.examples)
        train = np.linalg.solve(lower, train.T).T
    return Sample(_coloured(spec, train), _coloured(spec, _standard(spec, 2, spec.test_examples)))


def _standard(spec: GaussianSpec, role: int, count: int) -> np.ndarray:
    """The product s z: mean 0, covariance I, tails as prescribed; (count, d) float64."""
    normal, tails = _stream(spec, role, 0), _stream(spec, role, 1)
    z = normal.standard_normal((count, spec.features))
    nu = spec.degrees_of_freedom
    if math.isinf(nu):
        return z
    return z * np.sqrt((nu - 2) / tails.chisquare(nu, (count, 1)))


def _coloured(spec: GaussianSpec, standard: np.ndarray) -> np.ndarray:
    root = rotation(spec) * np.sqrt(spectrum(spec))[None, :]
    return (standard @ root.T + mean(spec)[None, :]).astype(np.float32)


def _stream(spec: GaussianSpec, *role: int) -> np.random.Generator:
    return np.random.default_rng([spec.seed, *role])
