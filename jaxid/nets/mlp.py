"""The identity family: dense layers of one width from d inputs to m outputs.

Layer l computes h_l = phi_l(h_{l-1} W_l + b_l), plus h_{l-1} where ``residual`` is on and
the widths agree. The question's network is depth 1 or 4, width 784, ReLU everywhere.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jax.numpy as jnp
from flax import nnx

from jaxid.core.types import Array, Params
from jaxid.nets.activations import activation
from jaxid.nets.adapters import from_nnx
from jaxid.nets.init import initializer
from jaxid.nets.model import Inspection, Layer, Model


class Dense(nnx.Module):
    """x @ kernel + bias, with kernel (inputs, outputs) and bias (outputs,), zero at first."""

    def __init__(
        self, inputs: int, outputs: int, *, init: str, use_bias: bool, rngs: nnx.Rngs
    ) -> None:
        self.kernel = nnx.Param(initializer(init)(rngs.params(), (inputs, outputs), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32)) if use_bias else None

    def __call__(self, x: Array) -> Array:
        """(batch, inputs) -> (batch, outputs)."""
        z = x @ self.kernel[...]
        return z if self.bias is None else z + self.bias[...][None, :]


class Mlp(nnx.Module):
    """``depth`` dense layers; the last has ``output_activation``.

    Args:
      inputs, outputs: d and m.
      width: of each hidden layer.
      depth: number of dense layers, 1 or more.
      activation, output_activation: names in `jaxid.nets.activations`.
      init: name in `jaxid.nets.init`, for every kernel; biases start at zero.
      use_bias: whether layers have biases.
      residual: whether layers of equal width in and out add their input to their output.
      rngs: NNX random streams; only ``params`` is used.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int,
        depth: int,
        activation: str = "relu",
        output_activation: str = "relu",
        init: str = "glorot_uniform",
        use_bias: bool = True,
        residual: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        sizes = [inputs, *[width] * (depth - 1), outputs]
        self.layers = nnx.List(
            [Dense(a, b, init=init, use_bias=use_bias, rngs=rngs) for a, b in pairwise(sizes)]
        )
        self.activation_names = (*[activation] * (depth - 1), output_activation)
        self.sizes = tuple(sizes)
        self.skips = tuple(residual and a == b for a, b in pairwise(sizes))
        self.init = init

    def __call__(self, x: Array) -> Array:
        """The outputs alone, (batch, m)."""
        return self.inspect(x).outputs

    def inspect(self, x: Array) -> Inspection:
        """The forward pass with pre-activations, last-layer features and skip."""
        preactivations: list[Array] = []
        features, skip, h = x, None, x
        for layer, name, skips in zip(self.layers, self.activation_names, self.skips, strict=True):
            features = h
            z = layer(h)
            preactivations.append(z)
            h = activation(name)(z)
            skip = features if skips else None
            h = h if skip is None else h + skip
        return Inspection(h, tuple(preactivations), features, skip)

    def dense_layers(self) -> tuple[Layer, ...]:
        """What a `jaxid.nets.model.Model` knows of its layers."""
        facts = zip(pairwise(self.sizes), self.activation_names, self.skips, strict=True)
        bias = self.layers[0].bias is not None
        return tuple(
            _layer(index, sizes, name, bias, skip, self.init)
            for index, (sizes, name, skip) in enumerate(facts)
        )


def identity_network(
    features: int,
    *,
    width: int | None = None,
    depth: int = 1,
    activation: str = "relu",
    output_activation: str = "relu",
    init: str = "glorot_uniform",
    use_bias: bool = True,
    residual: bool = False,
) -> Model:
    """A member of the identity family as a Model with its layers known.

    Args:
      features: number of inputs, and of outputs.
      width: hidden width; ``features`` if None.
      depth, activation, output_activation, init, use_bias, residual: as in `Mlp`.

    Example:
      >>> model = identity_network(3, depth=2)
      >>> params = model.init(jax.random.key(0), jnp.zeros((1, 3)))
      >>> model.apply(params, jnp.ones((5, 3))).shape
      (5, 3)
    """
    width = features if width is None else width

    def factory(rngs: nnx.Rngs) -> nnx.Module:
        return Mlp(
            features,
            features,
            width=width,
            depth=depth,
            activation=activation,
            output_activation=output_activation,
            init=init,
            use_bias=use_bias,
            residual=residual,
            rngs=rngs,
        )

    return from_nnx(factory)


def _layer(
    index: int, sizes: tuple[int, int], name: str, bias: bool, skip: bool, init: str
) -> Layer:
    def get(params: Params) -> tuple[Array, Array | None]:
        layer = params["layers"][index]
        return layer["kernel"], layer.get("bias")

    def put(params: Params, kernel: Any, bias: Any) -> Params:
        layer = dict(params["layers"][index], kernel=kernel)
        if bias is not None:
            layer["bias"] = bias
        return {**params, "layers": {**params["layers"], index: layer}}

    return Layer(*sizes, name, bias, skip, init, get, put)


def layer_params(params: Params, depth: int) -> list[tuple[Array, Array | None]]:
    """(kernel, bias) of each layer of an identity network, input side first."""
    return [(params["layers"][i]["kernel"], params["layers"][i].get("bias")) for i in range(depth)]
