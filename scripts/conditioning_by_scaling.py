"""The Hessian of one linear layer under five scalings, and the descent that it predicts.

Claim: dividing by 255 leaves a linear layer's conditioning as it is; centring takes off one
large eigenvalue; standardizing and whitening change the shape of the spectrum. How long
gradient descent takes follows from the spectrum and from where the loss sits in it, not from
the condition number alone, and the run does what the spectrum says.
Command: python scripts/conditioning_by_scaling.py
Expected: kappa raw 4.72e10, / 255 4.83e10, centered 6.34e9, standardized 6,167, whitened 1;
of the modes that hold 99 % of the first loss 4,660, 4,780, 882, 594 and 1. Steps to 0.1 % of
the first loss: 14,185, 14,529, 2,764, 1,158 and 1. All 64 losses of each run
within 1.5e-7 of the formula.
Runtime: 21 minutes on 2 cores beside other jobs.

The layer is linear with a bias, the target its own input in the scaled units, the loss the
mean squared error. Its Hessian does not depend on the parameters: (2/m) E[x~ x~^T] for each
output, all eigenvalues in float64. Full-batch gradient descent of rate eta = 1 / lambda_max
from glorot_uniform leaves after t steps

  L(t) = sum_i lambda_i c_i^2 (1 - eta lambda_i)^(2 t) / 2,

c_i what separates the start from the solution along mode i. The line is that formula, the
dots are losses of the run, in float32.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import common
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxid.core.progress import Reporter
from jaxid.curvature.conditioning import effective_kappa
from jaxid.curvature.last_layer.spectrum import HeadSpectrum, head_spectrum
from jaxid.data.sources import Dataset
from jaxid.identity.spec import IdentitySpec, ScalingName, build_problem, load_data
from jaxid.nets.mlp import layer_params
from jaxid.problem.problem import Problem
from jaxid.training.loop import Anneal
from jaxid.training.run import Runner

SCALINGS: tuple[ScalingName, ...] = ("raw", "unit", "centered", "standardized", "whitened")
LABELS = {"unit": "/ maximum"}
HORIZON = np.unique(np.round(np.logspace(0, 13, 261)).astype(np.int64))
"""Steps at which the formula is drawn."""
LEFT = (0.1, 0.01, 1e-3, 1e-6)
"""Shares of the first loss whose steps are listed."""
FLOOR = 1e-9
"""Share of the first loss below which the run's float32 is not compared with the formula."""
QUICK: tuple[ScalingName, ...] = ("raw", "unit", "standardized")
"""Each costs seconds to compile."""


@dataclass(frozen=True)
class Options(common.Options):
    """How far to run."""

    steps: int | None = None
    """Steps of gradient descent; 64, for quick runs 16."""
    seed: int = 0
    """Seed of the initialisation."""


def measure(options: Options, reporter: Reporter) -> common.Record:
    """Spectrum, prediction and run of every scaling."""
    steps = options.steps if options.steps is not None else 16 if options.quick else 64
    base = IdentitySpec(
        data="digits" if options.quick else "mnist",
        output_activation="linear",
        optimizer="sgd",
        seeds=1,
        first_seed=options.seed,
        mnist_dir=options.mnist_dir,
    )
    dataset = load_data(base)
    rows, scalings = [], QUICK if options.quick else SCALINGS
    with reporter.task("scalings", len(scalings) * (steps + 1)) as task:
        for name in scalings:
            task.advance(0, f"{name}: spectrum")
            spec = dataclasses.replace(
                base, scaling=name, batch_size=len(dataset.train), epochs=steps
            )
            rows.append(_one(name, spec, dataset, steps, partial(task.advance, 1, name)))
    record = {
        "seeds": [options.seed],
        "data": base.data,
        "examples": len(dataset.train),
        "steps": steps,
        "scalings": rows,
    }
    return record | {"finding": finding(rows)}


def _one(
    name: ScalingName, spec: IdentitySpec, dataset: Dataset, steps: int, tick: Callable[[], None]
) -> common.Record:
    start = Runner(build_problem(spec, dataset)).init(spec.seed_list)
    ((kernels, biases),) = layer_params(start.params, 1)
    assert biases is not None
    kernel, bias = np.asarray(kernels[0], np.float64), np.asarray(biases[0], np.float64)
    x = common.mapped64(name, dataset.train)
    found = head_spectrum(
        x, x, kernel, bias, "linear", solved=(np.eye(len(bias)), np.zeros(len(bias)))
    )
    tick()
    rate = 1.0 / float(found.eigenvalues.max())
    spec = dataclasses.replace(spec, learning_rate=rate)
    losses = descend(build_problem(spec, dataset), spec.first_seed, steps, tick)
    return _row(name, found, rate, losses)


def descend(problem: Problem, seed: int, steps: int, tick: Callable[[], None]) -> list[float]:
    """The losses before each of the full-batch steps."""
    runner = Runner(problem)
    states, losses = runner.init([seed]), []
    for step in range(steps):
        states, part = runner.steps(states, step, 0, 1, Anneal())
        losses.append(float(np.asarray(part.train)[0, 0]))
        tick()
    return losses


