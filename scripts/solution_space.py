"""The identity is one of very many exact solutions, and the others are not the identity.

Claim: on MNIST one ReLU layer has an affine space of at least 784 x 72 = 56448 dimensions of
parameters that all reproduce every training image exactly; moved along it, the network has
the same loss of 0 and answers images outside the data's span quite differently. So no
training loss can select the identity.
Command: python scripts/solution_space.py
Expected: 56448 of 615440 dimensions (72 = 67 pixels that never vary + 5 collinear
combinations); outputs on the 60000 training images agree to rounding, below 1e-12 on the
0..255 scale; on an inverted digit they differ by 98 (RMS).
Runtime: about half a minute on 2 cores.

With x~ = [x, 1] and V = [W; b], V = [I; 0] gives max(x~ V, 0) = x for pixels x >= 0. Where N
spans the directions v with x~ v = 0 on all training examples, V + N A gives the same
pre-activations there for every A (k x m): a space of k m dimensions, whatever the activation.
With a ReLU still more is free: an output whose pixel is always 0 may have any pre-activation
<= 0. Three solutions are shown:

  identity      A = 0.
  descent's     A = N^T (V0 - [I; 0]), V0 drawn by glorot_uniform: what gradient descent on the
                linear layer keeps of its start, since no gradient has a part along N
                (Zhang et al. 2020, "Identity Crisis").
  painted       every pixel that never varies, when it does, takes off its share of a picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import common
import jax
import numpy as np
from matplotlib.figure import Figure

from jaxid.core.errors import InputError
from jaxid.core.progress import Reporter
from jaxid.core.random import role_key, seed_key
from jaxid.curvature.last_layer.blocks import preactivations
from jaxid.curvature.last_layer.nullspace import constant_features, input_null_basis
from jaxid.data.sources import load
from jaxid.nets.init import initializer

ROWS = 5000
"""Examples whose outputs are held together: 31 MB of float64 at 784."""


@dataclass(frozen=True)
class Options(common.Options):
    """Which images to try."""

    seed: int = 0
    """Seed of the glorot_uniform draw and of the noise image."""
    image: int = 0
    """Test image that is shown and inverted."""


def measure(options: Options, reporter: Reporter) -> common.Record:
    """Build the solutions, check them on all images, and look at them off the data."""
    data = load("digits" if options.quick else "mnist", mnist_dir=options.mnist_dir)
    if not 0 <= options.image < len(data.test):
        raise InputError(f"--image is {options.image}; there are {len(data.test)} test images")
    assert data.image_shape is not None
    d, top = data.train.shape[1], data.maximum
    with reporter.task("null directions", 1) as task:
        null = input_null_basis(data.train)
        task.advance(1)
    constant = constant_features(data.train)
    stacked = solutions(data.train, null, constant, options.seed, top)
    shown = data.test[options.image].astype(np.float64)
    probes = {
        "a test image": shown,
        "the same, inverted": top - shown,
        "noise": np.random.default_rng(options.seed).uniform(0.0, top, d),
    }
    rows = []
    with reporter.task("solutions", len(stacked)) as task:
        for name, weights in stacked.items():
            rows.append(
                {
                    "name": name,
                    "distance": float(np.linalg.norm(weights - stacked["identity"])),
                    "train": agreement(weights, stacked["identity"], data.train),
                    "test": agreement(weights, stacked["identity"], data.test),
                    "outputs": {
                        probe: outputs(weights, image[None, :])[0]
                        for probe, image in probes.items()
                    },
                    "probe_rms_error": {
                        probe: rms(outputs(weights, image[None, :])[0] - image)
                        for probe, image in probes.items()
                    },
                }
            )
            task.advance(1, name)
    zero_targets = int(np.count_nonzero(~data.train.any(axis=0)))
    record = {
        "seeds": [options.seed],
        "data": data.name,
        "image": options.image,
        "image_shape": list(data.image_shape),
        "maximum": top,
        "dimensions": {
            "parameters": (d + 1) * d,
            "null_directions_of_inputs": int(null.shape[1]),
            "constant_inputs": int(constant.sum()),
            "collinear_inputs": int(null.shape[1] - constant.sum()),
            "outputs": d,
            "flat": int(null.shape[1]) * d,
            "zero_targets": zero_targets,
            "further_with_relu": zero_targets * (d + 1 - int(null.shape[1])),
            "further_with_relu_how": "an output whose target is always 0 may have any "
            "pre-activation <= 0: a full-dimensional cone of its d + 1 weights",
        },
        "null_residual": float(np.max(np.abs(preactivations(data.train, null[:-1], null[-1])))),
        "probes": probes,
        "solutions": rows,
    }
    return record | {"finding": finding(record)}


def solutions(
    train: np.ndarray, null: np.ndarray, constant: np.ndarray, seed: int, top: float
) -> dict[str, np.ndarray]:
    """[W; b] of each solution by name, (d + 1, d) float64."""
    d = train.shape[1]
    identity = np.vstack([np.eye(d), np.zeros((1, d))])
    key = role_key(seed_key(seed), "init")
    kernel = np.asarray(initializer("glorot_uniform")(key, (d, d), jax.numpy.float32), np.float64)
    start = np.vstack([kernel, np.zeros((1, d))])
    # A training image as the picture; each constant pixel c that shows ``top`` takes off an
    # equal share of it, and the bias gives back what c's usual value takes off.
    picture = train[0].astype(np.float64)
    painted = identity.copy()
    where = np.flatnonzero(constant)
    if where.size:
        share = picture / (top * where.size)
        painted[where] -= share[None, :]
        painted[-1] += float(train[0, where].sum(dtype=np.float64)) * share
    return {
        "identity": identity,
        "descent's": identity + null @ (null.T @ (start - identity)),
        "painted": painted,
    }


def outputs(weights: np.ndarray, images: np.ndarray) -> np.ndarray:
    """max([x, 1] V, 0), float64."""
    z: np.ndarray = preactivations(images, weights[:-1], weights[-1])
    np.maximum(z, 0.0, out=z)
    return z


def agreement(weights: np.ndarray, identity: np.ndarray, images: np.ndarray) -> common.Record:
    """Loss, and greatest difference of outputs from the identity network's, over all images."""
    total, largest = 0.0, 0.0
    for start in range(0, len(images), ROWS):
        part = images[start : start + ROWS]
        f = outputs(weights, part)
        total += float(np.sum(np.square(f - part)))
        largest = max(largest, float(np.max(np.abs(f - outputs(identity, part)))))
    return {
        "loss": total / images.size,
        "max_difference_from_identity": largest,
        "images": len(images),
    }


