"""What ``jaxid predict`` prints: of a prediction first, and then of the run beside it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from jaxid.core.wording import counted, number, percent
from jaxid.prediction.measured import MeasuredRun
from jaxid.prediction.modes import Stability
from jaxid.prediction.moments import Deaths
from jaxid.prediction.predict import Method, Prediction
from jaxid.prediction.run import During, Interruption, PredictedRun
from jaxid.prediction.words import because

WIDTH = 100
ROWS = 8
"""Epochs in the table."""
METHODS = {
    Method.MODES: "Mode by mode, from second and fourth moments of the data",
    Method.MOMENTS: "From moments of the data by size of the example, fed to the optimizer",
    Method.LINEARISED: "From the network linearised at its first parameters, without batch noise",
}


def print_prediction(found: Prediction, console: Console) -> None:
    """Print all that was said."""
    print_verdict(found, console)
    _print_beside(found, None, console)


def print_run(run: PredictedRun, console: Console) -> None:
    """Print all that was said, and what was measured beside it."""
    if run.prediction is None:
        console.print("Nothing was predicted before the interrupt.")
        return
    print_verdict(run.prediction, console)
    print_rest(run, console)


def print_verdict(found: Prediction, console: Console) -> None:
    """Print how it is predicted and how far: before anything is trained."""
    _print_wrapped(_head(found), console)
    console.print()


def print_rest(run: PredictedRun, console: Console) -> None:
    """Print what comes after the verdict."""
    if run.prediction is not None:
        _print_beside(run.prediction, run.measured, console)


def title(found: Prediction, measured: MeasuredRun | None = None) -> str:
    """In a few words."""
    if found.last is None:
        return "No curve is predicted"
    if not math.isfinite(found.last):
        return "Predicted to diverge"
    predicted = f"Predicted to end at {number(found.last)}"
    if measured is None:
        return predicted
    return f"{predicted}; it ended at {number(float(measured.loss[-1]))}"


def interruption(stopped: Interruption) -> str:
    """Where an interrupt came."""
    if stopped.during is During.PREDICTING:
        done = f"after {stopped.done} of {counted(stopped.of, 'seed')}"
        return f"predicting, {done if stopped.done else 'before a seed was finished'}"
    return f"training, after epoch {stopped.done} of {stopped.of}" if stopped.done else "training"


def _print_beside(found: Prediction, measured: MeasuredRun | None, console: Console) -> None:
    """The curve, deaths, how long losses take, and what the optimizer and the layers do first;
    beside it what was measured."""
    if found.curve is not None or measured is not None:
        console.print(_table(found, measured))
        console.print()
    deaths = None if found.moments is None else found.moments.deaths
    if deaths is not None:
        console.print(
            f"Of {deaths.varying:,} outputs whose target varies, dead on all "
            f"{deaths.examples:,} examples:",
            highlight=False,
        )
        console.print(_deaths(deaths, measured))
        console.print()
    for line in _reach(found):
        console.print(line, highlight=False)
    _print_wrapped([*_rest(found), *_optimizer(found), *_signal(found)], console, style="dim")


def _print_wrapped(lines: Iterable[str], console: Console, style: str | None = None) -> None:
    for line in lines:
        for part in textwrap.wrap(line, min(WIDTH, console.width)):
            console.print(part, style=style, highlight=False)


def _head(found: Prediction) -> list[str]:
    if found.method is None:
        return [f"No curve is predicted: {because(found.why)}."]
    lines = [f"{METHODS[found.method]}."]
    if found.modes is not None:
        lines.append(_stable(found.modes.stability))
    share = None if found.linearised is None else found.linearised.share_of_stable.value
    if share is not None:
        words = f"The rate is {number(share, 2)} of the largest stable one at the start"
        lines.append(words + (": linearised, its first steps diverge." if share > 1 else "."))
    near = f"losses to about {percent(found.within)}, mean over many seeds"
    verdict = f"In range: {near}"
    if not found.in_range:
        verdict = "OUT OF RANGE"
        if found.until > 0:
            verdict += f" from epoch {number(found.until, 2)} on (before that {near})"
    return [*lines, f"{verdict}; {because(found.why)}."]


def _diverges(found: Prediction) -> bool:
    if found.last is None or found.first is None:
        return False
    return not math.isfinite(found.last) or found.last > 10 * found.first


def _reach(found: Prediction) -> list[str]:
    """Epochs that losses need; those beyond the run in one line."""
    if _diverges(found):
        return []
    lines, beyond = [], None
    doubt = "" if found.in_range else " (out of range)"
    for reach in found.reach:
        loss = number(reach.loss)
        if reach.epochs is not None:
            needs = f"a loss of {loss} needs {number(reach.epochs)} epochs"
            lines.append(needs + _doubt(found, reach.epochs))
        elif reach.within is not None:
            words = f"a loss of {loss} and less needs more than {reach.within:,} epochs{doubt}"
            beyond = beyond or words
        else:
            lines.append(f"a loss of {loss} is never reached{doubt}")
    return lines if beyond is None else [*lines, beyond]


def _doubt(found: Prediction, epochs: float) -> str:
    """Beyond what is claimed, and beyond the run, where noise of batches is left out."""
    if found.curve is not None and epochs > found.curve.size - 1:
        return " (beyond the run, batch noise left out)"
    return "" if found.in_range or epochs <= found.until else " (out of range)"


def _stable(stable: Stability) -> str:
    limit = stable.limit
    words = (
        f"The rate is {number(stable.rate)}. Largest stable one of plain SGD: "
        f"{number(stable.spectrum_limit)} by curvature"
    )
    if limit is None or limit.value is None:
        why = "" if limit is None else f" ({limit.method})"
        return f"{words}; with batch noise unknown{why}."
    error = "" if not limit.error else f" +- {number(limit.error, 1)}"
    words += f", {number(limit.value)}{error} with batch noise"
    if limit.value < 0.5 * stable.spectrum_limit:
        words += ": single examples lie far out"
    return words + "."


def _plain(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="right")
    return table


def _marks(last: int) -> Sequence[int]:
    """At most so many of the places 0 to last, evenly, the ends among them."""
    return sorted({round(last * k / ROWS) for k in range(ROWS + 1)})


def _table(found: Prediction, measured: MeasuredRun | None) -> Table:
    """The loss by epochs, predicted or measured or both; training may have been interrupted."""
    curve = found.curve
    seen = None if measured is None else measured.loss
    ratios = curve is not None and seen is not None
    names = ["predicted"] * (curve is not None) + ["measured"] * (seen is not None)
    table = _plain("epoch", *names, *(["ratio", ""] if ratios else []))
    longest = curve if curve is not None else seen
    last = 0 if longest is None else longest.size - 1
    for epoch in sorted({*_marks(last), min(1, last)}):
        cells = [f"{epoch}"]
        if curve is not None:
            cells.append(number(float(curve[epoch])))
        if seen is not None:
            value = float(seen[epoch]) if epoch < seen.size else None
            cells.append(number(value))
            if curve is not None:
                cells.append(_ratio(float(curve[epoch]), value))
                cells.append("" if epoch <= found.until else "out of range")
        table.add_row(*cells)
    return table


def _ratio(predicted: float, value: float | None) -> str:
    ratio = predicted / value if value is not None and value > 0 else None
    plain = ratio is not None and 1e-3 <= ratio < 1e3
    return f"{ratio:.3f}" if plain else number(ratio)


def _deaths(told: Deaths, measured: MeasuredRun | None) -> Table:
    seen = None if measured is None else measured.dead
    table = _plain("step", "predicted", *([] if seen is None else ["measured"]), "fading")
    for k in _marks(told.steps.size - 1):
        step = int(told.steps[k])
        cells = [f"{step:,}", _about(told.dead[k])]
        if measured is not None and seen is not None:
            at = np.flatnonzero(measured.dead_steps == step)
            cells.append(_about(seen[at[0]]) if at.size else number(None))
        table.add_row(*cells, _about(told.fading[k]))
    return table


def _about(count: float) -> str:
    return number(round(float(count), 1))


def _rest(found: Prediction) -> list[str]:
    if found.moments is not None and found.moments.deaths is not None:
        return [
            "fading: active on less than one example of a batch on average. Expected dead if "
            f"training goes on: {_about(found.moments.deaths.expected)}. Counts have no range of "
            "their own: the last active examples are foreseen worst."
        ]
    resting = None if found.moments is None else found.moments.resting
    if resting is not None and resting.loss.value is not None:
        known = "" if resting.loss.converged else ", at most"
        return [
            f"In the end it comes to rest at about {number(resting.loss.value)}{known}: the steps "
            f"do not shrink with the gradient. {percent(resting.coherent_share)} of that is a "
            "shift common to all examples."
        ]
    if found.modes is None or _diverges(found):
        return []
    floor = found.modes.floor
    rest = "the layer can be exact" if floor == 0 else f"no weights do better than {number(floor)}"
    return [f"In the end: {rest}. Beyond the run epochs are counted without batch noise."]


def _optimizer(found: Prediction) -> list[str]:
    told = found.optimizer
    if told is None or told.degree.value is None or told.degree.value > 0.5:
        return []
    words = (
        f"The optimizer's steps do not grow with the gradient: {number(told.first_steps[0])} at "
        "first"
    )
    settled = told.settled_step.converged
    words += f", {number(told.settled_step.value)} once settled." if settled else "."
    half = told.half_step_gradient.value
    if half and settled:
        words += f" eps takes half of a step where the gradient is {number(half)}."
    both = told.rescaled_both
    if both is not None:
        words += (
            " Inputs and targets multiplied by c change nothing but the units if the rate of "
            f"biases is multiplied by c^{number(both.bias_rate_exponent)}"
        )
        words += f" and eps by c^{number(both.kernel_eps_exponent)}." if half else "."
    return [words]


def _signal(found: Prediction) -> list[str]:
    told = found.signal
    if told is None:
        return []
    forward = ", ".join(number(value) for value in told.forward)
    backward = ", ".join(number(value) for value in told.backward)
    lines = [
        f"At the start the pre-activations' mean squares are {forward} by layer (inputs "
        f"{number(told.input)}), the gradients' by them {backward} of the output's."
    ]
    dead = told.born_dead_one_example
    if dead is not None:
        lines.append(
            f"For one example all of a hidden layer is dead with probability {percent(dead)}."
        )
    return lines
