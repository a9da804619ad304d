"""``jaxid predict``: what training will do, said before its first step, and then what it did."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console

from jaxid.cli.output import claimed_out, finish, named_first
from jaxid.cli.parsing import parse
from jaxid.cli.subject import Subject, SubjectOptions, load_subject
from jaxid.core.errors import InputError
from jaxid.core.progress import Reporter, terminal
from jaxid.core.provenance import provenance
from jaxid.core.statistics import sem_by_column
from jaxid.core.wording import counted
from jaxid.diagnosis.evidence import constant_targets
from jaxid.identity.spec import IdentitySpec, build_problem, build_runner
from jaxid.plot.prediction import draw_prediction
from jaxid.prediction.predict import method_of, moments_of, predict
from jaxid.report.prediction import print_prediction, print_verdict
from jaxid.training.run import Runner


@dataclass(frozen=True)
class PredictOptions(SubjectOptions):
    """Every field of the spec; what to ask, and whether to train as well."""

    seeds: int = 3
    """Number of seeds: initialisations to predict from, and to train."""
    share: float | None = None
    """Take this share of the largest stable rate in place of --learning-rate; for one linear
    layer under sgd."""
    loss: tuple[float, ...] = ()
    """Losses, to say how many epochs each needs; shares of the first loss if not given."""
    run: bool = True
    """Whether to train too, and put both in one table and figure."""
    out: Path = Path("runs/predict")
    """Folder for prediction.json, prediction.npz and figures."""
    overwrite: bool = False
    """Write into a folder that is not empty."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.checkpoint is not None:
            raise InputError("--checkpoint is trained already; predictions start untrained")
        if self.share is not None and not self.share > 0:
            raise InputError(f"--share is {self.share}; give a positive number, 0.3 say")
        if self.share is not None and self.learning_rate != IdentitySpec.learning_rate:
            raise InputError("--share and --learning-rate are both given; give one of them")
        if any(not value > 0 for value in self.loss):
            raise InputError("--loss takes positive numbers")


def run(argv: Sequence[str]) -> int:
    """Parse, check, predict, train, save, draw, print."""
    description = (
        "jaxid predict [FILE.py:NAME] [options]: the loss at every epoch, how far it can be "
        "trusted, when outputs die and how many epochs a loss needs, from moments of the data, "
        "the initialisation and the optimizer's update rule, before a step is taken; then the "
        "run itself beside it. For the identity problem, or a Problem of your own."
    )
    own, rest = named_first(argv)
    options = parse(PredictOptions, rest, "jaxid predict", description)
    notes = Console(stderr=True)
    with claimed_out(options.out, options.overwrite, notes) as out:
        reporter = terminal(notes)
        started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
        subject = load_subject(own, options, notes)
        for line in subject.remarks:
            notes.print(line, highlight=False)
        record, arrays = measure(options, subject, reporter)
        seconds = round(time.perf_counter() - clock, 2)
        record |= {"provenance": provenance(subject.seeds, started, seconds)}
        return finish(record, arrays, out, "prediction", draw_prediction, print_prediction, notes)


def measure(
    options: PredictOptions, subject: Subject, reporter: Reporter
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The prediction, and what training did if it was asked for."""
    spec, problem, runner = subject.spec, subject.problem, subject.runner
    method, _ = method_of(problem)
    moments = None
    if options.share is not None and (spec is None or method != "modes"):
        raise InputError(
            "--share is of one linear layer under sgd; add --output-activation linear "
            "--optimizer sgd, or leave it out"
        )
    if method == "modes":
        moments = moments_of(problem, reporter)
        if options.share is not None:
            limit = moments[1]
            if limit.value is None:
                raise InputError(f"--share has no stable rate to share ({limit.method})")
            # With momentum the settled rate is the rate over 1 - momentum.
            assert spec is not None and subject.dataset is not None
            rate = options.share * limit.value * (1 - spec.momentum)
            spec = dataclasses.replace(spec, learning_rate=rate)
            problem = build_problem(spec, subject.dataset)
            runner = build_runner(spec, problem)
    record: dict[str, Any] = {
        "schema": 2,
        "problem": subject.record if spec is None else spec.as_json(),
        "epochs": problem.epochs,
        "prediction": None,
        "measured": None,
        "interrupted": None,
    }
    states = runner.init(subject.seeds)
    arrays: dict[str, np.ndarray] = {}
    try:
        with jax.default_matmul_precision(options.precision):
            record["prediction"], arrays = predict(
                problem, states, subject.seeds, options.loss, reporter, moments=moments
            )
    except KeyboardInterrupt:
        record["interrupted"] = "predicting, before a seed was finished"
        return record, arrays
    done = record["prediction"].get("interrupted")
    if done is not None:
        record["interrupted"] = f"predicting, after {done} of {counted(len(subject.seeds), 'seed')}"
    # Whoever reads it may have gone; then the end says so.
    with contextlib.suppress(OSError):
        print_verdict(record["prediction"])
    if not options.run or done is not None:
        return record, arrays
    try:
        found = trained(runner, subject.seeds, reporter)
    except KeyboardInterrupt:
        record["interrupted"] = "training"
        return record, arrays
    if found.interrupted is not None:
        record["interrupted"] = f"training, after epoch {found.interrupted} of {problem.epochs}"
    record["measured"] = {
        "loss": found.loss.mean(axis=0).tolist(),
        "sem": _sem(found.loss),
        "dead_steps": found.steps.tolist(),
        "dead": None if found.dead is None else found.dead.mean(axis=0).tolist(),
        "dead_sem": None if found.dead is None else _sem(found.dead),
    }
    arrays |= {"measured/loss": found.loss, "measured/steps": found.steps}
    if found.dead is not None:
        arrays["measured/dead"] = found.dead
    return record, arrays


class Trained(NamedTuple):
    """What training did, by seed.

    Attributes:
      loss: (seeds, epochs + 1), on the training set at the start and after each epoch.
      steps: (t,), where units were counted.
      dead: (seeds, t), outputs that no example activates though their target varies; None for
        a model that is not looked into.
      interrupted: epochs that were finished when an interrupt came; None if none did.
    """

    loss: np.ndarray
    steps: np.ndarray
    dead: np.ndarray | None
    interrupted: int | None = None


def trained(runner: Runner, seeds: list[int], reporter: Reporter) -> Trained:
    """Train, and look at the whole training set at log-spaced steps and every epoch's end."""
    history = runner.train(seeds, census=True, test_curve=False, keep=True, reporter=reporter)
    census, problem = history.census, runner.problem
    assert census is not None
    ends = np.flatnonzero(census.step % problem.steps_per_epoch == 0)
    dead = None
    if census.dead:
        varying = ~constant_targets(problem)
        dead = (census.dead[-1] & varying[None, None, :]).sum(axis=2)
    losses = np.asarray(census.loss, np.float64)[:, ends]
    return Trained(losses, census.step, dead, history.interrupted)


def _sem(values: np.ndarray) -> list[float] | None:
    if len(values) < 2:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        error: list[float] = sem_by_column(values).tolist()
    return error
