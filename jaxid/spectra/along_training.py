"""Curvature along training: sharpness, what the optimizer sees of it, and its limit.

At chosen epochs, for every seed: the Hessian's largest eigenvalue (sharpness), the largest of
R^(1/2) H R^(1/2) beside the limit of the optimizer's own update, the trace, and the
effective condition number of what is left; the condition number too where every eigenvalue
is affordable. Each Krylov iteration starts from the last point's
eigenvector, and the examples are as many as keep the whole within a share of the training's
arithmetic, so that the shape of the loss can be watched without paying for it twice.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import trees
from jaxid.core.progress import SILENT, Reporter
from jaxid.core.random import role_key, seed_key
from jaxid.core.types import Array, Estimate, Params
from jaxid.curvature.exact import exact_of
from jaxid.curvature.excess import quadratic_excess
from jaxid.curvature.matrices import curvature_product
from jaxid.curvature.products import MEMORY, CurvatureProduct
from jaxid.linalg.lanczos import follow_largest
from jaxid.linalg.operators import Scaled
from jaxid.linalg.trace import hutchinson
from jaxid.optim.rates import effective_rates
from jaxid.optim.stability_limit import stability_limit
from jaxid.problem.problem import Problem
from jaxid.spectra.all_eigenvalues import float32_inside
from jaxid.spectra.following import Following
from jaxid.spectra.look import loss_and_gradient
from jaxid.training.loop import Anneal, TrainState, one_seed
from jaxid.training.run import Runner

TRACE_PROBES = 4
GRADIENT_STEPS = 32


@dataclass(frozen=True)
class SeedLook:
    """One seed at one point of training; without values once it is no longer finite.

    Attributes:
      seed: which.
      loss: mean over the examples, in training units; None where it is not finite.
      sharpness: the Hessian's largest eigenvalue.
      preconditioned: the largest of R^(1/2) H R^(1/2), R being the optimizer's rates.
      limit: of that, from which on the optimizer's update diverges.
      trace: of the Hessian.
      effective_kappa: at 99 % of what is left.
      kappa: the Hessian's condition number.
    """

    seed: int
    loss: float | None
    sharpness: Estimate
    preconditioned: Estimate
    limit: Estimate
    trace: Estimate
    effective_kappa: Estimate
    kappa: Estimate


@dataclass(frozen=True)
class AlongPoint:
    """All seeds at one point of training.

    Attributes:
      epoch: so many were finished.
      step: so many steps were taken.
      seeds: a look at each.
    """

    epoch: int
    step: int
    seeds: tuple[SeedLook, ...]


@dataclass(frozen=True)
class Seconds:
    """What it took, on a wall clock, in seconds.

    Attributes:
      training, looking: compiling included.
    """

    training: float
    looking: float


@dataclass(frozen=True)
class AlongTraining:
    """Curvature along training.

    Attributes:
      epochs: looks were planned before these; the last may be the end.
      examples: of the training set, the first so many.
      share_planned: arithmetic of the looks over that of the training.
      seconds: what it took.
      points: the looks that were made.
      interrupted: epochs that were finished when an interrupt came; None if none came.
    """

    epochs: tuple[int, ...]
    examples: int
    share_planned: float
    seconds: Seconds
    points: tuple[AlongPoint, ...]
    interrupted: int | None


@dataclass
class _Starts:
    """One seed's eigenvectors, from which the next look goes on."""

    plain: Params | None = None
    scaled: Params | None = None


