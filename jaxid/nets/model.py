"""A network as pure functions, with what is known of its layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxid.core.types import ApplyFn, Array, Key, Params


class Inspection(NamedTuple):
    """One forward pass with its insides showing.

    Attributes:
      outputs: (batch, m).
      preactivations: one (batch, width) array per layer, input side first; the last is
        the output layer's.
      features: the last dense layer's input, (batch, p).
      skip: what is added to the output after its activation, (batch, m), or None.
    """

    outputs: Array
    preactivations: tuple[Array, ...]
    features: Array
    skip: Array | None


class Layer(NamedTuple):
    """One dense layer: h' = activation(h @ kernel + bias), plus h where it has a skip.

    Attributes:
      inputs, outputs: h has shape (batch, inputs), h' (batch, outputs).
      activation: its name in `jaxid.nets.activations.ACTIVATIONS`.
      bias: whether it has one.
      skip: whether its input is added behind the activation.
      initializer: of the kernel, its name in `jaxid.nets.init`; biases start at 0.
      get: params -> (kernel (inputs, outputs), bias (outputs,) or None).
      put: (params, kernel, bias or None) -> params with that layer replaced.
    """

    inputs: int
    outputs: int
    activation: str
    bias: bool
    skip: bool
    initializer: str
    get: Callable[[Params], tuple[Array, Array | None]]
    put: Callable[[Params, Any, Any], Params]


class Model(NamedTuple):
    """A network as pure functions.

    Attributes:
      init: (key, example inputs (batch, ...)) -> params.
      apply: (params, inputs) -> outputs (batch, m).
      inspect: (params, inputs) -> Inspection, where the insides are known.
      layers: its dense layers, input side first, where it is made of nothing else and they are
        known; () otherwise.
      draws: whether it keeps keys to draw random numbers from, as dropout does.
    """

    init: Callable[[Key, Array], Params]
    apply: ApplyFn
    inspect: Callable[[Params, Array], Inspection] | None = None
    layers: tuple[Layer, ...] = ()
    draws: bool = False

    @property
    def head(self) -> Layer | None:
        """The last dense layer, where it is known."""
        return self.layers[-1] if self.layers else None

    @property
    def activations(self) -> tuple[str, ...]:
        """Each layer's activation, () where the layers are not known."""
        return tuple(layer.activation for layer in self.layers)
