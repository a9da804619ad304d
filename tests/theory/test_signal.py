"""Signals and gradients by layer, against many sampled networks and closed forms."""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.core.errors import InputError
from jaxid.nets.init import initializer
from jaxid.theory.signal import signal, weight_variance

NETWORKS = 4000


def drawn(init, a, b, count, rng):
    """(count, a, b) kernels, by NumPy."""
    if init == "orthogonal":
        q, r = np.linalg.qr(rng.normal(size=(count, max(a, b), min(a, b))))
        q = q * np.sign(np.einsum("nii->ni", r))[:, None, :]
        return q if a > b else q.transpose(0, 2, 1)
    variance = {"glorot": 2 / (a + b), "he": 2 / a, "lecun": 1 / a}[init.split("_")[0]]
    if init.endswith("uniform"):
        return rng.uniform(-1, 1, size=(count, a, b)) * (3 * variance) ** 0.5
    return rng.normal(size=(count, a, b)) * variance**0.5


def sampled(sizes, x, init, activation, bias=0.0, count=NETWORKS):
    """Mean squares of each network, (count, L) each: z, derivatives by z and by weights."""
    rng = np.random.default_rng(1)
    h, shown, z, kernels = np.broadcast_to(x, (count, *x.shape)), [], [], []
    for a, b in pairwise(sizes):
        kernels.append(drawn(init, a, b, count, rng))
        shown.append(h)
        z.append(h @ kernels[-1] + bias)
        h = np.maximum(z[-1], 0) if activation == "relu" else z[-1]
    back = [np.broadcast_to(rng.choice([-1.0, 1.0], sizes[-1]), z[-1].shape)]
    for kernel, below in zip(kernels[:0:-1], z[-2::-1], strict=True):
        passes = below > 0 if activation == "relu" else 1
        back.insert(0, (back[0] @ kernel.transpose(0, 2, 1)) * passes)
    squares = [[np.mean(part**2, axis=2) for part in parts] for parts in (z, back, shown)]
    by_weight = [g * p for g, p in zip(squares[1], squares[2], strict=True)]
    return [np.stack([part.mean(axis=1) for part in parts], axis=1)
            for parts in (squares[0], squares[1], by_weight)]  # fmt: skip


def input_of(size, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (1, size))


def agree(samples, predicted):
    """Each layer's mean within four standard errors."""
    error = samples.std(axis=0, ddof=1) / len(samples) ** 0.5
    off = np.abs(samples.mean(axis=0) - predicted)
    assert (off <= 4 * error + 1e-5 * np.abs(predicted)).all(), (off / error, predicted)


@pytest.mark.parametrize(
    ("init", "activation"),
    [("glorot_uniform", "relu"), ("he_normal", "relu"), ("lecun_normal", "linear"),
     ("orthogonal", "relu")],
)  # fmt: skip
def test_narrow_networks_of_any_shape_have_these_means(init, activation):
    sizes, x = (12, 6, 14, 9), input_of(12)
    found = signal(sizes, np.mean(x**2), init=init, activation=activation)
    z, by_z, by_weight = sampled(sizes, x, init, activation)
    agree(z, found.forward)
    # Columns of an orthogonal kernel know of each other, masks and squares too: forward alone.
    if init != "orthogonal":
        agree(by_z, found.backward)
        agree(by_weight, found.weights)


def test_each_relu_layer_halves_both_at_equal_widths_under_glorot():
    found = signal((784,) * 5, 2.0)
    assert np.allclose(found.forward, 2.0 * 0.5 ** np.arange(4))
    assert np.allclose(found.backward, 0.5 ** np.arange(4)[::-1])
    # What comes in times what comes back: the same for all layers.
    assert np.allclose(found.weights, 2.0 / 8)
    assert np.allclose(signal((784,) * 5, 2.0, init="he_normal").forward, 4.0)


def test_a_bottleneck_widens_and_narrows_by_its_fans():
    found = signal((784, 64, 784), 1.0, activation="linear")
    wide, narrow = 2 * 784 / 848, 2 * 64 / 848
    assert np.allclose(found.forward, [wide, wide * narrow])
    assert np.allclose(found.backward, [wide, 1.0])


def test_a_constant_bias_is_that_of_wide_layers_example_by_example():
    sizes, bias = (8, 60, 60, 60), 0.3
    x = np.concatenate([input_of(8), 3 * input_of(8, 1)])
    squares = np.mean(x**2, axis=1)
    found = signal(sizes, squares, init="he_normal", bias=bias)
    z, by_z, by_weight = sampled(sizes, x, "he_normal", "relu", bias, 400)
    assert np.allclose(found.forward, z.mean(axis=0), rtol=0.03)
    assert np.allclose(found.backward, by_z.mean(axis=0), rtol=0.03)
    assert np.allclose(found.weights, by_weight.mean(axis=0), rtol=0.03)
    # The mean alone would not do.
    mean = signal(sizes, squares.mean(), init="he_normal", bias=bias)
    assert abs(mean.backward[0] / found.backward[0] - 1) > 0.05


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_networks_differ_by_the_spread(activation):
    sizes, rng = (6, 12, 20, 12), np.random.default_rng(0)
    h, found = np.ones((40_000, 6)), signal(sizes, 1.0, init="lecun_normal", activation=activation)
    for layer, (a, b) in enumerate(pairwise(sizes)):
        kernels = rng.normal(size=(len(h), a, b), scale=a**-0.5)
        z = np.einsum("na,nab->nb", h, kernels)
        squares = np.mean(z**2, axis=1)
        assert found.spread[layer] == pytest.approx(squares.std() / squares.mean(), rel=0.06)
        h = np.maximum(z, 0) if activation == "relu" else z


@pytest.mark.parametrize("init", ["glorot_uniform", "he_uniform", "lecun_normal", "orthogonal"])
@pytest.mark.parametrize("shape", [(40, 90), (90, 40)])
def test_variances_are_those_of_the_initialisers(init, shape):
    kernel = initializer(init)(jax.random.key(0), shape)
    assert float(jnp.mean(kernel**2)) == pytest.approx(weight_variance(init, *shape), rel=0.08)


def test_an_initialiser_that_draws_nothing_is_refused():
    with pytest.raises(InputError, match="identity"):
        signal((3, 3), 1.0, init="identity")
