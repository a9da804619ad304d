"""`jaxid.spectrum`: the curvature of a problem's loss, at a point and along training."""

from __future__ import annotations

import datetime
import enum
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from jaxid.core import interrupt, trees
from jaxid.core.errors import InputError
from jaxid.core.progress import SILENT, Reporter
from jaxid.core.provenance import Provenance, origin
from jaxid.core.random import seed_key
from jaxid.core.result import Result
from jaxid.core.types import Array, Settings
from jaxid.problem.admission import admit
from jaxid.problem.problem import Problem
from jaxid.spectra.along_training import AlongTraining, follow_training
from jaxid.spectra.following import Following
from jaxid.spectra.look import Look
from jaxid.spectra.point import PointSpectrum, examine_point
from jaxid.training.loop import Stage, TrainState, make_loop, one_seed
from jaxid.training.run import History, Runner

EXAMPLES = 10_000
"""Examples by default, at most."""


class During(enum.Enum):
    """What an interrupt came into."""

    TRAINING = "training"
    CURVATURE = "curvature"


@dataclass(frozen=True)
class Interruption:
    """Where an interrupt came.

    Attributes:
      during: into what.
      epoch: the one that was not finished, counted from 1; None outside of training.
      point: the one that was not finished; None in training.
      matrix: the point's first that was not finished; None where it has none that was.
    """

    during: During
    epoch: int | None = None
    point: Stage | None = None
    matrix: str | None = None


@dataclass(frozen=True)
class ExamplesUsed:
    """What the loss is over.

    Attributes:
      used: so many training examples, the first ones.
      of: so many there are.
    """

    used: int
    of: int


@dataclass(frozen=True, repr=False)
class Spectrum(Result):
    """The curvature of a problem's loss.

    Attributes:
      problem: how it was named; empty for a Problem that came as it is.
      examples: what the points' loss is over.
      points: one, or the start and the end of training; those that were finished.
      along: on the way through training; None unless that was asked for.
      interrupted: where an interrupt came; None if none came.
      provenance: when and by what it was computed, of which seeds.
    """

    STEM: ClassVar[str] = "spectrum"
    SCHEMA: ClassVar[int] = 1

    problem: Settings
    examples: ExamplesUsed
    points: tuple[PointSpectrum, ...]
    along: AlongTraining | None
    interrupted: Interruption | None
    provenance: Provenance


def spectrum(
    problem: Problem,
    run: History | None = None,
    *,
    look: Look = Look(),  # noqa: B008 - frozen
    seed: int = 0,
    examples: int | None = None,
    reporter: Reporter | None = None,
) -> Spectrum:
    """The eigenvalues of a problem's Hessian at one point: both ends, density, condition numbers.

    Beside the Hessian its Gauss-Newton and residual parts, what the optimizer sees of it, with
    the limit of its own update, and each layer's block. Up to `Look.exact_order` parameters all
    eigenvalues, in float64; only those give a condition number.

    Args:
      problem: network, loss, data, optimizer.
      run: what was trained; its first seed's end is looked at. The initial state of ``seed`` if
        None; ``points[0].name`` says which it is.
      look: how hard to look.
      seed: of the initial state; with a run it does nothing.
      examples: training examples that the loss is over, the first so many; all up to 10,000 if
        None.
      reporter: progress; silent if None.

    Returns:
      Spectrum of one point. After Ctrl-C it has the matrices that were finished, and
      ``interrupted`` says where it came.

    Raises:
      InputError: one line, for a problem whose curvature would mean nothing, or more
        eigenvalues than there are.
      KeyboardInterrupt: if not even the Hessian was finished.

    Example:
      >>> found = jaxid.spectrum(problem)
      >>> found.points[0].hessian.lambda_max
      Estimate(value=2.71..., error=1.3e-05, converged=True, method='thick-restart Lanczos, ...')
      >>> found.save("runs/curvature")
    """
    with interrupt.listening():
        admit(problem)
        if run is None:
            state, name = jax.jit(make_loop(problem).init)(seed_key(seed)), Stage.INIT
        else:
            state, name = one_seed(run.state, 0), Stage.END
        return spectrum_at(
            problem,
            state,
            name,
            look=look,
            examples=examples,
            seeds=(seed,) if run is None else (),
            reporter=reporter or SILENT,
        )


