"""Remedies tried, and what they say about each suspect."""

from __future__ import annotations

from typing import Any

from jaxid.core.wording import NONE, SUSPECTS, grouped, joined, label, number, ratio_of
from jaxid.report.content import TONES, Record, Row, Section, Table

JUDGED = {"cause": "a cause", "not_a_cause": "not a cause", "uncertain": "uncertain"}


def remedies(record: Record, full: bool) -> Section:
    """Every trial by group, the best first."""
    section = Section("Remedies tried", figures=("remedies",))
    trials = record.get("trials")
    if trials is None:
        return section
    if not trials:
        why = "interrupted before" if record.get("interrupted") else "--trials none"
        section.texts.append(f"None were run ({why}).")
        return section
    rows: list[Row] = []
    for heading, members in grouped(trials):
        rows += [Row((heading,), heading=True), *(_row(t, full) for t in members)]
    columns = ("remedy", "+change", ">ratio", ">95 % interval", "verdict")
    section.tables.append(Table(columns, rows))
    seeds = {t["seeds"] for t in trials}
    section.notes.append(
        f"Loss after over before, last tenth of the steps, {' or '.join(map(str, sorted(seeds)))} "
        "paired seeds; within 10 %: nothing."
    )
    if any(t.get("below_floor") for t in trials):
        section.notes.append("A loss of 0 counts as the least that float32 tells from 0.")
    if full:
        section.notes += [f"{t['name']}: {t['note']}." for t in trials if t.get("note")]
    return section


def _row(trial: dict[str, Any], full: bool) -> Row:
    interval = trial["ci95"]
    verdict = trial["verdict"].replace("_", "-")
    if full and trial.get("seeds_to_decide"):
        verdict += f" ({trial['seeds_to_decide']} seeds would decide)"
    return Row(
        (
            trial["name"],
            trial["change"],
            number(ratio_of(trial)),
            NONE if interval is None else f"{number(interval[0])} to {number(interval[1])}",
            verdict,
        ),
        0,
        TONES.get(trial["verdict"], ""),
    )


def suspects(record: Record, full: bool) -> Section:
    """Which suspects are causes; those that act only together are named as one."""
    section = Section("Suspects")
    found = record.get("findings") or []
    if not full:
        by_verdict = {
            verdict: [_name(f) for f in found if f["verdict"] == verdict]
            for verdict in ("cause", "not_a_cause", "uncertain")
        }
        section.texts += [
            f"{JUDGED[verdict].capitalize()}: {', '.join(names)}."
            for verdict, names in by_verdict.items()
            if names
        ]
        return section
    rows = [
        Row(
            (
                _name(finding),
                finding["counterfactual"]["remedy"],
                number(ratio_of(finding["counterfactual"])),
                _why(finding["evidence"]),
                JUDGED.get(finding["verdict"], finding["verdict"]),
            ),
            0,
            TONES.get(finding["verdict"], ""),
        )
        for finding in found
    ]
    if rows:
        columns = ("suspect", "tested by", ">ratio", "+remark", "verdict")
        section.tables.append(Table(columns, rows))
    return section


def _name(finding: dict[str, Any]) -> str:
    return joined([SUSPECTS.get(cause, label(cause)) for cause in finding["causes"]])


def _why(evidence: dict[str, Any]) -> str:
    words = [evidence["why"]] if evidence.get("why") else []
    if evidence.get("seeds_to_decide"):
        words.append(f"{evidence['seeds_to_decide']} seeds would decide")
    if evidence.get("not_tried_with"):
        words.append(f"not tried with {joined(evidence['not_tried_with'])}")
    return "; ".join(words)
