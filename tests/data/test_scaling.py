"""Properties of the five maps: what they make of the data, and the way back."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxid.core.errors import InputError
from jaxid.data import examples as stream
from jaxid.data.scaling import NAMES, fit

EPS = float(np.finfo(np.float32).eps)
PROPERTY = settings(max_examples=25, deadline=None)


@st.composite
def examples(draw):
    """(n, d) pixels or floats with some constant and some repeated features."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    d = draw(st.sampled_from([1, 2, 5]))  # few shapes, few compilations
    n = 10 * d
    if draw(st.booleans()):
        x = random.integers(0, draw(st.sampled_from([2, 17, 256])), (n, d)).astype(np.uint8)
    else:
        size = 10.0 ** draw(st.integers(-3, 4))
        x = (size * (random.normal(size=(n, d)) + draw(st.integers(-3, 3)))).astype(np.float32)
    x[:, random.random(d) < 0.2] = x[0, 0]
    if d > 1 and draw(st.booleans()):
        x[:, -1] = x[:, 0]
    return x


def deviation(x):
    constant = x.max(axis=0) == x.min(axis=0)
    return np.where(constant, 0, x.astype(float).std(axis=0))


def covariance(x):
    return np.atleast_2d(np.cov(x.astype(float), rowvar=False, bias=True))


def top(x):
    return float(np.abs(x.astype(float)).max())


@PROPERTY
@given(examples(), st.sampled_from(NAMES))
def test_invert_takes_the_training_examples_back(x, name):
    found = fit(name, x)
    z = found.apply(x)
    assert z.dtype == jnp.float32 and z.shape == x.shape
    assert np.allclose(found.invert(z), x, rtol=0, atol=200 * EPS * top(x))


@PROPERTY
@given(examples())
def test_raw_and_unit(x):
    assert np.array_equal(fit("raw", x).apply(x), x.astype(np.float32))
    z = np.asarray(fit("unit", x).apply(x))
    assert np.allclose(z, x / (top(x) or 1), rtol=4 * EPS)
    assert np.abs(z).max() == pytest.approx(1 if x.any() else 0, rel=4 * EPS)


@PROPERTY
@given(examples())
def test_centered_has_mean_zero_and_the_same_deviations(x):
    z = np.asarray(fit("centered", x).apply(x), float)
    assert np.allclose(z.mean(axis=0), 0, atol=4 * EPS * top(x))
    assert np.allclose(z.std(axis=0), deviation(x), rtol=1e-4, atol=4 * EPS * top(x))


@PROPERTY
@given(examples())
def test_standardized_has_mean_zero_and_deviation_one_but_for_constants(x):
    z, sigma = np.asarray(fit("standardized", x).apply(x), float), deviation(x)
    assert np.array_equal(z[:, sigma == 0], np.zeros((len(x), int((sigma == 0).sum()))))
    live = sigma > 0
    if live.any():
        slack = 8 * EPS * top(x) / sigma[live].min() + 1e-5
        assert np.allclose(z[:, live].mean(axis=0), 0, atol=slack)
        assert np.allclose(z[:, live].std(axis=0), 1, atol=slack)


@PROPERTY
@given(examples())
def test_the_whitened_covariance_is_the_projector_on_the_datas_span(x):
    z = np.asarray(fit("whitened", x).apply(x))
    values, vectors = np.linalg.eigh(covariance(x))
    live = values > 1e-10 * max(values[-1], 0)
    projector = vectors[:, live] @ vectors[:, live].T
    smallest = np.sqrt(values[live].min()) if live.any() else 1.0
    slack = 40 * EPS * top(x) / smallest + 1e-5
    assert np.allclose(covariance(z), projector, atol=slack)
    assert np.allclose(z.astype(float).mean(axis=0), 0, atol=slack)


