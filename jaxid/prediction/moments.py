"""One layer's training from moments by strata: its loss, and when its outputs die.

For any elementwise optimizer, RMSprop and Adam among them, and ReLU or linear outputs
(`jaxid.theory.death`). Nothing of the network is evaluated.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxid.core.progress import Reporter
from jaxid.core.random import role_key, seed_key
from jaxid.core.statistics import sem_by_column
from jaxid.prediction.modes import examples_of
from jaxid.problem.problem import Problem
from jaxid.theory.death import Course, course
from jaxid.theory.strata import strata
from jaxid.training.loop import TrainState, one_seed
from jaxid.training.run import census_steps

Record = dict[str, Any]
Arrays = dict[str, np.ndarray]
TAILED = 7.0
"""Kurtosis (`tail`) up to which losses were predicted within 14 %, `scripts/moments_range.py`;
beyond it single values far out make most of the noise, which strata of many do not show."""
COLUMNS = 64
"""Features of which float64 copies are held at a time."""


def from_moments(
    problem: Problem, states: TrainState, seeds: list[int], reporter: Reporter
) -> tuple[Record, Arrays]:
    """The loss at the end of every epoch and, for ReLU outputs, the deaths before.

    Args:
      problem: one linear or ReLU layer's, under the mean square error.
      states: initial, stacked; predicted seed by seed.
      seeds: their numbers.
      reporter: shows progress.

    Returns:
      (record, arrays), of the seeds that were finished if an interrupt came, with their number in
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
    losses = np.stack([found.loss.mean(axis=1) for found in courses])
    curve = losses[:, ends].mean(axis=0)
    tails = tail(inputs)
    fine = tails <= TAILED and bool(np.isfinite(curve).all())
    record: Record = {
        "method": "moments",
        "curve": curve.tolist(),
        "sem": None if len(courses) < 2 else sem_by_column(losses[:, ends]).tolist(),
        "first": float(curve[0]),
        "last": float(curve[-1]),
        "in_range": fine,
        "until": problem.epochs if fine else 0,
        "why": _why(tails, fine),
        "tails": tails,
        "deaths": None,
    }
    arrays = {
        "predicted/curve": curve,
        "predicted/steps": marks,
        "predicted/seeds": losses[:, ends],
    }
    if rectified:
        varying = np.ptp(targets, axis=0) > 0
        dead = np.stack([found.dead(n, varying) for found in courses])
        fading = np.stack([found.fading(problem.batch_size, varying) for found in courses])
        record["deaths"] = {
            "outputs": int(varying.size),
            "varying": int(varying.sum()),
            "examples": n,
            "steps": marks.tolist(),
            "dead": dead.mean(axis=0).tolist(),
            "fading": fading.mean(axis=0).tolist(),
        }
        last = np.stack([found.activity[-1] for found in courses])
        arrays |= {
            "predicted/dead": dead,
            "predicted/fading": fading,
            "predicted/probability_dead": np.exp(-n * last).mean(axis=0),
        }
    if stopped:
        record["interrupted"] = len(courses)
    return record, arrays


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


def _why(tails: float, fine: bool) -> str:
    words = f"the inputs' kurtosis is {tails:.3g}, weighted by variance"
    if fine:
        return words
    if tails > TAILED:
        return f"{words}, above {TAILED:g}: a few far-out values make most of the noise"
    return "the predicted loss is not finite"
