"""The loss of SGD on a linear layer, predicted before the first step, beside what it was.

Claim: from second and fourth moments of the data and the initialisation alone, no gradient step
and no evaluation of the loss, the training loss of one linear layer under SGD is known within 2 %
at epochs 1, 5, 10 and 20, for three scalings of the data and three rates of each.
Command: python scripts/predicted_vs_measured.py
Expected: within 0.5 % in all 36 places, 0.011 % in the median. Largest stable rates 3.16e-4,
2.32e-3 and 0.710, where the largest curvature alone allows 3.17e-4, 2.36e-3 and 19.4.
Runtime: about 45 minutes on 2 cores (63 beside other jobs).

One linear layer on MNIST, SGD, batch 128, 20 epochs, 10 seeds. Rates: 0.1, 0.3 and 0.6 of the
largest at which the expected loss stays bounded (`jaxid.theory.batch_noise`). Measured: the mean
over seeds of the loss on the whole training set at the end of those epochs. Predicted: the
expectation over reshuffled batches; dotted, the same without batch noise.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import common
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxid.core.errors import InputError
from jaxid.core.progress import Reporter
from jaxid.identity.spec import IdentitySpec, ScalingName, build_problem, build_runner, load_data
from jaxid.prediction.modes import start_errors
from jaxid.theory.batch_noise import largest_stable_rate, losses
from jaxid.theory.chains import plain
from jaxid.theory.least_squares import Quadratic, linear_layer
from jaxid.training.loop import Anneal
from jaxid.training.run import Runner

SCALINGS: tuple[ScalingName, ...] = ("raw", "centered", "standardized")
SHARES = (0.1, 0.3, 0.6)
EPOCHS = (1, 5, 10, 20)


@dataclass(frozen=True)
class Options(common.Options):
    """How many seeds."""

    seeds: int | None = None
    """Seeds; 10, for quick runs 2."""

    def __post_init__(self) -> None:
        if self.seeds is not None and self.seeds < 2:
            raise InputError(f"--seeds is {self.seeds}; a standard error needs 2 or more")


def measure(options: Options, reporter: Reporter) -> common.Record:
    """Every scaling and rate: predict, then train."""
    seeds = options.seeds or (2 if options.quick else 10)
    base = IdentitySpec(
        data="digits" if options.quick else "mnist",
        output_activation="linear",
        optimizer="sgd",
        epochs=5 if options.quick else max(EPOCHS),
        seeds=seeds,
        mnist_dir=options.mnist_dir,
    )
    dataset = load_data(base)
    base = base.resolved(dataset)
    assert base.epochs and base.batch_size
    marks = [epoch for epoch in EPOCHS if epoch <= base.epochs]
    rows: list[common.Record] = []
    for scaling in SCALINGS[2:] if options.quick else SCALINGS:
        spec = dataclasses.replace(base, scaling=scaling)
        problem = build_problem(spec, dataset)
        x = np.asarray(problem.inputs(jnp.asarray(dataset.train)))
        quadratic = linear_layer(x, x)
        found_limit = largest_stable_rate(quadratic, x, base.batch_size)
        assert found_limit.value is not None
        limit = found_limit.value
        for share in SHARES[:2] if options.quick else SHARES:
            spec = dataclasses.replace(spec, learning_rate=share * limit)
            problem = build_problem(spec, dataset)
            runner = build_runner(spec, problem)
            predicted, still = predictions(quadratic, runner, spec)
            found = trained(runner, spec, marks, reporter, f"{scaling}, {share:g} of the limit")
            rows.append({
                "scaling": scaling, "share": share, "rate": share * limit,
                "spectrum_limit": 2 / quadratic.curvatures[0], "limit": found_limit._asdict(),
                "predicted": predicted.tolist(), "without_noise": still.tolist(),
                "epochs": marks, "measured": found.mean(axis=0),
                "sem": found.std(axis=0, ddof=1) / seeds**0.5,
                "ratio": predicted[marks] / found.mean(axis=0),
            })  # fmt: skip
    record = {"seeds": base.seed_list, "batch": base.batch_size, "rows": rows}
    return record | {"finding": finding(record)}


def predictions(
    quadratic: Quadratic, runner: Runner, spec: IdentitySpec
) -> tuple[np.ndarray, np.ndarray]:
    """(expected loss at each epoch's end, the same without noise), (epochs + 1,)."""
    assert spec.epochs and spec.batch_size
    states = runner.init(spec.seed_list)
    errors = start_errors(runner.problem, quadratic, states, spec.seeds)
    squares = np.square(errors).sum(axis=2).mean(axis=0)
    chain = plain(spec.learning_rate)
    expected = losses(quadratic, squares, chain, spec.batch_size, spec.epochs)
    steps = runner.problem.steps_per_epoch * np.arange(spec.epochs + 1)
    factors = chain.factors(quadratic.curvatures)[None, :] ** (2 * steps[:, None])
    return expected, np.asarray(quadratic.loss(factors * squares))


def trained(
    runner: Runner, spec: IdentitySpec, marks: list[int], reporter: Reporter, name: str
) -> np.ndarray:
    """The loss on the training set after those epochs, (seeds, marks)."""
    states, steps = runner.init(spec.seed_list), runner.problem.steps_per_epoch
    anneal = Anneal(*(jnp.asarray(value, jnp.int32) for value in Anneal()))
    found = []
    with reporter.task(name, max(marks)) as task:
        for epoch in range(max(marks)):
            states, _ = runner.steps(states, epoch, 0, steps, anneal)
            if epoch + 1 in marks:
                found.append(np.asarray(jax.device_get(runner.evaluate(states).loss)))
            task.advance(1)
    return np.stack(found, axis=1).astype(np.float64)


def finding(record: common.Record) -> str:
    """How far off the predictions are."""
    off = np.array([np.abs(np.asarray(row["ratio"]) - 1) for row in record["rows"]])
    last = record["rows"][-1]
    return (
        f"Predicted within {100 * off.max():.2g} % of the measured loss in all {off.size} places, "
        f"{100 * np.median(off):.2g} % in the median; {last['scaling']} inputs allow rates up to "
        f"{common.short(last['limit']['value'])}, where the spectrum alone says "
        f"{common.short(last['spectrum_limit'])}"
    )


def draw(record: common.Record) -> Figure:
    """A panel for each scaling: predicted curves, measured points."""
    names = list(dict.fromkeys(row["scaling"] for row in record["rows"]))
    figure = Figure(figsize=(3.9 * len(names) + 0.6, 4.4), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        rows = [row for row in record["rows"] if row["scaling"] == name]
        for row, colour in zip(rows, common.COLOURS, strict=False):
            epochs = np.arange(len(row["predicted"]))
            axes.plot(epochs, row["predicted"], color=colour, label=f"rate {row['rate']:.2g}")
            axes.plot(epochs, row["without_noise"], color=colour, linestyle=":", linewidth=1.2)
            axes.errorbar(row["epochs"], row["measured"], yerr=row["sem"], color=colour,
                          marker="o", linestyle="none", markersize=5)  # fmt: skip
        axes.set_yscale("log")
        axes.set_title(f"{name} inputs")
        axes.set_xlabel("epoch")
        axes.legend(fontsize=8.5)
    panels[0].set_ylabel("loss on the training set")
    common.titled(
        figure,
        "The loss of SGD is known before the first step",
        "Lines: predicted from the data's moments and the initialisation (dotted: without batch "
        f"noise). Points: measured, mean over {len(record['seeds'])} seeds with standard error.",
    )
    return figure


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
