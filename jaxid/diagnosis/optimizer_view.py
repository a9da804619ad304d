"""What the optimizer does to the curvature at a point: its rates, and its own limit."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxid.problem import Problem
from jaxid.stepping import effective_rates, has_moments
from jaxid.theory.thresholds import stability_limit
from jaxid.training.loop import TrainState
from jaxid.types import Array, Estimate, Key, Params

SETTLING = 200
"""Gradients at one place until the second moments are that place's; 0.999^200 is 0.82, but
Adam's bias correction removes what is missing."""


def optimizer_view(
    problem: Problem, state: TrainState, data: tuple[Array, Array | None], key: Key
) -> tuple[dict[str, Any], Params | None]:
    """(the optimizer's limit and how P was found, its rates; None for those where there is
    no diagonal P)."""
    opt_state, how = state.opt_state, "second moments of the state"
    if has_moments(opt_state) and int(state.step) == 0:
        opt_state = _settled(problem, state, data, key)
        how = f"second moments after {SETTLING} batches' gradients at this point"
    elif not has_moments(opt_state):
        how = "no second moments: P is 1"
    rates = effective_rates(problem.optimizer, opt_state, state.params)
    limit = stability_limit(problem.optimizer, opt_state, state.params)
    if not rates.elementwise:
        none = Estimate(None, None, False, "the optimizer is not diagonal: it has no P")
        return {"limit": none._asdict(), "how": none.method, "rates": None}, None
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(rates.tree)]
    spread = {
        "least": float(min(leaf.min() for leaf in leaves)),
        "largest": float(max(leaf.max() for leaf in leaves)),
    }
    positive = jax.tree.map(lambda r: jnp.maximum(r, 0.0), rates.tree)
    return {"limit": limit._asdict(), "how": how, "rates": spread}, positive


@partial(jax.jit, static_argnums=0)
def _settled(
    problem: Problem, state: TrainState, data: tuple[Array, Array | None], key: Key
) -> Any:
    """The optimizer's state after many batches' gradients at one place: before the first
    step there are no second moments yet, and so no P."""
    optimizer = optax.with_extra_args_support(problem.optimizer)
    x, y = data
    weights = jnp.ones((problem.batch_size,), jnp.float32)

    def one(opt_state: Any, key: Key) -> tuple[Any, None]:
        rows = jax.random.randint(key, (problem.batch_size,), 0, x.shape[0])
        some = None if y is None else y[rows]
        gradient = jax.grad(lambda p: problem.batch_loss(p, x[rows], some, weights)[0])(
            state.params
        )
        return optimizer.update(gradient, opt_state, state.params, value=jnp.zeros(()))[1], None

    return jax.lax.scan(one, state.opt_state, jax.random.split(key, SETTLING))[0]
