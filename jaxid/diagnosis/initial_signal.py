"""What a deep network passes on before its first step: mean squares by layer, and dead births."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxid.core.errors import InputError
from jaxid.diagnosis.predicted_modes import examples_of
from jaxid.experiment import IdentitySpec
from jaxid.problem.problem import Problem
from jaxid.theory.born_dead import one_example
from jaxid.theory.signal import signal

Record = dict[str, Any]


def initial_signal(spec: IdentitySpec, problem: Problem) -> Record | None:
    """Of an identity network of ReLU or linear layers; None for others.

    Args:
      spec: resolved.
      problem: its data.
    """
    relu = spec.activation == "relu"
    if spec.depth == 1 or spec.residual or not (relu or spec.activation == "linear"):
        return None
    inputs, targets = examples_of(problem)
    d, m = inputs.shape[1], targets.shape[1]
    width = spec.width or d
    sizes = [d, *[width] * (spec.depth - 1), m]
    square = float(np.mean(np.square(inputs, dtype=np.float64)))
    try:
        found = signal(
            sizes, square, init=spec.initializer, activation="relu" if relu else "linear"
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
