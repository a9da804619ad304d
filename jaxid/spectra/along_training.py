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
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import trees
from jaxid.core.errors import InputError
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
from jaxid.spectra.point import FLOAT64, float32_inside, loss_and_gradient
from jaxid.training.loop import Anneal, TrainState, one_seed
from jaxid.training.run import Runner

Record = dict[str, Any]
SHARE = 0.1
"""Arithmetic of the looks over that of the training, by default."""
LOOKS = 8
PRODUCTS = 96
"""Hessian-vector products of one look at one seed, about: two warm-started eigenvalues, the
trace, the gradient's measure."""
STEP_PASSES, PRODUCT_PASSES = 3.0, 4.0
"""Forward passes that a training step and a product cost, about."""
LEAST_EXAMPLES = 64
TRACE_PROBES = 4
GRADIENT_STEPS = 32


@dataclass(frozen=True)
class Following:
    """When and on what to look.

    Attributes:
      epochs: looks before these epochs; the last may be the number of epochs, the end.
      examples: of the training set, the first so many.
      share: planned arithmetic of the looks over that of the training.
      exact: whether each look takes every eigenvalue of the Hessian, in float64.
    """

    epochs: tuple[int, ...]
    examples: int
    share: float
    exact: bool = False


def plan_following(
    problem: Problem,
    *,
    looks: int | None = None,
    share: float = SHARE,
    examples: int | None = None,
    exact_order: int = 0,
) -> Following:
    """Evenly spaced looks, and as many examples as the share of the training's cost allows;
    fewer looks, unless they are given, where that would be under 64. Very short runs cost
    more; ``share`` says so.

    Args:
      problem: its epochs, steps and examples.
      looks: how many, the start and the end included; 8, or as few as the share asks for, if
        None.
      share: of the training's arithmetic, 10 % by default.
      examples: take so many instead; the share is then what that costs.
      exact_order: parameters up to which every eigenvalue is computed at each look, if the
        share allows it, for the condition number: as many products as there are parameters.

    Raises:
      InputError: for fewer than two looks, or a share that is not positive.
    """
    if not share > 0 or (looks is not None and looks < 2):
        given = "" if looks is None else f"--looks is {looks} and "
        raise InputError(f"{given}--share is {share}; use 2 or more looks and a share above 0")
    training = STEP_PASSES * problem.epochs * problem.steps_per_epoch * problem.batch_size

    def cost(products: int) -> float:
        """Of one example at every look."""
        return PRODUCT_PASSES * products * count

    def affordable(products: int) -> int:
        return int(share * training / cost(products))

    count = min(looks or LOOKS, problem.epochs + 1)
    # Fewer looks before too few examples.
    free = looks is None and examples is None
    while free and count > 2 and affordable(PRODUCTS) < LEAST_EXAMPLES:
        count -= 1
    at = np.linspace(0, problem.epochs, count).round().astype(int)
    order = trees.size(jax.eval_shape(problem.init, jax.random.key(0)))
    every = PRODUCTS + FLOAT64 * order
    enough = min(problem.examples, examples or LEAST_EXAMPLES)
    exact = order <= exact_order and affordable(every) >= enough
    products = every if exact else PRODUCTS
    if examples is None:
        examples = max(LEAST_EXAMPLES, affordable(products))
    examples = min(problem.examples, examples)
    return Following(tuple(at.tolist()), examples, cost(products) * examples / training, exact)