def _row(name: str, found: HeadSpectrum, rate: float, losses: list[float]) -> common.Record:
    assert found.coordinates is not None
    # Of a linear layer all outputs share one spectrum.
    values, edge = found.eigenvalues[0], float(found.thresholds[0])
    excess = 0.5 * values * np.sum(found.coordinates**2, axis=0)
    steps = np.arange(len(losses))
    predicted = left(values, excess, rate, steps)
    compared = predicted > FLOOR * predicted[0]
    ratio = np.array(losses)[compared] / predicted[compared]
    curve = left(values, excess, rate, HORIZON) / predicted[0]
    effective = effective_kappa(
        values, np.sqrt(np.sum(found.coordinates**2, axis=0)), thresholds=edge
    )
    return {
        "scaling": name,
        "kappa": found.kappa._asdict(),
        "effective_kappa": effective._asdict(),
        "lambda_max": float(values[-1]),
        "null_dim": int(found.null_dims[0]),
        "threshold": edge,
        "eigenvalues": values[::-1],
        "share_of_loss": excess[::-1] / excess.sum(),
        "learning_rate": rate,
        "loss": losses,
        "predicted": predicted,
        "loss_over_predicted": {
            "least": ratio.min(),
            "largest": ratio.max(),
            "losses": int(compared.sum()),
        },
        "curve": curve,
        "steps_to": [steps_to(values, excess, rate, share) for share in LEFT],
    }


def left(values: np.ndarray, excess: np.ndarray, rate: float, steps: np.ndarray) -> np.ndarray:
    """L(t), summed in float64; (1 - a)^(2 t) as exp(2 t log1p(-a)), since t is large."""
    shrink = np.minimum(rate * np.maximum(values, 0.0), 1 - 1e-16)
    return np.sum(excess * np.exp(2.0 * np.asarray(steps)[:, None] * np.log1p(-shrink)), axis=1)


def steps_to(values: np.ndarray, excess: np.ndarray, rate: float, share: float) -> int | None:
    """The first step with at most that share of the first loss, by bisection; None if that
    is beyond the horizon."""

    def above(step: int) -> bool:
        return bool(left(values, excess, rate, np.array([step]))[0] > share * excess.sum())

    low, high = 0, int(HORIZON[-1])
    if above(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if above(middle) else (low, middle)
    return high


def finding(rows: list[common.Record]) -> str:
    """Steps to 0.1 % of the first loss, raw beside the others."""
    at = LEFT.index(1e-3)
    parts = [
        f"{LABELS.get(row['scaling'], row['scaling'])} {_count(row['steps_to'][at])}"
        for row in rows
    ]
    return f"Steps of gradient descent to 0.1 % of the first loss: {', '.join(parts)}"


def _count(steps: int | None) -> str:
    return f"over {HORIZON[-1]:.0e}" if steps is None else f"{steps:,}"


def draw(record: common.Record) -> Figure:
    """Left the spectra, right the loss, predicted and run."""
    figure = Figure(figsize=(10.5, 5.0), layout="constrained")
    left_axes, right = figure.subplots(1, 2)
    for colour, row in zip(common.COLOURS, record["scalings"], strict=False):
        label = LABELS.get(row["scaling"], row["scaling"])
        _spectrum(left_axes, row, colour, label)
        # Whatever lies on another line is drawn broken, so that both show.
        style = "--" if row["scaling"] == "unit" else "-"
        right.plot(HORIZON, row["curve"], style, color=colour, label=label)
        run = np.array(row["loss"]) / row["predicted"][0]
        steps = np.arange(run.size)
        shown = np.unique(np.round(np.geomspace(1, run.size - 1, 12)).astype(int))
        right.plot(steps[shown], run[shown], "o", color=colour, ms=3.5)
    left_axes.set_yscale("log")
    left_axes.set_xlabel("eigenvalue, from the largest")
    left_axes.set_title("Hessian's eigenvalues over the largest, for one output")
    left_axes.legend(fontsize=9, loc="lower left")
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_ylim(1e-8, 1.5)
    right.set_xlim(0.8, 2 * max(_last(row["curve"]) for row in record["scalings"]))
    right.set_xlabel("steps of full-batch gradient descent, rate 1 / lambda_max")
    right.set_title("loss over the first loss: predicted (lines), run (dots)")
    common.titled(
        figure,
        record["finding"],
        f"{record['data']}, one linear layer with bias, {record['examples']:,} examples, targets "
        "scaled as the inputs are. Lower ends of the left lines are the smallest eigenvalues above "
        "the threshold; the others are 0 and hold no loss.",
    )
    return figure


def _last(curve: list[float]) -> int:
    """The first step at which a curve leaves the figure."""
    return int(HORIZON[min(int(np.sum(np.array(curve) > 1e-8)), HORIZON.size - 1)])


def _spectrum(axes: Axes, row: common.Record, colour: str, label: str) -> None:
    values = np.array(row["eigenvalues"])
    above = values[values > row["threshold"]] / row["lambda_max"]
    style = "--" if row["scaling"] == "unit" else "-"
    kappa = common.short(row["kappa"]["value"])
    effective = common.short(row["effective_kappa"]["value"])
    axes.plot(
        np.arange(1, above.size + 1),
        above,
        style,
        color=colour,
        label=f"{label}: kappa {kappa}, of 99 % of the loss {effective}",
    )


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
