"""Seconds per epoch of jaxid beside Keras 3 on JAX, on the question's network and data.

Claim: jaxid trains an epoch at least as fast as Keras 3 on its JAX backend, and several seeds
in one program cost no more per seed than one.
Command: make bench-keras
  which makes .venv-keras (keras and jax) and runs
  python scripts/bench/keras_epoch.py --python .venv-keras/bin/python
Expected: on two cores, one layer, about 1 s an epoch for either.
Runtime: about 1 minute.

Both train in turn, one epoch each, in the same run: what else the machine does falls on both,
and the ratio is the median over such pairs. The first epochs of each (tracing, compiling) are
left out. Keras: `model.fit(x, x, batch_size=128, epochs=1, verbose=0)`, x float32 raw pixels,
jit_compile at its default, no metrics, in a process of its own that waits while jaxid trains.
jaxid: `Runner.steps` over the whole epoch until the parameters are there. Both reshuffle, both
keep the last, smaller batch.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from benchmark import run, say

from jaxid.core.errors import InputError
from jaxid.core.progress import terminal
from jaxid.core.provenance import origin
from jaxid.data.sources import load
from jaxid.identity.spec import IdentitySpec, build_problem
from jaxid.training.layout import choose_layout
from jaxid.training.loop import Anneal
from jaxid.training.run import Runner

WORKER = Path(__file__).with_name("keras_worker.py")


@dataclass(frozen=True)
class Options:
    """What to time."""

    python: Path = Path(".venv-keras/bin/python")
    """A Python with keras and jax."""
    data: str = "mnist"
    """mnist or digits."""
    mnist_dir: Path | None = None
    """Folder with the four official MNIST files (else JAXID_MNIST_DIR, else the network)."""
    depth: int = 1
    """Layers."""
    seeds: tuple[int, ...] = (1, 4)
    """Numbers of seeds that jaxid trains at once; times are per seed."""
    epochs: int = 5
    """Epochs timed for each, 5 or more for a spread that means something."""
    warmup: int = 2
    """Epochs of each that are left out."""
    batch_size: int = 128
    """Examples per step."""
    out: Path | None = None
    """A JSON file to write the times to."""

    def __post_init__(self) -> None:
        for name in ("depth", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name.replace('_', '-')} must be 1 or more")
        if not self.seeds or min(self.seeds) < 1 or self.warmup < 0:
            raise InputError("--seeds must be 1 or more, --warmup 0 or more")


class Keras:
    """The worker process: one line in, one epoch, one line out."""

    def __init__(self, python: Path, data: Path, depth: int, batch: int) -> None:
        command = [str(python), str(WORKER), str(data), str(depth), str(batch)]
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        except OSError as failed:
            raise InputError(
                f"--python {python} can't be run ({failed.strerror}); `make bench-keras` makes one"
            ) from None
        self.versions = self._answer()

    def epoch(self) -> dict[str, Any]:
        """Train one epoch: {"seconds", "loss"}."""
        assert self.process.stdin is not None
        self.process.stdin.write("epoch\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            raise InputError(f"the Keras process ended with {code}; is keras installed there?")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Let the worker end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)


class Jaxid:
    """The same network for several seeds, an epoch at a time."""

    def __init__(self, spec: IdentitySpec, seeds: int, dataset: Any) -> None:
        self.seeds = seeds
        self.layout = choose_layout("auto", dataset.train.shape[1])
        self.runner = Runner(build_problem(spec, dataset), self.layout)
        self.states = self.runner.init(range(seeds))
        self.done = 0

    def epoch(self) -> dict[str, Any]:
        """Train one epoch: {"seconds", "loss"}, seconds per seed."""
        start = time.perf_counter()
        stop = self.runner.problem.steps_per_epoch
        self.states, losses = self.runner.steps(self.states, self.done, 0, stop, Anneal())
        jax.block_until_ready(self.states.params)  # type: ignore[no-untyped-call]
        seconds = (time.perf_counter() - start) / self.seeds
        self.done += 1
        return {"seconds": seconds, "loss": float(np.mean(np.asarray(losses.train)))}


@contextlib.contextmanager
def keras_worker(options: Options, train: np.ndarray) -> Iterator[Keras]:
    """The worker with its data in a temporary file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.npy"
        np.save(path, train)
        worker = Keras(options.python, path, options.depth, options.batch_size)
        try:
            yield worker
        finally:
            worker.close()


def measure(options: Options) -> dict[str, Any]:
    """Time both in turn."""
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    dataset = load(options.data, mnist_dir=options.mnist_dir, report=say)
    spec = IdentitySpec(
        data="digits" if options.data == "digits" else "mnist",
        depth=options.depth,
        batch_size=options.batch_size,
    )
    with keras_worker(options, dataset.train) as keras:
        sides: dict[str, Any] = {"keras": keras}
        for count in options.seeds:
            sides[f"jaxid, {count} seed{'s' if count > 1 else ''}"] = Jaxid(spec, count, dataset)
        times: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
        rounds = options.warmup + options.epochs
        with terminal().task("epochs", rounds * len(sides)) as task:
            for _ in range(rounds):
                for name, side in sides.items():
                    times[name].append(side.epoch())
                    task.advance(1, name)
        versions = keras.versions
    timed = {name: rows[options.warmup :] for name, rows in times.items()}
    reference = [row["seconds"] for row in timed["keras"]]
    return {
        "depth": options.depth,
        "data": options.data,
        "batch_size": options.batch_size,
        "keras_versions": versions,
        "rows": [_row(name, rows, reference) for name, rows in timed.items()],
        "provenance": asdict(
            origin(list(range(max(options.seeds))), started, round(time.perf_counter() - clock, 2))
        ),
    }


def _row(name: str, rows: list[dict[str, Any]], keras: list[float]) -> dict[str, Any]:
    """Median and spread, and Keras' time over this one's, round by round."""
    seconds = [row["seconds"] for row in rows]
    ratios = [theirs / ours for theirs, ours in zip(keras, seconds, strict=True)]
    return {
        "name": name,
        "median": statistics.median(seconds),
        "least": min(seconds),
        "greatest": max(seconds),
        "keras_over_this": statistics.median(ratios),
        "keras_over_this_range": [min(ratios), max(ratios)],
        "seconds": seconds,
        "loss": [row["loss"] for row in rows],
    }


def show(record: dict[str, Any]) -> None:
    """A line for each side."""
    versions = record["keras_versions"]
    print(
        f"{record['data']}, {record['depth']} layer(s), batch {record['batch_size']}; Keras "
        f"{versions['keras']} on jax {versions['jax']} (jit_compile {versions['jit']}); "
        f"seconds per seed and epoch, {len(record['rows'][0]['seconds'])} epochs"
    )
    columns = f"{'median':>8}{'least':>8}{'most':>8}{'Keras / this':>14}{'range':>13}{'loss':>8}"
    print(f"{'':<18}{columns}")
    for row in record["rows"]:
        low, high = row["keras_over_this_range"]
        print(
            f"{row['name']:<18}{row['median']:>8.3f}{row['least']:>8.3f}{row['greatest']:>8.3f}"
            f"{row['keras_over_this']:>14.2f}{f'{low:.2f}..{high:.2f}':>13}{row['loss'][-1]:>8.1f}"
        )


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; the exit code."""
    about = "jaxid beside Keras 3 on JAX."
    return run(__file__, Options, about, measure, show, argv)


if __name__ == "__main__":
    raise SystemExit(main())
