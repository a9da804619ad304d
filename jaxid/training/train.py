"""`jaxid.train`: many seeds of a Problem, and what is kept of them on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jaxid.core import io
from jaxid.core.errors import InputError
from jaxid.core.folder import Folder, claimed
from jaxid.core.manifest import digest, hashes
from jaxid.core.progress import SILENT, Reporter
from jaxid.core.provenance import Provenance, origin
from jaxid.core.types import Settings
from jaxid.problem.admission import admit
from jaxid.problem.problem import Problem
from jaxid.training.checkpoint import FOLDER, RUN, save_state
from jaxid.training.layout import Layout, choose_layout
from jaxid.training.memory import check_memory
from jaxid.training.run import History, Runner


@dataclass(frozen=True)
class SeedLosses:
    """What one seed reached.

    Attributes:
      seed: its number.
      train_loss: after each epoch, running mean over its batches, training units.
      test_loss: after each epoch, training units; empty without a test set.
      train_loss_end: over the whole training set at the end, original units.
      first_non_finite_step: at which its loss was no longer finite; None if it always was.
      original_test_loss: at the end, original units; None without a test set.
      test_mape: mean absolute percentage error of the test set at the end; None without one.
    """

    seed: int
    train_loss: tuple[float, ...]
    test_loss: tuple[float, ...]
    train_loss_end: float
    first_non_finite_step: int | None
    original_test_loss: float | None
    test_mape: float | None


@dataclass(frozen=True)
class Interruption:
    """An interrupt of training.

    Attributes:
      after: epochs that were finished.
      of: that were asked for.
    """

    after: int
    of: int

    def __str__(self) -> str:
        return f"after epoch {self.after} of {self.of}"


@dataclass(frozen=True)
class RunRecord:
    """What run.json holds.

    Attributes:
      problem: how it was named.
      provenance: when and by what it was trained.
      layout: how the seeds lay in one program.
      seeds: their losses.
      interrupted: None for a run that came to its end.
      parameters_sha256: of the parameters that belong to it (`jaxid.core.manifest.digest`).
    """

    SCHEMA: ClassVar[int] = 2

    problem: Settings
    provenance: Provenance
    layout: Layout
    seeds: tuple[SeedLosses, ...]
    interrupted: Interruption | None
    parameters_sha256: str


def train(
    problem: Problem,
    seeds: int | Sequence[int] = 1,
    *,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
) -> History:
    """Train a Problem from its initialisation, many seeds in one program.

    Args:
      problem: network, loss, data, optimizer, epochs.
      seeds: how many, 0, 1, ...; or their numbers.
      out: a folder for run.json (losses of every seed) and state/ (parameters, by Orbax); nothing
        is written if None.
      reporter: progress; silent if None.

    Returns:
      History: losses by step and epoch, and the end states, stacked. After Ctrl-C it has the
      epochs that were finished, and ``interrupted`` says how many.

    Raises:
      InputError: one line, for a problem that can't be trained, seeds that don't fit in memory,
        or a folder that can't be written.
      KeyboardInterrupt: if not even an epoch was finished.

    Example:
      >>> run = jaxid.train(problem, seeds=3)
      >>> run.train.shape  # (seeds, epochs)
      (3, 20)
    """
    numbers = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    if not numbers or min(numbers) < 0:
        raise InputError(f"seeds is {seeds}; give a number from 1 on, or the seeds' own numbers")
    admit(problem)
    check_memory(problem, len(numbers))
    folder = (
        contextlib.nullcontext()
        if out is None
        else claimed(Path(out), overwrite=False, name="the folder")
    )
    with folder as place:
        runner = Runner(problem, choose_layout("auto", 1))
        history, record = trained(runner, numbers, {}, reporter or SILENT)
        if place is not None:
            save_run(history, record, place)
    return history


def trained(
    runner: Runner, seeds: list[int], problem: Settings, reporter: Reporter
) -> tuple[History, RunRecord]:
    """Train, and say what came of it; ``parameters_sha256`` is empty until it is saved.

    Raises:
      KeyboardInterrupt: if not even an epoch was finished.
    """
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    history = runner.train(seeds, keep=True, reporter=reporter)
    seconds = round(time.perf_counter() - clock, 2)
    stopped = history.interrupted
    return history, RunRecord(
        problem,
        origin(seeds, started, seconds),
        runner.layout,
        tuple(_losses(history, k, seed) for k, seed in enumerate(seeds)),
        None if stopped is None else Interruption(stopped, runner.problem.epochs),
        "",
    )


def save_run(history: History, record: RunRecord, out: Folder) -> None:
    """Write run.json and the parameters, which are of no use with another run's other."""
    with out.adding(f"{RUN} and the parameters") as stage:
        save_state(history.state, stage)
        own = digest(hashes(stage, stage / FOLDER))
        values, _ = io.encode(dataclasses.replace(record, parameters_sha256=own))
        io.write_values(values, stage / RUN)


def _losses(history: History, k: int, seed: int) -> SeedLosses:
    bad, test = int(history.first_bad[k]), history.test_end
    return SeedLosses(
        seed,
        tuple(map(float, history.train[k])),
        tuple(map(float, history.test[k])),
        float(history.train_end.original_loss[k]),
        bad if bad >= 0 else None,
        None if test is None else float(test.original_loss[k]),
        None if test is None else float(test.mape[k]),
    )
