"""Random functions as people write them: pieces, curves, jumps, layers, pooling, normalisation.

A function is built from two seeds alone, one for its form and one for its numbers, as a JAX program
of a batch, so that the same one can be traced, bounded, and evaluated, and one form be compiled
once for many numbers. Units: every input is multiplied by ``unit`` and what comes out by
1 / unit, as physical quantities are, with all numbers in between at that scale.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

SMALL, LARGE = 1e-12, 1e12
F32 = np.float32


def number(rng, low=-2.0, high=2.0):
    """A float32 number."""
    return F32(rng.uniform(low, high))


def piecewise(form, rng, unit):
    """A random function of straight pieces, jumps included, of numbers of size ``unit``."""
    a, b = sorted(float(unit) * rng.uniform(-2, 2, 2))
    a, b, c = F32(a), F32(b), F32(rng.uniform(-2, 2))
    narrow = F32(unit * 10.0 ** rng.uniform(-4, -1))
    mask = F32(unit)
    return [
        lambda z: jnp.clip(z, a, b),
        lambda z: jnp.maximum(z, c * z + a),
        lambda z: jnp.abs(z - a) - c * z,
        lambda z: jnp.maximum(F32(0), mask - mask * jnp.abs(z - a) / narrow),
        lambda z: jnp.where((z > a) & (z < a + narrow), mask, F32(0)),
        lambda z: jnp.where(z > a, c * z - b, z),
        lambda z: jnp.where(z >= a, z, c * z) + mask * jnp.sign(z - b),
        lambda z: mask * (z > a).astype(jnp.float32) - mask * ((z > b) | (z < a)).astype(F32),
        lambda z: mask * jnp.floor(jnp.clip(z / mask, -3, 3)),
        lambda z: mask * jnp.interp(z / mask, jnp.array([-2.0, 0, 2]), jnp.array([0.0, 1, -1])),
        lambda z: mask * z.astype(bool).astype(jnp.float32) + jnp.minimum(z, b),
    ][form.integers(11)]  # fmt: skip


def curved(form, rng, unit):
    """A random smooth function of numbers of size ``unit``."""
    a, s, u = number(rng), F32(rng.uniform(0.5, 3)), F32(unit)
    narrow = F32(10.0 ** rng.uniform(-2, 0))
    return [
        lambda z: u * jnp.tanh(s * z / u),
        lambda z: u * jax.nn.sigmoid(s * z / u + a),
        lambda z: u * jax.nn.gelu(z / u),
        lambda z: u * jnp.exp(-jnp.square((z / u - a) / narrow)),
        lambda z: u * jnp.sin(s * z / u + a),
        lambda z: z / (1 + jnp.abs(z / u)),
        lambda z: u * jnp.log1p(jnp.square(z / u)),
        lambda z: u / jnp.sqrt(1 + jnp.square(s * z / u)),
        lambda z: z * jax.nn.sigmoid(s * z / u) - u * jnp.cos(z / u),
        lambda z: u * jnp.where(z / u > a, jnp.exp(-jnp.abs(z / u)), jnp.sin(z / u)),
        lambda z: u * jax.nn.softplus(z / u) - z / 2,
        lambda z: u * jnp.sqrt(F32(1e-3) + jnp.abs(z / u)),
        lambda z: jnp.square(z / u) * u * F32(0.3) - z,
    ][form.integers(13)]  # fmt: skip


def joined(form, rng, unit, width):
    """A random operation on several numbers at once."""
    u = F32(unit)
    half = width // 2
    order = rng.permutation(width)
    low, high = (np.sort(rng.uniform(-1, 1, (2, width)), axis=0) * unit).astype(np.float32)
    return [
        lambda h: jnp.maximum(h[:, :half], h[:, half : 2 * half]),
        lambda h: jnp.max(h.reshape(h.shape[0], -1, 2), axis=2),
        lambda h: u * jax.nn.softmax(h / u),
        lambda h: h[:, :half] * jax.nn.sigmoid(h[:, half : 2 * half] / u),
        lambda h: u * (h / u) / jnp.sqrt(F32(1e-2) + jnp.mean(jnp.square(h / u), 1, keepdims=True)),
        lambda h: (h - h.mean(1, keepdims=True)) / (jnp.std(h / u, 1, keepdims=True) + F32(0.1)),
        lambda h: jnp.clip(h, low, high),
        lambda h: jnp.cumsum(h[:, order], axis=1),
        lambda h: jnp.where(h[:, :1] > h[:, 1:2], h, -h),
        lambda h: u * jax.nn.log_softmax(h / u),
        lambda h: jnp.concatenate([h[:, ::2], jnp.minimum(h[:, 1::2], h[:, :half])], axis=1),
        lambda h: jnp.real(jnp.fft.ifft(jnp.fft.fft(h))) + h,
    ][form.integers(12)]  # fmt: skip


def layer(rng, before, after, unit):
    """A dense layer with float32 weights."""
    kernel = (rng.normal(size=(before, after)) / before**0.5).astype(np.float32)
    bias = (0.5 * unit * rng.normal(size=after)).astype(np.float32)
    return lambda x: x @ kernel + bias


def composed(seed, unit=1.0, numbers=0, *, smooth=True, join=True):
    """(function of a batch, inputs, low, high) of two seeds: e(x) = network - target.

    ``unit`` is the size of every number inside; the inputs are of size 1.
    """
    form, rng = np.random.default_rng(seed), np.random.default_rng([seed, numbers])
    inputs = int(form.integers(1, 4))
    width = int(form.choice([4, 6]))
    u = F32(unit)

    def activation():
        if smooth and form.uniform() < 0.5:
            return curved(form, rng, unit)
        return piecewise(form, rng, unit)

    steps = [layer(rng, inputs, width, unit), activation()]
    if join and form.uniform() < 0.7:
        mixed = joined(form, rng, unit, width)
        steps.append(mixed)
        width = jax.eval_shape(mixed, jnp.zeros((2, width), jnp.float32)).shape[1]
    if form.uniform() < 0.6:
        steps += [layer(rng, width, 4, unit), activation()]
        width = 4
    steps.append(layer(rng, width, 1, unit))
    target = activation()
    low = rng.uniform(-2, 0, inputs)
    high = low + 10.0 ** rng.uniform(-3, 0.6, inputs)
    low, high = (end.astype(np.float32).astype(np.float64) for end in (low, high))

    def error(x):
        h = u * x
        for step in steps:
            h = step(h)
        return (h - target(u * x[:, :1])) / u

    return error, inputs, low, high
