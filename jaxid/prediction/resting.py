"""Where a linear layer comes to rest under steps that do not shrink with the gradient."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from jaxid.core.progress import Reporter
from jaxid.core.types import Estimate
from jaxid.prediction.forecast import Forecast
from jaxid.prediction.modes import examples_of
from jaxid.prediction.optimizer_facts import OptimizerFacts
from jaxid.prediction.reasons import Reason, Why
from jaxid.problem.problem import Problem
from jaxid.theory.resting import resting_loss

SIGN_LIKE = 0.5
"""Degree of homogeneity below which steps hardly grow with the gradient; RMSprop and Adam 0."""
WIDE = 128
"""Features up to which a resting place takes seconds."""
AT_REST = 2.0
"""Times the resting loss below which single epochs scatter: digits under RMSprop, 0.4 to 0.9 of
what was measured, and 1.06 at 2.2 times."""


@dataclass(frozen=True)
class RestingPlace:
    """The end of a run under steps of constant size, see `jaxid.theory.resting`.

    Attributes:
      loss: at rest, training units; an upper bound where it has not converged.
      coherent_share: of it that is a shift common to all examples; None where not known.
      independent, together: the loss if weights were off by a settled step each, independently,
        or all with one sign.
    """

    loss: Estimate
    coherent_share: float | None
    independent: float
    together: float


def resting_place(
    problem: Problem, optimizer: OptimizerFacts | None, reporter: Reporter
) -> RestingPlace | None:
    """Of one linear layer; None where nothing is known or it takes minutes."""
    if optimizer is None or optimizer.degree.value is None:
        return None
    if optimizer.degree.value >= SIGN_LIKE or not optimizer.settled_step.converged:
        return None
    inputs, targets = examples_of(problem)
    if inputs.shape[1] > WIDE:
        return None
    x = np.asarray(inputs, np.float64)
    if problem.net.layers[0].bias:
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    batch = min(problem.batch_size, problem.examples)
    with reporter.task("where it rests", 1) as task:
        found = resting_loss(problem.optimizer, x, targets.shape[1], batch)
        task.advance(1)
    return RestingPlace(found.loss, found.coherent, found.independent, found.together)


def ended_at(forecast: Forecast, place: RestingPlace | None) -> Forecast:
    """Near its resting place a run scatters from epoch to epoch; its level is told, not more."""
    rest = None if place is None else place.loss.value
    if rest is None or not forecast.in_range:
        return forecast
    near = np.flatnonzero(forecast.curve <= AT_REST * rest)
    if not near.size:
        return forecast
    until = int(near[0])
    why = Why(Reason.NEAR_REST, epochs=until, loss=rest)
    return dataclasses.replace(forecast, in_range=False, until=until, why=why)
