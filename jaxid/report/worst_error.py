"""Between what and what the worst error on any input lies.

The certificate of a diagnosis is no type yet; what reads it is here and nowhere else.
"""

from __future__ import annotations

from jaxid.core.wording import label, number
from jaxid.identity.diagnosis import Diagnosis
from jaxid.report.content import Section


def worst_error(diagnosis: Diagnosis, full: bool) -> Section:
    """From a found input, and from a bound."""
    section = Section("How far off can it be, on any input in range?")
    found = diagnosis.certificate
    if not found:
        return section
    if not found["lower"]:
        section.texts.append(f"Not known: {found['reason']}.")
        return section
    lower, upper = number(found["lower"]["value"]), number(found["upper"]["value"])
    where = f"With {found['region']}, in original units, one output of seed {found['seed']} is off"
    section.texts.append(
        f"{where} by {upper}: an input was found that is, and none is off by more."
        if lower == upper
        else f"{where} by {lower} on an input that was found; none is off by more than {upper}."
    )
    if full:
        section.notes.append(f"Upper bound: {label(found['method'])}; {found['rounding']}.")
    return section
