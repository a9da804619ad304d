"""What ``jaxid predict`` prints."""

from __future__ import annotations

import math
import textwrap
from typing import Any

from rich.console import Console
from rich.table import Table

from jaxid.core.wording import number, percent

WIDTH = 100
ROWS = 8
"""Epochs in the table."""
METHODS = {
    "modes": "Mode by mode, from second and fourth moments of the data",
    "moments": "From moments of the data by size of the example, fed to the optimizer",
    "linearised": "From the network linearised at its first parameters, without batch noise",
}


def print_verdict(found: dict[str, Any]) -> None:
    """Print how it is predicted and how far: before anything is trained."""
    console = _console()
    for line in _head(found):
        for part in textwrap.wrap(line, min(WIDTH, console.width)):
            console.print(part)
    console.print()


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def print_prediction(record: dict[str, Any]) -> None:
    """Print the curve, deaths, how long losses take, and what the optimizer and the layers do
    first; beside it what was measured."""
    console = _console()
    found, measured = record["prediction"], record.get("measured")
    if found is None:
        return
    if found["curve"] is not None or measured is not None:
        console.print(_curve(found, measured))
        console.print()
    if found.get("deaths"):
        told = found["deaths"]
        console.print(
            f"Of {told['varying']:,} outputs whose target varies, dead on all "
            f"{told['examples']:,} examples:"
        )
        console.print(_deaths(told, measured))
        console.print()
    for line in _reach(found):
        console.print(line)
    for line in [*_rest(found), *_optimizer(found), *_signal(found)]:
        for part in textwrap.wrap(line, min(WIDTH, console.width)):
            console.print(part, style="dim")


def _head(found: dict[str, Any]) -> list[str]:
    if found["curve"] is None:
        return [f"No curve is predicted: {found['why']}."]
    lines = [f"{METHODS[found['method']]}."]
    if found.get("stability"):
        lines.append(_stable(found["stability"]))
    share = (found.get("share_of_stable") or {}).get("value")
    if share is not None:
        words = f"The rate is {number(share, 2)} of the largest stable one at the start"
        lines.append(words + (": linearised, its first steps diverge." if share > 1 else "."))
    near = f"losses to about {percent(found['within'])}, mean over many seeds"
    verdict = f"In range: {near}"
    if not found["in_range"]:
        verdict = "OUT OF RANGE"
        if found["until"] > 0:
            verdict += f" from epoch {number(found['until'], 2)} on (before that {near})"
    return [*lines, f"{verdict}; {found['why']}."]


def _diverges(found: dict[str, Any]) -> bool:
    last, first = found["last"], found["first"]
    return not math.isfinite(last) or last > 10 * first


def _reach(found: dict[str, Any]) -> list[str]:
    """Epochs that losses need; those beyond the run in one line."""
    if not found.get("reach") or _diverges(found):
        return []
    lines, beyond = [], None
    for reach in found["reach"]:
        loss, epochs = number(reach["loss"]), reach["epochs"]
        if epochs is not None:
            lines.append(f"a loss of {loss} needs {number(epochs)} epochs{_doubt(found, epochs)}")
        elif "within" in reach:
            doubt = "" if found["in_range"] else " (out of range)"
            words = f"a loss of {loss} and less needs more than {reach['within']:,} epochs{doubt}"
            beyond = beyond or words
        else:
            doubt = "" if found["in_range"] else " (out of range)"
            lines.append(f"a loss of {loss} is never reached{doubt}")
    return lines if beyond is None else [*lines, beyond]


def _doubt(found: dict[str, Any], epochs: float) -> str:
    """Beyond what is claimed, and beyond the run, where noise of batches is left out."""
    if epochs > len(found["curve"]) - 1:
        return " (beyond the run, batch noise left out)"
    return "" if found["in_range"] or epochs <= found["until"] else " (out of range)"


def _stable(stable: dict[str, Any]) -> str:
    limit = stable["limit"]
    given = "" if stable["rate"] is None else f"The rate is {number(stable['rate'])}. "
    words = (
        f"{given}Largest stable one of plain SGD: {number(stable['spectrum_limit'])} by curvature"
    )
    if limit is None or limit["value"] is None:
        why = "" if limit is None else f" ({limit['method']})"
        return f"{words}; with batch noise unknown{why}."
    error = "" if not limit["error"] else f" +- {number(limit['error'], 1)}"
    words += f", {number(limit['value'])}{error} with batch noise"
    if limit["value"] < 0.5 * stable["spectrum_limit"]:
        words += ": single examples lie far out"
    return words + "."


