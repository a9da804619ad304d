"""When the question's outputs die, predicted before the first step, and measured.

Claim: which outputs of the question's network stop firing, and when, follows from means and
covariances of its inputs (by size of the image), each pixel's histogram, the initial weights and
the optimizer's update rule: no gradient of the network is taken.
Command: python scripts/death_clock.py
Expected: 300 of 717 outputs are told to die, 307 do. Over ten thousand images 8, 62, 208, 263 dead
are predicted after 50, 100, 200, 400 steps, 6, 48, 225, 302 counted (an independent run: 7, 53,
220, 292). Over all sixty thousand 1, 11, 91, 184 and 1, 3, 79, 232: the last active examples are
foreseen worst. Loss after 100 steps, one and three epochs 1,047, 389, 258; 1,117, 435, 255 came.
Runtime: 14 minutes on 2 cores busy with other work.

Dead: active on no example. That depends on how many examples are looked at, so counts are given
over all sixty thousand training images and over the first ten thousand. Fading: active on less
than one example of a batch on average. Outputs of pixels that never vary are left out. The
prediction stops after three epochs, training goes on. A quick run takes digits.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import common
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxid.core.progress import Reporter
from jaxid.core.random import role_key, seed_key
from jaxid.identity.spec import IdentitySpec, build_problem, build_runner, load_data
from jaxid.prediction.modes import examples_of
from jaxid.prediction.moments import tail
from jaxid.problem.problem import Problem
from jaxid.theory.death import Course, course
from jaxid.theory.strata import strata
from jaxid.training.loop import Anneal, one_seed
from jaxid.training.run import Runner

FEWER = 10_000
PREDICTED, TRAINED = 3, 20
MARKS = (1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 400)
BINS = 8
"""Groups of outputs, by the mean of their pixel."""


@dataclass(frozen=True)
class Options(common.Options):
    """The seeds."""

    seeds: int = 3
    """Runs, predicted and trained."""


def measure(options: Options, reporter: Reporter) -> common.Record:
    """Predict and train every seed."""
    epochs = 4 if options.quick else TRAINED
    spec = IdentitySpec(
        data="digits" if options.quick else "mnist",
        epochs=epochs,
        seeds=options.seeds,
        mnist_dir=options.mnist_dir,
    )
    dataset = load_data(spec)
    spec = spec.resolved(dataset)
    problem = build_problem(spec, dataset)
    runner = build_runner(spec, problem)
    few = min(FEWER, problem.examples // 2)
    foreseen = min(PREDICTED, epochs)
    inside = [at for at in MARKS if at < problem.steps_per_epoch]
    ends = problem.steps_per_epoch * np.arange(1, epochs + 1)
    marks = np.unique([0, *inside, *ends])
    told = marks[marks <= ends[foreseen - 1]]
    varying = np.ptp(examples_of(problem)[1], axis=0) > 0
    courses = predicted(problem, runner, spec.seed_list, told, reporter)
    seen = [trained(problem, runner, seed, marks, few, reporter) for seed in spec.seed_list]
    pixel = np.asarray(problem.train[0], np.float32).mean(axis=0)[varying]
    record = {
        "seeds": spec.seed_list,
        "data": options.data,
        "examples": problem.examples,
        "fewer": few,
        "varying": int(varying.sum()),
        "batch": problem.batch_size,
        "steps_per_epoch": problem.steps_per_epoch,
        "tails": tail(examples_of(problem)[0]),
        "predicted": {
            "steps": told,
            "dead": [one.dead(problem.examples, varying) for one in courses],
            "dead_fewer": [one.dead(few, varying) for one in courses],
            "fading": [one.fading(problem.batch_size, varying) for one in courses],
            "loss": [one.loss.mean(axis=1) for one in courses],
        },
        "measured": {
            "steps": marks,
            "dead": [(one.share[:, varying] == 0).sum(axis=1) for one in seen],
            "dead_fewer": [(one.few[:, varying] == 0).sum(axis=1) for one in seen],
            "fading": [(problem.batch_size * one.share[:, varying] < 1).sum(axis=1)
                       for one in seen],
            "loss": [one.loss for one in seen],
        },
        "by_pixel": by_pixel(
            pixel,
            [problem.batch_size * one.activity[-1, varying] < 1 for one in courses],
            [one.share[-1, varying] == 0 for one in seen],
        ),
    }  # fmt: skip
    record = common.plain(record)
    return record | {"finding": finding(record)}


def predicted(
    problem: Problem, runner: Runner, seeds: list[int], marks: np.ndarray, reporter: Reporter
) -> list[Course]:
    """The course of each seed's initial weights."""
    data = strata(*examples_of(problem))
    n, batch = problem.examples, problem.batch_size
    sizes = np.array([min(batch, n - at) for at in range(0, n, batch)])
    states = runner.init(seeds)
    found = []
    with reporter.task("predicting", len(seeds)) as task:
        for k, seed in enumerate(seeds):
            params = one_seed(states, k).params
            key = role_key(seed_key(seed), "predicted batches")
            found.append(course(data, params, problem.optimizer, sizes, marks, key))
            task.advance(1)
    return found