def rms(values: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def finding(record: common.Record) -> str:
    """One sentence: dimensions, agreement on the data, disagreement off it."""
    size = record["dimensions"]
    others = record["solutions"][1:]
    same = max(row["train"]["max_difference_from_identity"] for row in others)
    agree = f"to {same:.0e}" if same else "exactly"
    apart = max(row["probe_rms_error"]["the same, inverted"] for row in others)
    return (
        f"{size['flat']} of {size['parameters']} dimensions are free: networks that agree on all "
        f"{others[0]['train']['images']} training images {agree} differ by "
        f"{common.short(apart)} (RMS, 0..{record['maximum']:g}) on an inverted one"
    )


def draw(record: common.Record) -> Figure:
    """A row for each probe; a column for what the identity gives and for each other solution."""
    names, rows = list(record["probes"]), record["solutions"]
    figure = Figure(figsize=(2.7 * len(rows) + 0.9, 2.35 * len(names) + 1.7), layout="constrained")
    grid = figure.subplots(len(names), len(rows))
    for j, row in enumerate(rows):
        grid[0, j].set_title(_caption(row), fontsize=9.5)
        for i, name in enumerate(names):
            axes = grid[i, j]
            axes.imshow(
                np.reshape(row["outputs"][name], record["image_shape"]),
                cmap="gray",
                vmin=0,
                vmax=record["maximum"],
            )
            axes.set_xticks([])
            axes.set_yticks([])
            error = common.short(row["probe_rms_error"][name])
            axes.set_xlabel(f"RMS error {error}", fontsize=9)
            if j == 0:
                axes.set_ylabel(name, fontsize=10.5)
    size = record["dimensions"]
    common.titled(
        figure,
        record["finding"],
        f"{record['data']}: {size['constant_inputs']} pixels never vary and "
        f"{size['collinear_inputs']} combinations of others are constant, so each of "
        f"{size['outputs']} outputs has {size['null_directions_of_inputs']} flat directions. With "
        f"a ReLU output {size['further_with_relu']} more dimensions are free on one side. float64.",
        width=80,
    )
    return figure


def _caption(row: common.Record) -> str:
    train, test = row["train"], row["test"]
    name = "identity (returns its input)" if row["name"] == "identity" else row["name"]
    return (
        f"{name}\ntrain loss {common.short(train['loss'])}, test {common.short(test['loss'])}\n"
        f"off on train by at most {common.short(train['max_difference_from_identity'])}"
    )


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
