"""NNX, Linen and plain functions as one Model, against products taken by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from jaxid.core.errors import InputError
from jaxid.nets.adapters import as_model
from jaxid.nets.mlp import Mlp
from jaxid.nets.model import Model

KEY = jax.random.key(3)
X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


class Normed(nnx.Module):
    """A layer and a batch norm, whose statistics are state that does not learn."""

    def __init__(self, rngs: nnx.Rngs):
        self.dense = nnx.Linear(3, 2, rngs=rngs)
        self.norm = nnx.BatchNorm(2, use_running_average=True, epsilon=3.0, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.dense(x))


class LinenNormed(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.BatchNorm(use_running_average=True, epsilon=3.0)(linen.Dense(2)(x))


class LinenPair(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(2)(x), x


def plain_init(key, x):
    return {"w": jax.random.normal(key, (x.shape[1], 2))}


def plain_apply(params, x):
    return jnp.tanh(x @ params["w"])


MODELS = {
    "nnx": (lambda rngs: nnx.Linear(3, 2, rngs=rngs), lambda p: X @ p["kernel"] + p["bias"][None]),
    "nnx with statistics": (
        Normed,
        lambda p: (
            (X @ p["dense"]["kernel"] + p["dense"]["bias"][None])
            / np.sqrt(1 + 3.0)  # running mean 0 and variance 1
            * p["norm"]["scale"][None]
            + p["norm"]["bias"][None]
        ),
    ),
    "linen": (linen.Dense(2), lambda p: X @ p["kernel"] + p["bias"][None]),
    "linen with statistics": (
        LinenNormed(),
        lambda p: (
            (X @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"][None])
            / np.sqrt(1 + 3.0)
            * p["BatchNorm_0"]["scale"][None]
            + p["BatchNorm_0"]["bias"][None]
        ),
    ),
    "pair": ((plain_init, plain_apply), lambda p: np.tanh(X @ p["w"])),
    "Model": (Model(plain_init, plain_apply), lambda p: np.tanh(X @ p["w"])),
}


def shifted(params):
    return jax.tree.map(lambda leaf: leaf + 0.3, params)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_equal_the_hand_computation(name):
    given, by_hand = MODELS[name]
    model = as_model(given)
    params = shifted(model.init(KEY, X))
    expected = by_hand(jax.tree.map(np.asarray, params))
    assert np.allclose(model.apply(params, X), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_models_go_through_jit_vmap_and_grad(name):
    model = as_model(MODELS[name][0])
    keys = jax.random.split(KEY, 3)
    stacked = jax.jit(jax.vmap(lambda key: model.init(key, X)))(keys)
    rows = jax.jit(jax.vmap(model.apply, in_axes=(0, None)))(stacked, X)
    for index, key in enumerate(keys):
        params = model.init(key, X)
        assert np.allclose(rows[index], model.apply(params, X), rtol=1e-5, atol=1e-6)
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(model.apply(p, X))))(params)
    assert jax.tree.structure(gradient) == jax.tree.structure(params)
    assert any(np.any(leaf) for leaf in jax.tree.leaves(gradient))
    jax.eval_shape(model.init, KEY, X)
    assert np.allclose(model.apply(params, X), rows[-1], rtol=1e-5, atol=1e-6)


def test_only_parameters_are_parameters():
    params = as_model(Normed).init(KEY, X)
    assert set(params["norm"]) == {"scale", "bias"}
    assert set(as_model(LinenNormed()).init(KEY, X)) == {"Dense_0", "BatchNorm_0"}


def test_a_module_that_can_be_inspected_keeps_that():
    model = as_model(lambda rngs: Mlp(3, 3, width=4, depth=2, rngs=rngs))
    params = model.init(KEY, X)
    assert model.activations == ("relu", "relu")
    assert np.array_equal(model.inspect(params, X).outputs, model.apply(params, X))


class Doubled(Mlp):
    """What it inherits says nothing of what it computes."""

    def __call__(self, x):
        return 2 * super().__call__(x)


def test_a_subclass_has_no_layers_that_are_known():
    model = as_model(lambda rngs: Doubled(3, 3, width=4, depth=2, rngs=rngs))
    assert model.layers == () and model.inspect is None and model.head is None
    assert as_model(linen.Dense(2)).inspect is None


def test_a_model_stays_itself():
    model = Model(plain_init, plain_apply)
    assert as_model(model) is model


@pytest.mark.parametrize(
    "given, says",
    [
        (nnx.Linear(3, 2, rngs=nnx.Rngs(0)), "pass a factory"),
        (3, "model is a int"),
        ("mlp", "model is a str"),
        (None, "model is a NoneType"),
        (lambda: nnx.Linear(3, 2, rngs=nnx.Rngs(0)), "taking rngs"),
        ((plain_init, plain_apply, 3), "model is a tuple"),
        (lambda rngs: 3, "the model factory returned a int"),
        (lambda rngs: linen.Dense(2), "the model factory returned a Dense"),
    ],
)
def test_anything_else_is_refused_in_one_line(given, says):
    with pytest.raises(InputError, match=says) as refused:
        as_model(given)
    assert "\n" not in str(refused.value)


def test_a_linen_module_that_returns_more_than_outputs_is_refused():
    model = as_model(LinenPair())
    params = model.init(KEY, X)
    with pytest.raises(InputError, match="returns a tuple") as refused:
        model.apply(params, X)
    assert "\n" not in str(refused.value)