def follow_training(
    runner: Runner,
    seeds: Sequence[int],
    following: Following,
    *,
    memory: int = MEMORY,
    reporter: Reporter = SILENT,
) -> tuple[Record, TrainState]:
    """Train those seeds and look at their curvature on the way.

    Args:
      runner: of the problem.
      seeds: which.
      following: from `plan_following`.
      memory: bytes that passes over the examples may hold.
      reporter: progress.

    Returns:
      (the record, the end states, stacked). A seed that is no longer finite has no values
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
    starts: list[dict[str, Params | None]] = [{} for _ in seeds]
    look = partial(_look, problem, product, data, following.exact, memory)
    points: list[Record] = []
    training = looking = 0.0
    stopped, epoch = None, 0
    with reporter.task("training and looking", problem.epochs + len(following.epochs)) as task:
        try:
            for epoch in range(problem.epochs + 1):
                if epoch in following.epochs:
                    began = time.perf_counter()
                    limit = _limit(problem, one_seed(states, 0))
                    rows = [
                        look(one_seed(states, k), seed, starts[k], limit)
                        for k, seed in enumerate(seeds)
                    ]
                    looking += time.perf_counter() - began
                    points.append({"epoch": epoch, "step": epoch * stop, "seeds": rows})
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
    record = {
        "epochs": list(following.epochs),
        "examples": following.examples,
        "share_planned": following.share,
        "seconds": {"training": training, "looking": looking},
        "points": points,
        "interrupted": stopped,
    }
    return record, states


def _look(
    problem: Problem,
    product: CurvatureProduct,
    data: tuple[Array, Array | None],
    exact: bool,
    memory: int,
    state: TrainState,
    seed: int,
    starts: dict[str, Params | None],
    limit: Estimate,
) -> Record:
    """One seed at one point; ``starts`` keeps the eigenvectors for the next one."""
    params, key = state.params, role_key(seed_key(seed), "following")
    loss, gradient = loss_and_gradient(problem, params, data)
    if not (np.isfinite(float(loss)) and np.isfinite(float(trees.norm(gradient)))):
        none = Estimate(None, None, False, "the seed is no longer finite")._asdict()
        names = ("sharpness", "preconditioned", "limit", "trace", "effective_kappa", "kappa")
        return {"seed": seed, "loss": None} | dict.fromkeys(names, none)
    operand = (params, data)

    def drawn(role: str) -> Params:
        return trees.random_like(role_key(key, role), params)

    sharpness, starts["plain"] = follow_largest(
        product, operand, drawn("sharpness"), starts.get("plain")
    )
    trace = hutchinson(product, operand, params, role_key(key, "trace"), probes=TRACE_PROBES)
    excess = quadratic_excess(product, operand, gradient, steps=GRADIENT_STEPS)
    seen = limit
    if int(state.step) > 0:
        rates = effective_rates(problem.optimizer, state.opt_state, params)
        seen = Estimate(None, None, False, f"{rates.why}: it has no P")
        if rates.elementwise:
            scaled, random = (operand, rates.descending()), drawn("preconditioned")
            seen, starts["scaled"] = follow_largest(
                Scaled(product), scaled, random, starts.get("scaled")
            )
    return {
        "seed": seed,
        "loss": float(loss),
        "sharpness": sharpness._asdict(),
        "preconditioned": seen._asdict(),
        "limit": limit._asdict(),
        "trace": trace.trace._asdict(),
        "effective_kappa": excess.effective_kappa._asdict(),
        "kappa": _kappa(problem, product, params, data, exact, memory)._asdict(),
    }


def _kappa(
    problem: Problem,
    product: CurvatureProduct,
    params: Params,
    data: tuple[Array, Array | None],
    exact: bool,
    memory: int,
) -> Estimate:
    """The Hessian's condition number from all its eigenvalues, where they were planned."""
    why: str | None
    why = "every eigenvalue costs as many products as there are parameters, beyond the share"
    if exact:
        why = float32_inside(problem, params, data)
    if why is not None:
        return Estimate(None, None, False, why)
    return exact_of(product, params, data, limit=memory).kappa


def _limit(problem: Problem, state: TrainState) -> Estimate:
    """The optimizer's limit at a step; it depends on no seed."""
    if int(state.step) == 0:
        return Estimate(None, None, False, "before the first step there is no P")
    return stability_limit(problem.optimizer, state.opt_state, state.params)
