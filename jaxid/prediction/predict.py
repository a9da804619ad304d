"""What training will do, said before its first step: by the sharpest means that apply.

  one linear layer, an optimizer linear in the gradient   mode by mode (`from_modes`)
  one layer, linear or ReLU outputs, any other optimizer  moments by strata (`from_moments`)
  any other network, an optimizer linear in the gradient  its linearisation (`from_linearisation`)

all for the mean square error. For the rest there is no curve, with the reason; what the optimizer
does first and what the layers pass on is said all the same.
"""

from __future__ import annotations

import datetime
import enum
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import jax
import numpy as np

from jaxid.core import interrupt
from jaxid.core.errors import InputError
from jaxid.core.progress import SILENT, Reporter
from jaxid.core.provenance import Provenance, origin
from jaxid.core.result import Result
from jaxid.core.types import Estimate
from jaxid.prediction.forecast import Forecast, Reach
from jaxid.prediction.initial_signal import InitialSignal, initial_signal
from jaxid.prediction.linearised import Linearisation, from_linearisation
from jaxid.prediction.modes import Modes, from_modes, quadratic_of, stable_rate, start_errors
from jaxid.prediction.moments import Moments, from_moments
from jaxid.prediction.optimizer_facts import OptimizerFacts, optimizer_facts
from jaxid.prediction.reasons import Reason, Why
from jaxid.problem.admission import admit
from jaxid.problem.problem import Problem
from jaxid.theory.chains import Chain, Measured, measured_chain
from jaxid.theory.least_squares import Quadratic
from jaxid.training.loop import TrainState
from jaxid.training.run import Runner


class Method(enum.Enum):
    """How a curve is predicted."""

    MODES = "modes"
    MOMENTS = "moments"
    LINEARISED = "linearised"


WITHIN: dict[Method, float] = {Method.MODES: 0.02, Method.MOMENTS: 0.14, Method.LINEARISED: 0.05}
"""How near predictions in range were to what was measured: `scripts/predicted_vs_measured.py`,
`moments_range.py` (all of them), `linearised_range.py` (95 of 100)."""


@dataclass(frozen=True, repr=False)
class Prediction(Result):
    """The training loss of E epochs, said before the first step, and how far it can be trusted.

    Losses are on the training set, in training units, means over the seeds.

    Attributes:
      method: how; None where nothing predicts a curve, which ``why`` explains.
      curve: (E + 1,) the loss at the start and at the end of every epoch; infinite where it
        diverges. It and what follows from it are None where there is no method.
      by_seed: (seeds, E + 1) where seeds are predicted one by one.
      sem: (E + 1,) standard error of the curve over two seeds or more.
      first, last: the curve's ends.
      in_range: whether all of the curve is claimed.
      until: epochs up to which it is.
      within: how near, relative, measured losses were to such claims.
      why: the range ends there, or holds, or there is no curve.
      reach: how long losses take.
      modes, moments, linearised: what the method knows beside the loss; None for the others.
      optimizer: what the chain does whatever the network; None where it can't be read off.
      signal: what a network of dense layers passes on at its start; None for others.
      interrupted: seeds that were finished when an interrupt came; None if none came.
      provenance: when and by what it was computed, of which seeds.
    """

    STEM: ClassVar[str] = "predicted"
    SCHEMA: ClassVar[int] = 1

    method: Method | None
    curve: np.ndarray | None
    by_seed: np.ndarray | None
    sem: np.ndarray | None
    first: float | None
    last: float | None
    in_range: bool
    until: float
    within: float | None
    why: Why
    reach: tuple[Reach, ...]
    modes: Modes | None
    moments: Moments | None
    linearised: Linearisation | None
    optimizer: OptimizerFacts | None
    signal: InitialSignal | None
    interrupted: int | None
    provenance: Provenance


