"""The death clock: how many outputs stop firing, and when, by learning rate and initialiser.

Claim: no output of the question's network is dead at the start; at rate 1e-3 between two and
three hundred of the 717 outputs whose pixel varies die within the first epoch, and the share
of the loss that lies in them grows from then on. The rate decides how many and when.
Command: python scripts/dead_units.py
Expected: at 1e-3 and glorot_uniform about 1, 5, 78 and 234 dead after 50, 100, 200 and 400
steps (5 seeds; standard errors 0.4, 0.5, 3, 5), as in Keras 3.15 (two seeds: 0 and 0, 3 and 2,
82 and 69, 236 and 227). Counted over ten thousand images instead of all sixty thousand that
Keras run gave 5, 37, 223 and 304. After three epochs 306 are dead and hold 59 % of the loss; at
3e-3 the first step alone stops 26.
The committed figure is a full run.
Runtime: 6 minutes on 2 cores.

Dead: the pre-activation is <= 0 on every training example, so a ReLU output passes no
gradient and, in a network of one layer, never fires again. Outputs of pixels that never vary
are left out: there 0 is the right answer. Counts are full passes at log-spaced steps of the
first epoch and after each epoch; values between them are interpolated in the logarithm of
the step.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import common
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxid.core.progress import Reporter
from jaxid.core.statistics import sem
from jaxid.curvature.last_layer.nullspace import constant_features
from jaxid.data.sources import Dataset
from jaxid.identity.spec import IdentitySpec, build_problem, build_runner, load_data
from jaxid.training.run import Census

DEFAULT: dict[str, Any] = {"learning_rate": 1e-3, "initializer": "glorot_uniform"}
RATES = (1e-4, 3e-4, 1e-3, 3e-3)
INITIALIZERS = ("glorot_uniform", "he_uniform", "orthogonal")
QUICK: tuple[dict[str, Any], ...] = (DEFAULT, DEFAULT | {"learning_rate": 1e-2})
CLOCK = (50, 100, 200, 400)
"""Steps at which counts from other implementations are known."""


@dataclass(frozen=True)
class Options(common.Options):
    """How much to train."""

    seeds: int | None = None
    """Seeds of each setting; 5, for quick runs 2."""
    epochs: int | None = None
    """Epochs; 3."""


def settings(quick: bool) -> list[dict[str, Any]]:
    """The default first, then each rate and each initialiser changed alone."""
    if quick:
        return list(QUICK)
    changed = [DEFAULT | {"learning_rate": rate} for rate in RATES]
    changed += [DEFAULT | {"initializer": name} for name in INITIALIZERS]
    return [DEFAULT, *(setting for setting in changed if setting != DEFAULT)]


def measure(options: Options, reporter: Reporter) -> common.Record:
    """Train every setting with the census on."""
    base = IdentitySpec(
        data="digits" if options.quick else "mnist",
        seeds=options.seeds if options.seeds is not None else 2 if options.quick else 5,
        epochs=options.epochs if options.epochs is not None else 3,
        mnist_dir=options.mnist_dir,
    )
    dataset = load_data(base)
    varying = ~constant_features(dataset.train)
    runs = [
        train(dataclasses.replace(base, **setting), dataset, varying, reporter) | setting
        for setting in settings(options.quick)
    ]
    record = {
        "seeds": base.seed_list,
        "data": base.data,
        "epochs": base.epochs,
        "outputs": int(varying.size),
        "outputs_varying": int(varying.sum()),
        "runs": runs,
    }
    return record | {"finding": finding(record)}


def train(
    spec: IdentitySpec, dataset: Dataset, varying: np.ndarray, reporter: Reporter
) -> common.Record:
    """Dead varying outputs and the share of the loss in them, by seed and census."""
    history = build_runner(spec, build_problem(spec, dataset)).train(
        spec.seed_list,
        census=True,
        test_curve=False,
        name=f"rate {spec.learning_rate:g}, {spec.initializer}",
        reporter=reporter,
    )
    census = history.census
    assert census is not None
    dead = census.dead[-1] & varying[None, None, :]
    counts = dead.sum(axis=-1)
    held = np.where(dead, census.output_loss, 0.0).mean(axis=-1)
    share = np.divide(held, census.loss, out=np.zeros_like(held), where=census.loss > 0)
    return {
        "step": census.step,
        "epoch": census.epoch,
        "dead": {"per_seed": counts, **moments(counts)},
        "share_of_loss": {"per_seed": share, **moments(share)},
        "loss": {"per_seed": census.loss, **moments(census.loss)},
        "dead_at": clock(census, counts),
        "first_bad": history.first_bad,
    }


def moments(values: np.ndarray) -> common.Record:
    """Mean and standard error over seeds (the first axis)."""
    return {
        "mean": values.mean(axis=0),
        "sem": [sem(column) for column in np.asarray(values, float).T],
    }


def clock(census: Census, counts: np.ndarray) -> list[common.Record]:
    """Counts at the steps of `CLOCK` that the run reached."""
    rows = []
    for step in CLOCK:
        if step <= census.step[-1]:
            at = [float(np.interp(np.log1p(step), np.log1p(census.step), seed)) for seed in counts]
            rows.append({"step": step, "mean": np.mean(at), "sem": sem(at), "per_seed": at})
    return rows


def finding(record: common.Record) -> str:
    """One sentence about the default setting after one epoch and at the end."""
    run = record["runs"][0]
    after = int(np.argmin(np.abs(np.asarray(run["epoch"]) - 1.0)))
    dead, share = run["dead"]["mean"], run["share_of_loss"]["mean"]
    return (
        f"At rate {run['learning_rate']:g}, {dead[0]:.0f} of {record['outputs_varying']} varying "
        f"outputs are dead at the start, {dead[after]:.0f} after one epoch, {dead[-1]:.0f} after "
        f"{record['epochs']}; then they hold {100 * share[-1]:.0f} % of the loss"
    )


def draw(record: common.Record) -> Figure:
    """Counts above, shares of the loss below; by rate on the left, by initialiser right."""
    runs = record["runs"]
    rates = [r for r in runs if r["initializer"] == DEFAULT["initializer"]]
    rates.sort(key=lambda r: r["learning_rate"])
    starts = [r for r in runs if r["learning_rate"] == DEFAULT["learning_rate"]]
    figure = Figure(figsize=(10.5, 6.4), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True, sharey="row")
    columns = (
        ("by learning rate (glorot_uniform)", [(f"{r['learning_rate']:g}", r) for r in rates]),
        (
            f"by initialiser (rate {DEFAULT['learning_rate']:g})",
            [(r["initializer"], r) for r in starts],
        ),
    )
    for column, (title, named) in enumerate(columns):
        top, bottom = grid[0, column], grid[1, column]
        for index, (label, run) in enumerate(named):
            colour = common.COLOURS[index % len(common.COLOURS)]
            _band(top, run, "dead", label, colour, "-o^sD"[index % 5])
            _band(bottom, run, "share_of_loss", label, colour, "-o^sD"[index % 5])
        for axes in (top, bottom):
            axes.set_xscale("symlog", linthresh=1)
            axes.axvline(_steps_per_epoch(runs[0]), color="#999999", lw=0.8, ls="--")
        top.set_title(title)
        top.legend(loc="upper left", fontsize=8.5)
        bottom.set_xlabel("step (dashed: end of the first epoch)")
        bottom.set_xlim(left=0)
    grid[0, 0].set_ylabel(f"dead of {record['outputs_varying']} varying outputs")
    grid[1, 0].set_ylabel("share of the loss in them")
    grid[1, 0].set_ylim(0, 1)
    grid[0, 0].set_ylim(bottom=0)
    common.titled(
        figure,
        record["finding"],
        f"{record['data']}, one ReLU layer, RMSprop, {len(record['seeds'])} seeds: mean, band from "
        "least to greatest. Dead: pre-activation <= 0 on all training examples.",
    )
    return figure


def _band(axes: Axes, run: common.Record, key: str, label: str, colour: str, marker: str) -> None:
    values = np.asarray(run[key]["per_seed"], float)
    axes.fill_between(
        run["step"], values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, lw=0
    )
    axes.plot(
        run["step"],
        run[key]["mean"],
        color=colour,
        label=label,
        ms=3.5,
        marker=None if marker == "-" else marker,
    )


def _steps_per_epoch(run: common.Record) -> float:
    return float(run["step"][-1]) / float(run["epoch"][-1])


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
