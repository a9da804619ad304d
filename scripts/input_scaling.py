"""What dividing by 255, centring, standardizing and whitening the pixels do, and don't.

Claim: dividing by 255 hardly changes the condition number of the inputs and, with eps outside
the root, not RMSprop's course; only with eps inside the root, or with the targets left at
0..255, does it matter. Standardizing changes the condition number by seven orders.
Command: python scripts/input_scaling.py
Expected: kappa of the second moment of [x, 1]: raw 4.72e10, / 255 4.83e10, standardized 6.17e3,
whitened 1. Test loss after 5 epochs, 3 seeds: raw 223 (174 to 264), / 255 213 (176 to 238),
/ 255 with eps inside the root 387, / 255 of the inputs alone 2,900; with a linear output and
the rate decaying to 0: raw 49.4, centred 4.8, standardized 128. Another implementation gave, one
seed each, 207.5, 204.1, 365.3 and 49.4 for raw, / 255, eps inside, and linear and decaying.
The committed figure is a full run.
Runtime: 5 minutes on 2 cores.

kappa is taken in float64, lambda_max / lambda_min over eigenvalues above the threshold of
`jaxid.curvature.conditioning`. Losses are in the original units, whatever the network was
trained in. Where a map makes targets negative a ReLU output can't reach them: the loss of
f = max(y, 0), y the mapped target, is the least that is possible for maps feature by feature,
and marked. Whitening mixes features: there it is least in training units only, and not marked.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import common
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxid.core.progress import Reporter
from jaxid.curvature.conditioning import second_moment
from jaxid.data.scaling import Scaling, fit
from jaxid.data.sources import Dataset
from jaxid.identity.spec import IdentitySpec, ScalingName, build_problem, build_runner, load_data
from jaxid.nets.activations import ActivationName
from jaxid.optim.by_name import ScheduleName


@dataclass(frozen=True)
class Variant:
    """One way to feed the pixels.

    Attributes:
      label: for the figure.
      scaling: of inputs and targets.
      inputs: of the inputs alone, where it differs.
      eps_in_sqrt: RMSprop's eps under the root.
    """

    label: str
    scaling: ScalingName
    inputs: ScalingName | None = None
    eps_in_sqrt: bool = False


VARIANTS = (
    Variant("raw", "raw"),
    Variant("raw, eps inside the root", "raw", eps_in_sqrt=True),
    Variant("/ maximum", "unit"),
    Variant("/ maximum, eps inside", "unit", eps_in_sqrt=True),
    Variant("inputs alone / maximum", "raw", inputs="unit"),
    Variant("centered", "centered"),
    Variant("standardized", "standardized"),
    Variant("whitened", "whitened"),
)
HEADS: dict[str, tuple[str, ActivationName, ScheduleName]] = {
    "relu": ("ReLU output, constant rate (the question's)", "relu", "constant"),
    "linear": ("linear output, rate decaying to 0", "linear", "linear"),
}
QUICK = {"raw": ("relu",), "/ maximum": ("relu",), "standardized": ("linear",)}
"""Variants and heads of a quick run: each costs seconds to compile."""


@dataclass(frozen=True)
class Options(common.Options):
    """How much to train."""

    seeds: int | None = None
    """Seeds of each variant; 3, for quick runs 2."""
    epochs: int | None = None
    """Epochs; 5, for quick runs 4."""


def measure(options: Options, reporter: Reporter) -> common.Record:
    """kappa and the losses of every variant, and its loss against raw on paired seeds."""
    base = IdentitySpec(
        data="digits" if options.quick else "mnist",
        seeds=options.seeds if options.seeds is not None else 2 if options.quick else 3,
        epochs=options.epochs if options.epochs is not None else 4 if options.quick else 5,
        mnist_dir=options.mnist_dir,
    )
    dataset = load_data(base)
    variants = [v for v in VARIANTS if not options.quick or v.label in QUICK]
    kappas: dict[str, common.Record] = {}
    with reporter.task("condition numbers", len(variants)) as task:
        for variant in variants:
            name = variant.inputs or variant.scaling
            if name not in kappas:
                kappas[name] = conditioning(name, dataset.train)
            task.advance(1, name)
    heads = {v.label: tuple(QUICK[v.label] if options.quick else HEADS) for v in variants}
    rows = []
    with reporter.task("variants", sum(map(len, heads.values()))) as task:
        for variant in variants:
            row: common.Record = dataclasses.asdict(variant)
            row |= {"second_moment": kappas[variant.inputs or variant.scaling]}
            row |= {"relu_level": relu_level(variant.scaling, dataset)}
            for head in heads[variant.label]:
                task.advance(0, f"{variant.label}, {head}")
                row[head] = losses(base, variant, head, dataset)
                task.advance(1, variant.label)
            rows.append(row)
    for row in rows:
        for head in set(heads[row["label"]]) & set(heads[rows[0]["label"]]):
            pair = [r[head]["test_loss"]["per_seed"] for r in (row, rows[0])]
            row[head]["against_raw"] = common.paired_ratio(*pair)
    record = {
        "seeds": base.seed_list,
        "data": base.data,
        "epochs": base.epochs,
        "largest_value": int(dataset.train.max()),
        "variants": rows,
    }
    return record | {"finding": finding(record)}


def conditioning(name: str, train: np.ndarray) -> common.Record:
    """The second moment of [z, 1], z the mapped inputs in float64."""
    moment = second_moment(common.mapped64(name, train))
    return {
        "kappa": moment.kappa.value,
        "kappa_error": moment.kappa.error,
        "lambda_max": moment.lambda_max.value,
        "lambda_min_nonzero": moment.lambda_min_nonzero.value,
        "rank": moment.rank,
        "order": int(moment.eigenvalues.size),
        "threshold": moment.threshold,
    }


def relu_level(name: str, dataset: Dataset) -> common.Record:
    """Test loss in original units of f = max(y, 0), y the mapped targets."""
    if name in ("raw", "unit"):
        return {"test_loss": 0.0, "kind": "least possible: no target is negative"}
    level = float(_relu_level(fit(name, dataset.train), jnp.asarray(dataset.test)))
    where = " in training units only" if name == "whitened" else ""
    kind = f"loss of max(y, 0), least possible with outputs >= 0{where}"
    return {"test_loss": level, "kind": kind}


@jax.jit
def _relu_level(scaling: Scaling, x: jax.Array) -> jax.Array:
    y = scaling.apply(x)
    return jnp.mean(jnp.square(scaling.invert(jnp.maximum(y, 0)) - scaling.invert(y)))


def losses(base: IdentitySpec, variant: Variant, head: str, dataset: Dataset) -> common.Record:
    """Losses at the end in original units, by seed."""
    _, activation, schedule = HEADS[head]
    spec = dataclasses.replace(
        base,
        scaling=variant.scaling,
        input_scaling=variant.inputs,
        eps_in_sqrt=variant.eps_in_sqrt,
        output_activation=activation,
        schedule=schedule,
    )
    history = build_runner(spec, build_problem(spec, dataset)).train(
        spec.seed_list, test_curve=False
    )
    assert history.test_end is not None
    return {
        "test_loss": common.summarised(np.asarray(history.test_end.original_loss)),
        "train_loss": common.summarised(np.asarray(history.train_end.original_loss)),
    }


def finding(record: common.Record) -> str:
    """One sentence from the numbers of raw, / maximum and standardized."""
    rows = {row["label"]: row for row in record["variants"]}
    raw, unit, standard = rows["raw"], rows["/ maximum"], rows["standardized"]
    inside = rows.get("/ maximum, eps inside")

    def kappa(row: common.Record) -> str:
        return common.short(row["second_moment"]["kappa"])

    def ratio(row: common.Record) -> str:
        return common.short(row["relu"]["against_raw"]["ratio"])

    aside = "" if inside is None else f" ({ratio(inside)} with eps inside the root)"
    return (
        f"Dividing by {record['largest_value']} takes kappa from {kappa(raw)} to {kappa(unit)} "
        f"and multiplies RMSprop's loss by {ratio(unit)}{aside}; standardizing takes kappa to "
        f"{kappa(standard)}"
    )


def draw(record: common.Record) -> Figure:
    """Left kappa, right the losses with both heads; one line for each variant."""
    figure = Figure(figsize=(10.5, 1.9 + 0.5 * len(record["variants"])), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.5))
    rows = record["variants"]
    places = np.arange(len(rows))[::-1]
    for axes in (left, right):
        axes.set_xscale("log")
        axes.grid(axis="y", visible=False)
    kappas = [row["second_moment"]["kappa"] for row in rows]
    left.hlines(places, 1, kappas, color=common.COLOURS[5], lw=3)
    left.plot(kappas, places, "o", color=common.COLOURS[0], ms=7)
    for place, value in zip(places, kappas, strict=True):
        common.number(left, value, place, above=7)
    left.set_yticks(places, [row["label"] for row in rows])
    left.set_xlim(0.3, max(kappas) * 30)
    left.set_ylim(places[-1] - 0.55, places[0] + 0.55)
    left.set_title("kappa of the inputs' second moment, [x, 1]", pad=26)
    for index, (head, (label, _, _)) in enumerate(HEADS.items()):
        _losses(right, rows, places + (0.12 - 0.24 * index), head, label, index)
    floors = [
        (row["relu_level"]["test_loss"], place + 0.12)
        for row, place in zip(rows, places, strict=True)
        if row["relu_level"]["test_loss"] > 0 and row["scaling"] != "whitened"
    ]
    if floors:
        x, y = zip(*floors, strict=True)
        right.plot(x, y, "|", color="black", ms=13, mew=2, label="least with a ReLU output")
    right.set_title(f"test loss after {record['epochs']} epochs, original units", pad=26)
    common.plain_ticks(right)
    legend = right.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=3,
        fontsize=8.5,
        columnspacing=1.2,
        handletextpad=0.4,
        borderaxespad=0.2,
    )
    legend.set_in_layout(False)  # it may reach over the left panel, below both titles
    common.titled(
        figure,
        record["finding"],
        f"{record['data']}, one layer, RMSprop 1e-3, eps 1e-7, outside the root unless said; "
        f"{len(record['seeds'])} seeds (small dots), geometric mean (large). Where targets "
        "are mapped below 0 a ReLU output can't reach them; whitening mixes features, its least "
        "is not known.",
    )
    return figure


def _losses(
    axes: Axes, rows: list[common.Record], places: np.ndarray, head: str, label: str, index: int
) -> None:
    colour, marker = common.COLOURS[index], "os"[index]
    first = next((row for row in rows if head in row), None)
    for row, place in zip(rows, places, strict=True):
        if head not in row:
            continue
        values = [v for v in row[head]["test_loss"]["per_seed"] if v is not None and v > 0]
        axes.plot(values, np.full(len(values), place), marker, color=colour, ms=3.5, alpha=0.5)
        if values:
            mean = np.exp(np.mean(np.log(values)))
            axes.plot(
                mean, place, marker, color=colour, ms=7, label=label if row is first else None
            )
            common.number(axes, mean, place, above=-14 if index else 6, color=colour)


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
