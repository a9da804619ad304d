"""Numbers and names as people read them, for figures and reports alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from jaxid.core.types import Estimate

NONE = "-"
"""What stands where there is no number."""
SUSPECTS = {
    "locked": "the ReLU output",
    "rate_too_large": "a rate that is too large",
    "optimizer_noise": "the constant rate",
    "conditioning": "the conditioning of the inputs",
    "weak_optimizer": "the optimizer",
    "input_scale": "the scale of the data",
    "target_scale": "the scale of the inputs against the targets",
    "place_of_eps": "the place of eps",
    "too_few_steps": "too few steps",
    "batch_noise": "the noise of small batches",
    "initialisation": "the initialisation",
    "composition_of_layers": "the composition of layers",
}
"""What findings accuse, as people say it."""
GROUPS = {
    "single": "one change",
    "pair": "two changes at once",
    "control": "random changes, as a control",
}
"""Headings of the groups of remedies."""


def number(value: float | None, digits: int = 3) -> str:
    """A number with ``digits`` significant digits, in the shortest usual form.

    Example:
      >>> number(0.83456), number(615440), number(4.72e10), number(None)
      ('0.835', '615,440', '4.72e10', '-')
    """
    if value is None:
        return NONE
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return {math.inf: "infinite", -math.inf: "minus infinite"}.get(value, "not a number")
    if value == 0:
        return "0"
    size = abs(value)
    if value == round(value) and size < 1e6:
        return f"{round(value):,}"
    if 1e-3 <= size < 1e6:
        # The exponent after rounding, or 9.996 would get one digit more than 10.0.
        exponent = math.floor(math.log10(float(f"{size:.{digits - 1}e}")))
        return f"{value:,.{max(0, digits - 1 - exponent)}f}"
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(power)}"


def percent(share: float | None) -> str:
    """A share as a percentage: 91 %, 0.4 %; what rounds to 0 % or 100 % but is not says so."""
    if share is None or not math.isfinite(share):
        return NONE
    size = abs(share) * 100
    if 0 < size < 0.1:
        return "< 0.1 %" if share > 0 else "> -0.1 %"
    places = 0 if size >= 10 or size == 0 else 1
    # 100 % is for the whole only.
    places = 1 if 99.5 <= size < 100 else places
    if places == 1 and 99.95 <= size < 100:
        return "> 99.9 %" if share > 0 else "< -99.9 %"
    return f"{share * 100:.{places}f} %"


def plus_minus(value: float | None, error: float | None, digits: int = 3) -> str:
    """value ± error, or the value alone where no error is known."""
    if value is None or error is None:
        return number(value, digits)
    return f"{number(value, digits)} ± {number(error, 2)}"


def estimate(found: Estimate | Mapping[str, Any] | None, digits: int = 3) -> str:
    """An Estimate, or its dict {value, error, converged, method}, as text.

    An error below the digits shown is left out; an estimate that did not converge says so.
    """
    if isinstance(found, Estimate):
        value, error, converged = found.value, found.error, found.converged
    else:
        known = found or {}
        value, error = known.get("value"), known.get("error")
        converged = known.get("converged", True)
    if value is None:
        return NONE
    shown = error is not None and abs(error) > abs(value) * 0.5 * 10.0 ** (1 - digits)
    text = plus_minus(value, error if shown else None, digits)
    return text if converged else f"{text} (not converged)"


def ratio_of(trial: Mapping[str, Any]) -> float | None:
    """Loss after over before of a trial's or counterfactual's dict, None where there is none.

    A loss below float32's floor, such as an exact 0, counts as the floor, in its interval too.
    """
    ratio = trial.get("ratio")
    return None if ratio is None or not math.isfinite(ratio) else float(ratio)


def best_of(trials: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The trial that helps most, None if none does. See `ranked`."""
    helping = ranked(trials)
    return helping[0] if helping else None


def ranked(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The trials that help, best first. Random controls don't count, and changes with the
    answer built in come last, whatever they reach: they prove that there is one, and what
    has not the answer in it teaches more."""
    helping = [t for t in trials if t["verdict"] == "helps" and t["group"] != "control"]
    return sorted(helping, key=lambda t: (t.get("built_in", False), ratio_of(t) or 0.0))


def grouped(trials: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """(heading, trials) of each group that has any, by ratio; those without one come last."""

    def order(trial: dict[str, Any]) -> float:
        ratio = ratio_of(trial)
        return math.inf if ratio is None else ratio

    found = [
        (heading, sorted((t for t in trials if t["group"] == group), key=order))
        for group, heading in GROUPS.items()
    ]
    return [(heading, members) for heading, members in found if members]


def dead_answer(spec: Mapping[str, Any]) -> Literal["skip", "zero", "constant"]:
    """What a dead output gives for a record's problem: 0 in training units, which a skip
    connection or a map that moves 0 makes another thing."""
    if spec.get("residual"):
        return "skip"
    return "zero" if spec.get("scaling", "raw") in ("raw", "unit") else "constant"


def counted(count: int, thing: str) -> str:
    """1 seed, 3 seeds, 60,000 seeds."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def label(name: str) -> str:
    """A key of the record as words: ``slow_modes`` -> slow modes."""
    return name.replace("_", " ")


def joined(words: list[str]) -> str:
    """a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def duration(seconds: float) -> str:
    """A rough length of time: 42 s, 7 min, 1.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
