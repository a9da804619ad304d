"""What could have been said of a run before its first step, beside what it did; where that is
quick. `jaxid predict` tells it for any size, and more of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from jaxid.core.progress import Reporter
from jaxid.identity.spec import IdentitySpec
from jaxid.prediction.predict import Method, method_of, predict_from
from jaxid.prediction.reasons import Reason, Why
from jaxid.problem.problem import Problem
from jaxid.training.run import Census, Runner

WIDE = 128
"""Features up to which it takes seconds."""
LONG = 300.0
"""Seconds from which on a run has a minute for what takes one with more features."""
STEPS = 1000
"""Steps that are foreseen of a course that is followed step by step."""


@dataclass(frozen=True)
class FirstSeedPrediction:
    """The first seed's loss on the training set, in training units, said before its first step.

    Attributes:
      method: how; None where it would take minutes or nothing is known, and all but ``why`` is
        None then.
      curve: at the start and at the end of each epoch.
      epochs: that were predicted, the first ones of the run.
      seed: its number.
      in_range: whether all of it is claimed.
      until: epochs up to which it is.
      why: the range ends there, or holds, or there is no curve.
      predicted: the curve's end.
      measured: the loss that came there; None where it was not looked at, or is not finite.
    """

    method: Method | None
    curve: tuple[float, ...] | None
    why: Why
    epochs: int | None = None
    seed: int | None = None
    in_range: bool | None = None
    until: float | None = None
    predicted: float | None = None
    measured: float | None = None


def foreseen(
    spec: IdentitySpec,
    runner: Runner,
    census: Census | None,
    reporter: Reporter,
    *,
    seconds: float = 0.0,
) -> FirstSeedPrediction:
    """The first seed's predicted loss, as far as it is quick, and its measured one there.

    Args:
      spec: resolved.
      runner: of its problem.
      census: of the training that was done, for the measured loss.
      reporter: shows progress.
      seconds: that the whole run is thought to take.
    """
    problem: Problem = runner.problem
    method, why = method_of(problem)
    inputs = int(np.prod(np.shape(problem.train[0])[1:]))
    if method is not None and inputs > WIDE and seconds < LONG:
        why = Why(Reason.MINUTES, features=inputs)
    if why is not None:
        return FirstSeedPrediction(None, None, why)
    steps = problem.steps_per_epoch
    epochs = problem.epochs
    if method is Method.MOMENTS:
        epochs = min(epochs, max(1, STEPS // steps)) if inputs <= WIDE else 1
    asked = dataclasses.replace(problem, epochs=epochs)
    seeds = spec.seed_list[:1]
    found = predict_from(asked, runner.init(seeds), seeds, (), reporter)
    if found.interrupted is not None:
        # Of one seed there is nothing to keep.
        raise KeyboardInterrupt
    assert found.curve is not None
    return FirstSeedPrediction(
        method=found.method,
        curve=tuple(found.curve.tolist()),
        why=found.why,
        epochs=epochs,
        seed=spec.seed_list[0],
        in_range=found.in_range,
        until=found.until,
        predicted=found.last,
        measured=_measured(census, epochs * steps),
    )


def _measured(census: Census | None, step: int) -> float | None:
    """The first seed's loss on the training set after so many steps."""
    at = np.flatnonzero(census.step == step) if census is not None else np.zeros(0, int)
    if census is None or not at.size:
        return None
    value = float(census.loss[0, at[0]])
    return value if np.isfinite(value) else None
