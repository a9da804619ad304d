"""What ``jaxid certify`` prints."""

from __future__ import annotations

import textwrap
from typing import Any

from rich.console import Console
from rich.table import Table

from jaxid.wording import number

WIDTH = 110
"""Columns where the output is no terminal."""
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
    how = best["upper"]["method"].partition("; ")[2]
    for line in textwrap.wrap(_sentence(how), WIDTH):
        console.print(line, style="dim")


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
        cells = [number(row[end]["value"]) for end in ("lower", "upper")]
        table.add_row(row["words"], *cells, ratio, NAMES[row["method"]])
    return table
