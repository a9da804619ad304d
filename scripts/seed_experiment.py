"""Do the question's losses lie where this network's losses lie?

Claim: the losses that the question reports after 20 epochs, one run for each depth, lie
inside the range in which 95 % of such runs fall, so jaxid trains the network that the
question trained.
Command: python scripts/seed_experiment.py
  or, from finished runs: python scripts/seed_experiment.py --from DIR1 DIR4, with the folders
  of `jaxid explain --data mnist --depth 1` (and 4) at their defaults but for seeds and trials.
Expected: the question's 180.6 (train), 168.0 (validation), 1.93e8 % (MAPE) for one layer and
  456.8, 523.7, 5.05e8 % for four; ten one-layer runs scatter between 164 and 244 (train), ten
  four-layer runs between 446 and 517.
The committed figure: --from two finished runs, one and four layers with 10 seeds each.
Runtime: on 2 cores about 20 minutes, estimated from 4.5 s for a seed and epoch of four layers;
  seconds with --from.

Train loss is Keras' running mean over the last epoch's batches, the others are the test set
at the end. The range is for one more run: mean +- t(0.975, n-1) s sqrt(1 + 1/n). The question's
figures are one run per depth, so a figure inside says "not contradicted", no more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import common
import numpy as np
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxid.core.errors import InputError
from jaxid.core.progress import Reporter
from jaxid.identity.spec import IdentitySpec, build_problem, build_runner, load_data

DEPTHS = (1, 4)
METRICS = {
    "train_loss": "train loss, last epoch",
    "test_loss": "validation loss",
    "test_mape": "validation MAPE (%)",
}
QUESTION = {
    1: {"train_loss": 180.6187, "test_loss": 167.9543, "test_mape": 192590420.0},
    4: {"train_loss": 456.7581, "test_loss": 523.7151, "test_mape": 504905989.0},
}
"""The question's own figures: Keras 2.2, MNIST, one run for each number of layers."""
FREE = {"seeds", "first_seed", "depth", "mnist_dir", "layout", "precision"}
"""Fields of the spec in which a finished run may differ from the question's defaults."""
UNUSED = {"features", "examples", "kappa", "mean", "degrees_of_freedom"}
"""Fields that only made data have."""


@dataclass(frozen=True)
class Options(common.Options):
    """What to train, or where it was trained already."""

    from_: Annotated[tuple[Path, ...], tyro.conf.arg(name="from")] = ()
    """Folders of finished `jaxid explain` runs, one for each depth, instead of training."""
    seeds: int | None = None
    """Seeds for each depth; 10, for quick runs 2."""
    epochs: int | None = None
    """Epochs; the question's 20, for quick runs 3."""


def measure(options: Options, reporter: Reporter) -> common.Record:
    """The distribution over seeds at both depths, and which question figures lie in it."""
    if options.from_:
        runs = [read_diagnosis(folder) for folder in options.from_]
    else:
        runs = [train(options, depth, reporter) for depth in DEPTHS]
    runs.sort(key=lambda run: run["depth"])
    depths = [run["depth"] for run in runs]
    if len(set(depths)) < len(depths):
        raise InputError(f"--from names depth {depths} more than once; give one folder each")
    for run in runs:
        compare(run)
    return {
        "seeds": sorted({seed for run in runs for seed in run["seeds"]}),
        "question": {"source": "the question, Keras 2.2, one run each", "figures": QUESTION},
        "runs": runs,
        "finding": finding(runs),
    }


def train(options: Options, depth: int, reporter: Reporter) -> common.Record:
    """Train the question's network at that depth for all seeds."""
    spec = IdentitySpec(
        data="digits" if options.quick else "mnist",
        depth=depth,
        seeds=options.seeds if options.seeds is not None else 2 if options.quick else 10,
        epochs=options.epochs if options.epochs is not None else 3 if options.quick else None,
        mnist_dir=options.mnist_dir,
    )
    dataset = load_data(spec)
    spec = spec.resolved(dataset)
    history = build_runner(spec, build_problem(spec, dataset)).train(
        spec.seed_list, test_curve=False, name=f"depth {depth}", reporter=reporter
    )
    assert history.test_end is not None
    return {
        "depth": depth,
        "data": spec.data,
        "epochs": spec.epochs,
        "seeds": spec.seed_list,
        "source": "trained by this script",
        "train_loss": common.summarised(history.train[:, -1]),
        "test_loss": common.summarised(np.asarray(history.test_end.loss)),
        "test_mape": common.summarised(np.asarray(history.test_end.mape)),
    }


