"""The curvature of a network as text: one table for each point, one for the way through."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from jaxid.core.wording import NONE, counted, estimate, number, percent

Record = Mapping[str, Any]
POINTS = {"init": "At the start", "end": "At the end", "checkpoint": "At the checkpoint"}
MATRICES = {
    "hessian": "Hessian",
    "gauss_newton": "Gauss-Newton part",
    "residual": "residual part",
    "preconditioned": "Hessian as the optimizer sees it",
}
REASONS = {
    "dead_unit": "of dead units",
    "constant_input": "inputs that never vary",
    "collinear_input": "inputs that others imitate",
    "rarely_active": "units active on too few examples",
    "rescaling": "rescalings of hidden units",
    "imitated": "what the next layer can undo",
    "output_rank": "fewer outputs than parameters",
    "other": "without a reason",
}


LEGEND = (
    "rank: (tr A)^2 / |A|_F^2, how many equal eigenvalues would have these traces, where none is "
    "negative; near 0: share of eigenvalues "
    "that are 0 or can't be told from it; kappa: largest over smallest positive eigenvalue; kappa "
    "of 99 %: the same for the positive modes with 99 % of the loss that a quadratic model would "
    "win; ±: residual bound (largest, least) or standard error; ?: has not converged."
)
WIDTH = 110
"""Columns where the output is no terminal; the table does not fit 80."""


def print_curvature(record: Record) -> None:
    """Print everything that was measured."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    for point in record["points"]:
        for line in _heading(point, record["examples"]):
            console.print(line)
        console.print(_matrices(point["matrices"]))
        if point["layers"]:
            console.print("\nEach layer's own block of the Hessian")
            console.print(_matrices(point["layers"]))
        for line in notes(point):
            console.print(line)
        console.print()
    if record["along"]:
        console.print("Along training (mean over the seeds)")
        console.print(_along(record["along"]))
        looking, training = (record["along"]["seconds"][k] for k in ("looking", "training"))
        console.print(
            f"On the first {record['along']['examples']:,} examples; {number(looking)} s of "
            f"looking, compiling included, beside {number(training)} s of training. "
            "? has not converged."
        )


def _heading(point: Record, examples: Record) -> Iterator[str]:
    name = POINTS.get(point["name"], point["name"])
    used = f"{examples['used']:,} of {examples['of']:,} examples"
    yield (
        f"{name}: loss {number(point['loss'], 4)} over {used}, gradient "
        f"{number(point['gradient_norm'])}, {counted(point['parameters'], 'parameter')}"
    )


