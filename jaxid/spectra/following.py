"""When and on how many examples to look along training, so that it stays cheap beside it."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np

from jaxid.core import trees
from jaxid.core.errors import InputError
from jaxid.problem.problem import Problem
from jaxid.spectra.look import FLOAT64

SHARE = 0.1
"""Arithmetic of the looks over that of the training, by default."""
LOOKS = 8
PRODUCTS = 96
"""Hessian-vector products of one look at one seed, about: two warm-started eigenvalues, the
trace, the gradient's measure."""
STEP_PASSES, PRODUCT_PASSES = 3.0, 4.0
"""Forward passes that a training step and a product cost, about."""
LEAST_EXAMPLES = 64


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
