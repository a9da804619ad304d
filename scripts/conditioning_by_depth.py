"""How the condition number of a deep network grows out of its layers.

Claim: each layer of a linear network has a Gauss-Newton block that is what the layer is shown
times what is made of it, so its kappa is the product of theirs; the whole is never worse than
its worst layer. At Glorot's initialisation kappa grows with every layer, at orthogonal and
identity initialisation it stays that of the data. ReLU layers undo both: as a rule the whole is
worse than its worst layer, and orthogonal kernels help little.
Command: python scripts/conditioning_by_depth.py
Expected: kappa of the whole at Glorot's initialisation, geometric mean of 10 seeds: linear, 1 to
6 layers, 100, 6.9e3, 4.8e5, 8.5e6, 9.0e7, 4.2e9, deeper not resolved; orthogonal and identity 100
at every depth. Worst of 4 linear layers 7.2e9, of 8 2e16. All 598 resolved blocks agree with their
products within 0.6 % of the rounding bound; the inequality below holds in 137 of 137 networks.
With 4 ReLU layers Glorot about 2.7e7 (9 seeds resolved), orthogonal 6.9e6, identity 2.5e3; the
whole is worse than its worst layer in 108 of 112.
The committed figure is a full run.
Runtime: 8 minutes on 2 cores.

Made inputs (8 features, 400 examples, sample mean 0, covariance of condition number 100), so that
all eigenvalues of every network, up to 576 parameters, come from float64 matrices. kappa is
lambda_max over the smallest eigenvalue above the threshold of `jaxid.curvature.exact`. It counts
as resolved where no eigenvalue lies within a factor 10 of the threshold and, in linear networks,
as many lie below as must be zero; else it is drawn hollow and not quoted.

Let J_l be the derivative of all outputs by layer l. The block is J_l^T J_l, and the whole has
the nonzero eigenvalues of sum_l J_l J_l^T. In a linear network as wide as its inputs every J_l,
if no kernel is singular, reaches the same functions, the affine ones. On them, by Weyl,

  kappa(whole) <= sum_l lambda_max,l / sum_l lambda_min,l <= max_l kappa_l:

what one layer hardly moves another may. kappa of 99 % is the effective condition number of the
linearised network, Gauss-Newton with the gradient at the start.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial

import common
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxid.core import trees
from jaxid.core.precision import float64, widened
from jaxid.core.progress import Reporter
from jaxid.core.random import role_key, seed_key
from jaxid.core.statistics import sem
from jaxid.core.types import Params
from jaxid.curvature.dense import dense_matrix, rounding
from jaxid.curvature.depth import linear_network_factors
from jaxid.curvature.exact import Exact, exact_spectrum
from jaxid.curvature.matrices import curvature_product
from jaxid.curvature.parts import Part, layer_names
from jaxid.data.gaussian import GaussianSpec
from jaxid.data.sources import load
from jaxid.identity.spec import IdentitySpec, build_problem
from jaxid.nets.activations import ActivationName
from jaxid.nets.init import InitializerName
from jaxid.nets.mlp import layer_params
from jaxid.problem.problem import Problem

DEPTHS = tuple(range(1, 9))
INITIALIZERS: tuple[InitializerName, ...] = ("glorot_uniform", "orthogonal", "identity")
ACTIVATIONS: dict[ActivationName, str] = {"linear": "linear", "relu": "ReLU"}
SHOWN = 4
"""Depth whose layers are shown one by one: the question's."""
MARKS = {"glorot_uniform": ("o", 4.5, 1.6), "orthogonal": ("s", 7.0, 3.0), "identity": ("^", 4, 1)}
"""Mark, its size and the line's width: coinciding courses can be told apart."""


@dataclass(frozen=True)
class Options(common.Options):
    """How much to compute."""

    seeds: int | None = None
    """Seeds of each network; 10, for quick runs 2. Identity initialisation draws nothing."""