def follow_training(
    runner: Runner,
    seeds: Sequence[int],
    following: Following,
    *,
    memory: int = MEMORY,
    reporter: Reporter = SILENT,
) -> tuple[AlongTraining, TrainState]:
    """Train those seeds and look at their curvature on the way.

    Args:
      runner: of the problem.
      seeds: which.
      following: from `jaxid.spectra.following.plan_following`.
      memory: bytes that passes over the examples may hold.
      reporter: progress.

    Returns:
      (what was seen, the end states, stacked). A seed that is no longer finite has no values
      from then on. After Ctrl-C the looks that were made, and in ``interrupted`` the epoch.

    Raises:
      KeyboardInterrupt: if there was no look yet.
    """
    problem = runner.problem
    data = (
        runner.x[: following.examples],
        None if runner.y is None else runner.y[: following.examples],
    )
    states, stop = runner.init(seeds), problem.steps_per_epoch
    still = Anneal(*(jnp.asarray(v, jnp.int32) for v in Anneal()))
    product = curvature_product(problem).within(memory, one_seed(states, 0).params, data)
    starts = [_Starts() for _ in seeds]
    look = partial(_look, problem, product, data, following.exact, memory)
    points: list[AlongPoint] = []
    training = looking = 0.0
    stopped, epoch = None, 0
    with reporter.task("training and looking", problem.epochs + len(following.epochs)) as task:
        try:
            for epoch in range(problem.epochs + 1):
                if epoch in following.epochs:
                    began = time.perf_counter()
                    limit = _limit(problem, one_seed(states, 0))
                    rows = tuple(
                        look(one_seed(states, k), seed, starts[k], limit)
                        for k, seed in enumerate(seeds)
                    )
                    looking += time.perf_counter() - began
                    points.append(AlongPoint(epoch, epoch * stop, rows))
                    task.advance(1, f"looked before epoch {epoch + 1}")
                if epoch < problem.epochs:
                    began = time.perf_counter()
                    states, losses = runner.steps(states, epoch, 0, stop, still)
                    jax.block_until_ready(states.params)  # type: ignore[no-untyped-call]
                    training += time.perf_counter() - began
                    task.advance(1, f"loss {float(jnp.mean(losses.train)):.4g}")
        except KeyboardInterrupt:
            if not points:
                raise
            stopped = epoch
    seen = AlongTraining(
        following.epochs,
        following.examples,
        following.share,
        Seconds(training, looking),
        tuple(points),
        stopped,
    )
    return seen, states


def _look(
    problem: Problem,
    product: CurvatureProduct,
    data: tuple[Array, Array | None],
    exact: bool,
    memory: int,
    state: TrainState,
    seed: int,
    starts: _Starts,
    limit: Estimate,
) -> SeedLook:
    """One seed at one point; ``starts`` keeps the eigenvectors for the next one."""
    params, key = state.params, role_key(seed_key(seed), "following")
    loss, gradient = loss_and_gradient(problem, params, data)
    if not (np.isfinite(float(loss)) and np.isfinite(float(trees.norm(gradient)))):
        none = Estimate(None, None, False, "the seed is no longer finite")
        return SeedLook(seed, None, none, none, none, none, none, none)
    operand = (params, data)

    def drawn(role: str) -> Params:
        return trees.random_like(role_key(key, role), params)

    sharpness, starts.plain = follow_largest(product, operand, drawn("sharpness"), starts.plain)
    trace = hutchinson(product, operand, params, role_key(key, "trace"), probes=TRACE_PROBES)
    excess = quadratic_excess(product, operand, gradient, steps=GRADIENT_STEPS)
    seen = limit
    if int(state.step) > 0:
        rates = effective_rates(problem.optimizer, state.opt_state, params)
        seen = Estimate(None, None, False, f"{rates.why}: it has no P")
        if rates.elementwise:
            scaled, random = (operand, rates.descending()), drawn("preconditioned")
            seen, starts.scaled = follow_largest(Scaled(product), scaled, random, starts.scaled)
    return SeedLook(
        seed,
        float(loss),
        sharpness,
        seen,
        limit,
        trace.trace,
        excess.effective_kappa,
        _kappa(problem, product, params, data, exact, memory),
    )


def _kappa(
    problem: Problem,
    product: CurvatureProduct,
    params: Params,
    data: tuple[Array, Array | None],
    exact: bool,
    memory: int,
) -> Estimate:
    """The Hessian's condition number from all its eigenvalues, where they were planned."""
    why = "every eigenvalue costs as many products as there are parameters, beyond the share"
    if exact:
        narrow = float32_inside(problem, params, data)
        why = f"the network computes in float32 inside ({', '.join(narrow)})" if narrow else ""
    if why:
        return Estimate(None, None, False, why)
    return exact_of(product, params, data, limit=memory).kappa


def _limit(problem: Problem, state: TrainState) -> Estimate:
    """The optimizer's limit at a step; it depends on no seed."""
    if int(state.step) == 0:
        return Estimate(None, None, False, "before the first step there is no P")
    return stability_limit(problem.optimizer, state.opt_state, state.params)