def predict(
    problem: Problem,
    *,
    seeds: Sequence[int] = (0,),
    losses: Sequence[float] = (),
    reporter: Reporter | None = None,
) -> Prediction:
    """The training loss at every epoch, said before the first step, and how far to trust it.

    It is read off moments of the data, the initialisation and the optimizer's update rule, or
    the network linearised at its first parameters: no gradient step is taken.

    Args:
      problem: network, loss, data, optimizer, budget.
      seeds: initialisations to predict from; the curve is their mean.
      losses: to say how many epochs each needs; shares of the first loss if empty.
      reporter: progress; silent if None.

    Returns:
      Prediction. After Ctrl-C it is of the seeds that were finished, and ``interrupted`` says how
      many.

    Raises:
      InputError: one line, for a problem that would train and mean nothing, no seeds, or losses
        that aren't positive.
      KeyboardInterrupt: if not even a seed was finished.

    Example:
      >>> found = jaxid.predict(problem, seeds=range(3), losses=(0.1,))
      >>> found.curve[-1], found.in_range, found.reach[0].epochs
      (0.0871..., True, 12.4...)
    """
    if not len(seeds):
        raise InputError("there are no seeds; give one or more, seeds=(0,) say")
    if any(not loss > 0 for loss in losses):
        raise InputError("losses are positive numbers")
    with interrupt.listening():
        admit(problem)
        runner = Runner(problem)
        with jax.default_matmul_precision(runner.precision):
            states = runner.init(seeds)
            return predict_from(problem, states, seeds, losses, reporter or SILENT)


def predict_from(
    problem: Problem,
    states: TrainState,
    seeds: Sequence[int],
    losses: Sequence[float],
    reporter: Reporter,
    *,
    moments: tuple[Quadratic, Estimate | None] | None = None,
) -> Prediction:
    """The same from initial states that are at hand.

    Args:
      problem, losses, reporter: as in `predict`.
      states: initial, stacked.
      seeds: their numbers.
      moments: from `moments_of`, where they are known already.

    Raises:
      KeyboardInterrupt: as in `predict`.
    """
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    method, why_not = method_of(problem)
    optimizer = optimizer_facts(problem)
    forecast: Forecast | None = None
    modes: Modes | None = None
    strata: Moments | None = None
    linear: Linearisation | None = None
    if method is Method.MODES:
        chain = chain_of(problem).chain
        assert isinstance(chain, Chain)
        quadratic, limit = moments or moments_of(problem, reporter)
        errors = start_errors(problem, quadratic, states, len(seeds))
        forecast, modes = from_modes(problem, chain, quadratic, limit, errors, losses)
    elif method is Method.MOMENTS:
        forecast, strata = from_moments(problem, states, seeds, losses, optimizer, reporter)
    elif method is Method.LINEARISED:
        measured = chain_of(problem)
        forecast, linear = from_linearisation(problem, measured, states, seeds, losses, reporter)
    why = why_not if forecast is None else forecast.why
    assert why is not None
    return Prediction(
        method=method,
        curve=None if forecast is None else forecast.curve,
        by_seed=None if forecast is None else forecast.by_seed,
        sem=None if forecast is None else forecast.sem,
        first=None if forecast is None else forecast.first,
        last=None if forecast is None else float(forecast.curve[-1]),
        in_range=forecast is not None and forecast.in_range,
        until=0 if forecast is None else forecast.until,
        within=None if method is None else WITHIN[method],
        why=why,
        reach=() if forecast is None else forecast.reach,
        modes=modes,
        moments=strata,
        linearised=linear,
        optimizer=optimizer,
        signal=initial_signal(problem),
        interrupted=None if forecast is None else forecast.interrupted,
        provenance=origin(seeds, started, round(time.perf_counter() - clock, 2)),
    )


def method_of(problem: Problem) -> tuple[Method | None, Why | None]:
    """(how it can be predicted, None) or (None, why not)."""
    if problem.loss != "mse":
        name = problem.loss if isinstance(problem.loss, str) else None
        return None, Why(Reason.LOSS, named=name)
    measured = chain_of(problem)
    layers = problem.net.layers
    if len(layers) == 1 and not layers[0].skip:
        plain = isinstance(measured.chain, Chain) and measured.scales is None
        if layers[0].activation == "linear" and plain:
            return Method.MODES, None
        if layers[0].activation in ("linear", "relu"):
            return Method.MOMENTS, None
    if measured.chain is not None:
        return Method.LINEARISED, None
    return None, Why(Reason.OPTIMIZER, named=measured.why)


@lru_cache(maxsize=8)
def chain_of(problem: Problem) -> Measured:
    """What the problem's optimizer is over its run."""
    shapes = jax.eval_shape(problem.init, jax.random.key(0))
    return measured_chain(problem.optimizer, shapes, problem.epochs * problem.steps_per_epoch)


def moments_of(problem: Problem, reporter: Reporter) -> tuple[Quadratic, Estimate]:
    """The quadratic of one linear layer and the largest stable rate of plain SGD."""
    with reporter.task("moments and stable rate", 2) as task:
        quadratic = quadratic_of(problem)
        task.advance(1)
        limit = stable_rate(quadratic, problem)
        task.advance(1)
    return quadratic, limit
