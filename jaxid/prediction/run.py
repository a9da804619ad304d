"""A prediction, and the run itself beside it."""

from __future__ import annotations

import datetime
import enum
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import jax

from jaxid.core.progress import SILENT, Reporter
from jaxid.core.provenance import Provenance, origin
from jaxid.core.result import Result
from jaxid.core.types import Estimate, Settings
from jaxid.prediction.measured import MeasuredRun, trained
from jaxid.prediction.predict import Prediction, predict_from
from jaxid.theory.least_squares import Quadratic
from jaxid.training.run import Runner


class During(enum.Enum):
    """What an interrupt came into."""

    PREDICTING = "predicting"
    TRAINING = "training"


@dataclass(frozen=True)
class Interruption:
    """Where an interrupt came.

    Attributes:
      during: into what.
      done: seeds that were predicted, epochs that were trained; 0 if none was finished.
      of: how many there were to be.
    """

    during: During
    done: int
    of: int


@dataclass(frozen=True, repr=False)
class PredictedRun(Result):
    """What was said of a run before its first step, and what it did.

    Attributes:
      problem: how it was named; empty for a Problem that came as it is.
      epochs: of the run.
      prediction: None where an interrupt came before a seed of it was finished.
      measured: what training did; None if it was not asked for, or not even an epoch was finished.
      interrupted: where an interrupt came; None if none came.
      provenance: when and by what it was computed, of which seeds.
    """

    STEM: ClassVar[str] = "prediction"
    SCHEMA: ClassVar[int] = 2

    problem: Settings
    epochs: int
    prediction: Prediction | None
    measured: MeasuredRun | None
    interrupted: Interruption | None
    provenance: Provenance


def predicted_run(
    runner: Runner,
    seeds: Sequence[int],
    *,
    losses: Sequence[float] = (),
    train: bool = True,
    moments: tuple[Quadratic, Estimate | None] | None = None,
    settings: Settings | None = None,
    tell: Callable[[Prediction], None] = lambda prediction: None,
    reporter: Reporter = SILENT,
) -> PredictedRun:
    """Predict, and then train.

    An interrupt ends it where something is finished, and the result is of that.

    Args:
      runner: of the problem; its precision counts for the prediction too.
      seeds: which to predict from, and to train.
      losses: to say how many epochs each needs; shares of the first loss if empty.
      train: whether to train.
      moments: from `jaxid.prediction.predict.moments_of`, where they are known already.
      settings: how the problem is named.
      tell: is given the prediction before training begins.
      reporter: progress.
    """
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    problem = runner.problem
    prediction: Prediction | None = None
    measured: MeasuredRun | None = None
    stopped: Interruption | None = None
    states = runner.init(seeds)
    try:
        with jax.default_matmul_precision(runner.precision):
            prediction = predict_from(problem, states, seeds, losses, reporter, moments=moments)
    except KeyboardInterrupt:
        stopped = Interruption(During.PREDICTING, 0, len(seeds))
    if prediction is not None:
        if prediction.interrupted is not None:
            stopped = Interruption(During.PREDICTING, prediction.interrupted, len(seeds))
        tell(prediction)
    if train and stopped is None:
        try:
            measured, done = trained(runner, seeds, reporter)
        except KeyboardInterrupt:
            done = 0
        if done is not None:
            stopped = Interruption(During.TRAINING, done, problem.epochs)
    return PredictedRun(
        problem=settings or {},
        epochs=problem.epochs,
        prediction=prediction,
        measured=measured,
        interrupted=stopped,
        provenance=origin(seeds, started, round(time.perf_counter() - clock, 2)),
    )
