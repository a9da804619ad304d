"""Width of certified bounds beside auto_LiRPA's, on the same networks and boxes.

Claim: jaxid's certified bounds on f(x) - x, which cover their own rounding, are nowhere more than
1 % wider than auto_LiRPA's, each at its own default number of steps, and take less time.
Command: python scripts/bench/tightness.py --python .venv-lirpa/bin/python
  with torch, auto_LiRPA (0.3 by pip install --no-deps) and appdirs in that Python
Expected: jaxid's width over theirs, mean over outputs, 28 cases: CROWN 1.000 for ReLU and the
larger of two maps, 0.76 to 0.998 for tanh and sigmoid (lines of least area in place of tangents
at the middle), 0.82 to 0.96 for products, 1.000 and 1.001 for exp, 0.74 to 1.000 for a clip,
which they write with two ReLUs, 0.25 to 0.87 for softmax, which they write as a quotient;
optimised 0.995 to 1.0004 for ReLU, 0.87 to 0.999 for tanh and sigmoid, 0.75 to 1.002 for the
others. The loosest single outputs: 1.121 (a product on a small box), 1.008 (softmax), 1.006
(exp), 1.002 (ReLU). Seconds of an optimised call 0.00 to 0.09 beside 0.08 to 0.84. With 20 steps
for both, ReLU networks of four layers are 3 % wider: jaxid's optimisation needs more steps, which
cost less.
Runtime: 100 seconds on 2 cores.

Networks with random weights, scaled as after training, 2 to 4 layers, ReLU, tanh and sigmoid,
linear output. Width is high - low of each output's bound; the ratio is jaxid's over theirs.
Seconds are of a second call: compiling is left out.
"""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from benchmark import run

from jaxid.core.errors import InputError
from jaxid.core.progress import terminal
from jaxid.core.provenance import origin
from jaxid.expressivity.family import Family
from jaxid.verification.bounds import STEPS, MethodName, output_bounds
from jaxid.verification.intervals import Interval
from jaxid.verification.network import Network, network

WORKER = Path(__file__).with_name("tightness_worker.py")
METHODS: tuple[MethodName, ...] = ("crown", "alpha")


@dataclass(frozen=True)
class Options:
    """What to compare."""

    python: Path = Path(".venv-lirpa/bin/python")
    """A Python with torch and auto_LiRPA."""
    features: int = 20
    """Inputs and outputs."""
    width: int = 40
    """Hidden units."""
    depths: tuple[int, ...] = (2, 3, 4)
    """Layers."""
    activations: tuple[str, ...] = ("relu", "tanh", "sigmoid")
    """Hidden activations."""
    layers: tuple[str, ...] = ("maximum", "product", "exponential", "hard_tanh", "softmax")
    """Two-layer networks with another layer between: the larger of two maps, a product of two,
    exp, a clip to [-1, 1], softmax."""
    radii: tuple[float, ...] = (0.1, 0.5)
    """Half widths of the boxes."""
    steps: int = STEPS
    """Of jaxid's optimisation; its own default."""
    their_steps: int = 20
    """Of auto_LiRPA's; its own default."""
    out: Path | None = None
    """A JSON file to write everything to."""

    def __post_init__(self) -> None:
        if min(self.features, self.width, self.steps, self.their_steps, *self.depths) < 1:
            raise InputError("--features, --width, --steps and --depths must be 1 or more")
        if shutil.which(self.python) is None:
            raise InputError(
                f"--python {self.python} can't be run; make one with torch and auto_LiRPA"
            )


BETWEEN: dict[str, Callable[[Any], Any]] = {
    "maximum": lambda h: jnp.maximum(*jnp.split(h, 2, axis=1)),
    "product": lambda h: jnp.multiply(*jnp.split(h, 2, axis=1)),
    "exponential": lambda h: jnp.exp(0.3 * h),
    "hard_tanh": jax.nn.hard_tanh,
    "softmax": jax.nn.softmax,
}


@dataclass(frozen=True)
class Case:
    """A network and a box; ``between`` names what stands between two layers, if it is no
    activation of the family."""

    name: str
    family: Family
    layers: list[tuple[np.ndarray, np.ndarray]]
    box: Interval
    between: str | None = None

    @property
    def net(self) -> Network:
        """f(x) - x."""
        apply = self.family.apply(self.layers)
        if self.between is not None:
            layer = BETWEEN[self.between]
            (first, bias), (last, shift) = self.layers

            def apply(x: Any) -> Any:
                return layer(x @ jnp.asarray(first) + bias[None]) @ jnp.asarray(last) + shift[None]

        return network(lambda x: apply(x) - x, (self.family.features,))


