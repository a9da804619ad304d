"""Time and memory of every eigenvalue of the question's Hessian: 784 blocks of order 785.

Claim: all 615,440 eigenvalues of the one-layer ReLU network's Hessian over 60,000 MNIST images
take minutes and little memory on two cores, in float64.
Command: make bench-exact
  python scripts/bench/exact_spectrum.py
Expected: 171 s beside other jobs and 0.83 GiB at most, of which 0.36 were held before.
Runtime: 3 minutes on 2 cores beside other jobs.

At initialisation every output is alive, so no block is free: the slowest point of a run.
Peak memory is the process's high-water mark by the operating system, Python, JAX and the
images included; what was held before the spectrum is given beside it.
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmark import run, say

from jaxid.core.errors import InputError
from jaxid.core.progress import terminal
from jaxid.curvature.last_layer.spectrum import head_spectrum
from jaxid.identity.spec import DataName, IdentitySpec, build_problem, load_data
from jaxid.linalg.parallel import cores
from jaxid.nets.mlp import layer_params
from jaxid.training.run import Runner

KIB = 1 if sys.platform == "darwin" else 1024
"""Bytes in the unit of `ru_maxrss`."""


@dataclass(frozen=True)
class Options:
    """What to decompose."""

    data: DataName = "mnist"
    """mnist or digits."""
    mnist_dir: Path | None = None
    """Folder with the four official MNIST files (else JAXID_MNIST_DIR, else the network)."""
    outputs: int | None = None
    """Outputs, the first so many; all if not given."""
    repeats: int = 1
    """How often; the median is printed."""
    out: Path | None = None
    """A JSON file to write the figures to."""

    def __post_init__(self) -> None:
        if self.repeats < 1 or (self.outputs is not None and self.outputs < 1):
            raise InputError("--repeats and --outputs must be 1 or more")


def measure(options: Options) -> dict[str, Any]:
    """Decompose, and read the clock and the memory."""
    spec = IdentitySpec(data=options.data, mnist_dir=options.mnist_dir, seeds=1)
    dataset = load_data(spec, say)
    params = Runner(build_problem(spec.resolved(dataset), dataset)).init([0]).params
    ((kernels, biases),) = layer_params(params, 1)
    assert biases is not None
    kernel, bias = np.asarray(kernels[0]), np.asarray(biases[0])
    some = slice(options.outputs)
    before, seconds = peak(), []
    for _ in range(options.repeats):
        start = time.perf_counter()
        with terminal().task("blocks", kernel[:, some].shape[1]) as task:
            done = 0

            def report(at: int, _: int) -> None:
                nonlocal done
                task.advance(at - done)
                done = at

            found = head_spectrum(
                dataset.train,
                dataset.train[:, some],
                kernel[:, some],
                bias[some],
                "relu",
                progress=report,
            )
        seconds.append(time.perf_counter() - start)
    return {
        "data": options.data,
        "examples": len(dataset.train),
        "eigenvalues": int(found.eigenvalues.size),
        "null_dim": found.null_dim,
        "kappa": found.kappa._asdict(),
        "cores": cores(),
        "seconds": seconds,
        "peak_bytes": peak(),
        "peak_bytes_before": before,
    }


def peak() -> int:
    """The largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB


def show(record: dict[str, Any]) -> None:
    """One line."""
    seconds, peaks = record["seconds"], [record["peak_bytes"], record["peak_bytes_before"]]
    most, before = (f"{size / 2**30:.2f}" for size in peaks)
    print(
        f"{record['eigenvalues']:,} eigenvalues over {record['examples']:,} examples of "
        f"{record['data']}, {record['cores']} cores: median {np.median(seconds):.1f} s "
        f"({min(seconds):.1f} to {max(seconds):.1f}), peak memory {most} GiB ({before} before)"
    )


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; the exit code."""
    about = "Time and memory of exact spectra."
    return run(__file__, Options, about, measure, show, argv)


if __name__ == "__main__":
    raise SystemExit(main())
