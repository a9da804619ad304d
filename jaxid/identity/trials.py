"""Counterfactual runs: the same seeds again with one thing changed.

An effect is the log ratio, seed by seed, of the loss averaged over the last tenth of the
steps (batch losses before each update, in original units, so that rescalings compare).
"""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple, TypeAlias

import jax
import numpy as np

from jaxid.core import interrupt
from jaxid.core.progress import Reporter
from jaxid.core.statistics import Interval
from jaxid.data.sources import Dataset
from jaxid.identity.prescriptions import Remedy
from jaxid.identity.spec import IdentitySpec, build_problem, build_runner
from jaxid.linalg.parallel import cores

TrialMode: TypeAlias = Literal["none", "short", "full"]
SMALL_WIDTH = 128
MOST_TOGETHER = 4
SHORT_SEEDS = 3
SHORT_EPOCHS = {"mnist": 5}
"""Epochs of a short trial where the data set's own number is too long for one."""


class Trial(NamedTuple):
    """One remedy's outcome.

    Attributes:
      remedy, change: what was changed, and in words.
      before, after: (k,) losses of the paired seeds, original units.
      first_bad: (k,), the step at which a seed went non-finite, -1 if never.
      epochs: of the changed run; the reference is read at ``reference_epochs``.
      floor: the least loss that float32 can tell from 0 here; see `rounding_floor`.
      solved_at_start: whether the changed run's very first batches had no more loss than
        that: the change writes a solution down instead of learning one.
    """

    remedy: Remedy
    change: str
    before: np.ndarray
    after: np.ndarray
    first_bad: np.ndarray
    epochs: int
    reference_epochs: int
    floor: float
    solved_at_start: bool

    @property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """(before, after) of the pairs of which both stayed finite."""
        finite = np.isfinite(self.after) & np.isfinite(self.before)
        return self.before[finite], self.after[finite]

    @property
    def log_ratio(self) -> np.ndarray:
        """log(after / before) of those pairs; losses below the floor, 0 among them, count as
        the floor."""
        before, after = (np.maximum(values, self.floor) for values in self.pairs)
        return np.log(after) - np.log(before)


def ratio_interval(interval: Interval) -> tuple[float, float] | None:
    """The ratio's interval from the log ratio's; None of one seed."""
    if interval.low is None or interval.high is None:
        return None
    return float(np.exp(interval.low)), float(np.exp(interval.high))


def rounding_floor(dataset: Dataset) -> float:
    """eps^2 E[y^2], eps that of float32: the loss of targets rounded to float32.

    A loss below it, such as an exact 0, says no more than this much.
    """
    squares = np.mean(np.square(dataset.train[:2000], dtype=np.float64))
    return float(np.finfo(np.float32).eps) ** 2 * float(squares)


def tail_mean(losses: np.ndarray) -> np.ndarray:
    """Mean over the last tenth of the steps, float64: (..., steps) -> (...)."""
    return losses[..., -max(1, losses.shape[-1] // 10) :].mean(axis=-1, dtype=np.float64)


def trial_plan(spec: IdentitySpec, mode: TrialMode) -> tuple[int, int]:
    """(seeds, epochs) of a trial of a resolved spec."""
    assert spec.epochs is not None
    if mode == "full":
        return spec.seeds, spec.epochs
    return min(SHORT_SEEDS, spec.seeds), min(spec.epochs, SHORT_EPOCHS.get(spec.data, spec.epochs))


def run_trials(
    done: list[Trial],
    spec: IdentitySpec,
    dataset: Dataset,
    reference: np.ndarray,
    steps_per_epoch: int,
    mode: TrialMode,
    reporter: Reporter,
    *,
    chosen: Sequence[Remedy],
    name: str = "remedies",
) -> None:
    """Those remedies on paired seeds.

    Args:
      done: finished trials are appended here, so that an interrupt loses none of them.
      spec: resolved.
      dataset: its data.
      reference: (S, steps) batch losses of the run itself, original units.
      steps_per_epoch: of the run.
      mode: none, short or full.
      reporter, name: progress, one bar over all trials.
      chosen: what to try.
    """
    if mode == "none" or not chosen:
        return
    seeds, epochs = trial_plan(spec, mode)
    base = dataclasses.replace(spec, epochs=epochs, seeds=seeds)
    before = tail_mean(_reference(base, spec, dataset, reference[:seeds], steps_per_epoch))
    together, already = _together(base), len(done)
    with (
        reporter.task(name, len(chosen)) as task,
        ThreadPoolExecutor(together) as pool,
    ):

        def run(remedy: Remedy) -> None:
            trial = _run_one(base, remedy.apply(base), remedy, dataset, before)
            done.append(trial)
            task.advance(1, remedy.name)

        for start in range(0, len(chosen), together):
            try:
                interrupt.results(
                    [pool.submit(run, remedy) for remedy in chosen[start : start + together]]
                )
            except KeyboardInterrupt:
                # A worker saw it first.
                interrupt.taken()
                raise
            interrupt.check()
            # Compiled programs of a trial are of no further use; on a small machine they add up.
            jax.clear_caches()  # type: ignore[no-untyped-call]
            gc.collect()
    # They finish in any order.
    order = {remedy.name: place for place, remedy in enumerate(chosen)}
    done[already:] = sorted(done[already:], key=lambda trial: order[trial.remedy.name])


def _reference(
    base: IdentitySpec,
    spec: IdentitySpec,
    dataset: Dataset,
    reference: np.ndarray,
    steps_per_epoch: int,
) -> np.ndarray:
    """The unchanged run's batch losses over a trial's length.

    They are the first part of the run itself, unless its rate follows a schedule: a shorter
    run decays sooner, so it is run by itself.
    """
    assert base.epochs is not None and spec.epochs is not None
    if spec.schedule == "constant" or base.epochs == spec.epochs:
        return reference[:, : base.epochs * steps_per_epoch]
    return _losses(base, dataset, "reference")[0]


def _losses(spec: IdentitySpec, dataset: Dataset, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Batch losses of a spec's seeds in original units, and where they went non-finite."""
    runner = build_runner(spec, build_problem(spec, dataset))
    return runner.losses(spec.seed_list, name=name)


def _together(spec: IdentitySpec) -> int:
    """How many trials run at once: a small network's steps and all compilation fill one core.

    Large matrices fill all cores by themselves, and an accelerator is one device.
    """
    assert spec.width is not None
    small = spec.width <= SMALL_WIDTH and jax.default_backend() == "cpu"
    return min(cores(), MOST_TOGETHER) if small else 1


def _run_one(
    base: IdentitySpec,
    changed: IdentitySpec,
    remedy: Remedy,
    dataset: Dataset,
    before: np.ndarray,
) -> Trial:
    losses, first_bad = _losses(changed, dataset, remedy.name)
    assert base.epochs is not None and changed.epochs is not None
    floor = rounding_floor(dataset)
    return Trial(
        remedy,
        remedy.describe(base),
        before,
        tail_mean(losses),
        first_bad,
        changed.epochs,
        base.epochs,
        floor,
        bool(np.all(losses[:, 0] <= floor)),
    )
