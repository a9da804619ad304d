"""The noise floor that the gradient covariance and the step rule predict.

Small constant rates r_k (one per parameter, P included) on a quadratic keep the loss above
its minimum by

  tr(R C_B) / 4 = (1/4) sum_k r_k Var(g_k),

C_B the covariance of the gradient over batches of the size in use: from the stationary
covariance S of w <- w - R g, R H S + S H R = R C_B R, whose excess is tr(H S) / 2 (Mandt,
Hoffman, Blei 2017, eq. 9, with a diagonal R). It assumes rates far below the stability
limit and P that stands still. The first is measured: the largest eigenvalue of
R^(1/2) H R^(1/2) must be well below 2, or the estimate is said not to have converged. The
floor stands beside the measured noise and explains nothing by itself.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core.random import role_key, seed_key
from jaxid.core.types import Array, Estimate, Params
from jaxid.curvature.matrices import curvature_product
from jaxid.curvature.preconditioned import largest_rate_times_curvature
from jaxid.optim.rates import effective_rates
from jaxid.problem.problem import Problem
from jaxid.training.loop import TrainState

SMALL = 0.5
"""Largest rate times curvature up to which rates count as small (the limit is 2)."""
EXAMPLES = 1024
"""Examples whose curvature is compared with the rates."""
PAIRS = 64
"""Pairs of batches: the standard error is then about an eighth of the spread."""


def predicted_floor(
    problem: Problem, end: TrainState, x: Array, y: Array | None, seed: int
) -> Estimate:
    """tr(R C_B) / 4 at the end of training, R and C_B both from there.

    Args:
      problem: batch size and optimizer.
      end: one seed's state at the end of training.
      x, y: the training set on the device.
      seed: names the batches drawn.

    Returns:
      An Estimate in units of the loss with its standard error over pairs of batches; its
      value is None for a chain that is not diagonal, and ``converged`` says whether the
      rates are small.
    """
    rates = effective_rates(problem.optimizer, end.opt_state, end.params)
    if not rates.elementwise:
        return Estimate(None, None, False, rates.why)
    key = role_key(seed_key(seed), "noise")
    values = np.asarray(_pairs(problem, rates.tree, end.params, x, y, key))
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size))
    some = (x[:EXAMPLES], None if y is None else y[:EXAMPLES])
    top = largest_rate_times_curvature(
        curvature_product(problem), end.params, some, rates.tree, role_key(key, "top")
    )
    small = top.value is not None and top.value <= SMALL
    method = f"tr(R C) / 4 over {PAIRS} pairs of batches, P frozen at the end"
    if not small:
        size = "unknown" if top.value is None else f"{top.value:.3g}"
        method += f"; out of its range: rate times curvature is {size}, not far below 2"
    return Estimate(mean, error, bool(np.isfinite(mean)) and small, method)


@partial(jax.jit, static_argnums=0)
def _pairs(
    problem: Problem, rates: Params, where: Params, x: Array, y: Array | None, key: jax.Array
) -> Array:
    """(PAIRS,) unbiased values of tr(R C_B) / 4, each from the difference of two batches."""
    n, batch = problem.examples, min(problem.batch_size, problem.examples)
    weights = jnp.ones((batch,), jnp.float32)
    # Batches of an epoch are drawn without replacement: their mean varies a little less.
    finite = (n - batch) / max(n - 1, 1)

    def gradient(key: jax.Array) -> Params:
        rows = jax.random.randint(key, (batch,), 0, n)
        some = None if y is None else y[rows]
        return jax.grad(lambda params: problem.batch_loss(params, x[rows], some, weights)[0])(where)

    def one(keys: jax.Array) -> Array:
        a, b = gradient(keys[0]), gradient(keys[1])
        parts = jax.tree.map(lambda r, u, v: jnp.sum(r * jnp.square(u - v)), rates, a, b)
        return sum(jax.tree.leaves(parts), start=jnp.zeros(())) / 2

    return finite / 4 * jax.lax.map(one, jax.random.split(key, (PAIRS, 2)))
