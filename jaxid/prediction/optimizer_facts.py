"""What an optimizer does whatever the network: its first steps, eps, and rescalings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxid.core.precision import float64
from jaxid.core.types import Estimate
from jaxid.optim.chain import classified
from jaxid.optim.first_steps import first_steps
from jaxid.optim.invariance import invariance
from jaxid.problem.problem import Problem

FEW = 5
"""First steps that are told."""
QUIET, FAINT = 300, 1e-3
"""Steps without gradient after which memory is tried, and the gradient then over the one before."""


@dataclass(frozen=True)
class Exponents:
    """What must be multiplied by which power of c where inputs and targets are, for the same run
    in other units.

    Attributes:
      kernel_rate_exponent, bias_rate_exponent: the first layer's learning rates.
      kernel_eps_exponent, bias_eps_exponent: its eps outside the square root.
    """

    kernel_rate_exponent: float
    bias_rate_exponent: float
    kernel_eps_exponent: float
    bias_eps_exponent: float


@dataclass(frozen=True)
class OptimizerFacts:
    """What a chain does to any parameter.

    Attributes:
      forgets: whether, after large gradients and a quiet while, a faint one makes a full step.
      degree: of homogeneity: steps grow with the gradient to that power; 1 for SGD, 0 for RMSprop
        and Adam.
      first_steps: sizes of the first `FEW` updates under a constant gradient of 1.
      settled_step: what they come to; not converged if they still change.
      half_step_gradient: the gradient at which eps takes half of a step; 0 is no eps.
      rescaled_both: where inputs and targets are multiplied by c; None without a degree, and for
        layers that are not known.
    """

    forgets: bool
    degree: Estimate
    first_steps: tuple[float, ...]
    settled_step: Estimate
    half_step_gradient: Estimate
    rescaled_both: Exponents | None


def optimizer_facts(problem: Problem) -> OptimizerFacts | None:
    """Read off the chain's own update; None for one that treats parameters by their names.

    What a rescaling of inputs and targets together changes is told for dense layers that are
    known.
    """
    layers = len(problem.net.layers)
    optimizer = optax.with_extra_args_support(problem.optimizer)
    try:
        params = jax.eval_shape(problem.init, jax.random.key(0))
        state = jax.eval_shape(optimizer.init, params)
        known = classified(optimizer, params, state)
        if known.outside or not (known.elementwise or known.frozen):
            # On numbers alone there is no loss, and one number is not what a norm is of; where
            # steps are cut off they are another function of the gradient at every size.
            return None
        found = invariance(optimizer, layers or 1)
        first = first_steps(optimizer, 1.0, FEW)
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
    both = next((one for one in found.rescalings if one.name == "both" and layers), None)
    return OptimizerFacts(
        forgets=_forgets(optimizer),
        degree=found.degree,
        first_steps=tuple(first.sizes.tolist()),
        settled_step=first.settled,
        half_step_gradient=found.half_step,
        rescaled_both=None
        if both is None
        else Exponents(
            kernel_rate_exponent=both.kernels[0].rate,
            bias_rate_exponent=both.biases[0].rate,
            kernel_eps_exponent=both.kernels[0].gradient,
            bias_eps_exponent=both.biases[0].gradient,
        ),
    )


def _forgets(optimizer: optax.GradientTransformationExtraArgs) -> bool:
    """Whether, after large gradients and a quiet while, a faint one makes a full step."""
    with float64():
        weight = jnp.zeros(())
        state = optimizer.init(weight)
        gradients = jnp.concatenate([jnp.ones(QUIET), jnp.zeros(QUIET), jnp.full(1, FAINT)])

        def step(state: Any, gradient: jax.Array) -> tuple[Any, jax.Array]:
            move, new = optimizer.update(gradient, state, weight, value=jnp.zeros(()))
            kept = jax.tree.map(
                lambda a, b: jnp.asarray(a).astype(jnp.asarray(b).dtype), new, state
            )
            return kept, jnp.abs(move)

        _, moves = jax.lax.scan(step, state, gradients)
        return bool(moves[-1] > 0.5 * moves[QUIET - 1])
