"""One list of networks and losses; whatever claims to hold for any Problem is tested on all.

Small enough for a dense Hessian, and different enough to break what was written for dense
layers: convolution, attention, batch statistics, shared and missing biases, Flax NNX and
Linen, plain functions, mean squared error, cross-entropy and a loss of one's own.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen, nnx

from jaxid.nets.mlp import identity_network
from jaxid.nets.model import Model
from jaxid.problem.problem import Problem

N = 13
"""Examples; not a multiple of the chunks used."""
SHARP = optax.sgd(0.1)


def _draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _labels(classes: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, classes, N)


def _identity(activation: str, depth: int = 2) -> Problem:
    model = identity_network(4, depth=depth, activation=activation, output_activation="linear")
    return Problem(model=model, train=(_draw(N, 4), None), optimizer=SHARP)


def _relu_output() -> Problem:
    pixels = np.random.default_rng(0).integers(0, 17, (N, 5)).astype(np.uint8)
    model = identity_network(5, depth=1)
    return Problem(model=model, train=(pixels, None), optimizer=SHARP)


class Convolution(nnx.Module):
    """3x3 convolution, GELU, mean over places, dense."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv = nnx.Conv(1, 2, (3, 3), rngs=rngs)
        self.out = nnx.Linear(2, 3, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(nnx.gelu(self.conv(x)).mean(axis=(1, 2)))


class FrozenStatistics(nnx.Module):
    """Batch normalisation by statistics that stay, as in evaluation."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(4, 3, rngs=rngs)
        self.norm = nnx.BatchNorm(3, use_running_average=True, rngs=rngs)
        self.out = nnx.Linear(3, 2, use_bias=False, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(nnx.tanh(self.norm(self.first(x))))


class Attention(nnx.Module):
    """One self-attention head over four places, whose values they are; mean, dense.

    Written out: `jax.nn.dot_product_attention`, which Flax's layer calls, takes its softmax
    in float32 whatever it is given, and no claim of 1e-10 can be tested on that.
    """

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.query = nnx.Linear(4, 3, rngs=rngs)
        self.key = nnx.Linear(4, 3, rngs=rngs)
        self.out = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        scores = self.query(x) @ self.key(x).swapaxes(1, 2)
        mixed = jax.nn.softmax(scores / 3**0.5) @ x
        return self.out(mixed.mean(axis=1))


class LinenStatistics(linen.Module):
    """Dense, frozen batch statistics, ReLU, dense."""

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = linen.BatchNorm(use_running_average=True)(linen.Dense(3)(x))
        return linen.Dense(3)(linen.relu(x))


def _plain() -> Problem:
    """Functions alone, with a loss of one's own: the pseudo-Huber loss."""

    def init(key: jax.Array, inputs: jax.Array) -> dict[str, jax.Array]:
        return {"w": 0.5 * jax.random.normal(key, (inputs.shape[1], 2))}

    def apply(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        return jax.nn.softplus(x @ params["w"])

    def loss(outputs: jax.Array, targets: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sqrt(1 + jnp.square(outputs - targets)) - 1, axis=1)

    train = (_draw(N, 3), _draw(N, 2, seed=1))
    return Problem(model=Model(init, apply), loss=loss, train=train, optimizer=SHARP)


CASES: dict[str, Callable[[], Problem]] = {
    "linear": lambda: _identity("linear", depth=1),
    "two linear layers": lambda: _identity("linear"),
    "relu": lambda: _identity("relu", depth=3),
    "relu output on bytes": _relu_output,
    "tanh": lambda: _identity("tanh"),
    "gelu": lambda: _identity("gelu"),
    "convolution": lambda: Problem(
        model=Convolution,
        loss="cross_entropy",
        train=(_draw(N, 5, 5, 1), _labels(3)),
        optimizer=SHARP,
    ),
    "frozen batch statistics": lambda: Problem(
        model=FrozenStatistics, train=(_draw(N, 4), _draw(N, 2, seed=1)), optimizer=SHARP
    ),
    "attention": lambda: Problem(
        model=Attention, loss="cross_entropy", train=(_draw(N, 4, 4), _labels(3)), optimizer=SHARP
    ),
    "linen": lambda: Problem(
        model=LinenStatistics(),
        loss="cross_entropy",
        train=(_draw(N, 4), _labels(3)),
        optimizer=SHARP,
    ),
    "plain functions": _plain,
}


FEW = ("relu", "attention", "linen", "plain functions")
"""For what costs seconds a case and differs little between them."""


def case(name: str, dtype: type = np.float64) -> tuple[Problem, dict, tuple]:
    """(problem, parameters, data) of a case, biases moved off 0; call inside `float64()`."""
    problem = CASES[name]()
    params = jax.jit(problem.init)(jax.random.key(3))
    shift = np.random.default_rng(7)

    def moved(leaf: jax.Array) -> jax.Array:
        return jnp.asarray(np.asarray(leaf) + 0.1 * shift.normal(size=leaf.shape), dtype)

    x, y = problem.train
    return (
        problem,
        jax.tree.map(moved, params),
        (jnp.asarray(x), None if y is None else jnp.asarray(y)),
    )
