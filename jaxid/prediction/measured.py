"""What training then did, beside what was said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxid.core.progress import Reporter
from jaxid.core.statistics import sem_by_column
from jaxid.problem.targets import constant_targets
from jaxid.training.run import Runner


@dataclass(frozen=True)
class MeasuredRun:
    """Training of S seeds over E epochs, those that were finished if an interrupt came.

    Attributes:
      loss: (E + 1,) on the training set at the start and after each epoch, mean over the seeds.
      sem: (E + 1,) its standard error; None with one seed.
      dead_steps: (t,) where units were counted.
      dead: (t,) outputs that no example activates though their target varies, mean over the
        seeds; None for a model that is not looked into.
      dead_sem: (t,) its standard error; None with one seed too.
      loss_by_seed: (S, E + 1).
      dead_by_seed: (S, t), whole; None for a model that is not looked into.
    """

    loss: np.ndarray
    sem: np.ndarray | None
    dead_steps: np.ndarray
    dead: np.ndarray | None
    dead_sem: np.ndarray | None
    loss_by_seed: np.ndarray
    dead_by_seed: np.ndarray | None


def trained(
    runner: Runner, seeds: Sequence[int], reporter: Reporter
) -> tuple[MeasuredRun, int | None]:
    """Train, and look at the whole training set at log-spaced steps and every epoch's end.

    Returns:
      (what came, epochs that were finished when an interrupt came, or None).

    Raises:
      KeyboardInterrupt: for an interrupt before an epoch was finished.
    """
    history = runner.train(seeds, census=True, test_curve=False, keep=True, reporter=reporter)
    census, problem = history.census, runner.problem
    assert census is not None
    ends = np.flatnonzero(census.step % problem.steps_per_epoch == 0)
    losses = np.asarray(census.loss, np.float64)[:, ends]
    dead = None
    if census.dead:
        varying = ~constant_targets(problem)
        dead = (census.dead[-1] & varying[None, None, :]).sum(axis=2)
    found = MeasuredRun(
        loss=losses.mean(axis=0),
        sem=_sem(losses),
        dead_steps=census.step,
        dead=None if dead is None else dead.mean(axis=0),
        dead_sem=None if dead is None else _sem(dead),
        loss_by_seed=losses,
        dead_by_seed=dead,
    )
    return found, history.interrupted


def _sem(values: np.ndarray) -> np.ndarray | None:
    if len(values) < 2:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        return sem_by_column(values)