def test_whitening_is_symmetric_so_that_pixels_stay_in_their_places():
    x = np.random.default_rng(0).normal(size=(500, 4)) @ np.diag([1, 2, 3, 4])
    found = fit("whitened", x)
    assert np.allclose(found.matrix, found.matrix.T, atol=1e-6)
    assert np.all(np.linalg.eigvalsh(found.matrix) > 0)
    assert not found.elementwise and fit("standardized", x).elementwise


def test_constant_features_go_back_to_their_constant_whatever_is_put_in():
    x = np.random.default_rng(0).integers(0, 256, (50, 3)).astype(np.uint8)
    x[:, 1] = 7
    z = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    for name in ("standardized", "whitened"):
        back = np.asarray(fit(name, x).invert(z))
        assert np.allclose(back[:, 1], 7, atol=1e-4), name


def test_a_float_constant_is_exactly_zero_after_standardising():
    x = np.full((1000, 2), 0.1, np.float32)
    x[:, 1] = np.arange(1000)
    assert not np.any(np.asarray(fit("standardized", x).apply(x))[:, 0])
    assert not np.any(np.asarray(fit("centered", x).apply(x))[:, 0])


def test_other_examples_are_mapped_by_the_training_sets_map():
    draw = np.random.default_rng(0)
    train, other = draw.normal(3, 2, (100, 3)), draw.normal(size=(4, 3))
    z = fit("standardized", train).apply(other)
    assert np.allclose(z, (other - train.mean(axis=0)) / train.std(axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_one_example_a_batch_and_a_stack_are_mapped_alike_under_jit(name):
    x = np.random.default_rng(0).integers(0, 256, (60, 4)).astype(np.uint8)
    found = fit(name, x)
    rows = np.asarray(found.apply(x))
    assert np.allclose(found.apply(x[3]), rows[3], rtol=1e-5, atol=1e-5)
    stack = jax.jit(lambda s, v: s.apply(v))(found, x.reshape(3, 20, 4))
    assert np.allclose(stack.reshape(60, 4), rows, rtol=1e-5, atol=1e-5)
    each = jax.vmap(found.invert)(rows)
    assert np.allclose(each, found.invert(rows), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_sums_over_chunks_are_the_sums(monkeypatch, dtype):
    x = np.random.default_rng(0).integers(0, 256, (101, 3)).astype(dtype)
    whole = [fit(name, x) for name in NAMES]
    monkeypatch.setattr(stream, "HOST", 10)
    for name, before in zip(NAMES, whole, strict=True):
        for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(fit(name, x)), strict=True):
            assert np.allclose(a, b, rtol=1e-6, atol=1e-7), name


def test_pixels_are_summed_without_rounding():
    x = np.random.default_rng(0).integers(0, 256, (3000, 3)).astype(np.uint8)
    exact = [[int(v) for v in column] for column in x.T]
    for column, shift, factor in zip(
        exact, fit("centered", x).shift, fit("standardized", x).factor, strict=True
    ):
        n, s, q = len(column), sum(column), sum(v * v for v in column)
        assert shift == np.float32(s / n)
        assert factor == np.float32(n / np.sqrt(n * q - s * s))


def test_one_example_is_all_constants():
    x = np.array([[3.0, -2.0]])
    assert not np.any(fit("standardized", x).apply(x)) and not np.any(fit("whitened", x).apply(x))
    assert np.allclose(fit("whitened", x).invert(jnp.ones((1, 2))), x)
    assert np.allclose(fit("unit", x).apply(x), x / 3)


@pytest.mark.parametrize(
    "name, train, says",
    [
        ("minmax", np.ones((2, 2)), "use one of raw, unit"),
        ("unit", np.zeros((0, 2)), "not empty"),
        ("unit", np.ones(3), "examples, features"),
        ("standardized", np.array([[1.0, np.nan]]), "not finite"),
        ("raw", np.array([[1.0, np.inf]]), "not finite"),
    ],
)
def test_wrong_input_is_refused_in_one_line(name, train, says):
    with pytest.raises(InputError, match=says) as refused:
        fit(name, train)
    assert "\n" not in str(refused.value)
