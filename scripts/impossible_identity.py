"""Which networks can be the identity, and how far off the others must be.

Claim: "a nonlinear function can't be linear" is true of g(W x + b) wherever g is not, and false
of networks: on an interval bounded below one ReLU layer, shifted, is exact; two ReLU, GELU, SiLU
or softplus units and a linear output are exact everywhere, g(x) - g(-x) = x; smooth units come as
near as one likes and never there. On [-a, b] a ReLU output is a off and no parameters do better.
Command: python scripts/impossible_identity.py
Expected: on [-1, 1], one input: ReLU output 1 (attained); ReLU units and a linear output 0; two
GELU units 0; one tanh unit 3.3e-11 at the scale chosen (any error can be undercut); one softplus
unit 6.8e-13, rounding; tanh output 0.112 or less, sigmoid output 1; a bottleneck of 2 units for 3
inputs 1.
Runtime: 15 seconds on 2 cores.

For each family: the largest bound known that no parameters undercut, and parameters written down
and not trained, whose worst error on the interval is certified.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import common
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxid.core.precision import float64
from jaxid.core.progress import Reporter
from jaxid.expressivity.family import Family, identity
from jaxid.expressivity.verdict import Verdict, verdict

FAMILIES = (
    ("one ReLU layer", Family(1)),
    ("one ReLU unit, linear output", Family(1, 2, 1, "relu", "linear")),
    ("two GELU units, linear output", Family(1, 2, 2, "gelu", "linear")),
    ("one tanh unit, linear output", Family(1, 2, 1, "tanh", "linear")),
    ("one softplus unit, linear output", Family(1, 2, 1, "softplus", "linear")),
    ("one tanh layer", Family(1, 1, None, "relu", "tanh")),
    ("one sigmoid layer", Family(1, 1, None, "relu", "sigmoid")),
    ("3 inputs, 2 ReLU units, linear output", Family(3, 2, 2, "relu", "linear")),
)
QUICK = (0, 5)
SHOWN = 2.0


@dataclass(frozen=True)
class Options(common.Options):
    """The interval."""

    half: float = 1.0
    """The interval is [-half, half]."""


def measure(options: Options, reporter: Reporter) -> common.Record:
    """The verdict on every family."""
    chosen = [FAMILIES[k] for k in QUICK] if options.quick else FAMILIES
    rows = []
    with reporter.task("families", len(chosen)) as task:
        for name, family in chosen:
            target = identity(family.features, -options.half, options.half)
            found = verdict(family, target)
            rows.append({"name": name, **summary(found), **course(family, found, options.half)})
            task.advance(1, name)
    record = {"seeds": [0], "half": options.half, "families": rows}
    return record | {"finding": finding(record)}


def summary(found: Verdict) -> common.Record:
    """What the figure says of it."""
    return {
        "kind": found.kind,
        "words": found.words,
        "lower": found.lower.error,
        "reason": found.lower.reason,
        "upper": None if found.upper is None else found.upper.value,
        "upper_method": None if found.upper is None else found.upper.method,
        "attained": found.attained,
        "witness": None if found.witness is None else found.witness.words,
    }


def course(family: Family, found: Verdict, half: float) -> common.Record:
    """The witness along the first input, the others in the middle."""
    if found.witness is None:
        return {"x": [], "y": []}
    x = np.linspace(-SHOWN * half, SHOWN * half, 201)
    rows: Any = np.zeros((x.size, family.features))
    rows[:, 0] = x
    with float64():
        y = np.asarray(family.apply(found.witness.layers)(jnp.asarray(rows)))[:, 0]
    return {"x": x, "y": y}


def finding(record: common.Record) -> str:
    """Each family's least worst error."""
    parts = [f"{row['name']} {error(row)}" for row in record["families"]]
    return f"Least worst error on [-{record['half']:g}, {record['half']:g}]: {'; '.join(parts)}"


def error(row: common.Record) -> str:
    """Exactly, at least, or at most."""
    if row["kind"] == "exact":
        return "0, exactly"
    if row["attained"] and row["lower"] > 0:
        return f"{row['lower']:g}, attained"
    upper = common.short(row["upper"])
    if row["lower"] > 0:
        return f"{row['lower']:g} to {upper}"
    return f"{upper} or less"


def draw(record: common.Record) -> Figure:
    """A panel for each family: its witness beside the identity."""
    rows = record["families"]
    columns = min(4, len(rows))
    figure = Figure(figsize=(10.5, 2.9 * -(-len(rows) // columns) + 1.2), layout="constrained")
    grid = np.atleast_2d(
        figure.subplots(-(-len(rows) // columns), columns, sharex=True, sharey=True)
    )
    for axes, row in zip(grid.flat, rows, strict=False):
        _panel(axes, row, record["half"])
    exact = sum(row["kind"] == "exact" for row in rows)
    common.titled(
        figure,
        f"{exact} of {len(rows)} families hold the identity exactly; a ReLU output is "
        f"{record['half']:g} off and no parameters do better",
        "Blue: parameters written down, not trained; grey: the identity; shaded: the interval on "
        "which the worst error is meant. "
        "Each error is certified on the whole interval, or known from g(x) - g(-x) = x.",
    )
    return figure


def _panel(axes: Axes, row: common.Record, half: float) -> None:
    axes.axvspan(-half, half, color="#f0f0f0", lw=0)
    ends = [-SHOWN * half, SHOWN * half]
    axes.plot(ends, ends, color="#999999", lw=3.0)
    axes.plot(row["x"], row["y"], color=common.COLOURS[0], lw=1.6)
    axes.set_ylim(*ends)
    axes.set_title(f"{row['name']}\n{error(row)}", fontsize=9)


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
