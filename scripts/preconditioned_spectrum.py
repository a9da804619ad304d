"""What each optimizer sees of one Hessian: four scalings of the pixels, three optimizers.

Claim: an adaptive optimizer divides by sqrt(v), one number for each weight. Of raw pixels that
takes orders off the condition number and nothing off that of the modes which hold the loss:
under Adam it stays, under RMSprop it grows, since a pixel that the last ten batches left dark
has hardly any v and a rate that only eps bounds. Those rates make the largest modes, and with
eps 1e-7 they tell pixels / 255 from raw ones; with 1e-12 the two spectra lie on each other but
for the last few modes. Standardizing and whitening help every optimizer, and of whitened
pixels gradient descent sees the best spectrum, since there P can only spoil it.
Command: python scripts/preconditioned_spectrum.py
Expected: median kappa, effective kappa over the outputs: raw, gradient descent 4.72e10, 6,210;
RMSprop 1.51e7, 75,800; Adam 2.06e7, 6,750. / 255, RMSprop 9.56e7, 4,100, with eps 1e-12 7.28e5,
96,800. Standardized 6,170, 601; 6.5e5, 19,800; 1.04e5, 3,940. Whitened 1, 1; 1,270, 366; 80, 34.
RMSprop's largest rate times curvature on raw pixels is 40 (24 to 63), beyond its limit of 2.
Runtime: 7 minutes on 2 cores beside other jobs.

One linear layer with a bias, its own input as the target in the scaled units. Each output
has the Hessian block H = (2/m) E[x~ x~^T], the same for all. After one epoch the rates R
that the optimizer takes are read off its own update (`jaxid.optim.rates`), which gives another
R^(1/2) H R^(1/2) for each output: all its eigenvalues in float64. A step shrinks the mode of
eigenvalue mu by 1 - mu; the optimizer's limit is measured from its update too. The effective
condition number is about the modes that hold 99 % of the first loss, counted from the
initialisation, the same start for all optimizers.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import common
import numpy as np
from matplotlib.figure import Figure

from jaxid.core.progress import Reporter
from jaxid.curvature.conditioning import effective_kappa
from jaxid.data.sources import Dataset
from jaxid.identity.spec import IdentitySpec, ScalingName, build_problem, load_data
from jaxid.linalg.eigen import eigen
from jaxid.linalg.gram import reduced_gram
from jaxid.linalg.parallel import over_cores
from jaxid.linalg.rows import prepare_rows
from jaxid.nets.mlp import layer_params
from jaxid.optim.by_name import OptimizerName
from jaxid.optim.rates import effective_rates
from jaxid.optim.stability_limit import stability_limit
from jaxid.training.loop import one_seed
from jaxid.training.run import Runner

SCALINGS: tuple[ScalingName, ...] = ("raw", "unit", "standardized", "whitened")
LABELS = {"unit": "/ maximum", "sgd": "gradient descent", "rmsprop": "RMSprop", "adam": "Adam"}
OPTIMIZERS: tuple[OptimizerName, ...] = ("sgd", "rmsprop", "adam")
SMALL_EPS = 1e-12
"""Far below every sqrt(v) that raw pixels leave: RMSprop once more, for pixels / maximum."""
QUICK: tuple[ScalingName, ...] = ("raw", "standardized")
QUANTILES = (0.1, 0.5, 0.9)
"""Over the outputs."""


@dataclass(frozen=True)
class Options(common.Options):
    """How many outputs to take apart."""

    outputs: int | None = None
    """Outputs whose blocks are decomposed, evenly spaced; 196, for quick runs 8."""
    epochs: int = 1
    """Epochs before the rates are read."""
    seed: int = 0
    """Seed of the initialisation and of the batches."""


def measure(options: Options, reporter: Reporter) -> common.Record:
    """Every scaling with every optimizer."""
    base = IdentitySpec(
        data="digits" if options.quick else "mnist",
        output_activation="linear",
        seeds=1,
        first_seed=options.seed,
        epochs=options.epochs,
        mnist_dir=options.mnist_dir,
    )
    dataset = load_data(base)
    m = dataset.train.shape[1]
    wanted = options.outputs if options.outputs is not None else 8 if options.quick else 196
    outputs = np.unique(np.linspace(0, m - 1, min(wanted, m)).round().astype(int))
    scalings = QUICK if options.quick else SCALINGS
    optimizers = OPTIMIZERS[:2] if options.quick else OPTIMIZERS
    rows = []
    with reporter.task("spectra", len(scalings) * len(optimizers) + ("unit" in scalings)) as task:
        for scaling in scalings:
            x = common.mapped64(scaling, dataset.train)
            rows_of = prepare_rows(x, ones=True)
            gram = reduced_gram(rows_of)
            hessian = (2.0 / (m * len(x))) * rows_of.expand(gram.matrix)
            error = 2.0 / (m * len(x)) * gram.error
            for optimizer in optimizers:
                task.advance(0, f"{scaling}, {LABELS[optimizer]}")
                spec = dataclasses.replace(base, scaling=scaling, optimizer=optimizer)
                rows.append(_cell(spec, dataset, hessian, error, outputs))
                task.advance(1, f"{scaling}, {LABELS[optimizer]}")
            if scaling == "unit":
                spec = dataclasses.replace(base, scaling=scaling, eps=SMALL_EPS)
                rows.append(_cell(spec, dataset, hessian, error, outputs))
                task.advance(1, f"{scaling}, eps {SMALL_EPS:g}")
    record = {
        "seeds": [options.seed],
        "data": base.data,
        "epochs": options.epochs,
        "outputs": outputs,
        "of": m,
        "cells": rows,
    }
    return record | {"finding": finding(rows)}


def _cell(
    spec: IdentitySpec, dataset: Dataset, hessian: np.ndarray, error: float, outputs: np.ndarray
) -> common.Record:
    """One scaling with one optimizer."""
    if spec.optimizer == "sgd":
        largest = float(eigen(hessian).values[-1])
        spec = dataclasses.replace(spec, learning_rate=1.0 / largest)
    problem = build_problem(spec, dataset)
    runner = Runner(problem)
    start = runner.init(spec.seed_list)
    first = _stacked(one_seed(start, 0).params)
    solution = np.concatenate([np.eye(first.shape[1]), np.zeros((1, first.shape[1]))])
    history = runner.train(spec.seed_list, test_curve=False)
    state = one_seed(history.state, 0)
    rates = effective_rates(problem.optimizer, state.opt_state, state.params)
    assert rates.elementwise, "rmsprop, adam and sgd are diagonal"
    limit = stability_limit(problem.optimizer, state.opt_state, state.params)
    taken = _stacked(rates.tree)

    def seen(output: int) -> common.Record:
        root = np.sqrt(taken[:, output])
        matrix = root[:, None] * hessian * root[None, :]
        found = eigen(
            matrix,
            error=error * float(taken[:, output].max()),
            vectors=(first - solution)[:, output] / root,
        )
        above = found.values[found.values > found.threshold]
        assert found.coordinates is not None
        effective = effective_kappa(found.values, found.coordinates, thresholds=found.threshold)
        return {
            "largest": float(found.values[-1]),
            "kappa": float(found.values[-1] / above[0]),
            "effective_kappa": effective.value,
            "null_dim": found.null,
            "values": found.values[::-1],
            "threshold": found.threshold,
        }

    each = over_cores(seen, outputs.tolist())
    values = np.stack([one.pop("values") for one in each])
    return {
        "scaling": spec.scaling,
        "optimizer": spec.optimizer,
        "eps": spec.eps,
        "learning_rate": spec.learning_rate,
        "limit": limit._asdict(),
        "threshold": max(one["threshold"] for one in each),
        "eigenvalues": np.median(values, axis=0),
        **{
            name: dict(zip(QUANTILES, np.quantile([o[name] for o in each], QUANTILES), strict=True))
            for name in ("largest", "kappa", "effective_kappa", "null_dim")
        },
    }


def _stacked(params: common.Record) -> np.ndarray:
    """(q, m) float64: kernel, then bias."""
    ((kernel, bias),) = layer_params(params, 1)
    assert bias is not None
    return np.concatenate([np.asarray(kernel, np.float64), np.asarray(bias, np.float64)[None, :]])


def finding(rows: list[common.Record]) -> str:
    """Effective kappa of raw and standardized inputs under each optimizer."""

    def of(scaling: str, optimizer: str) -> str:
        row = next(r for r in rows if (r["scaling"], r["optimizer"]) == (scaling, optimizer))
        return common.short(row["effective_kappa"][0.5])

    parts = [
        f"{LABELS[name]} {of('raw', name)} and {of('standardized', name)}"
        for name in OPTIMIZERS
        if any(row["optimizer"] == name for row in rows)
    ]
    return (
        "Effective condition number that the optimizer sees, raw and standardized pixels: "
        f"{', '.join(parts)}"
    )


def draw(record: common.Record) -> Figure:
    """A column for each optimizer: the spectrum that it sees beside its limit."""
    names = list(dict.fromkeys(cell["optimizer"] for cell in record["cells"]))
    figure = Figure(figsize=(3.9 * len(names), 5.4), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(names), sharey=True))
    for axes, name in zip(panels, names, strict=True):
        cells = [cell for cell in record["cells"] if cell["optimizer"] == name]
        # The repeated one last, so that a scaling has one colour everywhere.
        cells.sort(key=lambda cell: cell["eps"] == SMALL_EPS)
        for colour, cell in zip(common.COLOURS, cells, strict=False):
            values = np.array(cell["eigenvalues"])
            values = values[values > cell["threshold"]]
            kappa, effective = (cell[k]["0.5"] for k in ("kappa", "effective_kappa"))
            axes.plot(
                np.arange(1, values.size + 1),
                values,
                "--" if cell["scaling"] == "unit" else "-",
                color=colour,
                label=f"{_label(cell)}: {common.short(kappa)}, {common.short(effective)}",
            )
        limit = cells[0]["limit"]["value"]
        axes.axhline(limit, color=common.COLOURS[6], lw=1, ls=":")
        axes.text(
            1, limit, f"limit {common.short(limit)} ", transform=axes.get_yaxis_transform(),
            ha="right", va="bottom", fontsize=8.5,
        )  # fmt: skip
        axes.set_yscale("log")
        axes.set_title(LABELS[name])
        axes.set_xlabel("eigenvalue, from the largest")
        legend = axes.legend(fontsize=8.5, title="kappa, effective kappa", loc="lower left")
        legend.get_title().set_fontsize(8.5)
    panels[0].set_ylabel("rate times curvature, median over outputs")
    common.titled(
        figure,
        record["finding"],
        f"{record['data']}, one linear layer, rates after {record['epochs']} epoch(s) of batches, "
        f"{len(record['outputs'])} of {record['of']} outputs, medians. RMSprop and Adam at 1e-3, "
        "gradient descent at 1 / lambda_max. A mode of height h needs about 1 / h steps. Adam's "
        "rate is for momentum that has settled.",
        width=int(8.7 * figure.get_figwidth()),
    )
    return figure


def _label(cell: common.Record) -> str:
    name = LABELS.get(cell["scaling"], str(cell["scaling"]))
    return f"{name}, eps {SMALL_EPS:g}" if cell["eps"] == SMALL_EPS else name


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