def measure(options: Options, reporter: Reporter) -> common.Record:
    """Every network's spectra at initialisation."""
    made = GaussianSpec(
        features=4 if options.quick else 8,
        examples=50 if options.quick else 400,
        test_examples=1,
        kappa=100.0,
        exact=True,
    )
    base = IdentitySpec(
        data="gaussian",
        output_activation="linear",
        seeds=options.seeds if options.seeds is not None else 2 if options.quick else 10,
    )
    dataset = load("gaussian", gaussian=made)
    depths = (1, SHOWN) if options.quick else DEPTHS
    # One layer has no hidden units, so no hidden activation: its ReLU rows are the linear ones.
    kinds = [(a, depth) for a in ACTIVATIONS for depth in depths if (a, depth) != ("relu", 1)]
    rows = []
    with reporter.task("spectra", len(kinds) * len(INITIALIZERS)) as task:
        for activation, depth in kinds:
            spec = dataclasses.replace(base, activation=activation, depth=depth)
            # One problem for all initialisers: its product is compiled once.
            problem = build_problem(spec, dataset)
            for initializer in INITIALIZERS:
                start = build_problem(dataclasses.replace(spec, initializer=initializer), dataset)
                seeds = base.seed_list[: 1 if initializer == "identity" else None]
                starts = [start.init(role_key(seed_key(seed), "init")) for seed in seeds]
                found = [at_start(problem, spec, params, dataset.train) for params in starts]
                row: common.Record = {"activation": activation, "initializer": initializer}
                row["depth"] = depth
                row["kappa"] = course([seed["whole"] for seed in found])
                row["worst_layer"] = course([worst(seed) for seed in found])
                row["bound"] = course([seed["bound"] for seed in found if "bound" in seed])
                row["effective_kappa"] = course([seed["effective"] for seed in found])
                rows.append(row | {"per_seed": found})
                task.advance(1, f"{activation}, {initializer}, {depth} layers")
    record = {
        "seeds": base.seed_list,
        "features": made.features,
        "examples": made.examples,
        "kappa_of_the_data": made.kappa,
        "depths": depths,
        "checks": checks(rows),
        "networks": rows,
    }
    return record | {"finding": finding(record)}


