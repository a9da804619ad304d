"""How nearly a smooth unit is the identity: error against interval and weight scale.

Claim: (g(c + h x) - g(c)) / (h g'(c)) is x up to h x^2 max|g''| / (2 |g'(c)|), third order where
g''(c) = 0; so universal approximation is bought here by weights of size 1 / h, on an interval,
and no further: at ten times the interval the error is a thousand times as large. In floating
point it ends where rounding, u / h, begins.
Command: python scripts/uat_interval.py
Expected: slope of log error over log h: 2.00 to 2.09 for tanh, sigmoid, GELU and SiLU, 1.00 for
softplus. Least certified error on [-1, 1]: sigmoid 8.4e-10 and GELU 7.7e-10 at h = 3e-5, SiLU
4.8e-10 at 1e-4, softplus 1.3e-7 at 3e-7, where curve and rounding meet; tanh, whose value at c is
0 and so rounds by nothing, goes on to 1.8e-14 at 1e-8.
Runtime: 40 seconds on 2 cores.

One input, one unit, a linear output. Certified by CROWN on the whole interval, in arithmetic
that covers its rounding; the attack's error is attained by an input.
"""

from __future__ import annotations

from dataclasses import dataclass

import common
import jax
import numpy as np
from matplotlib.figure import Figure

from jaxid.core.progress import Reporter
from jaxid.expressivity.family import Family, identity
from jaxid.expressivity.verdict import error_network
from jaxid.expressivity.witness import CENTRES, CURVED, tangent, tangent_error
from jaxid.verification.certificate import certify
from jaxid.verification.intervals import Interval

SCALES = tuple(10.0 ** np.arange(-8, 0.1, 0.5))
HALVES = (0.1, 1.0, 10.0)


@dataclass(frozen=True)
class Options(common.Options):
    """Nothing but the usual."""


def measure(options: Options, reporter: Reporter) -> common.Record:
    """Certified and attained error for every unit, scale and interval."""
    names = ("tanh",) if options.quick else tuple(CENTRES)
    scales = SCALES[::8] if options.quick else SCALES
    rows = []
    with reporter.task("certificates", len(names) * len(scales) * len(HALVES)) as task:
        for name in names:
            family = Family(1, 2, 1, name, "linear")
            for half in HALVES:
                target = identity(1, -half, half)
                points = []
                for h in scales:
                    net = error_network(family, target, tangent(family, target, h))
                    box = Interval(target.low, target.high)
                    found = certify(net, box, jax.random.key(0), method="crown", restarts=2)
                    taylor = tangent_error(name, h, half)
                    points.append({"h": h, "upper": found.upper, "lower": found.lower,
                                   "taylor": taylor})  # fmt: skip
                    task.advance(1, f"{name}, h {h:.1g}")
                row = {"name": name, "half": half, "points": points, "slope": slope(points)}
                rows.append(row | {"order": 2 if CURVED[name] is None else 1})
    record = {"seeds": [0], "halves": HALVES, "units": rows}
    return record | {"finding": finding(record)}


def slope(points: list[common.Record]) -> float | None:
    """Of log attained error over log h, where h x is small and rounding smaller still."""
    inside = [p for p in points if 1e-4 <= p["h"] <= 0.03 and p["lower"] > 100 * 1e-16 / p["h"]]
    if len(inside) < 2:
        return None
    h, error = np.log([[p["h"], p["lower"]] for p in inside]).T
    return float(np.polyfit(h, error, 1)[0])


def finding(record: common.Record) -> str:
    """Least certified error and slope of each unit on the middle interval."""
    parts = []
    for row in record["units"]:
        if row["half"] != 1.0:
            continue
        best = min(row["points"], key=lambda p: p["upper"])
        order = "" if row["slope"] is None else f", order {row['slope']:.2f}"
        parts.append(f"{row['name']} {common.short(best['upper'])} at h = {best['h']:.2g}{order}")
    return f"Least certified error on [-1, 1]: {'; '.join(parts)}"


def draw(record: common.Record) -> Figure:
    """A panel for each interval."""
    halves = record["halves"]
    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    grid = figure.subplots(1, len(halves), sharey=True)
    for axes, half in zip(grid, halves, strict=True):
        own = [row for row in record["units"] if row["half"] == half]
        for colour, row in zip(common.COLOURS, own, strict=False):
            h = [p["h"] for p in row["points"]]
            axes.plot(h, [p["upper"] for p in row["points"]], color=colour, label=row["name"])
            axes.plot(h, [p["taylor"] for p in row["points"]], ":", color=colour, lw=1.0)
            axes.plot(h, [p["lower"] for p in row["points"]], ".", color=colour, ms=4)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(1e-14, 1e3)
        axes.set_xlabel("h, inputs' weight; outputs' is 1 / (h g'(c))")
        axes.set_title(f"interval [-{half:g}, {half:g}]")
    grid[0].set_ylabel("worst error")
    grid[0].legend(fontsize=8, loc="upper left")
    common.titled(
        figure,
        record["finding"],
        "One unit and a linear output. Lines: certified on the whole interval; dots: attained by "
        "an input; dotted: the Taylor bound in real arithmetic. To the left rounding takes over.",
    )
    return figure


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
