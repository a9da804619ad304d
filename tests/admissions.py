"""Problems with one planted fault each, and healthy ones: what admission must tell apart."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen, nnx

from jaxid.nets.model import Model
from jaxid.problem.problem import Problem

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5)).astype(np.float32)
Y = (X @ RNG.normal(size=(5, 3))).astype(np.float32)
LABELS = RNG.integers(0, 3, 40)
TOKENS = RNG.integers(0, 7, (40, 4)).astype(np.int32)
IMAGES = RNG.normal(size=(40, 6, 6, 1)).astype(np.float32)


def dense(rngs):
    """One layer."""
    return nnx.Linear(5, 3, rngs=rngs)


def made(model=dense, train=(X, Y), optimizer=None, **more):
    """A Problem."""
    optimizer = optax.sgd(0.1) if optimizer is None else optimizer
    return Problem(model=model, train=train, optimizer=optimizer, batch_size=8, **more)


def plain(apply, init=None):
    """A network of one matrix."""
    return Model(init or (lambda key, x: {"w": jax.random.normal(key, (5, 3))}), apply)


def spoiled(array, row, value):
    """A copy with one entry changed."""
    array = np.array(array)
    array[row, 0] = value
    return array


class Layers(nnx.Module):
    """Two layers with something between them."""

    def __init__(self, rngs, between=None):
        self.a, self.b = nnx.Linear(5, 8, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)
        self.between = between(rngs) if between else None

    def __call__(self, x):
        h = nnx.tanh(self.a(x))
        return self.b(h if self.between is None else self.between(h))


class Embedded(nnx.Module):
    """Tokens to logits."""

    def __init__(self, rngs):
        self.e, self.o = nnx.Embed(7, 4, rngs=rngs), nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        return self.o(self.e(x).mean(axis=1))


class Pooled(nnx.Module):
    """A small convolution."""

    def __init__(self, rngs):
        self.c, self.o = nnx.Conv(1, 2, (3, 3), rngs=rngs), nnx.Linear(18, 3, rngs=rngs)

    def __call__(self, x):
        h = nnx.max_pool(nnx.relu(self.c(x)), (2, 2), (2, 2))
        return self.o(h.reshape(x.shape[0], -1))


class LinenDense(linen.Module):
    """A Linen network."""

    normal: str = "none"

    @linen.compact
    def __call__(self, x):
        h = linen.tanh(linen.Dense(8)(x))
        if self.normal == "layer":
            h = linen.LayerNorm()(h)
        if self.normal == "batch, averages":
            h = linen.BatchNorm(use_running_average=True)(h)
        if self.normal == "dropout, off":
            h = linen.Dropout(0.5, deterministic=True)(h)
        return linen.Dense(3)(h)


def dropout(rngs):
    """Of half of the units."""
    return nnx.Dropout(0.5, rngs=rngs)


def own(function):
    """The network of one matrix and a function of its outputs."""
    return plain(lambda p, x: function(x @ p["w"]))


def per_example(f, y):
    """A right loss."""
    return jnp.mean(jnp.square(f - y), axis=1)


def broadcast(f, y):
    """(n, 1) against (n,)."""
    return jnp.mean(jnp.square(f - y), axis=1)


def contrastive(f, y):
    """Each example against the others."""
    logits = f @ f.T
    return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.arange(f.shape[0]))


ONE = (X, Y[:, 0])
COLUMN = plain(lambda p, x: x @ p["w"][:, :1])
FAULTS = {
    "NaN in inputs": (lambda: made(train=(spoiled(X, 7, np.nan), Y)), "example 7"),
    "inf in inputs": (lambda: made(train=(spoiled(X, 3, np.inf), Y)), "example 3"),
    "NaN in targets": (lambda: made(train=(X, spoiled(Y, 9, np.nan))), "targets"),
    "inf in targets": (lambda: made(train=(X, spoiled(Y, 1, -np.inf))), "example 1"),
    "NaN in test": (lambda: made(test=(spoiled(X, 2, np.nan), Y)), "test inputs"),
    "NaN in test targets": (lambda: made(test=(X, spoiled(Y, 2, np.nan))), "test targets"),
    "labels from 1": (lambda: made(train=(X, LABELS + 1), loss="cross_entropy"), "0 to 2"),
    "a label of -1": (
        lambda: made(train=(X, np.where(LABELS == 0, -1, LABELS)), loss="cross_entropy"), "0 to 2"),
    "labels beyond": (lambda: made(train=(X, 10 * LABELS), loss="cross_entropy"), "0 to 2"),
    "halves for labels": (lambda: made(train=(X, LABELS / 2), loss="cross_entropy"), "integers"),
    "a column of labels": (
        lambda: made(train=(X, LABELS[:, None]), loss="cross_entropy"), "(examples,)"),
    "too few columns": (
        lambda: made(train=(X, np.eye(2)[LABELS % 2]), loss="cross_entropy"), "one column"),
    "too many columns": (
        lambda: made(train=(X, np.eye(4)[LABELS]), loss="cross_entropy"), "one column"),
    "test labels beyond": (
        lambda: made(train=(X, LABELS), test=(X, LABELS + 5), loss="cross_entropy"), "test labels"),
    "targets of other width": (lambda: made(train=(X, Y[:, :2])), "same shape"),
    "targets without a column": (lambda: made(train=ONE), "y[:, None]"),
    "a broadcast loss": (lambda: made(COLUMN, ONE, loss=broadcast), "depends on others"),
    "a contrastive loss": (lambda: made(loss=contrastive), "depends on others"),
    "a loss over the batch": (
        lambda: made(loss=lambda f, y: per_example(f - f.mean(axis=0), y)), "depends on others"),
    "a ranked loss": (
        lambda: made(loss=lambda f, y: per_example(jnp.sort(f, axis=0), y)), "depends on others"),
    "a mean for a loss": (
        lambda: made(loss=lambda f, y: jnp.mean(jnp.square(f - y))), "(batch,)"),
    "a loss for each output": (lambda: made(loss=lambda f, y: jnp.square(f - y)), "(batch,)"),
    "dropout": (lambda: made(lambda rngs: Layers(rngs, dropout)), "random"),
    "noise from NumPy": (
        lambda: made(own(lambda h: h + np.random.normal(size=h.shape))), "two evaluations"),
    "a norm of 0": (
        lambda: made(own(lambda h: h / jnp.linalg.norm(h, axis=1, keepdims=True)),
                     (spoiled(np.vstack([0 * X[:1], X[1:]]), 0, 0.0), Y)), "example 0"),
    "a root of 0": (
        lambda: made(own(lambda h: jnp.sqrt(jnp.maximum(h, 0.0)))), "gradient"),
    "a logarithm of what is negative": (lambda: made(own(jnp.log)), "log"),
    "0 over 0": (lambda: made(own(lambda h: (h - h) / (h - h))), "div"),
    "an overflow": (lambda: made(own(lambda h: jnp.exp(1000 * h))), "not finite"),
    "a power of what is negative": (lambda: made(own(lambda h: h**0.5)), "not finite"),
    "parameters of NaN": (
        lambda: made(plain(lambda p, x: x @ p["w"], lambda k, x: {"w": jnp.full((5, 3), jnp.nan)})),
        "parameters"),
    "parameters of infinity": (
        lambda: made(plain(lambda p, x: x @ p["w"], lambda k, x: {"w": jnp.full((5, 3), jnp.inf)})),
        "parameters"),
    "a loss of NaN": (lambda: made(loss=lambda f, y: jnp.log(-jnp.square(f - y)).mean(1)), "log"),
    "a loss of infinity": (
        lambda: made(loss=lambda f, y: 1 / (0 * jnp.square(f - y).mean(1))), "not finite"),
    "line search": (lambda: made(optimizer=optax.lbfgs()), "value_fn"),
    "lookahead": (lambda: made(optimizer=optax.lookahead(optax.sgd(0.1), 5, 0.5)), "optimizer"),
    "another tree's labels": (
        lambda: made(optimizer=optax.multi_transform({"a": optax.sgd(0.1)}, {"elsewhere": "a"})),
        "optimizer"),
    "an optimizer for itself": (
        lambda: made(optimizer=optax.GradientTransformation(
            lambda p: (), lambda g, s, p=None: (jax.tree.leaves(g), s))), "structure"),
    "inputs in a dictionary": (lambda: made(train=({"a": X}, Y)), "dict"),
    "inputs in a list": (lambda: made(train=([list(row) for row in X], Y)), "list"),
}  # fmt: skip
HEALTHY = {
    "one layer": made,
    "the identity": lambda: made(lambda rngs: nnx.Linear(5, 5, rngs=rngs), (X, None)),
    "two layers": lambda: made(Layers),
    "layer norm": lambda: made(lambda r: Layers(r, lambda r: nnx.LayerNorm(8, rngs=r))),
    "rms norm": lambda: made(lambda r: Layers(r, lambda r: nnx.RMSNorm(8, rngs=r))),
    "batch norm, averages": lambda: made(
        lambda r: Layers(r, lambda r: nnx.BatchNorm(8, use_running_average=True, rngs=r))),
    "batch norm in training": lambda: made(
        lambda r: Layers(r, lambda r: nnx.BatchNorm(8, rngs=r))),
    "dropout, off": lambda: made(
        lambda r: Layers(r, lambda r: nnx.Dropout(0.5, deterministic=True, rngs=r))),
    "dropout of nothing": lambda: made(lambda r: Layers(r, lambda r: nnx.Dropout(0.0, rngs=r))),
    "linen": lambda: made(LinenDense()),
    "linen layer norm": lambda: made(LinenDense("layer")),
    "linen batch norm, averages": lambda: made(LinenDense("batch, averages")),
    "linen dropout, off": lambda: made(LinenDense("dropout, off")),
    "tokens": lambda: made(Embedded, (TOKENS, LABELS), loss="cross_entropy"),
    "images": lambda: made(Pooled, (IMAGES, LABELS), loss="cross_entropy"),
    "bytes": lambda: made(train=((255 * np.abs(X) / 5).astype(np.uint8), Y)),
    "labels": lambda: made(train=(X, LABELS), loss="cross_entropy"),
    "labels that are floats": lambda: made(train=(X, LABELS * 1.0), loss="cross_entropy"),
    "one-hot labels": lambda: made(train=(X, np.eye(3)[LABELS]), loss="cross_entropy"),
    "soft labels": lambda: made(train=(X, np.full((40, 3), 1 / 3)), loss="cross_entropy"),
    "labels that leave out a class": lambda: made(
        train=(X, LABELS % 2), loss="cross_entropy"),
    "one's own loss": lambda: made(loss=per_example),
    "Huber's loss": lambda: made(loss=lambda f, y: optax.huber_loss(f, y).mean(axis=1)),
    "a loss of labels": lambda: made(
        train=(X, LABELS), loss=optax.softmax_cross_entropy_with_integer_labels),
    "a loss with a root": lambda: made(
        loss=lambda f, y: jnp.sqrt(1e-6 + jnp.square(f - y)).mean(axis=1)),
    "a weighted loss": lambda: made(
        loss=lambda f, y: (jnp.array([[1.0, 2.0, 0.0]]) * jnp.square(f - y)).sum(axis=1)),
    "equal targets": lambda: made(train=(X, 0 * Y + 1)),
    "large numbers": lambda: made(train=(1e6 * X, 1e6 * Y)),
    "tiny numbers": lambda: made(train=(1e-12 * X, 1e-12 * Y)),
    "one example": lambda: made(train=(X[:1], Y[:1])),
    "parameters of 0": lambda: made(
        plain(lambda p, x: x @ p["w"], lambda k, x: {"w": jnp.zeros((5, 3))})),
    "softmax": lambda: made(own(jax.nn.softmax)),
    "a guarded logarithm": lambda: made(own(lambda h: jnp.log(1e-6 + jnp.square(h)))),
    "random features": lambda: made(
        plain(lambda p, x: jnp.sin(x @ jax.random.normal(jax.random.key(3), (5, 5))) @ p["w"])),
    "adam": lambda: made(optimizer=optax.adam(0.1)),
    "a plateau": lambda: made(
        optimizer=optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau())),
    "every fourth step": lambda: made(
        optimizer=optax.MultiSteps(optax.sgd(0.1), 4).gradient_transformation()),
    "masked": lambda: made(optimizer=optax.masked(
        optax.sgd(0.1), {"kernel": True, "bias": False})),
    "noise in the optimizer": lambda: made(
        optimizer=optax.noisy_sgd(0.1, key=jax.random.key(0))),
    "a test set": lambda: made(test=(X[:10], Y[:10])),
}  # fmt: skip