def at_start(
    problem: Problem, spec: IdentitySpec, params: Params, train: np.ndarray
) -> common.Record:
    """The whole matrix and its layers' blocks at one start, and what these should be."""
    data, n = (jnp.asarray(train), None), len(train)
    matrix = dense_matrix(curvature_product(problem, "gauss_newton"), params, data)
    with float64():
        gradient = np.asarray(_gradient(problem, widened(params), widened(data)))
    ends = np.cumsum([trees.size(Part((name,)).take(params)) for name in layer_names(params)])
    blocks = [matrix[a:b, a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    whole = exact_spectrum(matrix, error=rounding(matrix, n), gradient=gradient)
    layers = [exact_spectrum(block, error=rounding(block, n)) for block in blocks]
    linear, effective = spec.activation == "linear", whole.effective_kappa
    assert effective is not None
    # All layers of a linear network reach the affine functions, as many as one layer has.
    found: common.Record = {
        "whole": kappa(whole, int(ends[-1] - ends[0]) if linear else None),
        "layers": [kappa(layer, 0 if linear else None) for layer in layers],
    }
    # Modes below the threshold may hold some of the loss to be won.
    resolved = effective.converged and found["whole"]["resolved"]
    found["effective"] = {"value": effective.value, "error": effective.error, "resolved": resolved}
    return found | (predicted(spec, params, train) if linear else {})


@partial(jax.jit, static_argnums=0)
def _gradient(problem: Problem, params: Params, data: tuple[jax.Array, None]) -> jax.Array:
    return ravel_pytree(jax.grad(problem.mean_loss)(params, data))[0]


def predicted(spec: IdentitySpec, params: Params, train: np.ndarray) -> common.Record:
    """A linear network's blocks from their factors, and the bound that they give the whole."""
    pairs = [(np.asarray(w), np.asarray(b)) for w, b in layer_params(params, spec.depth)]
    products, tops, leasts = [], 0.0, 0.0
    for factor in linear_network_factors(pairs, train):
        shown, made = kappa(factor.shown, 0), kappa(factor.made, 0)
        parts = {"shown": shown["value"], "made": made["value"]}
        resolved = shown["resolved"] and made["resolved"]
        value, error, top = factor.kappa.value, factor.kappa.error, factor.lambda_max.value
        assert value is not None and top is not None
        products.append({"value": value, "error": error, "resolved": resolved} | parts)
        tops, leasts = tops + top, leasts + top / value
    resolved = all(product["resolved"] for product in products)
    return {"products": products, "bound": {"value": tops / leasts, "resolved": resolved}}


def kappa(found: Exact, zeros: int | None) -> common.Record:
    """kappa with its rounding bound and what the threshold cut off; ``zeros`` must be."""
    return {
        "value": found.kappa.value,
        "error": found.kappa.error,
        "threshold": found.threshold,
        "null_dim": found.null_dim,
        "near": found.near,
        "resolved": found.near == 0 and zeros in (None, found.null_dim),
    }


def worst(seed: common.Record) -> common.Record:
    """The layer of the largest kappa: by the product where there is one, which resolves more."""
    layers: list[common.Record] = seed.get("products") or seed["layers"]
    return max(layers, key=lambda layer: layer["value"])


def course(estimates: list[common.Record]) -> common.Record | None:
    """Geometric mean and range; None where there are no values."""
    values = np.array([e["value"] for e in estimates if e["value"] is not None])
    if not values.size:
        return None
    return {
        "geometric_mean": np.exp(np.log(values).mean()),
        "log10_sem": sem(np.log10(values)),
        "range": [values.min(), values.max()],
        "resolved_seeds": sum(estimate["resolved"] for estimate in estimates),
        "resolved": all(estimate["resolved"] for estimate in estimates),
    }


def checks(rows: list[common.Record]) -> common.Record:
    """Resolved blocks against their products; wholes of 2 layers and more against theirs."""
    over, inside, above = [], [], []
    for row, seed in [(r, s) for r in rows for s in r["per_seed"]]:
        for layer, product in zip(seed["layers"], seed.get("products", ()), strict=False):
            if layer["resolved"] and product["resolved"]:
                apart = abs(layer["value"] - product["value"])
                over.append(apart / (layer["error"] + product["error"]))
        whole, most = seed["whole"], worst(seed)
        if row["depth"] == 1 or not (whole["resolved"] and most["resolved"]):
            continue
        if row["activation"] == "relu":
            above.append(whole["value"] > most["value"])
        else:
            low, high = whole["value"] - whole["error"], most["value"] + most["error"]
            inside.append(low <= seed["bound"]["value"] <= high)
    return {
        "blocks_compared_with_products": len(over),
        "largest_deviation_over_error": max(over),
        "linear_networks": len(inside),
        "linear_whole_within_bound_within_worst_layer": sum(inside),
        "relu_networks": len(above),
        "relu_whole_worse_than_worst_layer": sum(above),
    }


def pick(record: common.Record, activation: str, initializer: str) -> list[common.Record]:
    """Its rows by depth."""
    return [
        row
        for row in record["networks"]
        if row["initializer"] == initializer
        and (row["activation"] == activation or row["depth"] == 1)
    ]


def finding(record: common.Record) -> str:
    """The growth, and whether the whole comes out of its layers."""

    def text(activation: str, initializer: str, name: str = "kappa") -> str:
        rows = pick(record, activation, initializer)
        found = next(row[name] for row in rows if row["depth"] == SHOWN)
        return ("" if found["resolved"] else "about ") + common.short(found["geometric_mean"])

    glorot, orthogonal, identity = INITIALIZERS
    tests = record["checks"]
    flat = [row["kappa"]["range"][1] for i in INITIALIZERS[1:] for row in pick(record, "linear", i)]
    return (
        f"{SHOWN} linear layers: kappa {text('linear', glorot)} at Glorot's initialisation, "
        f"{common.short(max(flat))} at orthogonal and identity. Blocks are their factors' products;"
        f" the whole is better than its worst layer ({text('linear', glorot, 'worst_layer')}). "
        f"With ReLU it is worse in {tests['relu_whole_worse_than_worst_layer']} of "
        f"{tests['relu_networks']} networks; {SHOWN} layers: Glorot {text('relu', glorot)}, "
        f"orthogonal {text('relu', orthogonal)}, identity {text('relu', identity)}"
    )


def draw(record: common.Record) -> Figure:
    """Whole and worst layer over depth, linear and ReLU; four layers one by one; 99 %."""
    figure = Figure(figsize=(10.5, 9.2), layout="constrained")
    grid = figure.subplots(2, 2)
    grid[0, 0].sharey(grid[0, 1])
    for axes, (activation, text) in zip(grid[0], ACTIVATIONS.items(), strict=True):
        for initializer in INITIALIZERS:
            rows = pick(record, activation, initializer)
            _course(axes, rows, "kappa", "-", f"{initializer}, whole")
            if (activation, initializer) == ("linear", INITIALIZERS[0]):
                _course(axes, rows, "bound", "--", f"{initializer}, bound from its layers")
            if activation == "relu" or initializer == INITIALIZERS[0]:
                _course(axes, rows, "worst_layer", ":", f"{initializer}, its worst layer")
        _by_depth(axes, record, f"kappa of Gauss-Newton, nonzero part: {text} layers")
    _layers(grid[1, 0], record)
    axes = grid[1, 1]
    for style, (activation, text) in zip(("-", "--"), ACTIVATIONS.items(), strict=True):
        for initializer in INITIALIZERS:
            rows = [r for r in pick(record, activation, initializer) if r["effective_kappa"]]
            if rows:
                _course(axes, rows, "effective_kappa", style, f"{initializer}, {text}")
            else:
                axes.plot([], [], " ", label=f"{initializer}, {text}: gradient 0, already solved")
    _by_depth(axes, record, "kappa of 99 % of the loss to be won, linearised")
    common.titled(
        figure,
        record["finding"],
        f"At initialisation: {record['features']} made inputs, covariance of condition number "
        f"{common.short(record['kappa_of_the_data'])} (grey line), layers of that width, linear "
        f"output; {len(record['seeds'])} seeds: geometric mean, band from least to greatest. All "
        "eigenvalues, float64; hollow: eigenvalues at the threshold in some seed, not resolved.",
    )
    return figure


def _by_depth(axes: Axes, record: common.Record, title: str) -> None:
    axes.axhline(record["kappa_of_the_data"], color="#999999", lw=1.0, zorder=1)
    axes.set_yscale("log")
    axes.set_xticks(record["depths"])
    axes.set_xlabel("layers of the network")
    axes.set_title(title)
    axes.legend(fontsize=8, loc="upper left")


def _course(axes: Axes, rows: list[common.Record], name: str, style: str, label: str) -> None:
    initializer = rows[0]["initializer"]
    colour = common.COLOURS[INITIALIZERS.index(initializer)]
    mark, size, width = MARKS[initializer]
    depths = [row["depth"] for row in rows]
    means = [row[name]["geometric_mean"] for row in rows]
    axes.plot(depths, means, style, color=colour, lw=width, label=label)
    if style == "-":
        low, high = np.array([row[name]["range"] for row in rows], float).T
        axes.fill_between(depths, low, high, color=colour, alpha=0.12, lw=0)
    for row, depth, mean in zip(rows, depths, means, strict=True):
        face = colour if row[name]["resolved"] else "white"
        axes.plot(depth, mean, mark, color=colour, mfc=face, ms=size)


def _layers(axes: Axes, record: common.Record) -> None:
    """Each layer's block of the linear network of the shown depth: measured, and the product."""
    places = np.arange(1, SHOWN + 1)
    lines = {"value": ("-", "product"), "shown": ("--", "what the layer is shown")}
    lines |= {"made": (":", "what is made of it")}
    for colour, initializer in zip(common.COLOURS, INITIALIZERS, strict=False):
        row = next(r for r in pick(record, "linear", initializer) if r["depth"] == SHOWN)
        mark, size, width = MARKS[initializer]
        for part in lines if initializer == INITIALIZERS[0] else ["value"]:
            logs = [[np.log(p[part]) for p in seed["products"]] for seed in row["per_seed"]]
            means, (style, text) = np.exp(np.mean(logs, axis=0)), lines[part]
            axes.plot(places, means, style, color=colour, lw=width, label=f"{initializer}, {text}")
        for seed in row["per_seed"]:
            for place, layer in zip(places, seed["layers"], strict=True):
                face = colour if layer["resolved"] else "white"
                axes.plot(place, layer["value"], mark, color=colour, mfc=face, ms=size, alpha=0.7)
    axes.set_yscale("log")
    axes.set_ylim(top=axes.get_ylim()[1] ** 1.55)
    axes.set_xticks(places)
    axes.set_xlabel("layer, from the inputs; marks: measured, one for each seed")
    axes.set_title(f"kappa of each block of {SHOWN} linear layers")
    axes.legend(fontsize=8, loc="upper left")


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
