"""A family of networks: every choice but the parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxid.verification.functions import FUNCTIONS, Function


class Family(NamedTuple):
    """Dense networks from d inputs to d outputs.

    Attributes:
      features: d.
      depth: dense layers, 1 or more.
      width: of each hidden layer.
      activation, output_activation: names in `FUNCTIONS`.
      use_bias: whether layers have biases.
      residual: whether layers of equal width in and out add their input.
    """

    features: int
    depth: int = 1
    width: int | None = None
    activation: str = "relu"
    output_activation: str = "relu"
    use_bias: bool = True
    residual: bool = False

    @property
    def hidden(self) -> int:
        """Width of the hidden layers."""
        return self.features if self.width is None else self.width

    @property
    def functions(self) -> list[Function]:
        """Of each layer, input side first."""
        return [FUNCTIONS[name] for name in self.names]

    @property
    def names(self) -> list[str]:
        """Of each layer's activation."""
        return [self.activation] * (self.depth - 1) + [self.output_activation]

    def apply(self, layers: list[tuple[np.ndarray, np.ndarray]]) -> Callable[[Any], Any]:
        """The network with those (kernel, bias), (batch, d) -> (batch, d)."""

        def function(x: Any) -> Any:
            for (kernel, bias), own in zip(layers, self.functions, strict=True):
                h = own.value(x @ jnp.asarray(kernel) + jnp.asarray(bias)[None, :])
                x = h + x if self.residual and h.shape == x.shape else h
            return x

        return function

    def describe(self) -> str:
        """In words."""
        layers = f"{self.depth} layer{'s' if self.depth > 1 else ''}"
        inside = f", {self.hidden} {self.activation} units each" if self.depth > 1 else ""
        skip = ", skip connections" if self.residual else ""
        return f"{layers}{inside}, {self.output_activation} output{skip}"


class Target(NamedTuple):
    """An affine target on the box low <= x <= high: y_j = scale_j x_j + offset_j, or x A + offset.

    Attributes:
      scale: (d,); what it says is not used where there is a matrix.
      offset: (m,).
      low, high: (d,).
      matrix: A, (d, m); None for the diagonal of ``scale``.
    """

    scale: np.ndarray
    offset: np.ndarray
    low: np.ndarray
    high: np.ndarray
    matrix: np.ndarray | None = None

    @property
    def linear(self) -> np.ndarray:
        """A, (d, m)."""
        return np.diag(self.scale) if self.matrix is None else self.matrix

    @property
    def range(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest target of each output."""
        if self.matrix is not None:
            middle = 0.5 * (self.low + self.high) @ self.matrix + self.offset
            reach = 0.5 * (self.high - self.low) @ np.abs(self.matrix)
            return middle - reach, middle + reach
        ends = self.scale * self.low + self.offset, self.scale * self.high + self.offset
        return np.minimum(*ends), np.maximum(*ends)


def affine(matrix: np.ndarray, offset: np.ndarray, low: np.ndarray, high: np.ndarray) -> Target:
    """y = x A + offset, A (d, m)."""
    return Target(np.ones(len(matrix)), offset, low, high, matrix)


def identity(features: int, low: float, high: float) -> Target:
    """y = x on [low, high]^d."""
    ones, zeros = np.ones(features), np.zeros(features)
    return Target(ones, zeros, np.full(features, float(low)), np.full(features, float(high)))
