"""Seconds for the curvature of one network: jaxid beside matfree, curvlinops and PyHessian.

Claim: with 10,000 images jaxid is first at each of the tasks: one Hessian-vector product, the ten
largest eigenvalues to a relative residual of 1e-4, a density of 100 Lanczos steps, the trace to
5 %; at one layer and at four, among those that meet the tolerance. A product that is repeated in
the same place PyHessian makes in 0.95 of jaxid's time at four layers and in 1.02 at one.
Command: make bench-curvature
  which makes .venv-curvature (torch, curvlinops and PyHessian) and runs
  python scripts/bench/curvature.py --python .venv-curvature/bin/python
Expected: seconds with one layer and with four, medians on two cores (torch 2.14.1, curvlinops
  3.0.1, PyHessian 0.1, matfree 0.6.3, jax 0.10.2):
                      jaxid         matfree       curvlinops    PyHessian
    product           0.145  1.20   0.160  1.30   0.323  1.54   0.199  1.41
    another           0.097  0.924  0.163  1.28   0.326  1.54   0.099  0.884
    eigenvalues       21.3   88.8   46.1   97.4   89.9   196    not met
    density           10.0   93.6   19.3   134    > 400  221    14.0   102
    trace             0.794  15.8   1.48   31.5   3.16   24.7   1.30   not met
  Ranges of the ratio to jaxid, one and four layers: product, matfree 1.11 to 1.14 and 1.06 to
  1.13, PyHessian 1.27 to 1.45 and 1.15 to 1.23; another, PyHessian 1.00 to 1.14 and 0.91 to 0.97.
  ARPACK on jaxid's product takes 1.60 and 1.06 of jaxid's time for the eigenvalues, matfree
  without reorthogonalisation 1.36 and 1.89 for the density, PyHessian 1.36 and 1.09.
Runtime: 80 minutes with --limit 400

The identity network of 784 ReLU units a layer at jaxid's initial parameters, mean squared
error against its own input, raw MNIST pixels, float32 on the CPU. Every package is in a
process of its own with the same parameters and data; they take turns, once each round, the
others waiting. Medians are over the rounds, and the ratios to jaxid are taken round by
round. Compiling and a first product are left out (`curvature_jax_worker.py` and
`curvature_torch_worker.py` say how). A task of more than a minute is not repeated; one that
runs into --limit is stopped, and its process with it. Run it on an idle machine: torch's
threads wait for each other spinning, so that one busy core slows torch up to tenfold, JAX twice.

"product" is one product with nothing known but parameters and data; "another" one more at the
same place, which is what the other tasks are made of. There both keep the gradient's graph; what
is left are the same matrix products, XLA's beside torch's. With few images a product from nothing
ties with plain JAX (500: matfree 0.90 and 0.99), which is the same mathematics, and PyHessian's
is 0.82 and 1.07 of jaxid's when repeated. PyHessian's trace at four layers stops by its own rule
after 8 probes, at 5.1 %.

What is checked, in the first round: products against float64; eigenpairs by |H v - theta v|
over the largest eigenvalue, with jaxid's product for all; of a density the mean, which is the
trace over p, beside the spread of that mean over probes (each package draws its own), and the
Wasserstein-1 distance from jaxid's over the spectrum's width; a trace by its own 95 % half
width, if there is one, and against 64 other probes. "NOT MET" marks results that are not what
was asked for: their seconds stand there without a ratio.
"""

from __future__ import annotations

import contextlib
import datetime
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from benchmark import run, say
from curvature_check_worker import Checks
from curvature_worker import JAX, Point, Worker, flat

from jaxid.core import trees
from jaxid.core.errors import InputError
from jaxid.core.progress import terminal
from jaxid.core.provenance import origin
from jaxid.data.sources import load
from jaxid.linalg.trace import LEAST
from jaxid.nets.mlp import identity_network, layer_params

TaskName: TypeAlias = Literal["product", "another", "eigenvalues", "density", "trace"]
TASKS: dict[TaskName, str] = {
    "product": "one Hessian-vector product",
    "another": "another Hessian-vector product at the same place",
    "eigenvalues": "the ten largest eigenvalues, residual 1e-4",
    "density": "spectral density, one probe of 100 Lanczos steps",
    "trace": "trace to 5 %",
}
EVERYWHERE = ("jaxid", "matfree", "curvlinops", "PyHessian")
EXTRA: dict[TaskName, tuple[str, ...]] = {
    "eigenvalues": ("ARPACK on jaxid", "PyHessian, tol 1e-6"),
    "density": ("matfree, no reortho", "curvlinops, ends given"),
}
"""What tells the reasons apart: product or eigensolver, product or basis, tolerance or method."""
REPEATED = 60.0
"""Seconds above which a task is not repeated."""
SEED = 0


