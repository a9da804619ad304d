"""Conditioning of the last layer and of the inputs, and directions without curvature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from jaxid.core.types import Estimate
from jaxid.core.wording import NONE, estimate, label, number
from jaxid.diagnosis.head_curvature import HeadCurvature, NullCounts
from jaxid.identity.diagnosis import Diagnosis
from jaxid.identity.well_posed import InputMoment
from jaxid.report.content import Row, Section, Table, title_of

NULL_WORDS: tuple[tuple[str, Callable[[NullCounts], int]], ...] = (
    ("of dead units", lambda counts: counts.dead_unit),
    ("inputs that never vary", lambda counts: counts.constant_input),
    ("inputs that follow from others", lambda counts: counts.collinear_input),
    ("units active on too few examples", lambda counts: counts.rarely_active),
)
EXTREMES: tuple[tuple[str, Callable[[HeadCurvature], Estimate]], ...] = (
    ("largest eigenvalue", lambda at: at.lambda_max),
    ("smallest nonzero eigenvalue", lambda at: at.lambda_min_nonzero),
)
NUMBERS: tuple[tuple[str, Callable[[HeadCurvature], Estimate]], ...] = (
    ("condition number", lambda at: at.kappa),
    ("condition number for 99 % of what is left", lambda at: at.effective_kappa),
)
Times = Mapping[str, HeadCurvature]
"""By the headings of their columns."""


def conditioning(diagnosis: Diagnosis, full: bool) -> Section:
    """The last layer's Hessian at the start and at the end; the inputs' second moments."""
    section = Section("Conditioning of the last layer", figures=("spectrum", "effective_kappa"))
    found = diagnosis.conditioning
    ends = ((">start", found.at_init), (">end", found.at_end))
    times = {words: at for words, at in ends if at is not None}
    if times:
        columns = ("Hessian of the loss", *times)
        section.tables.append(Table(columns, _hessian_rows(list(times.values()), full)))
    moments = diagnosis.moments
    if moments and full:
        section.tables.append(_moments(moments))
    elif moments:
        known = [f"{m.name} {estimate(m.kappa)}" for m in moments]
        section.texts.append(f"Condition number of the inputs: {', '.join(known)}.")
    if times and full:
        section.notes += _notes(times)
    return section


def _notes(times: Times) -> list[str]:
    """Whose spectra they are, and why numbers are missing."""
    last = list(times.values())[-1]
    notes = [
        f"Operator: {label(last.operator)}, seed {last.seed}; {last.lambda_max.method}. "
        f"Eigenvalues within {number(last.threshold, 2)} of 0 count as zero."
    ]
    for when, at in times.items():
        for words, get in (*EXTREMES, *NUMBERS):
            # What is left is measured from the end only.
            beside = get(at) is at.effective_kappa and at is not last
            if get(at).value is None and get(at).method and not beside:
                notes.append(f"No {words} at the {title_of(when)}: {get(at).method}.")
    return notes


def _hessian_rows(times: Sequence[HeadCurvature], full: bool) -> list[Row]:
    rows = [
        Row((words, *(estimate(get(at)) for at in times)))
        for words, get in ((*EXTREMES, *NUMBERS) if full else NUMBERS)
    ]
    rows.append(Row(("flat directions", *(number(at.null_dim) for at in times))))
    counts = [at.null_reasons for at in times]
    for words, get in NULL_WORDS:
        if any(c is not None and get(c) for c in counts):
            cells = (NONE if c is None else number(get(c)) for c in counts)
            rows.append(Row((words, *cells), 1))
    if any(at.negative for at in times):
        rows.append(
            Row(("directions of negative curvature", *(number(at.negative) for at in times)))
        )
    return rows


def _moments(moments: Sequence[InputMoment]) -> Table:
    rows = [
        Row(
            (
                m.name,
                estimate(m.lambda_max),
                estimate(m.lambda_min_nonzero),
                estimate(m.kappa),
                f"{m.rank:,}",
            )
        )
        for m in moments
    ]
    return Table(
        ("second moment of inputs", ">largest", ">smallest", ">cond. number", ">rank"), rows
    )
