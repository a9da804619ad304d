"""One Model for Flax NNX, Flax Linen and plain (init, apply) pairs."""

from __future__ import annotations

import inspect as python_inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx

from jaxid.core.errors import InputError
from jaxid.core.types import Array, Key, Params
from jaxid.nets.model import Inspection, Model


def from_nnx(factory: Callable[[nnx.Rngs], nnx.Module]) -> Model:
    """A Model from a factory of NNX modules, ``factory(rngs) -> module``.

    Parameters are the module's `nnx.Param` state as a plain pytree. Other state (batch
    statistics, dropout keys) is rebuilt from a fixed key and held constant.

    Raises:
      InputError: if the factory does not return an `nnx.Module`.
    """
    # Abstract evaluation: the structure without allocating a single weight.
    template = nnx.eval_shape(lambda: _checked(factory(nnx.Rngs(0))))
    structure, _, abstract_rest = _split(template)
    has_rest = bool(nnx.to_pure_dict(abstract_rest))

    def init(key: Key, inputs: Array) -> Params:
        del inputs
        _, params, _ = _split(factory(nnx.Rngs(key)))
        return nnx.to_pure_dict(params)

    def rebuild(params: Params) -> nnx.Module:
        _, state, rest = _split(template)
        if has_rest:
            _, _, rest = _split(factory(nnx.Rngs(0)))
            rest = _as_wide(rest, params)
        nnx.replace_by_pure_dict(state, params)
        return nnx.merge(structure, state, rest)

    def apply(params: Params, inputs: Array) -> Array:
        module: Any = rebuild(params)
        return module(inputs)

    inspect = None
    # A subclass may compute something else than what it inherits says of it.
    facts: Any = template
    known = "dense_layers" in vars(type(template))
    if known:

        def inspect(params: Params, inputs: Array) -> Inspection:
            module: Any = rebuild(params)
            return module.inspect(inputs)

    return Model(
        init,
        apply,
        inspect,
        facts.dense_layers() if known else (),
        any(isinstance(leaf, nnx.RngState) for _, leaf in nnx.to_flat_state(abstract_rest)),
    )


def from_linen(module: linen.Module) -> Model:
    """A Model from a Linen module whose only collection that learns is ``params``.

    Other collections keep the values that the module's ``init`` gives them from a fixed key
    and a zero input.
    """

    def init(key: Key, inputs: Array) -> Params:
        return dict(module.init(key, inputs)).get("params", {})

    def rest(inputs: Array) -> dict[str, Any]:
        # Rebuilt rather than kept from init, which may have run inside jit or vmap.
        example = jnp.zeros((1, *inputs.shape[1:]), inputs.dtype)
        key = jax.random.key(0)
        if set(jax.eval_shape(module.init, key, example)) <= {"params"}:
            return {}
        return {k: v for k, v in module.init(key, example).items() if k != "params"}

    def apply(params: Params, inputs: Array) -> Array:
        outputs = module.apply({"params": params, **_as_wide(rest(inputs), params)}, inputs)
        if isinstance(outputs, tuple):
            raise InputError("the Linen module returns a tuple; return the outputs alone")
        return outputs

    return Model(init, apply)


def as_model(model: Any) -> Model:
    """Whatever a user holds as a `Model`: a Model, a Linen module, a factory of NNX
    modules, or an (init, apply) pair.

    Raises:
      InputError: for anything else, naming what is accepted.
    """
    if isinstance(model, Model):
        return model
    if isinstance(model, linen.Module):
        return from_linen(model)
    if isinstance(model, tuple) and len(model) == 2 and all(callable(f) for f in model):
        return Model(*model)
    if isinstance(model, nnx.Module):
        raise InputError(
            "model is an NNX module already built; pass a factory so that every seed gets "
            "its own parameters, e.g. model=lambda rngs: MyModule(rngs=rngs)"
        )
    if isinstance(model, type) and issubclass(model, linen.Module):
        raise InputError(f"model is the class {model.__name__}; build it: {model.__name__}(...)")
    if callable(model) and len(python_inspect.signature(model).parameters) >= 1:
        return from_nnx(model)
    raise InputError(
        f"model is a {type(model).__name__}; pass a factory of NNX modules taking rngs, "
        "a Linen module, or jaxid.Model(init, apply)"
    )


def _split(module: nnx.Module) -> tuple[Any, Any, Any]:
    """(structure, parameters, everything else)."""
    parts: Any = nnx.split(module, nnx.Param, ...)
    return parts


def _as_wide(state: Any, params: Params) -> Any:
    """Floating-point state in the parameters' precision, if that is the wider: with float64
    parameters frozen statistics must not bring float32 arithmetic into the network."""
    wide = jnp.result_type(jnp.float32, *jax.tree.leaves(params))

    def leaf(x: Any) -> Any:
        return x.astype(wide) if jnp.issubdtype(x.dtype, jnp.floating) else x

    return jax.tree.map(leaf, state)


def _checked(module: Any) -> nnx.Module:
    if not isinstance(module, nnx.Module):
        raise InputError(
            f"the model factory returned a {type(module).__name__}, not an nnx.Module; "
            "return the module itself"
        )
    return module
