"""``jaxid predict``: what training will do, said before its first step, and then what it did."""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from rich.console import Console

from jaxid.commands.output import check_out, write_numbers
from jaxid.data.sources import Dataset
from jaxid.diagnosis.prediction import (
    check_linear,
    predict,
    quadratic_of,
    stable_rate,
    start_squares,
)
from jaxid.errors import InputError
from jaxid.experiment import IdentitySpec, build_problem, build_runner, check_memory, load_data
from jaxid.nets.activations import ActivationName
from jaxid.parsing import parse, spec_of
from jaxid.plot.prediction import draw_prediction
from jaxid.provenance import provenance
from jaxid.report.prediction import print_prediction
from jaxid.training.loop import Anneal
from jaxid.training.optimizers import OptimizerName
from jaxid.training.progress import Reporter, terminal
from jaxid.training.run import Runner


@dataclass(frozen=True)
class PredictOptions(IdentitySpec):
    """Every field of the spec; what to ask, and whether to train as well."""

    output_activation: ActivationName = "linear"
    """Activation of the output layer; a linear one is predicted so far."""
    optimizer: OptimizerName = "sgd"
    """Optimizer; sgd, with momentum or not, is predicted so far."""
    seeds: int = 3
    """Number of seeds: initialisations to predict from, and to train."""
    share: float | None = None
    """Take this share of the largest stable rate in place of --learning-rate."""
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
        if self.share is not None and not self.share > 0:
            raise InputError(f"--share is {self.share}; give a positive number, 0.3 say")
        if any(not value > 0 for value in self.loss):
            raise InputError("--loss takes positive numbers")
        check_linear(self)


def run(argv: Sequence[str]) -> int:
    """Parse, check, predict, train, save, draw, print."""
    description = (
        "jaxid predict [options]: the loss of the identity problem's linear layer at every epoch, "
        "the largest stable rate and how many epochs a loss needs, from moments of the data, the "
        "initialisation and the optimizer's update rule, before a step is taken; then the run "
        "itself beside it."
    )
    options = parse(PredictOptions, argv, "jaxid predict", description)
    check_out(options.out, options.overwrite)
    notes = Console(stderr=True)
    reporter = terminal(notes)
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    dataset = load_data(options, lambda line: notes.print(line, style="dim", highlight=False))
    record, arrays = measure(options, dataset, reporter)
    seconds = round(time.perf_counter() - clock, 2)
    record |= {"provenance": provenance(options.seed_list, started, seconds)}
    write_numbers(record, arrays, options.out, "prediction")
    draw_prediction(record, arrays, options.out / "figures")
    print_prediction(record)
    if record["interrupted"]:
        notes.print("interrupted; the prediction is written", highlight=False, style="dim")
    print(f"\ndata: {options.out / 'prediction.json'}   figures: {options.out / 'figures'}")
    return 130 if record["interrupted"] else 0


def measure(
    options: PredictOptions, dataset: Dataset, reporter: Reporter
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The prediction, and what training did if it was asked for."""
    spec = spec_of(IdentitySpec, options).resolved(dataset)
    problem = build_problem(spec, dataset)
    check_memory(problem, spec.seeds)
    with reporter.task("moments and stable rate", 2) as task:
        quadratic = quadratic_of(spec, problem)
        task.advance(1)
        limit = stable_rate(quadratic, problem)
        task.advance(1)
    if options.share is not None:
        if limit.value is None:
            raise InputError(f"--share has no stable rate to share ({limit.method})")
        spec = dataclasses.replace(spec, learning_rate=options.share * limit.value)
        problem = build_problem(spec, dataset)
    runner = build_runner(spec, problem)
    squares = start_squares(quadratic, runner.init(spec.seed_list), spec.seeds)
    found, arrays = predict(problem, quadratic, limit, squares, options.loss)
    record: dict[str, Any] = {
        "schema": 1,
        "problem": spec.as_json(),
        "prediction": found,
        "measured": None,
        "interrupted": False,
    }
    if options.run:
        try:
            curves = trained(runner, spec.seed_list, reporter)
        except KeyboardInterrupt:
            record["interrupted"] = True
            return record, arrays
        arrays["measured/loss"] = curves
        count = len(curves)
        sem = curves.std(axis=0, ddof=1) / count**0.5 if count > 1 else None
        record["measured"] = {
            "loss": curves.mean(axis=0).tolist(),
            "sem": None if sem is None else sem.tolist(),
        }
    return record, arrays


def trained(runner: Runner, seeds: list[int], reporter: Reporter) -> np.ndarray:
    """The loss on the training set at the start and after every epoch, (seeds, epochs + 1)."""
    states, epochs = runner.init(seeds), runner.problem.epochs
    anneal = Anneal(*(jnp.asarray(value, jnp.int32) for value in Anneal()))
    found = [np.asarray(runner.evaluate(states).loss, np.float64)]
    with reporter.task("training", epochs) as task:
        for epoch in range(epochs):
            states, _ = runner.steps(states, epoch, 0, runner.problem.steps_per_epoch, anneal)
            found.append(np.asarray(runner.evaluate(states).loss, np.float64))
            task.advance(1, f"loss {found[-1].mean():.4g}")
    return np.stack(found, axis=1)
