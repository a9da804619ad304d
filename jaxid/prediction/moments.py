"""One layer's training from moments by strata: its loss, and when its outputs die.

For any elementwise optimizer, RMSprop and Adam among them, and ReLU or linear outputs
(`jaxid.theory.death`). Nothing of the network is evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from jaxid.core.progress import Reporter
from jaxid.core.random import role_key, seed_key
from jaxid.prediction.forecast import Forecast, asked, reached
from jaxid.prediction.modes import examples_of
from jaxid.prediction.optimizer_facts import OptimizerFacts
from jaxid.prediction.reasons import Reason, Why
from jaxid.prediction.resting import RestingPlace, ended_at, resting_place
from jaxid.problem.problem import Problem
from jaxid.theory.death import Course, course
from jaxid.theory.strata import strata
from jaxid.training.loop import TrainState, one_seed
from jaxid.training.run import census_steps

TAILED = 7.0
"""Kurtosis (`tail`) up to which losses were predicted within 14 %, `scripts/moments_range.py`;
beyond it single values far out make most of the noise, which strata of many do not show."""
COLUMNS = 64
"""Features of which float64 copies are held at a time."""


@dataclass(frozen=True)
class Deaths:
    """ReLU outputs, of those whose target varies, at t steps; S seeds, m outputs in all.

    Attributes:
      outputs: m.
      varying: how many have a target that varies.
      examples: of the training set, on all of which a dead output is inactive.
      steps: (t,) whole.
      dead: (t,) outputs active on none of the examples, expected, mean over the seeds.
      fading: (t,) active on less than one example of a batch on average; the same mean.
      expected: dead if training goes on.
      dead_by_seed, fading_by_seed: (S, t).
      probability_dead: (m,) of each output at the last step, mean over the seeds.
    """

    outputs: int
    varying: int
    examples: int
    steps: np.ndarray
    dead: np.ndarray
    fading: np.ndarray
    expected: float
    dead_by_seed: np.ndarray
    fading_by_seed: np.ndarray
    probability_dead: np.ndarray


@dataclass(frozen=True)
class Moments:
    """What moments by strata say beside the loss.

    Attributes:
      tails: kurtosis of the inputs weighted by variance (`tail`).
      deaths: of ReLU outputs; None for linear ones.
      resting: where a linear layer comes to rest; None for ReLU outputs, and where it is not
        known or takes minutes.
    """

    tails: float
    deaths: Deaths | None
    resting: RestingPlace | None


def from_moments(
    problem: Problem,
    states: TrainState,
    seeds: Sequence[int],
    wanted: Sequence[float],
    optimizer: OptimizerFacts | None,
    reporter: Reporter,
) -> tuple[Forecast, Moments]:
    """The loss at the end of every epoch and, for ReLU outputs, the deaths before.

    Args:
      problem: one linear or ReLU layer's, under the mean square error.
      states: initial, stacked; predicted seed by seed.
      seeds: their numbers.
      wanted: losses to reach, as in `jaxid.prediction.forecast.asked`.
      optimizer: what it does whatever the network.
      reporter: shows progress.

    Returns:
      Both of the seeds that were finished if an interrupt came, with their number in
      ``interrupted``.

    Raises:
      KeyboardInterrupt: if none was.
    """
    inputs, targets = examples_of(problem)
    (layer,) = problem.net.layers
    rectified = layer.activation == "relu"
    with reporter.task("moments", 1) as task:
        data = strata(inputs, targets, bias=layer.bias)
        task.advance(1)
    n, steps = problem.examples, problem.steps_per_epoch
    sizes = np.array([min(problem.batch_size, n - at) for at in range(0, n, problem.batch_size)])
    marks = marked(problem)
    courses: list[Course] = []
    stopped = False
    with reporter.task("predicting", len(seeds) * int(marks[-1])) as task:
        for k, seed in enumerate(seeds):
            at = 0

            def advance(step: int, seed: int = seed) -> None:
                nonlocal at
                # The end is told once the seed is kept.
                if step < marks[-1]:
                    task.advance(step - at, f"seed {seed}, step {step:,}")
                    at = step

            params = jax.tree.map(np.asarray, one_seed(states, k).params)
            key = role_key(seed_key(seed), "predicted batches")
            try:
                courses.append(
                    course(data, params, problem.optimizer, sizes, marks, key,
                           rectified=rectified, advance=advance)
                )  # fmt: skip
                task.advance(int(marks[-1]) - at, f"seed {seed}")
            except KeyboardInterrupt:
                # Seeds that are predicted whole stand.
                if not courses:
                    raise
                stopped = True
                break
    ends = np.searchsorted(marks, steps * np.arange(problem.epochs + 1))
    by_seed = np.stack([found.loss.mean(axis=1) for found in courses])[:, ends]
    curve = by_seed.mean(axis=0)
    tails = tail(inputs)
    why = _why(tails, curve)
    fine = why.reason is Reason.TAILS
    forecast = Forecast(
        curve=curve,
        by_seed=by_seed,
        first=float(curve[0]),
        in_range=fine,
        until=problem.epochs if fine else 0,
        why=why,
        reach=reached(curve, asked(wanted, float(curve[0]))),
        interrupted=len(courses) if stopped else None,
    )
    if rectified:
        deaths = _deaths(problem, courses, marks, np.ptp(targets, axis=0) > 0, optimizer)
        return forecast, Moments(tails, deaths, None)
    place = resting_place(problem, optimizer, reporter)
    return ended_at(forecast, place), Moments(tails, None, place)


def _deaths(
    problem: Problem,
    courses: Sequence[Course],
    marks: np.ndarray,
    varying: np.ndarray,
    optimizer: OptimizerFacts | None,
) -> Deaths:
    """Counted along the courses. Where the optimizer has soon forgotten how large gradients were,
    a single active example pushes as hard as many, and those that are fading die; else those dead
    by then."""
    n = problem.examples
    dead = np.stack([found.dead(n, varying) for found in courses])
    fading = np.stack([found.fading(problem.batch_size, varying) for found in courses])
    forgets = optimizer is not None and optimizer.forgets
    last = np.stack([found.activity[-1] for found in courses])
    return Deaths(
        outputs=int(varying.size),
        varying=int(varying.sum()),
        examples=n,
        steps=marks,
        dead=dead.mean(axis=0),
        fading=fading.mean(axis=0),
        expected=float((fading if forgets else dead).mean(axis=0)[-1]),
        dead_by_seed=dead,
        fading_by_seed=fading,
        probability_dead=np.exp(-n * last).mean(axis=0),
    )


def marked(problem: Problem) -> np.ndarray:
    """Steps that are kept: those of a census of the first epoch, and every epoch's end."""
    ends = problem.steps_per_epoch * np.arange(1, problem.epochs + 1)
    return np.unique(np.concatenate([census_steps(problem.steps_per_epoch), ends]))


def tail(inputs: np.ndarray) -> float:
    """Kurtosis of the features weighted by their variance, sum_k (mu_4k / v_k) / sum_k v_k.

    By feature, as elementwise optimizers move. 3 if normal; 0 where nothing varies.
    """
    varied = weighted = 0.0
    for at in range(0, inputs.shape[1], COLUMNS):
        x = np.asarray(inputs[:, at : at + COLUMNS], np.float64)
        squares = np.square(x - x.mean(axis=0)[None])
        variances = squares.mean(axis=0)
        fourth = np.square(squares, out=squares).mean(axis=0)
        varied += float(variances.sum())
        weighted += float((fourth / np.where(variances > 0, variances, 1.0)).sum())
    return weighted / varied if varied > 0 else 0.0


def _why(tails: float, curve: np.ndarray) -> Why:
    if tails > TAILED:
        return Why(Reason.HEAVY_TAILS, kurtosis=tails)
    known = tails <= TAILED and bool(np.isfinite(curve).all())
    return Why(Reason.TAILS, kurtosis=tails) if known else Why(Reason.NOT_FINITE)