def cases(options: Options) -> list[Case]:
    """Every depth, activation and radius; and the other layers."""
    found = _others(options)
    for depth in options.depths:
        for activation in options.activations:
            rng = np.random.default_rng(depth)
            d, k = options.features, options.width
            sizes = [d] + [k] * (depth - 1) + [d]
            layers = [
                (rng.normal(size=(a, b)) * (2 / a) ** 0.5, 0.1 * rng.normal(size=b))
                for a, b in pairwise(sizes)
            ]
            centre = rng.uniform(-1, 1, d)
            for radius in options.radii:
                name = f"{depth} layers, {activation}, radius {radius:g}"
                family = Family(d, depth, k, activation, "linear")
                found.append(Case(name, family, layers, Interval(centre - radius, centre + radius)))
    return found


def _others(options: Options) -> list[Case]:
    found = []
    for name in options.layers:
        rng = np.random.default_rng(7)
        d = options.features
        # Each pair of a softmax is a unit of its own.
        k = 8 if name == "softmax" else options.width
        after = k // 2 if name in ("maximum", "product") else k
        layers = [
            (rng.normal(size=(a, b)) * (2 / a) ** 0.5, 0.1 * rng.normal(size=b))
            for a, b in ((d, k), (after, d))
        ]
        centre = rng.uniform(-1, 1, d)
        for radius in options.radii:
            box = Interval(centre - radius, centre + radius)
            title = f"2 layers, {name}, radius {radius:g}"
            found.append(Case(title, Family(d, 2, k, "relu", "linear"), layers, box, name))
    return found


def measure(options: Options) -> dict[str, Any]:
    """Both sides' widths and seconds."""
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    chosen = cases(options)
    theirs, versions = _theirs(options, chosen)
    rows = []
    with terminal().task("bounds", len(chosen)) as task:
        for case, other in zip(chosen, theirs, strict=True):
            row: dict[str, Any] = {"name": case.name}
            net = case.net
            for method in METHODS:
                for _ in range(2):
                    start = time.perf_counter()
                    found = output_bounds(net, case.box, method, steps=options.steps)
                    seconds = time.perf_counter() - start
                width = found.output.high - found.output.low
                row[method] = {"width": float(width.mean()), "seconds": seconds}
                if "failed" in other[method]:
                    row[method]["failed"] = other[method]["failed"]
                    continue
                wide = np.subtract(other[method]["high"], other[method]["low"])
                row[method] |= {
                    "ratio": float(width.mean() / wide.mean()),
                    "largest_ratio": float((width / wide).max()),
                    "their_seconds": other[method]["seconds"],
                }
            rows.append(row)
            task.advance(1, case.name)
    seconds = round(time.perf_counter() - clock, 2)
    whence = asdict(origin([0], started, seconds))
    return {"rows": rows, "steps": options.steps, "their_steps": options.their_steps,
            "versions": versions, "provenance": whence}  # fmt: skip


def _theirs(options: Options, chosen: list[Case]) -> tuple[list[Any], dict[str, str]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listed = []
        for k, case in enumerate(chosen):
            arrays: dict[str, Any] = {f"{n}{i}": part for i, layer in enumerate(case.layers)
                      for n, part in zip(("kernel", "bias"), layer, strict=True)}  # fmt: skip
            np.savez(folder / f"{k}.npz", low=case.box.low, high=case.box.high, **arrays)
            listed.append({"name": case.name, "file": f"{k}.npz", "depth": case.family.depth,
                           "activation": case.between or case.family.activation})  # fmt: skip
        request = {"cases": listed, "steps": options.their_steps}
        (folder / "cases.json").write_text(json.dumps(request))
        command = [str(options.python), str(WORKER), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(f"--python {options.python}: {done.stderr.splitlines()[-1]}")
        answer = json.loads((folder / "bounds.json").read_text())
    return answer["rows"], answer["versions"]


def show(record: dict[str, Any]) -> None:
    """A line for each case, and the means."""
    listed = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    print(f"width of jaxid's bounds over auto_LiRPA's ({listed}), "
          f"{record['steps']} steps and {record['their_steps']}")  # fmt: skip
    print(f"{'':<34}{'CROWN':>9}{'largest':>9}{'optimised':>11}{'largest':>9}"
          f"{'seconds':>9}{'theirs':>8}")  # fmt: skip
    for row in record["rows"]:
        a, b = row["crown"], row["alpha"]
        cells = [
            _cell(part, key, spec)
            for part, key, spec in (
                (a, "ratio", ">9.4f"), (a, "largest_ratio", ">9.3f"), (b, "ratio", ">11.4f"),
                (b, "largest_ratio", ">9.3f"), (b, "seconds", ">9.2f"),
                (b, "their_seconds", ">8.2f"),
            )
        ]  # fmt: skip
        print(f"{row['name']:<34}{''.join(cells)}")


def _cell(part: dict[str, Any], key: str, spec: str) -> str:
    """A number, or a dash where auto_LiRPA gives none."""
    width = int(spec[1:].partition(".")[0])
    return format(part[key], spec) if key in part else f"{'-':>{width}}"


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; the exit code."""
    about = "Width of certified bounds beside auto_LiRPA's."
    return run(__file__, Options, about, measure, show, argv)


if __name__ == "__main__":
    raise SystemExit(main())