def _matrices(matrices: list[Record]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", overflow="fold")
    for name in ("largest", "least", "trace", "rank", "near 0", "kappa", "kappa of 99 %"):
        table.add_column(name, justify="right", overflow="fold")
    for found in matrices:
        ends = found["exact"] or found
        table.add_row(
            MATRICES.get(found["name"], found["name"]),
            _cell(ends["lambda_max"]),
            _cell(ends["lambda_min"]),
            _cell(found["trace"]),
            _cell(found["participation_rank"]),
            _near_zero(found),
            _cell(found["kappa"]),
            _cell(found["effective_kappa"]),
        )
    return table


def _near_zero(found: Record) -> str:
    """The share of eigenvalues that are 0, or can't be told from it."""
    if found["exact"] is not None:
        return percent(found["exact"]["null_dim"] / found["order"])
    return NONE if found["density"] is None else percent(found["density"]["zero"]["share"])


def _cell(found: Mapping[str, Any] | None) -> str:
    """An estimate in few characters; a question mark where it has not converged."""
    if not found or found["value"] is None:
        return NONE
    if not found["converged"]:
        # What it changed by last bounds nothing.
        return f"{number(found['value'])} ?"
    return estimate(found)


def notes(point: Record) -> Iterator[str]:
    """What to know beside the table, one sentence each."""
    view = point["optimizer"]
    seen = next((m for m in point["matrices"] if m["name"] == "preconditioned"), None)
    if seen is not None and seen["lambda_max"]["value"] is not None:
        limit = view["limit"]["value"]
        if limit is not None:
            side = "beyond" if seen["lambda_max"]["value"] > limit else "below"
            yield (
                f"The optimizer sees curvature up to {estimate(seen['lambda_max'])}, {side} the "
                f"limit {number(limit)} of its own update ({view['how']})."
            )
            top = view["top_mode"]
            if top is not None and top["share"] > 0.5:
                few, rate = counted(top["parameters"], "parameter"), view["rates"]["largest"]
                yield (
                    f"{percent(top['share'])} of that mode lies on {few} whose rate is within a "
                    f"factor 10 of the largest, {number(rate)}: they have hardly seen a gradient. "
                    f"The next eigenvalue is {number(top['next'])}."
                )
    elif view["limit"]["value"] is None:
        yield f"What the optimizer sees is not known: {view['how']}."
    hessian = point["matrices"][0]
    if hessian["exact"] is None:
        yield (
            f"No condition number: {hessian['kappa']['method']}. All eigenvalues were not "
            f"computed: {point['exact']['reason']}."
        )
    else:
        exact = hessian["exact"]
        yield (
            f"All {hessian['order']:,} eigenvalues, float64: {exact['negative']:,} negative, "
            f"{exact['null_dim']:,} flat (within {number(exact['threshold'])} of 0), condition "
            f"number of the rest {estimate(hessian['kappa'])}."
        )
    if point["null"] is not None:
        reasons = [
            f"{count:,} {REASONS[reason]}"
            for reason, count in point["null"]["reasons"].items()
            if count
        ]
        text = f"Gauss-Newton has {point['null']['null_dim']:,} flat directions"
        yield f"{text}: {', '.join(reasons)}." if reasons else f"{text}."
        if point["null"]["log10_permutations"] > 0:
            power = point["null"]["log10_permutations"]
            yield f"10^{number(power)} equal solutions by permuting hidden units."
    yield LEGEND
    every = [*point["matrices"], *point["layers"]]
    late = [m for m in every if not settled(m)]
    rounding = [m["name"] for m in late if "rounding" in m["stopped"]]
    others = [m["name"] for m in late if "rounding" not in m["stopped"]]
    if others:
        yield (
            f"Lanczos has not converged: {_listed(others)}; allow more --restarts, or a larger "
            "--tolerance."
        )
    if rounding:
        yield (
            f"Lanczos has not converged: {_listed(rounding)}; products in float32 round too much "
            "for this --tolerance."
        )
    modes = [m["name"] for m in every if _open(m["effective_kappa"])]
    if modes:
        yield f"kappa of 99 % not converged: {_listed(modes)}; raise --steps."


def _listed(names: list[str]) -> str:
    return ", ".join(MATRICES.get(name, name) for name in names)


def _open(found: Record | None) -> bool:
    return bool(found) and found["value"] is not None and not found["converged"]  # type: ignore[index]


def settled(found: Record) -> bool:
    """Whether both ends of a matrix converged."""
    return bool(found["lambda_max"]["converged"] and found["lambda_min"]["converged"])


def _along(along: Record) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    names = {
        "loss": "loss",
        "sharpness": "sharpness",
        "preconditioned": "seen by the optimizer",
        "limit": "its limit",
        "trace": "trace",
        "effective_kappa": "kappa of 99 %",
        "kappa": "kappa",
    }
    table.add_column("epoch", justify="right")
    for label in names.values():
        table.add_column(label, justify="right")
    for point in along["points"]:
        cells = [_mean([row[name] for row in point["seeds"]]) for name in names]
        table.add_row(str(point["epoch"]), *cells)
    return table


def _mean(values: list[Any]) -> str:
    """The mean over the seeds that have a value; says if one of them has not converged."""
    plain = [v["value"] if isinstance(v, Mapping) else v for v in values]
    there = [v for v in plain if v is not None and math.isfinite(v)]
    if not there:
        return NONE
    text = number(sum(there) / len(there))
    late = any(isinstance(v, Mapping) and not v["converged"] for v in values)
    return f"{text} ?" if late else text
