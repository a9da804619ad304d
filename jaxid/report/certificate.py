"""What ``jaxid certify`` prints."""

from __future__ import annotations

import textwrap
from typing import Any

from rich.console import Console
from rich.table import Table

from jaxid.core.wording import number

WIDTH = 110
"""Columns where the output is no terminal."""
REASONS = 2
"""Regions whose lack of a bound is explained, at most."""
NAMES = {"exact": "exact", "intervals": "intervals", "crown": "CROWN", "alpha": "optimised CROWN"}


def print_certificate(record: dict[str, Any]) -> None:
    """Print the verdict on the family, and between what the worst error lies, by region."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    found = record["family"]
    if found is not None:
        kind = "" if found["kind"] is None else f" ({found['box']})"
        console.print(f"Could this family do it?{kind} {_sentence(found['words'])}")
        console.print(_mean_square(found["mean_square"]))
        console.print()
    console.print("Worst error of this network in one output, original units")
    console.print(_table(record["regions"]))
    best, looser = record["regions"][0], record["regions"][0]["looser"]
    if looser and best["method"] != "exact":
        console.print(
            f"No method is the tightest everywhere: {100 * looser:.0f} % of the first region's "
            "bounds are those of a cheaper one than the last; the tightest are taken."
        )
    for line in _without_bound(record["regions"]):
        console.print(line)
    certified = [row for row in record["regions"] if row["upper"]["value"] is not None]
    lines = [_sentence(certified[0]["upper"]["method"].partition("; ")[2])] if certified else []
    for line in [*lines, *_compared(record["regions"])]:
        console.print("\n".join(textwrap.wrap(line, WIDTH)), style="dim")


def _without_bound(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each reason why a region has no bound."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["upper"]["value"] is None:
            reasons.setdefault(row["upper"]["method"], []).append(row["words"])
    lines = [
        f"No bound for {words[0]}{f' and {len(words) - 1} more' if len(words) > 1 else ''}: "
        f"{reason.partition(': ')[2]}."
        for reason, words in reasons.items()
    ]
    others = len(lines) - REASONS
    return lines if others <= 0 else [*lines[:REASONS], f"And {others} more regions likewise."]


def _compared(rows: list[dict[str, Any]]) -> list[str]:
    """What comparing the bounds with the network itself showed."""
    checks = [row["check"] for row in rows if row.get("check")]
    if not checks:
        return []
    apart = max(check["apart"] for check in checks)
    overflown = max(check["overflown"] for check in checks)
    lines = [
        f"Every region's bounds were compared with the network at {checks[0]['points']:,} inputs "
        "or so; none is beyond them. As it runs, in float32, it is off from real arithmetic by up "
        f"to {number(apart)} there."
    ]
    if overflown:
        lines.append(
            f"At up to {overflown:,} of these inputs the float32 program overflows and gives no "
            "finite number; the bounds are of real arithmetic."
        )
    undefined = max(check["undefined"] for check in checks)
    if undefined:
        lines.append(
            f"At up to {undefined:,} of them float64 gives no finite number either; these were "
            "not compared."
        )
    return lines


def _mean_square(found: dict[str, Any]) -> str:
    """The least loss on the training set, in training units."""
    lower, upper = found["lower"]["value"], found["upper"]
    if found["verdict"] == "exact":
        return f"In mean square on the training set: 0 is reached ({found['witness']})."
    least = f"In mean square on the training set: at least {number(lower)} ({found['how']})"
    return f"{least}." if upper is None else f"{least}, and {number(upper['value'])} is reached."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("inputs", overflow="fold")
    for name in ("an input does", "none does more than", "ratio", "by"):
        table.add_column(name, justify="right", overflow="fold")
    for row in rows:
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.3g}"
        ends = [row[end]["value"] for end in ("lower", "upper")]
        cells = ["no bound" if end is None else number(end) for end in ends]
        method = "-" if row["method"] is None else NAMES[row["method"]]
        table.add_row(row["words"], *cells, ratio, method)
    return table
