"""The worst error of the question's trained networks: proved from above, shown from below.

Claim: a network that is good on MNIST is far off elsewhere in [0, 255]^784, and by how much can be
proved: for one ReLU layer exactly, for four between an input that was found and a certificate.
Within one grey level of a test image the certificate is tight; over the whole range, for four
layers, it is not.
Command: python scripts/certified_error.py
Expected: one layer 2,969 grey levels on the whole range, exactly; four layers between 1,979 and
4.97e6 (CROWN 5.05e6, intervals alone 2.64e7). Balls of radius 1, 3, 10 about five test images:
one layer 255, which dead outputs owe to white pixels; four layers 160 to 255, certified 211 to 255,
634 to 2,842 and 31,000 to 75,000.
Runtime: 10 minutes on 2 cores beside tests.

RMSprop, 20 epochs, seed 0. Balls: every pixel within r of a test image's, and in [0, 255]. Upper
bounds by the exact formula (one layer) or CROWN with its slopes optimised on the whole range.
"""

from __future__ import annotations

from dataclasses import dataclass

import common
import numpy as np
from matplotlib.figure import Figure

from jaxid.certification.certified import RegionCertificate
from jaxid.certification.certify_regions import certify_regions
from jaxid.certification.error_function import error_network
from jaxid.certification.regions import Effort, Region, RegionKind, regions
from jaxid.core.io import encode
from jaxid.core.progress import Reporter
from jaxid.identity.spec import IdentitySpec, build_problem, build_runner, load_data
from jaxid.training.loop import one_seed
from jaxid.verification.intervals import Interval

RADII = (1.0, 3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True)
class Options(common.Options):
    """How many images, and the seed."""

    images: int | None = None
    """Test images with balls around them; 5, for quick runs 1."""
    seed: int = 0
    """Seed of the networks."""


def measure(options: Options, reporter: Reporter) -> common.Record:
    """Train one and four layers, certify the range and balls of rising radius."""
    count = options.images if options.images is not None else 1 if options.quick else 5
    rows = []
    for depth in (1,) if options.quick else (1, 4):
        spec = IdentitySpec(
            data="digits" if options.quick else "mnist",
            depth=depth,
            epochs=3 if options.quick else None,
            seeds=1,
            first_seed=options.seed,
            mnist_dir=options.mnist_dir,
        )
        dataset = load_data(spec)
        spec = spec.resolved(dataset)
        problem = build_problem(spec, dataset)
        history = build_runner(spec, problem).train(spec.seed_list, reporter=reporter)
        params = one_seed(history.state, 0).params
        effort = Effort(balls=0, curve=False)
        boxes = regions(problem, effort)
        top = float(np.max(problem.train[0]))
        found = boxes + balls(dataset.test[:count], top, RADII[::2] if options.quick else RADII)
        net = error_network(problem, params)
        certified, _ = certify_regions(net, found, effort, options.seed, reporter)
        rows.append(
            {
                "depth": depth,
                "test_loss": float(history.test[0, -1]),
                "regions": [as_json(one) for one in certified],
            }
        )
    record = {"seeds": [options.seed], "images": count, "maximum": top, "networks": rows}
    return record | {"finding": finding(record)}


def balls(images: np.ndarray, top: float, radii: tuple[float, ...]) -> list[Region]:
    """Boxes about the images, cut to the range."""
    found = []
    for radius in radii:
        for k, image in enumerate(np.asarray(images, np.float64)):
            low, high = np.maximum(image - radius, 0.0), np.minimum(image + radius, top)
            name, words = f"ball_{radius:g}_{k}", f"within {radius:g}"
            found.append(Region(RegionKind.BALL, name, words, Interval(low, high), radius))
    return found


def as_json(found: RegionCertificate) -> common.Record:
    """Its numbers, without arrays."""
    values, arrays = encode(found)
    return {name: value for name, value in values.items() if name not in arrays}


def finding(record: common.Record) -> str:
    """The range's worst error for each network, and the balls' of radius 10."""
    parts = []
    for row in record["networks"]:
        whole = row["regions"][0]
        low, high = whole["lower"]["value"], whole["upper"]["value"]
        known = (
            f"{common.short(high)}"
            if high <= low * (1 + 1e-6)
            else (f"between {common.short(low)} and {common.short(high)}")
        )
        layers = f"{row['depth']} layer{'s' if row['depth'] > 1 else ''}"
        parts.append(f"{layers}: {known} grey levels")
    return f"Worst error in one pixel anywhere in [0, {record['maximum']:g}]^d. {'; '.join(parts)}"


def draw(record: common.Record) -> Figure:
    """Bounds against the ball's radius, a panel for each network."""
    rows = record["networks"]
    figure = Figure(figsize=(5.2 * len(rows) + 0.5, 4.4), layout="constrained")
    grid = np.atleast_1d(figure.subplots(1, len(rows), sharey=True))
    for axes, row in zip(grid, rows, strict=True):
        own = [region for region in row["regions"] if region["region"].startswith("ball")]
        radii = sorted({region["half_width"] for region in own})
        for colour, end, label in (
            (common.COLOURS[1], "upper", "no input does worse (certified)"),
            (common.COLOURS[0], "lower", "an input does this (attack)"),
        ):
            values = [
                [r[end]["value"] for r in own if r["half_width"] == radius] for radius in radii
            ]
            axes.plot(radii, [np.median(v) for v in values], "o-", color=colour, ms=4, label=label)
            axes.fill_between(radii, [min(v) for v in values], [max(v) for v in values],
                              color=colour, alpha=0.15, lw=0)  # fmt: skip
            axes.axhline(row["regions"][0][end]["value"], color=colour, ls="--", lw=1.0)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("radius of the ball about a test image, grey levels")
        layers = f"{row['depth']} layer{'s' if row['depth'] > 1 else ''}"
        axes.set_title(f"{layers}, test loss {common.short(row['test_loss'])}")
    grid[0].set_ylabel("worst error in one pixel, grey levels")
    grid[0].legend(fontsize=8.5)
    common.titled(
        figure,
        record["finding"],
        f"Median over {record['images']} test images, band from least to greatest; dashed: the "
        "whole range.",
    )
    return figure


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