def read_diagnosis(folder: Path) -> common.Record:
    """The same from a folder that `jaxid explain` wrote.

    Raises:
      InputError: if there is no diagnosis, or not of the question's network.
    """
    path = folder / "diagnosis.json"
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except OSError as failed:
        raise InputError(
            f"{path} can't be read ({failed.strerror}); name a folder that `jaxid explain` wrote"
        ) from None
    spec = record["problem"]
    asked = IdentitySpec(data="mnist", width=784, batch_size=128, epochs=20).as_json()
    differs = [
        f"{name} is {spec[name]}, not {value}"
        for name, value in asked.items()
        if name not in FREE | UNUSED and spec[name] != value
    ]
    if differs:
        raise InputError(f"{path} is not the question's run: {'; '.join(differs)}")
    final = record["final"]
    return {
        "depth": spec["depth"],
        "data": spec["data"],
        "epochs": spec["epochs"],
        "seeds": record["provenance"]["seeds"],
        "source": f"diagnosis {folder.name}",
        "source_provenance": record["provenance"],
        **{
            metric: common.summarised(
                np.array([np.nan if v is None else v for v in final[metric]["per_seed"]], float)
            )
            for metric in METRICS
        },
    }


def compare(run: common.Record) -> None:
    """Add which of the question's figures lie inside; None where that can't be said."""
    figures = QUESTION.get(run["depth"], {})
    asked = bool(figures) and run["data"] == "mnist" and run["epochs"] == 20
    inside: dict[str, bool | None] = {}
    for metric in METRICS:
        interval = run[metric]["interval95"]
        known = asked and interval is not None
        inside[metric] = interval[0] <= figures[metric] <= interval[1] if known else None
    run["inside95"] = inside
    if not asked:
        run["inside95_reason"] = "the question's figures are for MNIST, 20 epochs, depth 1 or 4"
    elif len(run["seeds"]) < 2:
        run["inside95_reason"] = "one seed has no range"


def finding(runs: list[common.Record]) -> str:
    """One sentence: how many of the question's figures lie inside."""
    judged = [
        (run["depth"], metric, value)
        for run in runs
        for metric, value in run["inside95"].items()
        if value is not None
    ]
    if not judged:
        losses = ", ".join(
            f"{common.short(run['test_loss']['mean'])} with {_layers(run['depth'])}" for run in runs
        )
        return f"{runs[0]['data']}: test loss {losses}; nothing of the question's to compare with"
    outside = [f"{METRICS[m]} with {_layers(depth)}" for depth, m, inside in judged if not inside]
    seeds = " and ".join(str(len(run["seeds"])) for run in runs)
    if not outside:
        return (
            f"All {len(judged)} of the question's figures lie where 95 % of runs do ({seeds} seeds)"
        )
    return (
        f"{len(judged) - len(outside)} of the question's {len(judged)} figures lie where 95 % of "
        f"runs do ({seeds} seeds); outside: {', '.join(outside)}"
    )


def draw(record: common.Record) -> Figure:
    """Seeds as dots, their 95 % range as a bar, the question's figure as a diamond."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(METRICS)), METRICS, strict=True):
        for place, run in enumerate(record["runs"]):
            _strip(axes, place, run, metric, label=place == 0)
            figures = record["question"]["figures"].get(str(run["depth"]))
            if figures is not None and run["data"] == "mnist":
                label = "the question" if place == 0 else None
                axes.plot(
                    place + 0.22,
                    figures[metric],
                    "D",
                    color=common.COLOURS[1],
                    ms=8,
                    label=label,
                    zorder=4,
                )
        axes.set_xticks(
            range(len(record["runs"])), [_layers(run["depth"]) for run in record["runs"]]
        )
        axes.set_xlim(-0.5, len(record["runs"]) - 0.5)
        axes.set_ylim(bottom=0)
        axes.set_title(METRICS[metric])
        axes.grid(axis="x", visible=False)
    figure.axes[0].legend(loc="upper left", fontsize=9)
    epochs = sorted({run["epochs"] for run in record["runs"]})
    common.titled(
        figure,
        record["finding"],
        f"{record['runs'][0]['data']}, RMSprop 1e-3, {'/'.join(map(str, epochs))} epochs. "
        "Bar: where one more run falls with 95 %, mean +- t s sqrt(1 + 1/n); line: mean. Losses "
        "are means over pixels of the squared error, 0..255 scale on MNIST. MAPE divides by at "
        "least 1e-7, so blank pixels rule it.",
    )
    return figure


def _strip(axes: Axes, place: int, run: common.Record, metric: str, label: bool) -> None:
    values = [v for v in run[metric]["per_seed"] if v is not None]
    spread = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(1)
    blue = common.COLOURS[0]
    axes.plot(
        place + spread[: len(values)],
        values,
        "o",
        color=blue,
        alpha=0.6,
        ms=5,
        label="one seed each" if label else None,
        zorder=3,
    )
    if run[metric]["interval95"] is not None:
        low, high = run[metric]["interval95"]
        axes.bar(
            place,
            high - low,
            0.34,
            bottom=low,
            color=common.COLOURS[5],
            alpha=0.35,
            label="95 % of runs" if label else None,
        )
    if run[metric]["mean"] is not None:
        axes.plot([place - 0.17, place + 0.17], [run[metric]["mean"]] * 2, color=blue)


def _layers(depth: int) -> str:
    return "1 layer" if depth == 1 else f"{depth} layers"


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
