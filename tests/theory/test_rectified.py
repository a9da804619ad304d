"""Gradients drawn from moments, against batches of the data that the moments are of."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.theory.rectified import activity, drawn_gradient, loss, outputs
from jaxid.theory.strata import strata

N, D, BATCH, DRAWS = 4000, 24, 16, 1000


def images(seed=0):
    """Inputs >= 0 of very different size, many of them 0, as pixels are."""
    rng = np.random.default_rng(seed)
    mixing = rng.random((8, D)) * (rng.random((8, D)) < 0.5)
    x = rng.gamma(2.0, size=(N, 8)) @ mixing
    return (np.maximum(x - 1.5, 0)).astype(np.float32)


def weights(seed=1):
    rng = np.random.default_rng(seed)
    near = 0.6 * np.eye(D) + 0.2 * rng.normal(size=(D, D))
    return jnp.asarray(np.vstack([near, 0.1 * rng.normal(size=(1, D))]), jnp.float32)


def with_one(x):
    return np.hstack([x, np.ones((len(x), 1), x.dtype)])


@partial(jax.jit, static_argnums=2)
def of_batch(x, w, rectified):
    """The gradient of mean (f - y)^2 on these examples, y the inputs."""
    z = x @ w
    live = (z > 0) if rectified else jnp.ones_like(z, bool)
    residual = jnp.where(live, z - x[:, :D], 0.0)
    return 2 / (len(x) * D) * x.T @ residual


@partial(jax.jit, static_argnums=2)
def drawn(data, w, rectified, keys):
    return jax.lax.map(lambda k: drawn_gradient(data, w, 1.0 * BATCH, k, rectified)[0], keys)


def sampled(rectified):
    """(the whole data's gradient, batches of it, drawn ones)."""
    x = with_one(images())
    data, w = strata(x[:, :D], x[:, :D]), weights()
    key = jax.random.key(0)
    rows = np.random.default_rng(2).integers(0, N, (DRAWS, BATCH))
    real = jax.vmap(of_batch, (0, None, None))(jnp.asarray(x[rows]), w, rectified)
    made = drawn(data, w, rectified, jax.random.split(key, DRAWS))
    return (np.asarray(a, float) for a in (of_batch(jnp.asarray(x), w, rectified), real, made))


@pytest.mark.slow
@pytest.mark.parametrize("rectified", [True, False], ids=["relu", "linear"])
def test_drawn_gradients_have_the_mean_and_the_spread_of_batches(rectified):
    whole, real, made = sampled(rectified)
    mean = made.mean(axis=0)
    # Two runs of as many real batches are as far apart as sampling makes them.
    noise = np.linalg.norm(real.mean(axis=0) - whole)
    close = 0.05 if rectified else 0.02
    assert np.linalg.norm(mean - whole) < close * np.linalg.norm(whole) + 2 * noise
    ratio = made.var(axis=0).sum() / real.var(axis=0).sum()
    assert 0.8 < ratio < 1.25


def test_activity_and_loss_are_those_of_the_data():
    x = with_one(images())
    data, w = strata(x[:, :D], x[:, :D]), weights()
    found = outputs(data, w, True)
    z = x @ np.asarray(w)
    assert np.abs(np.asarray(activity(found)) - (z > 0).mean(axis=0)).max() < 0.05
    real = np.square(np.maximum(z, 0) - x[:, :D]).mean(axis=0)
    assert abs(np.asarray(loss(data, found)).mean() / real.mean() - 1) < 0.05


def test_linear_outputs_have_the_exact_loss():
    x = with_one(images())
    data, w = strata(x[:, :D], x[:, :D]), weights()
    found = outputs(data, w, False)
    real = np.square(x @ np.asarray(w) - x[:, :D]).mean(axis=0)
    # Values of a target within a bin are taken as one.
    assert np.allclose(loss(data, found), real, rtol=0.02)


@pytest.mark.slow
def test_nearly_dead_outputs_are_pushed_down_in_every_weight():
    x = with_one(images())
    x[:, 0] = 0.0
    data = strata(x[:, :D], x[:, :D])
    w = weights()
    # Active on 3 of 100 examples.
    w = w.at[D, 0].add(-np.quantile(x @ np.asarray(w)[:, 0], 0.97))
    share = float(activity(outputs(data, w, True))[0])
    assert 0.015 < share < 0.06
    keys = jax.random.split(jax.random.key(3), DRAWS)
    made = np.asarray(drawn(data, w, True, keys))[:, :, 0]
    # The target is 0 and inputs are >= 0: no example can push a weight up.
    assert made.min() >= 0 and made.max() > 0
    # Most batches have no active example, and no gradient.
    still = np.all(made == 0, axis=1).mean()
    assert abs(still - (1 - share) ** BATCH) < 0.06


def test_an_output_that_nothing_activates_has_no_gradient():
    x = with_one(images())
    data = strata(x[:, :D], x[:, :D])
    w = weights().at[:, 2].set(-5.0)
    keys = jax.random.split(jax.random.key(3), DRAWS)
    made = np.asarray(drawn(data, w, True, keys))
    assert not made[:, :, 2].any() and made[:, :, 4].any()


def test_an_output_whose_weights_are_all_zero_is_off_and_stays_so():
    x = with_one(images())
    data = strata(x[:, :D], x[:, :D])
    w = jnp.zeros_like(weights())
    found = outputs(data, w, True)
    assert not np.asarray(activity(found)).any()
    assert not np.asarray(drawn(data, w, True, jax.random.split(jax.random.key(3), DRAWS))).any()
    assert np.allclose(loss(data, found), np.square(x[:, :D]).mean(axis=0), rtol=0.02)
