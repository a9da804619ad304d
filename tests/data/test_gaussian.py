"""Made inputs: the prescribed spectrum, mean and tails are those that come out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxid.core.errors import InputError
from jaxid.data.gaussian import GaussianSpec, covariance, mean, rotation, sample, spectrum

EPS = float(np.finfo(np.float32).eps)
PROPERTY = settings(max_examples=30, deadline=None)


def moments(x):
    x = x.astype(float)
    return x.mean(axis=0), np.atleast_2d(np.cov(x, rowvar=False, bias=True))


@PROPERTY
@given(
    d=st.integers(1, 8),
    kappa=st.floats(1, 1e6),
    shift=st.floats(-10, 10),
    nu=st.sampled_from([2.5, 5.0, math.inf]),
    rotate=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_exact_samples_have_the_prescribed_mean_and_covariance(d, kappa, shift, nu, rotate, seed):
    spec = GaussianSpec(
        features=d,
        examples=5 * d + 1,
        test_examples=1,
        kappa=kappa,
        mean=shift,
        degrees_of_freedom=nu,
        rotate=rotate,
        exact=True,
        seed=seed,
    )
    x = sample(spec).train
    found_mean, found_covariance = moments(x)
    slack = 8 * EPS * float(np.abs(x).max())  # the rounding to float32
    assert np.allclose(found_mean, shift, atol=slack)
    assert np.allclose(found_covariance, covariance(spec), atol=slack * (1 + np.abs(x).max()))


@PROPERTY
@given(d=st.integers(1, 10), kappa=st.floats(1, 1e8), largest=st.floats(1e-3, 1e3))
def test_the_geometric_spectrum_has_its_ends_and_even_ratios(d, kappa, largest):
    values = spectrum(GaussianSpec(features=d, kappa=kappa, largest=largest))
    assert values.shape == (d,) and values[0] == pytest.approx(largest)
    if d > 1:
        assert values[0] / values[-1] == pytest.approx(kappa)
        assert np.allclose(np.diff(np.log(values)), -np.log(kappa) / (d - 1), atol=1e-9)


def test_power_law_and_given_spectra():
    assert np.allclose(spectrum(GaussianSpec(features=4, exponent=2.0)), [1, 1 / 4, 1 / 9, 1 / 16])
    given_values = GaussianSpec(features=3, eigenvalues=(0.0, 5.0, 2.0), kappa=7.0, largest=9.0)
    assert spectrum(given_values).tolist() == [5, 2, 0]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_covariance_has_the_spectrum_and_the_rotation_its_eigenvectors(seed):
    spec = GaussianSpec(features=7, kappa=1e4, seed=seed)
    q, sigma = rotation(spec), covariance(spec)
    assert np.allclose(q.T @ q, np.eye(7), atol=1e-13)
    assert np.allclose(np.linalg.eigvalsh(sigma)[::-1], spectrum(spec), rtol=1e-9)
    assert np.allclose(sigma @ q, q * spectrum(spec)[None, :], atol=1e-13)
    plain = GaussianSpec(features=7, kappa=1e4, seed=seed, rotate=False)
    assert np.array_equal(covariance(plain), np.diag(spectrum(plain)))


def test_rotations_have_no_preferred_sign_or_axis():
    """Over the Haar measure every entry has mean 0 and variance 1/d."""
    d, count = 3, 2000
    all_q = np.stack([rotation(GaussianSpec(features=d, seed=s)) for s in range(count)])
    assert np.all(np.abs(all_q.mean(axis=0)) < 5 * np.sqrt(1 / d / count))
    # The variance of an entry's square is 2 (d - 1) / (d^2 (d + 2)).
    spread = np.sqrt(2 * (d - 1) / (d**2 * (d + 2)) / count)
    assert np.all(np.abs((all_q**2).mean(axis=0) - 1 / d) < 5 * spread)


@pytest.mark.parametrize("nu", [math.inf, 10.0])
def test_samples_scatter_about_the_prescribed_moments_as_they_should(nu):
    n, d = 20000, 4
    means = (1.0, -2.0, 0.0, 30.0)
    spec = GaussianSpec(features=d, examples=n, kappa=50.0, mean=means, degrees_of_freedom=nu)
    x = sample(spec).train
    assert x.dtype == np.float32 and np.array_equal(mean(spec), means)
    q, values = rotation(spec), spectrum(spec)
    z = (x.astype(float) - mean(spec)[None, :]) @ q / np.sqrt(values)[None, :]
    assert np.all(np.abs(z.mean(axis=0)) < 5 / np.sqrt(n))
    # Of uncorrelated coordinates with E z^4 = k and E z_i^2 z_j^2 = k / 3.
    k = 3.0 if math.isinf(nu) else 3 * (nu - 2) / (nu - 4)
    spread = np.sqrt(np.where(np.eye(d), k - 1, k / 3) / n)
    assert np.all(np.abs(z.T @ z / n - np.eye(d)) < 5 * spread)


@pytest.mark.parametrize("nu", [math.inf, 12.0])
def test_the_tails_have_the_named_kurtosis(nu):
    expected = 3.0 if math.isinf(nu) else 3 * (nu - 2) / (nu - 4)
    per_seed = []
    for seed in range(40):
        spec = GaussianSpec(
            features=2, examples=4000, kappa=1.0, degrees_of_freedom=nu, seed=seed, rotate=False
        )
        per_seed.append(np.mean(sample(spec).train.astype(float) ** 4))  # the variance is 1
    sem = np.std(per_seed, ddof=1) / np.sqrt(len(per_seed))
    assert abs(np.mean(per_seed) - expected) < 4 * sem
    assert sem < 0.1, "narrow enough to tell 3 from 3.75"


def test_a_mean_adds_one_eigenvalue_to_the_second_moment():
    d, m = 40, 1.0
    spec = GaussianSpec(features=d, examples=400, kappa=1.0, mean=m, exact=True)
    x = sample(spec).train.astype(float)
    values = np.linalg.eigvalsh(x.T @ x / len(x))
    assert values[-1] == pytest.approx(1 + d * m**2, rel=1e-5)
    assert np.allclose(values[:-1], 1, rtol=1e-5)


def test_unit_variance_inputs_have_marchenko_and_pasturs_spectrum():
    d, n = 400, 1600
    spec = GaussianSpec(features=d, examples=n, test_examples=1, kappa=1.0, rotate=False)
    x = sample(spec).train.astype(float)
    values = np.linalg.eigvalsh(x.T @ x / n)
    # Edges (1 -+ sqrt(d / n))^2, with the scale of their fluctuation (Johnstone 2001).
    for sign, found in ((-1, values[0]), (1, values[-1])):
        width = np.sqrt(n) + sign * np.sqrt(d)
        scale = width * np.cbrt(1 / np.sqrt(d) + sign / np.sqrt(n)) / n
        assert abs(found - width**2 / n) < 5 * scale


def test_streams_are_apart():
    base = GaussianSpec(features=3, examples=30, test_examples=10)
    more = GaussianSpec(features=3, examples=50, test_examples=20)
    assert np.array_equal(sample(more).train[:30], sample(base).train)
    assert np.array_equal(sample(more).test[:10], sample(base).test)
    assert np.array_equal(sample(base).train, sample(base).train)
    other = sample(GaussianSpec(features=3, examples=30, test_examples=10, seed=1))
    assert not np.array_equal(other.train, sample(base).train)
    assert not np.array_equal(sample(base).train[:10], sample(base).test)


def test_tails_change_no_direction():
    """s stretches an example as a whole: directions are those of the normal sample."""
    choices = {"features": 3, "examples": 50, "rotate": False}
    normal = sample(GaussianSpec(**choices)).train
    heavy = sample(GaussianSpec(**choices, degrees_of_freedom=3.0)).train
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (normal, heavy))
    assert np.allclose(a, b, atol=1e-5) and not np.allclose(normal, heavy, rtol=1e-2)


@pytest.mark.parametrize(
    "choices, says",
    [
        ({"features": 0}, "features is 0"),
        ({"examples": 0}, "examples is 0"),
        ({"test_examples": 0}, "test_examples is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"degrees_of_freedom": 2.0}, "degrees_of_freedom is 2.0"),
        ({"degrees_of_freedom": math.nan}, "degrees_of_freedom is nan"),
        ({"kappa": 0.9}, "kappa is 0.9"),
        ({"kappa": math.inf}, "kappa is inf"),
        ({"exponent": -1.0}, "exponent is -1.0"),
        ({"largest": 0.0}, "largest is 0.0"),
        ({"features": 2, "eigenvalues": (1.0,)}, "1 values for 2 features"),
        ({"features": 2, "eigenvalues": (1.0, -1.0)}, "negative or not finite"),
        ({"features": 2, "mean": (1.0,)}, "1 values for 2 features"),
        ({"mean": math.nan}, "a mean is not finite"),
        ({"features": 5, "examples": 5, "exact": True}, "give 6 or more, not 5"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(choices, says):
    with pytest.raises(InputError, match=says) as refused:
        GaussianSpec(**choices)
    assert "\n" not in str(refused.value)
