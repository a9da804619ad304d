"""What ``jaxid predict`` prints."""

from __future__ import annotations

import textwrap
from typing import Any

from rich.console import Console
from rich.table import Table

from jaxid.wording import number

WIDTH = 100
ROWS = 8
"""Epochs in the table."""


def print_prediction(record: dict[str, Any]) -> None:
    """Print the stable rate, the curve, how long losses take, and what was measured."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    found, measured = record["prediction"], record.get("measured")
    stable = found["stability"]
    for line in textwrap.wrap(_stable(stable), WIDTH):
        console.print(line)
    verdict = "In range" if stable["in_range"] else "OUT OF RANGE"
    console.print(f"{verdict}: {stable['why']}.\n")
    console.print(_curve(found, measured))
    console.print()
    for reach in found["reach"]:
        need = "never" if reach["epochs"] is None else f"{number(reach['epochs'])} epochs"
        console.print(f"a loss of {number(reach['loss'])} needs {need}")
    floor = found["floor"]
    rest = "the layer can be exact" if floor == 0 else f"no weights do better than {number(floor)}"
    console.print(f"In the end: {rest}. Epochs are counted without batch noise.", style="dim")


def _stable(stable: dict[str, Any]) -> str:
    limit = stable["limit"]
    words = f"Largest stable rate: {number(stable['spectrum_limit'])} by the largest curvature"
    if limit["value"] is None:
        return f"{words}; with batch noise unknown ({limit['method']})."
    error = "" if not limit["error"] else f" +- {number(limit['error'], 1)}"
    words += f", {number(limit['value'])}{error} with batch noise"
    if limit["value"] < 0.5 * stable["spectrum_limit"]:
        words += ": single examples lie far out"
    return words + "."


def _curve(found: dict[str, Any], measured: dict[str, Any] | None) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    names = ["epoch", "predicted"] + ([] if measured is None else ["measured", "ratio"])
    for name in names:
        table.add_column(name, justify="right")
    curve = found["curve"]
    last = len(curve) - 1
    marks = sorted({*(round(last * k / ROWS) for k in range(ROWS + 1)), min(1, last), last})
    for epoch in marks:
        cells = [f"{epoch}", number(curve[epoch])]
        if measured is not None:
            value = measured["loss"][epoch]
            fine = value is not None and curve[epoch] is not None and value > 0
            cells += [number(value), f"{curve[epoch] / value:.3f}" if fine else "-"]
        table.add_row(*cells)
    return table
