"""What an optimizer does whatever the network: its first steps, eps, and rescalings."""

from __future__ import annotations

from typing import Any

import optax

from jaxid.problem import Problem
from jaxid.theory.first_steps import first_steps
from jaxid.theory.invariance import invariance

Record = dict[str, Any]
FEW = 5
"""First steps that are told."""


def optimizer_facts(problem: Problem, layers: int) -> Record | None:
    """Read off the chain's own update; None for one that treats parameters by their names.

    Args:
      problem: its optimizer.
      layers: dense layers of the network, for rescalings of the problem.
    """
    optimizer: optax.GradientTransformation = problem.optimizer
    try:
        found = invariance(optimizer, layers)
        first = first_steps(optimizer, 1.0, FEW)
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
    both = next((one for one in found.rescalings if one.name == "both"), None)
    return {
        "degree": found.degree._asdict(),
        "first_steps": first.sizes.tolist(),
        "settled_step": first.settled._asdict(),
        "half_step_gradient": found.half_step._asdict(),
        "rescaled_both": None
        if both is None
        else {
            "kernel_rate_exponent": both.kernels[0].rate,
            "bias_rate_exponent": both.biases[0].rate,
            "kernel_eps_exponent": both.kernels[0].gradient,
            "bias_eps_exponent": both.biases[0].gradient,
        },
    }