@dataclass(frozen=True)
class Options:
    """What to time."""

    python: Path = Path(".venv-curvature/bin/python")
    """A Python with torch, curvlinops and PyHessian."""
    without_torch: bool = False
    """Time the packages on JAX alone."""
    mnist_dir: Path | None = None
    """Folder with the four official MNIST files (else JAXID_MNIST_DIR, else the network)."""
    images: int = 10000
    """Examples that the loss is a mean over."""
    depths: tuple[int, ...] = (1, 4)
    """Layers."""
    tasks: tuple[TaskName, ...] = tuple(TASKS)
    """What to time."""
    rounds: int = 3
    """Times that each package does each task."""
    limit: float = 300.0
    """Seconds after which a task is stopped."""
    out: Path | None = None
    """A JSON file to write everything to."""

    def __post_init__(self) -> None:
        if not self.depths or min(self.depths) < 1 or not self.tasks:
            raise InputError("--depths must be one number or more, each 1 or more; name a task")
        if min(self.images, self.rounds) < 1 or not self.limit > 0:
            raise InputError("--images and --rounds must be 1 or more, --limit above 0")
        if not self.without_torch and shutil.which(self.python) is None:
            raise InputError(
                f"--python {self.python} can't be run; `make bench-curvature` makes one, "
                "--without-torch does without"
            )

    def packages(self, task: TaskName) -> list[str]:
        """Who does the task, jaxid first."""
        names = EVERYWHERE + EXTRA.get(task, ())
        return [name for name in names if name in JAX or not self.without_torch]

    def interpreter(self, package: str) -> Path:
        """The Python that has the package."""
        return Path(sys.executable) if package in JAX else self.python


@dataclass
class Row:
    """One package's rounds of one task."""

    package: str
    seconds: list[float] = field(default_factory=list)
    over: float | None = None
    failed: str | None = None
    products: int | None = None
    check: dict[str, Any] = field(default_factory=dict)

    def another_round(self) -> bool:
        """Whether the task is worth its time once more."""
        if self.over is not None or self.failed is not None:
            return False
        return not self.seconds or self.seconds[0] <= REPEATED

    def add(self, answer: dict[str, Any]) -> None:
        """What `Worker.run` gave."""
        if "seconds" in answer:
            self.seconds.append(answer["seconds"])
            self.products = answer["products"]
        self.over, self.failed = answer.get("over"), answer.get("failed")

    def record(self, jaxid: Row) -> dict[str, Any]:
        """As JSON, with the ratios to jaxid's seconds round by round."""
        ratios = [a / b for a, b in zip(self.seconds, jaxid.seconds, strict=False)]
        if self.over is not None and not self.seconds and jaxid.seconds:
            ratios = [self.over / statistics.median(jaxid.seconds)]
        return {
            **vars(self),
            "median": statistics.median(self.seconds) if self.seconds else None,
            "over_jaxid": statistics.median(ratios) if ratios else None,
            "over_jaxid_range": [min(ratios), max(ratios)] if ratios else None,
        }


@contextlib.contextmanager
def workers(options: Options, point: Point) -> Iterator[tuple[dict[str, Worker], Checks]]:
    """The packages' processes and the checks, with the point in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        point.save(folder)
        names = {package for task in options.tasks for package in options.packages(task)}
        found = {name: Worker(options.interpreter(name), name, folder) for name in sorted(names)}
        try:
            yield found, Checks(point, folder)
        finally:
            for worker in found.values():
                worker.close()


def place(images: np.ndarray, depth: int) -> Point:
    """The images, jaxid's initial parameters and a random vector."""
    model = identity_network(images.shape[1], depth=depth)
    start, key = jax.random.split(jax.random.key(SEED))
    params = jax.jit(model.init)(start, jnp.asarray(images[:1]))
    both = (params, trees.random_like(key, params))
    at, v = (flat(layer_params(each, depth)) for each in both)
    return Point(images, at, v, depth)


