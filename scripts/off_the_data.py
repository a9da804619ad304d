"""What a trained linear layer does with inputs unlike its data.

Claim: no gradient has a part along directions v with [x, 1] v = 0 on all training inputs, so
gradient descent, full batch or not, keeps its start there: f(x) = f(Pi x) + (I - Pi) x~ W0, Pi
the projection onto the data's span (Zhang et al. 2020, "Identity Crisis"); the identity on the
data is not the identity off them. RMSprop and Adam divide by what they have seen, parameter by
parameter, which leaves no such direction alone but those of pixels that never vary.
Command: python scripts/off_the_data.py
Expected: of their start in the 72 directions gradient descent moved 1.3e-7 and SGD 3e-8 (float32),
RMSprop 2.7 % and Adam 3.0 %; in the five of them that pixels which do vary make together 5e-7,
1e-7, 10 % and 12 %. Off by 50, 9.3, 16 and 0.88 % on test images and by 110, 82, 62 and 49 % on
noise: Adam is the identity on the data to 1 % and half wrong off them.
Runtime: 4.5 minutes on 2 cores.

One linear layer on MNIST, pixels / 255, 20 epochs, seed 0. Kept: |N^T (W - W0)| over |N^T W0|, N
an orthonormal basis of those 72 directions, with and without the 67 pixels that never vary.
Errors: root mean square of f(x) - x over that of x.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import common
import numpy as np
from matplotlib.figure import Figure

from jaxid.core.progress import Reporter
from jaxid.curvature.last_layer.nullspace import constant_features, input_null_basis
from jaxid.data.sources import load
from jaxid.identity.spec import IdentitySpec, build_problem, build_runner, load_data
from jaxid.nets.mlp import layer_params
from jaxid.training.loop import one_seed

RULES: dict[str, dict[str, Any]] = {
    "gradient descent, one batch": {"optimizer": "sgd", "learning_rate": 10.0, "full": True},
    "SGD": {"optimizer": "sgd", "learning_rate": 5.0},
    "RMSprop": {"optimizer": "rmsprop", "learning_rate": 1e-3},
    "Adam": {"optimizer": "adam", "learning_rate": 1e-3},
}
QUICK = ("SGD", "RMSprop")
SIDE = 28


@dataclass(frozen=True)
class Options(common.Options):
    """The seed."""

    seed: int = 0
    """Seed of the network and of the noise."""
    steps: int | None = None
    """Steps of full-batch descent, as epochs of one batch; 60, for quick runs 10."""


def measure(options: Options, reporter: Reporter) -> common.Record:
    """Train by each rule; measure what is kept and how far off the outputs are."""
    base = IdentitySpec(
        data="digits" if options.quick else "mnist",
        scaling="unit",
        output_activation="linear",
        epochs=3 if options.quick else 20,
        seeds=1,
        first_seed=options.seed,
        mnist_dir=options.mnist_dir,
    )
    dataset = load_data(base)
    base = base.resolved(dataset)
    # Of the inputs as the network sees them, pixels over the largest, orthonormal again.
    scale = np.append(np.full(dataset.train.shape[1], float(dataset.maximum)), 1.0)
    null, _ = np.linalg.qr(input_null_basis(dataset.train) * scale[:, None])
    varying = np.append(~constant_features(dataset.train), True)
    inputs = pictures(dataset, options)
    rows = []
    for name in QUICK if options.quick else RULES:
        rule = RULES[name]
        own = {k: v for k, v in rule.items() if k != "full"}
        spec = dataclasses.replace(base, **own)
        if rule.get("full"):
            steps = options.steps if options.steps is not None else 10 if options.quick else 60
            spec = dataclasses.replace(spec, batch_size=len(dataset.train), epochs=steps)
        problem = build_problem(spec, dataset)
        runner = build_runner(spec, problem)
        before = weights(one_seed(runner.init(spec.seed_list), 0).params)
        history = runner.train(spec.seed_list, reporter=reporter)
        after = weights(one_seed(history.state, 0).params)
        rows.append({"name": name, "loss": float(history.train_end.loss[0]),
                     **kept(before, after, null, varying),
                     **errors(after, inputs, dataset.maximum)})  # fmt: skip
    record = {
        "seeds": [options.seed],
        "directions": null.shape[1],
        "never_vary": int((~varying).sum()),
        "shape": dataset.image_shape,
        "rules": rows,
        "inputs": {name: images[0] for name, images in inputs.items()},
    }
    return record | {"finding": finding(record)}


def weights(params: Any) -> np.ndarray:
    """[W; b], (d + 1, d) float64."""
    ((kernel, bias),) = layer_params(params, 1)
    return np.vstack([np.asarray(kernel, np.float64), np.asarray(bias, np.float64)[None]])


def pictures(dataset: Any, options: Options) -> dict[str, np.ndarray]:
    """Test images; the same inverted; uniform noise; digits of another collection."""
    test = dataset.test[:1000].astype(np.float64)
    rng = np.random.default_rng(options.seed)
    found = {
        "test images": test,
        "inverted": dataset.maximum - test,
        "noise": rng.uniform(0, dataset.maximum, test.shape),
    }
    if dataset.image_shape == (SIDE, SIDE):
        small = load("digits").test.reshape(-1, 8, 8).astype(np.float64) * (dataset.maximum / 16)
        large = np.kron(small, np.ones((1, 3, 3)))
        found["other digits"] = np.pad(large, ((0, 0), (2, 2), (2, 2))).reshape(len(small), -1)
    return found


def kept(
    before: np.ndarray, after: np.ndarray, null: np.ndarray, varying: np.ndarray
) -> common.Record:
    """How far the weights moved along directions that the data never showed."""
    moved, start = null.T @ (after - before), null.T @ before
    inside = null * varying[:, None]
    others = np.linalg.norm(inside, axis=0) > 0.5
    part = inside[:, others]
    return {
        "moved": np.linalg.norm(moved) / np.linalg.norm(start),
        "moved_where_pixels_vary": None
        if not others.any()
        else (np.linalg.norm(part.T @ (after - before)) / np.linalg.norm(part.T @ before)),
    }


def errors(after: np.ndarray, inputs: dict[str, np.ndarray], top: float) -> common.Record:
    """Relative error of each kind of input, and the output of its first."""
    found: common.Record = {"errors": {}, "outputs": {}}
    for name, images in inputs.items():
        outputs = top * (np.column_stack([images / top, np.ones(len(images))]) @ after)
        found["errors"][name] = np.sqrt(np.mean((outputs - images) ** 2) / np.mean(images**2))
        found["outputs"][name] = outputs[0]
    return found


def finding(record: common.Record) -> str:
    """What each rule kept, and the errors on and off the data."""
    parts = []
    for row in record["rules"]:
        on, off = (row["errors"][name] for name in ("test images", "noise"))
        parts.append(
            f"{row['name']} moved {common.short(row['moved'])} of its start there, is off by "
            f"{100 * on:.2g} % on test images and {100 * off:.3g} % on noise"
        )
    return f"{record['directions']} directions that the data never showed: {'; '.join(parts)}"


def draw(record: common.Record) -> Figure:
    """Inputs in the first row, what each rule makes of them below."""
    names, shape = list(record["inputs"]), record["shape"]
    rows = record["rules"]
    figure = Figure(figsize=(1.9 * len(names) + 1.2, 1.75 * (len(rows) + 1) + 1.3),
                    layout="constrained")  # fmt: skip
    grid = figure.subplots(len(rows) + 1, len(names), squeeze=False)
    top = max(max(values) for values in record["inputs"].values())
    for column, name in enumerate(names):
        pictures = [record["inputs"][name], *(row["outputs"][name] for row in rows)]
        for axes, values in zip(grid[:, column], pictures, strict=True):
            axes.imshow(np.reshape(values, shape), cmap="gray", vmin=0, vmax=top)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.grid(visible=False)
        grid[0, column].set_title(name)
        for axes, row in zip(grid[1:, column], rows, strict=True):
            axes.set_xlabel(f"off by {100 * row['errors'][name]:.3g} %", fontsize=8.5)
    grid[0, 0].set_ylabel("input")
    for axes, row in zip(grid[1:, 0], rows, strict=True):
        axes.set_ylabel(row["name"].replace(", ", ",\n"), fontsize=8.5)
    common.titled(
        figure,
        "A linear layer that is the identity on its data is not the identity off them",
        f"{record['directions']} directions never shown, {record['never_vary']} of them pixels "
        "that never vary. Percentages: root mean square error over that of the inputs, of up to "
        "1,000 of each kind.",
        width=70,
    )
    return figure


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
