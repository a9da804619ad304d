"""How far the very first step moves the outputs, beside the size of the targets.

R = rms of the change of the last layer's pre-activations over the training inputs
    / rms of the targets.

A step with R above 1 throws every output further than the answer lies: a ReLU output lands
below zero on all examples and stays there, or far beyond the target. That is a rate too
large, whatever the optimizer; dividing the rate by R brings the step to the targets' size.
RMSprop's first step is lr / sqrt(1 - rho) per weight, whatever the gradient, so R grows with
the sum of the inputs.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxid.core.random import role_key, seed_key
from jaxid.core.statistics import sem
from jaxid.core.types import Array, Estimate, Params
from jaxid.problem.problem import Problem

EXAMPLES = 2000
"""Training examples that R is taken over."""
MOST_SEEDS = 3


def first_step(problem: Problem, seeds: list[int]) -> Estimate:
    """R over the first seeds, with its standard error over them.

    Args:
      problem: identity problem, MSE.
      seeds: of the run; the first 3 at most are looked at.

    Returns:
      Estimate; value None where the step or the outputs are not finite.
    """
    x, y = problem.train
    x = jnp.asarray(x[:EXAMPLES])
    y = None if y is None else jnp.asarray(y[:EXAMPLES])
    found = np.array([float(_ratio(problem, seed, x, y)) for seed in seeds[:MOST_SEEDS]])
    method = (
        f"first update of {found.size} seeds on one batch: rms change of the last "
        "pre-activations over rms target"
    )
    if not np.isfinite(found).all():
        return Estimate(None, None, False, method)
    return Estimate(float(found.mean()), sem(found), True, method)


def _ratio(problem: Problem, seed: int, x: Array, y: Array | None) -> Array:
    key = seed_key(seed)
    params = problem.init(role_key(key, "init"))
    optimizer = optax.with_extra_args_support(problem.optimizer)
    order = jax.random.permutation(role_key(key, "first step"), x.shape[0])
    rows = order[: problem.batch_size]
    weights = jnp.ones(rows.shape, jnp.float32)
    (loss, _), gradient = jax.value_and_grad(problem.batch_loss, has_aux=True)(
        params, x[rows], None if y is None else y[rows], weights
    )
    updates, _ = optimizer.update(gradient, optimizer.init(params), params, value=loss)
    change = _outputs(problem, optax.apply_updates(params, updates), x)
    change = change - _outputs(problem, params, x)
    targets = problem.targets(x, y)
    return jnp.sqrt(jnp.mean(jnp.square(change)) / jnp.mean(jnp.square(targets)))


def _outputs(problem: Problem, params: Params, x: Array) -> Array:
    """The last layer before its activation, where it is known; else the outputs."""
    inputs = problem.inputs(x)
    if problem.net.inspect is None:
        return problem.net.apply(params, inputs)
    return problem.net.inspect(params, inputs).preactivations[-1]