def measure(options: Options) -> dict[str, Any]:
    """Every task of every depth: tables as they are done, everything at the end."""
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    if not options.without_torch:
        _find_torch(options.python)
    # The packages' processes are told the same.
    jax.config.update("jax_platforms", "cpu")  # type: ignore[no-untyped-call]
    images = load("mnist", mnist_dir=options.mnist_dir, report=say).train
    if options.images > len(images):
        raise InputError(f"--images is {options.images} and MNIST has {len(images)}")
    records: list[dict[str, Any]] = []
    versions: dict[str, Any] = {}
    for depth in options.depths:
        point = place(images[: options.images].astype(np.float32), depth)
        with workers(options, point) as (sides, checks):
            for task in options.tasks:
                rows = _rounds(options, task, sides, checks, depth)
                made = [row.record(rows[0]) | {"depth": depth, "task": task} for row in rows]
                title = f"{_layers(depth)}, {options.images} images: {TASKS[task]}"
                print(_table(title, made), flush=True)
                records += made
                # What idle processes hold is much, and the next task may need it.
                for worker in sides.values():
                    versions |= worker.versions
                    worker.close()
    return {
        "images": options.images,
        "rounds": options.rounds,
        "limit": options.limit,
        "versions": versions,
        "rows": records,
        "provenance": asdict(origin([SEED], started, round(time.perf_counter() - clock, 2))),
    }


def _find_torch(python: Path) -> None:
    command = [str(python), "-W", "ignore", "-c", "import curvlinops, pyhessian"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(
            f"--python {python}: {done.stderr.splitlines()[-1]}; `make bench-curvature` makes one "
            "that has all"
        )


def _rounds(
    options: Options, task: TaskName, sides: dict[str, Worker], checks: Checks, depth: int
) -> list[Row]:
    """The task by every package in turn, the first round checked; jaxid's row first."""
    rows = [Row(package) for package in options.packages(task)]
    probes = LEAST
    with terminal().task(f"{_layers(depth)}, {task}", options.rounds * len(rows)) as progress:
        for _ in range(options.rounds):
            for row in rows:
                if row.another_round():
                    answer = sides[row.package].run(task, probes, options.limit)
                    # Packages that don't know when to stop make as many probes as jaxid.
                    if row.package == "jaxid":
                        probes = answer.get("probes", probes)
                    row.add(answer)
                    if "seconds" in answer and not row.check:
                        row.check = checks.check(row.package, task, answer)
                progress.advance(1, row.package)
    return rows


def _layers(depth: int) -> str:
    return f"{depth} layer{'s' if depth > 1 else ''}"


def _table(title: str, records: list[dict[str, Any]]) -> str:
    columns = f"{'median':>9}{'least':>9}{'most':>9}{'/ jaxid':>9}{'range':>17}{'products':>10}"
    lines = ["", f"{title}; seconds", f"{'':<23}{columns}  check"]
    for record in records:
        lines.append(f"{record['package']:<23}" + _cells(record))
    return "\n".join(lines)


def _cells(record: dict[str, Any]) -> str:
    if record["failed"] is not None:
        return f"  failed: {record['failed']}"
    ratio, span = record["over_jaxid"], record["over_jaxid_range"]
    if not record["seconds"]:
        limit, more = f"> {record['over']:g}", "" if ratio is None else f"> {ratio:.2f}"
        return f"{limit:>9}{'':>18}{more:>9}"
    times = (record["median"], min(record["seconds"]), max(record["seconds"]))
    cells = "".join(f"{_seconds(each):>9}" for each in times)
    # Not a time for what was asked, so nothing to compare.
    if ratio is None or record["check"]["met"] is False:
        cells += f"{'':>26}"
    else:
        low, high = span
        cells += f"{ratio:>9.2f}{f'{low:.2f}..{high:.2f}':>17}"
    mark = {True: "met: ", False: "NOT MET: ", None: ""}[record["check"]["met"]]
    later = "" if record["over"] is None else f"; a later round > {record['over']:g} s"
    return cells + f"{record['products']:>10}  {mark}{record['check']['text']}{later}"


def _seconds(value: float) -> str:
    return f"{value:.4f}" if value < 10 else f"{value:.1f}"


def show(record: dict[str, Any]) -> None:
    """The versions, below the tables."""
    listed = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    print(f"\n{listed}; {record['rounds']} rounds, {record['provenance']['seconds']:.0f} s in all")


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; the exit code."""
    about = "jaxid beside matfree, curvlinops and PyHessian."
    return run(__file__, Options, about, measure, show, argv)


if __name__ == "__main__":
    raise SystemExit(main())
