"""What a deep network passes on before its first step: mean squares by layer, and dead births."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxid.core.errors import InputError
from jaxid.prediction.modes import examples_of
from jaxid.problem.problem import Problem
from jaxid.theory.born_dead import one_example
from jaxid.theory.signal import signal


@dataclass(frozen=True)
class InitialSignal:
    """Mean squares in a network of L dense layers at its initialisation, expected.

    Attributes:
      sizes: (L + 1,) features, then outputs of each layer.
      input: of the inputs, training units.
      forward: (L,) of each layer's pre-activations.
      backward: (L,) of the loss's derivative by them, over that at the output.
      born_dead_one_example: probability that for one example all of a hidden layer is dead; None
        for linear layers, which never are.
    """

    sizes: tuple[int, ...]
    input: float
    forward: tuple[float, ...]
    backward: tuple[float, ...]
    born_dead_one_example: float | None


def initial_signal(problem: Problem) -> InitialSignal | None:
    """Of a network of dense layers, its hidden ones all ReLU or all linear; None for others."""
    layers = problem.net.layers
    hidden = {layer.activation for layer in layers[:-1]}
    if hidden not in ({"relu"}, {"linear"}) or any(layer.skip for layer in layers):
        return None
    relu = hidden == {"relu"}
    inputs, _ = examples_of(problem)
    sizes = [layers[0].inputs, *(layer.outputs for layer in layers)]
    square = float(np.mean(np.square(inputs, dtype=np.float64)))
    try:
        found = signal(
            sizes, square, init=layers[0].initializer, activation="relu" if relu else "linear"
        )
    except InputError:
        return None
    return InitialSignal(
        sizes=tuple(sizes),
        input=square,
        forward=tuple(found.forward.tolist()),
        backward=tuple(found.backward.tolist()),
        born_dead_one_example=one_example(sizes[1:-1]) if relu else None,
    )