@dataclass(frozen=True)
class Seen:
    """One run at the marks: shares of examples each output is active on, and the loss."""

    share: np.ndarray
    few: np.ndarray
    loss: np.ndarray


def trained(
    problem: Problem, runner: Runner, seed: int, marks: np.ndarray, few: int, reporter: Reporter
) -> Seen:
    """Train one seed and count at the marks, over all examples and over the first few."""
    head = dataclasses.replace(problem, train=(problem.train[0][:few], None))
    first = Runner(head)
    states = runner.init([seed])
    anneal = Anneal(*(jnp.asarray(value, jnp.int32) for value in Anneal()))
    steps = problem.steps_per_epoch
    found: list[tuple[Any, Any, Any]] = []
    with reporter.task(f"training seed {seed}", int(marks[-1])) as task:
        for at, until in zip(marks, [*marks[1:], None], strict=True):
            whole, part = runner.evaluate(states), first.evaluate(states)
            found.append((whole.fires[-1][0], part.fires[-1][0], whole.loss[0]))
            if until is not None:
                epoch, begin = divmod(int(at), steps)
                states, _ = runner.steps(states, epoch, begin, begin + int(until - at), anneal)
                task.advance(int(until - at))
    share, less, loss = (np.stack(part) for part in zip(*found, strict=True))
    return Seen(share / problem.examples, less / few, loss)


def by_pixel(pixel: np.ndarray, told: list[Any], seen: list[Any]) -> list[common.Record]:
    """Share of outputs that end dead, in groups of equal size by the mean of their pixel."""
    groups = np.array_split(np.argsort(pixel), BINS)
    return [
        {
            "mean": float(pixel[group].mean()),
            "predicted": float(np.mean([one[group] for one in told])),
            "measured": float(np.mean([one[group] for one in seen])),
        }
        for group in groups
    ]


def at(record: common.Record, which: str, name: str, step: int) -> float:
    """Mean over seeds at a step."""
    part = record[which]
    return float(np.mean([row[part["steps"].index(step)] for row in part[name]]))


def finding(record: common.Record) -> str:
    """How many die, predicted and measured."""
    last = record["predicted"]["steps"][-1]
    end = record["measured"]["steps"][-1]
    expected = at(record, "predicted", "fading", last)
    dead = at(record, "measured", "dead", end)
    epoch = record["steps_per_epoch"]
    losses = [at(record, which, "loss", epoch) for which in ("predicted", "measured")]
    return (
        f"{expected:.0f} of {record['varying']} outputs are predicted to die, {dead:.0f} do; loss "
        f"after one epoch {common.short(losses[0])} predicted, {common.short(losses[1])} measured"
    )


def draw(record: common.Record) -> Figure:
    """Deaths over the steps; which outputs; the loss."""
    figure = Figure(figsize=(11.5, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.5, 1, 1])
    kinds = (
        ("fading", f"on less than one of a batch of {record['batch']}"),
        ("dead_fewer", f"on none of {record['fewer']:,} examples"),
        ("dead", f"on none of {record['examples']:,} examples"),
    )
    for (kind, name), colour in zip(kinds, common.COLOURS, strict=False):
        curves(left, record, kind, colour, name)
    left.set_ylabel(f"outputs of {record['varying']} that are active")
    left.set_ylim(0, 1.4 * max(max(row) for row in record["measured"]["fading"]))
    left.legend(loc="upper left", fontsize=8)
    curves(middle, record, "loss", common.COLOURS[3], "")
    middle.set_yscale("log")
    middle.set_ylabel("loss on the training set")
    for axes in (left, middle):
        axes.set_xscale("symlog", linthresh=10)
        axes.set_xlim(0, record["measured"]["steps"][-1] * 1.1)
        axes.set_xlabel("step")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.axvline(record["steps_per_epoch"], color="#bbbbbb", linewidth=0.8)
    groups = record["by_pixel"]
    place = np.arange(len(groups))
    right.bar(place - 0.2, [g["predicted"] for g in groups], 0.4, color="#7fa7d6")
    right.bar(place + 0.2, [g["measured"] for g in groups], 0.4, color="black")
    right.set_xticks(place, [common.short(g["mean"]) for g in groups], rotation=60)
    right.set_xlabel("mean of the output's pixel")
    right.set_ylabel("share dead in the end")
    common.titled(
        figure,
        record["finding"],
        "Lines: predicted from moments, mean of the seeds; points: measured, each seed. Right: "
        "blue predicted, black measured, outputs in groups of equal size. Grey: the first epoch's "
        "end.",
        width=110,
    )
    return figure


def curves(axes: Axes, record: common.Record, kind: str, colour: str, name: str) -> None:
    """The predicted mean as a line, each run as points."""
    told, seen = record["predicted"], record["measured"]
    axes.plot(told["steps"], np.mean(told[kind], axis=0), color=colour, label=name)
    for row in seen[kind]:
        axes.plot(seen["steps"], row, color=colour, marker="o", markersize=3, linestyle="none")


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