def spectrum_at(
    problem: Problem,
    state: TrainState,
    name: Stage,
    *,
    look: Look,
    examples: int | None = None,
    settings: Settings | None = None,
    seeds: Sequence[int] = (),
    reporter: Reporter = SILENT,
) -> Spectrum:
    """The same at a state that is at hand.

    Args:
      problem, look, examples, reporter: as in `spectrum`.
      state: one seed's.
      name: where in training it lies.
      settings: how the problem is named.
      seeds: of the run, for `Provenance`.

    Raises:
      InputError, KeyboardInterrupt: as in `spectrum`.
    """
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    look.check(trees.size(state.params))
    data = first_examples(problem, examples)
    points, stopped = _points(problem, [(name, state)], data, look, reporter)
    if not points:
        raise KeyboardInterrupt
    return _result(problem, data, points, None, stopped, settings, seeds, started, clock)


def spectrum_along(
    runner: Runner,
    following: Following,
    *,
    look: Look,
    seeds: Sequence[int],
    examples: int | None = None,
    settings: Settings | None = None,
    reporter: Reporter = SILENT,
) -> Spectrum:
    """Train, look along the way, and at the first seed's start and end as `spectrum` does.

    Args:
      runner: of the problem.
      following: when to look on the way, from `jaxid.spectra.following.plan_following`.
      look, examples, reporter: as in `spectrum`.
      seeds: which to train.
      settings: how the problem is named.

    Returns:
      Spectrum. After an interrupt in training it has no points.

    Raises:
      InputError: as in `spectrum`.
      KeyboardInterrupt: if there was no look yet.
    """
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    problem, start = runner.problem, one_seed(runner.init(seeds), 0)
    look.check(trees.size(start.params))
    data = first_examples(problem, examples)
    along, states = follow_training(runner, seeds, following, memory=look.memory, reporter=reporter)
    points: tuple[PointSpectrum, ...] = ()
    if along.interrupted is None:
        stages = [(Stage.INIT, start), (Stage.END, one_seed(states, 0))]
        points, stopped = _points(problem, stages, data, look, reporter)
    else:
        stopped = Interruption(During.TRAINING, epoch=along.interrupted + 1)
    return _result(problem, data, points, along, stopped, settings, seeds, started, clock)


def first_examples(problem: Problem, examples: int | None) -> tuple[Array, Array | None]:
    """(x, y) of the training set's first so many, in stored units; 10,000 at most if None.

    Raises:
      InputError: for fewer than one.
    """
    if examples is not None and examples < 1:
        raise InputError(f"examples is {examples}; it must be 1 or more")
    used = min(problem.examples, examples or EXAMPLES)
    x, y = problem.train
    return jnp.asarray(x[:used]), None if y is None else jnp.asarray(y[:used])


def _points(
    problem: Problem,
    stages: Sequence[tuple[Stage, TrainState]],
    data: tuple[Array, Array | None],
    look: Look,
    reporter: Reporter,
) -> tuple[tuple[PointSpectrum, ...], Interruption | None]:
    """(the points that were finished, or begun; where an interrupt came)."""
    points: list[PointSpectrum] = []
    for name, state in stages:
        try:
            point = examine_point(problem, state, data, name, look, reporter=reporter)
        except KeyboardInterrupt:
            return tuple(points), Interruption(During.CURVATURE, point=name)
        points.append(point)
        if point.interrupted is not None:
            stopped = Interruption(During.CURVATURE, point=name, matrix=point.interrupted)
            return tuple(points), stopped
    return tuple(points), None


def _result(
    problem: Problem,
    data: tuple[Array, Array | None],
    points: tuple[PointSpectrum, ...],
    along: AlongTraining | None,
    stopped: Interruption | None,
    settings: Settings | None,
    seeds: Sequence[int],
    started: datetime.datetime,
    clock: float,
) -> Spectrum:
    seconds = round(time.perf_counter() - clock, 2)
    return Spectrum(
        problem=settings or {},
        examples=ExamplesUsed(int(data[0].shape[0]), problem.examples),
        points=points,
        along=along,
        interrupted=stopped,
        provenance=origin(seeds, started, seconds),
    )
