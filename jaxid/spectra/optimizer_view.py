"""What the optimizer does to the curvature at a point: its rates, and its own limit."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxid.core.types import Array, Estimate, Key, Params
from jaxid.linalg.lanczos import Eigenpairs
from jaxid.optim.rates import accumulates, effective_rates
from jaxid.optim.stability_limit import stability_limit
from jaxid.problem.problem import Problem
from jaxid.training.loop import TrainState

FAST, MANY = 0.1, 0.5
"""A rate is large beside the largest one from this share of it; unusual, below this share of the
parameters."""
SETTLING = 200
"""Gradients at one place until the second moments are that place's; 0.999^200 is 0.82, but
Adam's bias correction removes what is missing."""


class Moments(enum.Enum):
    """Where the second moments come from that the optimizer divides by."""

    STATE = "state"
    """Its state's."""
    SETTLED = "settled"
    """Before the first step: those after ``batches`` gradients at this point."""
    NONE = "none"
    """It has none: P is 1."""
    NO_P = "no_p"
    """It has no diagonal P."""


@dataclass(frozen=True)
class RateRange:
    """Effective rates over the parameters, in the loss's units over squared parameters.

    Attributes:
      least, largest: of all.
    """

    least: float
    largest: float


@dataclass(frozen=True)
class TopMode:
    """The largest mode of R^(1/2) H R^(1/2) on parameters that have hardly seen a gradient.

    Attributes:
      parameters: whose rate is within a factor 10 of the largest one.
      share: of the mode's square that lies on them.
      next: the second eigenvalue; None where there is none.
    """

    parameters: int
    share: float
    next: float | None


@dataclass(frozen=True)
class OptimizerView:
    """What the optimizer does to the curvature at a point.

    Attributes:
      limit: rate times curvature from which on its update diverges.
      how: where P comes from.
      batches: gradients at the point, for `Moments.SETTLED`; else 0.
      why: there is no P, in words; "" where there is one.
      rates: None where there is no P.
      top_mode: None where rates differ little, or there is no mode.
    """

    limit: Estimate
    how: Moments
    batches: int
    why: str
    rates: RateRange | None
    top_mode: TopMode | None


def optimizer_view(
    problem: Problem, state: TrainState, data: tuple[Array, Array | None], key: Key
) -> tuple[OptimizerView, Params | None]:
    """(the optimizer's limit and how P was found, without `OptimizerView.top_mode`; its rates,
    None where there is no diagonal P)."""
    opt_state, how, batches = state.opt_state, Moments.STATE, 0
    gathers = accumulates(problem.optimizer, state.params, opt_state)
    if gathers and int(state.step) == 0:
        opt_state = _settled(problem, state, data, key)
        how, batches = Moments.SETTLED, SETTLING
    elif not gathers:
        how = Moments.NONE
    rates = effective_rates(problem.optimizer, opt_state, state.params)
    limit = stability_limit(problem.optimizer, opt_state, state.params)
    if not rates.elementwise:
        none = Estimate(None, None, False, f"{rates.why}: it has no P")
        return OptimizerView(none, Moments.NO_P, 0, rates.why, None, None), None
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(rates.tree)]
    spread = RateRange(
        float(min(leaf.min() for leaf in leaves)), float(max(leaf.max() for leaf in leaves))
    )
    return OptimizerView(limit, how, batches, "", spread, None), rates.descending()


def top_mode(rates: Params, ends: Eigenpairs) -> TopMode | None:
    """How much of the largest mode of R^(1/2) H R^(1/2) lies on parameters whose rate is within a
    factor 10 of the largest one, whose moments are next to nothing; None where rates differ less,
    or there is no mode.

    Args:
      rates: R.
      ends: of that matrix; its first vector is the mode.
    """
    if not ends.values.size:
        return None
    leaves = [np.asarray(leaf).ravel() for leaf in jax.tree.leaves(rates)]
    mode = [np.asarray(leaf[0], np.float64).ravel() for leaf in jax.tree.leaves(ends.vectors)]
    rate, weight = np.concatenate(leaves), np.square(np.concatenate(mode))
    quick = rate >= FAST * rate.max()
    if rate.max() <= 0 or quick.sum() > MANY * rate.size:
        return None
    return TopMode(
        int(quick.sum()),
        float(weight[quick].sum() / weight.sum()),
        float(ends.values[1]) if ends.values.size > 1 else None,
    )


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
