"""One package's side of `curvature.py`, in a process of its own so that it can be stopped.

`Worker` is the benchmark's end of the line and `main` the process's, which speaks over its
standard streams. After a line of JSON with its versions it answers every line
{"task": t, "probes": k} that it reads with three: {"ready": true} when all that is not timed
(compiling, a first product) is done, {"seconds": s}, and {"result": {...}}; or with
{"failed": why}. Vectors go into FOLDER/PACKAGE.npy, a row each.

The packages are in `curvature_jax_worker.py` and `curvature_torch_worker.py`, which run in
different Pythons; so nothing but NumPy is imported here.

Usage: python curvature_worker.py PACKAGE FOLDER, with what `Point.save` left in the folder.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

TOP = 10
"""Eigenvalues asked for."""
TOLERANCE = 1e-4
"""Their largest residual over the largest of them."""
STEPS = 100
"""Lanczos steps of a density."""
ACCURACY = 0.05
"""Half width of a trace's 95 % interval over the trace."""
JAX = ("jaxid", "matfree", "matfree, no reortho", "ARPACK on jaxid")

Layers: TypeAlias = list[tuple[Any, Any]]
"""(kernel (inputs, outputs), bias) of each layer."""


@dataclass(frozen=True)
class Point:
    """Where the curvature is measured. Vectors are flat: kernel and bias, layer after layer.

    Attributes:
      x: (n, d) float32, inputs and targets.
      at: (p,) float32, the parameters.
      v: (p,) float32, a random vector.
      depth: layers, each from d to d.
    """

    x: np.ndarray
    at: np.ndarray
    v: np.ndarray
    depth: int

    def layers(self, flat: np.ndarray) -> Layers:
        """A flat vector as kernels and biases."""
        width = self.x.shape[1]
        each = flat.reshape(self.depth, width + 1, width)
        return [(part[:width], part[width]) for part in each]

    def save(self, folder: Path) -> None:
        """Write it for `load`."""
        np.savez(folder / "point.npz", x=self.x, at=self.at, v=self.v, depth=self.depth)

    @classmethod
    def load(cls, folder: Path) -> Point:
        """What `save` wrote."""
        with np.load(folder / "point.npz") as file:
            return cls(file["x"], file["at"], file["v"], int(file["depth"]))


def flat(layers: Sequence[tuple[Any, Any]]) -> np.ndarray:
    """Kernels and biases as a flat float32 vector."""
    parts = [np.asarray(part, np.float32).ravel() for layer in layers for part in layer]
    return np.concatenate(parts)


class Job(NamedTuple):
    """A task that is ready to be timed.

    Attributes:
      work: what is timed.
      report: its result as JSON; an array under "vectors" is written to a file.
      calls: how often it is called at most, within two seconds; the time is the median.
    """

    work: Callable[[], Any]
    report: Callable[[Any], dict[str, Any]]
    calls: int = 1


class Side(Protocol):
    """A package that is timed."""

    versions: dict[str, Any]

    def job(self, task: str, probes: int) -> Job:
        """The task, with all done that is not timed; ``probes`` is for those who can't stop by
        themselves."""
        ...


class Worker:
    """One package's process. It starts with the first task, and anew after it was stopped."""

    def __init__(self, python: Path, package: str, folder: Path) -> None:
        self.command = [str(python), __file__, package, str(folder)]
        self.package = package
        self.process: subprocess.Popen[str] | None = None
        self.lines: queue.Queue[str] = queue.Queue()
        self.versions: dict[str, Any] = {}

    def run(self, task: str, probes: int, limit: float) -> dict[str, Any]:
        """{"seconds": s, and the result}, {"over": limit} or {"failed": why}."""
        if self.process is None:
            self._start()
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(json.dumps({"task": task, "probes": probes}) + "\n")
        self.process.stdin.flush()
        found: dict[str, Any] = {}
        for wanted, wait in (("ready", None), ("seconds", limit), ("result", None)):
            answer = self._answer(wait)
            if answer is None:
                self.close(kill=True)
                return {"over": limit}
            if wanted not in answer:
                return answer
            found |= answer
        return {"seconds": found["seconds"]} | found["result"]

    def _start(self) -> None:
        environment = os.environ | {
            "JAX_PLATFORMS": "cpu",
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONWARNINGS": "ignore",
        }
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, args=(self.process, self.lines), daemon=True).start()
        versions = self._answer(None)
        if versions is None or "failed" in versions:
            raise RuntimeError(f"the process of {self.package} ended before it had begun")
        self.versions = versions

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    def _answer(self, wait: float | None) -> dict[str, Any] | None:
        """The next line; None after ``wait`` seconds without one."""
        try:
            line = self.lines.get(timeout=wait)
        except queue.Empty:
            return None
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        assert self.process is not None
        code = self.process.wait()
        self.process = None
        return {"failed": f"the process ended with {code}"}

    def close(self, *, kill: bool = False) -> None:
        """End the process, if there is one: at once, or when it has read all."""
        process, self.process = self.process, None
        if process is None:
            return
        assert process.stdin is not None
        if kill:
            process.kill()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait(timeout=60)


def main() -> None:
    """Answer each line on stdin."""
    package, folder = sys.argv[1], Path(sys.argv[2])
    # Packages may print; only answers go to the real stdout.
    answers, sys.stdout = sys.stdout, sys.stderr

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    module = "curvature_jax_worker" if package in JAX else "curvature_torch_worker"
    side: Side = importlib.import_module(module).side(package, Point.load(folder))
    say(side.versions)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            job = side.job(request["task"], request["probes"])
            say({"ready": True})
            seconds, found = _timed(job)
            say({"seconds": seconds})
            result = job.report(found)
        except RuntimeError as wrong:
            say({"failed": f"{type(wrong).__name__}: {wrong}".splitlines()[0]})
            continue
        vectors = result.pop("vectors", None)
        if vectors is not None:
            np.save(folder / f"{package}.npy", vectors)
        say({"result": result})


def _timed(job: Job) -> tuple[float, Any]:
    times: list[float] = []
    while not times or (len(times) < job.calls and sum(times) < 2):
        start = time.perf_counter()
        found = job.work()
        times.append(time.perf_counter() - start)
    return statistics.median(times), found


if __name__ == "__main__":
    main()
