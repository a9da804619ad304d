"""What a deep network passes on before its first step: mean squares by layer, and dead births."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxid.core.errors import InputError
from jaxid.prediction.modes import examples_of
from jaxid.problem.problem import Problem
from jaxid.theory.born_dead import one_example
from jaxid.theory.signal import signal

Record = dict[str, Any]


def initial_signal(problem: Problem) -> Record | None:
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
    return {
        "sizes": sizes,
        "input": square,
        "forward": found.forward.tolist(),
        "backward": found.backward.tolist(),
        "born_dead_one_example": one_example(sizes[1:-1]) if relu else None,
    }
