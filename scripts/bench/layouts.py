"""Seconds per seed and epoch of the two layouts of several seeds: in turn, or vmapped.

Claim: on a CPU wide networks train faster with seeds one after another than vmapped; narrow
ones, whose matrices leave the cores idle, and accelerators the other way round. The rows it
prints are those that `jaxid.training.layout.TABLE` needs.
Command: python scripts/bench/layouts.py --widths 64 784 --seeds 2 8
Expected: on two cores, width 784: about 1.0 s in turn, 1.2 s vmapped, with 60000 examples.
Runtime: about 5 minutes on two cores at the defaults.

The question's network (dense ReLU layers, RMSprop) on made pixels, four of five of them 0 as
in MNIST: the time does not depend on their values. Both layouts train in turn, an epoch each;
medians of the epochs after the first.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from benchmark import run

from jaxid.core.errors import InputError
from jaxid.core.progress import terminal
from jaxid.nets.mlp import identity_network
from jaxid.optim.by_name import make_optimizer
from jaxid.problem.problem import Problem
from jaxid.training.layout import Layout
from jaxid.training.loop import Anneal
from jaxid.training.run import Runner

LAYOUTS: tuple[Layout, ...] = ("sequential", "vmap")


@dataclass(frozen=True)
class Options:
    """What to time."""

    widths: tuple[int, ...] = (64, 256, 784)
    """Widths: inputs, outputs and every layer."""
    seeds: tuple[int, ...] = (2, 8)
    """Numbers of seeds."""
    depth: int = 1
    """Layers."""
    examples: int = 60000
    """Training examples."""
    batch_size: int = 128
    """Examples per step."""
    epochs: int = 3
    """Epochs timed for each, after one that is left out."""
    out: Path | None = None
    """A JSON file to write the times to."""

    def __post_init__(self) -> None:
        for name in ("widths", "seeds"):
            if not getattr(self, name) or min(getattr(self, name)) < 1:
                raise InputError(f"--{name} must be one number or more, each 1 or more")
        for name in ("depth", "examples", "batch_size", "epochs"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name.replace('_', '-')} must be 1 or more")


def pixels(examples: int, width: int) -> np.ndarray:
    """uint8 (examples, width), four of five 0."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (examples, width), dtype=np.uint8)
    return np.where(rng.random((examples, width)) < 0.8, np.uint8(0), values)


def time_width(options: Options, width: int, seeds: int) -> dict[str, Any]:
    """Both layouts in turn: medians and all times, per seed and epoch."""
    problem = Problem(
        model=identity_network(width, depth=options.depth),
        train=(pixels(options.examples, width), None),
        optimizer=make_optimizer("rmsprop", 1e-3),
        batch_size=options.batch_size,
    )
    runners = {layout: Runner(problem, layout) for layout in LAYOUTS}
    states = {layout: runner.init(range(seeds)) for layout, runner in runners.items()}
    times: dict[Layout, list[float]] = {layout: [] for layout in LAYOUTS}
    for epoch in range(1 + options.epochs):
        for layout, runner in runners.items():
            start = time.perf_counter()
            states[layout], _ = runner.steps(
                states[layout], epoch, 0, problem.steps_per_epoch, Anneal()
            )
            jax.block_until_ready(states[layout].params)  # type: ignore[no-untyped-call]
            times[layout].append((time.perf_counter() - start) / seeds)
    medians = {layout: statistics.median(times[layout][1:]) for layout in LAYOUTS}
    return {
        "width": width,
        "seeds": seeds,
        "medians": medians,
        "times": {layout: times[layout][1:] for layout in LAYOUTS},
        "vmap_over_sequential": medians["vmap"] / medians["sequential"],
        "best": min(medians, key=lambda layout: medians[layout]),
    }


def table(backend: str, rows: list[dict[str, Any]]) -> list[tuple[str, int, Layout]]:
    """Rows (backend, least width, layout) for the greatest number of seeds that was timed.

    A row is needed only where the faster layout changes with the width; the first one holds
    from width 0 on.
    """
    most = max(row["seeds"] for row in rows)
    found: list[tuple[str, int, Layout]] = []
    for row in sorted((r for r in rows if r["seeds"] == most), key=lambda r: r["width"]):
        if not found or found[-1][2] != row["best"]:
            found.append((backend, row["width"] if found else 0, row["best"]))
    return found


def measure(options: Options) -> dict[str, Any]:
    """Every width and number of seeds; a line each as it is done."""
    device = jax.devices()[0]
    print(
        f"{device.platform}: {device.device_kind}; depth {options.depth}, "
        f"{options.examples} examples, batch {options.batch_size}"
    )
    print(f"{'width':>6}{'seeds':>7}{'sequential':>12}{'vmap':>9}{'vmap / sequential':>19}")
    rows = []
    pairs = [(width, seeds) for width in options.widths for seeds in options.seeds]
    with terminal().task("layouts", len(pairs)) as task:
        for width, seeds in pairs:
            row = time_width(options, width, seeds)
            rows.append(row)
            task.advance(1, f"width {width}, {seeds} seeds")
            print(
                f"{width:>6}{seeds:>7}{row['medians']['sequential']:>12.4f}"
                f"{row['medians']['vmap']:>9.4f}{row['vmap_over_sequential']:>19.2f}",
                flush=True,
            )
    return {
        "device": f"{device.platform}: {device.device_kind}",
        "jax": jax.__version__,
        "rows": rows,
        "table": table(device.platform, rows),
    }


def show(record: dict[str, Any]) -> None:
    """What to commit."""
    print("rows for jaxid.training.layout.TABLE:")
    for line in record["table"]:
        print(f"    {line!r},".replace("'", '"'))


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; the exit code."""
    about = "Seconds per seed and epoch by layout."
    return run(__file__, Options, about, measure, show, argv)


if __name__ == "__main__":
    raise SystemExit(main())