def _curve(found: dict[str, Any], measured: dict[str, Any] | None) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    curve = found["curve"]
    known = [] if curve is None else ["predicted"]
    seen = [] if measured is None else ["measured"]
    names = ["epoch", *known, *seen, *(["ratio", ""] if known and seen else [])]
    for name in names:
        table.add_column(name, justify="right")
    last = len(curve or measured["loss"] if measured else curve) - 1
    marks = sorted({*(round(last * k / ROWS) for k in range(ROWS + 1)), min(1, last), last})
    for epoch in marks:
        cells = [f"{epoch}"] + ([number(curve[epoch])] if known else [])
        if measured is not None:
            # Training may have been interrupted.
            value = measured["loss"][epoch] if epoch < len(measured["loss"]) else None
            cells.append(number(value))
            if known:
                fine = value is not None and curve[epoch] is not None and value > 0
                ratio = curve[epoch] / value if fine else None
                plain = ratio is not None and 1e-3 <= ratio < 1e3
                cells.append(f"{ratio:.3f}" if plain else number(ratio))
                cells.append("" if epoch <= found["until"] else "out of range")
        table.add_row(*cells)
    return table


def _deaths(told: dict[str, Any], measured: dict[str, Any] | None) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    seen = None if measured is None else measured["dead"]
    for name in ("step", "predicted", *(["measured"] if seen else []), "fading"):
        table.add_column(name, justify="right")
    steps = told["steps"]
    count = len(steps)
    for k in sorted({round((count - 1) * i / ROWS) for i in range(ROWS + 1)}):
        cells = [f"{steps[k]:,}", number(round(told["dead"][k], 1))]
        if seen:
            known = measured is not None and steps[k] in measured["dead_steps"]
            at = measured["dead_steps"].index(steps[k]) if measured and known else 0
            cells.append(number(round(seen[at], 1)) if known else number(None))
        table.add_row(*cells, number(round(told["fading"][k], 1)))
    return table


def _rest(found: dict[str, Any]) -> list[str]:
    if found.get("deaths"):
        told = found["deaths"]
        return [
            "fading: active on less than one example of a batch on average. Expected dead if "
            f"training goes on: {number(round(told['expected'], 1))}. Counts have no range of "
            "their own: the last active examples are foreseen worst."
        ]
    resting = found.get("resting")
    if resting and resting["loss"]["value"] is not None:
        value, share = resting["loss"]["value"], resting["coherent_share"]
        known = "" if resting["loss"]["converged"] else ", at most"
        return [
            f"In the end it comes to rest at about {number(value)}{known}: the steps do not shrink "
            f"with the gradient. {percent(share)} of that is a shift common to all examples."
        ]
    if found["method"] != "modes" or _diverges(found):
        return []
    floor = found["floor"]
    rest = "the layer can be exact" if floor == 0 else f"no weights do better than {number(floor)}"
    return [f"In the end: {rest}. Beyond the run epochs are counted without batch noise."]


def _optimizer(found: dict[str, Any]) -> list[str]:
    told = found.get("optimizer")
    if not told or told["degree"]["value"] is None:
        return []
    degree = told["degree"]["value"]
    first, settled = told["first_steps"][0], told["settled_step"]["value"]
    if degree > 0.5:
        return []
    words = (
        f"The optimizer's steps do not grow with the gradient: {number(first)} at first, "
        f"{number(settled)} once settled."
        if told["settled_step"]["converged"]
        else f"The optimizer's steps do not grow with the gradient: {number(first)} at first."
    )
    half = told["half_step_gradient"]["value"]
    if half and told["settled_step"]["converged"]:
        words += f" eps takes half of a step where the gradient is {number(half)}."
    both = told["rescaled_both"]
    if both:
        words += (
            " Inputs and targets multiplied by c change nothing but the units if the rate of "
            f"biases is multiplied by c^{number(both['bias_rate_exponent'])}"
        )
        exponent = both["kernel_eps_exponent"]
        words += f" and eps by c^{number(exponent)}." if half else "."
    return [words]


def _signal(found: dict[str, Any]) -> list[str]:
    told = found.get("signal")
    if not told:
        return []
    forward = ", ".join(number(value) for value in told["forward"])
    backward = ", ".join(number(value) for value in told["backward"])
    lines = [
        f"At the start the pre-activations' mean squares are {forward} by layer (inputs "
        f"{number(told['input'])}), the gradients' by them {backward} of the output's."
    ]
    dead = told["born_dead_one_example"]
    if dead is not None:
        lines.append(
            f"For one example all of a hidden layer is dead with probability {percent(dead)}."
        )
    return lines
