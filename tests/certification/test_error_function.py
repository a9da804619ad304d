"""The function that is certified, and what is refused."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from jaxid import Problem
from jaxid.certification.error_function import error_network
from jaxid.certification.short_certificate import short_certificate
from jaxid.core.errors import InputError

X = np.random.default_rng(0).integers(0, 17, (50, 4)).astype(np.uint8)


def test_a_network_that_mixes_examples_is_refused():
    class Centred(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.dense = nnx.Linear(4, 4, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.dense(x - x.mean(axis=0, keepdims=True))

    it = Problem(model=Centred, train=(X, None), optimizer=optax.sgd(0.1))
    with pytest.raises(InputError, match="depends on the others"):
        error_network(it, it.init(jax.random.key(0)))
    short = short_certificate(it, it.init(jax.random.key(0)), 3)
    assert short.lower is None and "depends on the others" in short.reason


def test_outputs_of_another_length_need_a_target():
    class Half(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.dense = nnx.Linear(4, 2, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.dense(x)

    it = Problem(model=Half, train=(X, X[:, :2]), optimizer=optax.sgd(0.1))
    params = it.init(jax.random.key(0))
    with pytest.raises(InputError, match="--target"):
        error_network(it, params)
    assert error_network(it, params, lambda x: x[:, :2]).structure.sizes[-1] == 2
