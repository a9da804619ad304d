"""Conditioning, directions without curvature, and Hadamard's three questions."""

from __future__ import annotations

from typing import Any

from jaxid.core.wording import NONE, estimate, label, number, percent
from jaxid.report.content import TONES, Record, Row, Section, Table, title_of

NULL_WORDS = {
    "dead_unit": "of dead units",
    "constant_input": "inputs that never vary",
    "collinear_input": "inputs that follow from others",
    "rarely_active": "units active on too few examples",
}
NUMBERS = (
    ("lambda_max", "largest eigenvalue"),
    ("lambda_min_nonzero", "smallest nonzero eigenvalue"),
    ("kappa", "condition number"),
    ("effective_kappa", "condition number for 99 % of what is left"),
)
QUESTIONS = (
    ("exists", "Does a solution exist?"),
    ("unique", "Is it the only one?"),
    ("continuous", "Does it depend stably on the data?"),
)


def conditioning(record: Record, full: bool) -> Section:
    """The last layer's Hessian at the start and at the end; the inputs' second moments."""
    section = Section("Conditioning of the last layer", figures=("spectrum", "effective_kappa"))
    found = record.get("conditioning") or {}
    times = [
        (words, found[key])
        for key, words in (("at_init", ">start"), ("at_end", ">end"))
        if found.get(key)
    ]
    rows = _hessian_rows([at for _, at in times], full)
    if rows:
        section.tables.append(Table(("Hessian of the loss", *(words for words, _ in times)), rows))
    moments = record.get("moments") or []
    if moments and full:
        section.tables.append(_moments(moments))
    elif moments:
        known = [f"{m['name']} {estimate(m['kappa'])}" for m in moments]
        section.texts.append(f"Condition number of the inputs: {', '.join(known)}.")
    if times and full:
        last = times[-1][1]
        method = (last.get("lambda_max") or {}).get("method")
        section.notes.append(
            f"Operator: {label(str(last.get('operator')))}, seed {last.get('seed')}; {method}. "
            f"Eigenvalues within {number(last.get('threshold'), 2)} of 0 count as zero."
        )
        section.notes += [
            f"No {words} at the {title_of(when)}: {at[key]['method']}."
            for when, at in times
            for key, words in NUMBERS
            if at.get(key) and at[key]["value"] is None and at[key].get("method")
            # What is left is measured from the end only.
            if key != "effective_kappa" or at is last
        ]
    return section


def _hessian_rows(times: list[dict[str, Any]], full: bool) -> list[Row]:
    if not times:
        return []
    rows = [
        Row((words, *(estimate(at.get(key)) for at in times)))
        for key, words in (NUMBERS if full else NUMBERS[2:])
        if any(at.get(key) for at in times)
    ]
    rows.append(Row(("flat directions", *(number(at.get("null_dim")) for at in times))))
    rows += [
        Row((words, *(_reason(at, reason) for at in times)), 1)
        for reason, words in NULL_WORDS.items()
        if any((at.get("null_reasons") or {}).get(reason) for at in times)
    ]
    if any(at.get("negative") for at in times):
        rows.append(
            Row(("directions of negative curvature", *(number(at.get("negative")) for at in times)))
        )
    return rows


def _reason(at: dict[str, Any], name: str) -> str:
    reasons = at.get("null_reasons")
    return NONE if not reasons else number(reasons.get(name))


def _moments(moments: list[dict[str, Any]]) -> Table:
    rows = [
        Row(
            (
                m["name"],
                estimate(m["lambda_max"]),
                estimate(m["lambda_min_nonzero"]),
                estimate(m["kappa"]),
                f"{m['rank']:,}",
            )
        )
        for m in moments
    ]
    return Table(
        ("second moment of inputs", ">largest", ">smallest", ">cond. number", ">rank"), rows
    )


def well_posed(record: Record, full: bool) -> Section:
    """Existence, uniqueness, continuity; what the network can represent."""
    section = Section(
        "Is the problem well posed? Hadamard's three questions",
        figures=("stability", "two_solutions"),
    )
    found = record.get("well_posed") or {}
    rows = [
        Row(
            (question, found[key]["text"], found[key]["answer"]),
            0,
            TONES.get(found[key]["answer"], ""),
        )
        for key, question in QUESTIONS
        if found.get(key)
    ]
    if not full:
        section.texts += [_in_a_line(*row.cells) for row in rows]
    elif rows:
        section.tables.append(Table(("question", "because", "answer"), rows))
    section.texts += _representation(record.get("representation"), full)
    return section


def _in_a_line(question: str, because: str, answer: str) -> str:
    """Question, answer, the reason's first sentence; the answer once, should that begin with it."""
    because = because.partition(". ")[0].rstrip(".") + "."
    begins = because.lower().startswith(answer.lower())
    return f"{question} {because if begins else f'{answer.capitalize()}. {because}'}"


def _representation(found: dict[str, Any] | None, full: bool) -> list[str]:
    if not found or not full:
        return []
    text = f"Least loss that any parameters reach: {estimate(found['lower'])} at least"
    if found.get("upper"):
        text += f", {estimate(found['upper'])} at most"
    text += f" ({label(found['verdict'])})."
    if found.get("witness"):
        text += f" Witness: {found['witness'].rstrip('.')}."
    return [f"{text} How: {found['how'].rstrip('.')}." if found.get("how") else text]


def worst_error(record: Record, full: bool) -> Section:
    """Between what and what the worst error on any input lies."""
    section = Section("How far off can it be, on any input in range?")
    found = record.get("certificate")
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


def percentage_error(record: Record, full: bool) -> Section:
    """Why the percentage error is as large as it is."""
    section = Section("The percentage error")
    found = record.get("mape")
    if not found:
        return section
    text = f"MAPE is {number(found['total'])} %"
    if found["share_zero_targets"]:
        text += (
            f"; {percent(found['share_zero_targets'])} of it comes from targets that are 0 "
            f"({percent(found['zero_share_of_targets'])} of them), which are divided by "
            f"{found['floor']:g} in place of 0. All other targets contribute "
            f"{number(found['without_zero_targets'])} %. It measures the zeros, not the learning"
            if found["share_zero_targets"] > 0.5
            else f"; {percent(found['share_zero_targets'])} of it comes from targets that are 0"
        )
    section.texts.append(text + ".")
    return section
