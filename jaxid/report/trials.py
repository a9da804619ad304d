"""Remedies tried, and what they say about each suspect."""

from __future__ import annotations

from collections.abc import Mapping

from jaxid.core.wording import NONE, joined, number
from jaxid.identity.diagnosis import Diagnosis
from jaxid.identity.suspects import Finding, Remark, Verdict
from jaxid.identity.trial_results import TrialResult, grouped, ratio_of
from jaxid.plot.remedies import GROUPS
from jaxid.report.content import TONES, Row, Section, Table
from jaxid.report.words import SUSPECTS

JUDGED: Mapping[Verdict, str] = {
    Verdict.CAUSE: "a cause",
    Verdict.NOT_A_CAUSE: "not a cause",
    Verdict.UNCERTAIN: "uncertain",
}
"""In the order in which a terminal has them."""


def remedies(diagnosis: Diagnosis, full: bool) -> Section:
    """Every trial by group, the best first."""
    section = Section("Remedies tried", figures=("remedies",))
    trials = diagnosis.trials
    if not trials:
        why = "--trials none" if diagnosis.interrupted is None else "interrupted before"
        section.texts.append(f"None were run ({why}).")
        return section
    rows: list[Row] = []
    for group, members in grouped(trials):
        rows += [Row((GROUPS[group],), heading=True), *(_row(t, full) for t in members)]
    columns = ("remedy", "+change", ">ratio", ">95 % interval", "verdict")
    section.tables.append(Table(columns, rows))
    seeds = {t.seeds for t in trials}
    section.notes.append(
        f"Loss after over before, last tenth of the steps, {' or '.join(map(str, sorted(seeds)))} "
        "paired seeds; within 10 %: nothing."
    )
    if any(t.below_floor for t in trials):
        section.notes.append("A loss of 0 counts as the least that float32 tells from 0.")
    if full:
        section.notes += [f"{t.name}: {note(t)}." for t in trials if note(t)]
    return section


def note(trial: TrialResult) -> str:
    """What is particular about a trial, or about its remedy; empty for nothing."""
    if trial.non_finite:
        step = trial.first_non_finite
        when = " in original units" if step is None else f", the first at step {step}"
        return f"{trial.non_finite} of {trial.tried} seeds went non-finite{when}"
    if trial.not_compared:
        return (
            f"the run itself went non-finite on {trial.not_compared} of {trial.tried} seeds, with "
            "this change on none; only the others are compared"
        )
    return trial.note


def _row(trial: TrialResult, full: bool) -> Row:
    interval = trial.ci95
    verdict = trial.verdict.value.replace("_", "-")
    if full and trial.seeds_to_decide:
        verdict += f" ({trial.seeds_to_decide} seeds would decide)"
    return Row(
        (
            trial.name,
            trial.change,
            number(ratio_of(trial)),
            NONE if interval is None else f"{number(interval[0])} to {number(interval[1])}",
            verdict,
        ),
        0,
        TONES[trial.verdict],
    )


def suspects(diagnosis: Diagnosis, full: bool) -> Section:
    """Which suspects are causes; those that act only together are named as one."""
    section = Section("Suspects")
    found = diagnosis.findings
    if not full:
        by_verdict = {
            words: [_name(f) for f in found if f.verdict is verdict]
            for verdict, words in JUDGED.items()
        }
        section.texts += [
            f"{words.capitalize()}: {', '.join(names)}."
            for words, names in by_verdict.items()
            if names
        ]
        return section
    rows = [
        Row(
            (
                _name(finding),
                finding.counterfactual.remedy,
                number(ratio_of(finding.counterfactual)),
                remark(finding),
                JUDGED[finding.verdict],
            ),
            0,
            TONES[finding.verdict],
        )
        for finding in found
    ]
    if rows:
        columns = ("suspect", "tested by", ">ratio", "+remark", "verdict")
        section.tables.append(Table(columns, rows))
    return section


def _name(finding: Finding) -> str:
    return joined([SUSPECTS[cause] for cause in finding.causes])


def remark(finding: Finding) -> str:
    """What is to be said beside a verdict; empty for nothing."""
    evidence = finding.evidence
    words = [] if evidence.remark is None else [_remark(evidence.remark, finding)]
    if evidence.seeds_to_decide:
        words.append(f"{evidence.seeds_to_decide} seeds would decide")
    if evidence.not_tried_with:
        words.append(f"not tried with {joined(evidence.not_tried_with)}")
    return "; ".join(words)


def _remark(kind: Remark, finding: Finding) -> str:
    evidence = finding.evidence
    match kind:
        case Remark.BLEW_UP:
            seeds = finding.counterfactual.seeds
            return f"{evidence.non_finite} of {seeds} seeds went non-finite with the change"
        case Remark.HARMS:
            return "alone, the change makes it worse"
        case Remark.ACTS_IN_A_COMPOUND:
            return "alone it does nothing; it acts in a compound"
        case Remark.CHANGES_A_CAUSE:
            return f"alone nothing, but it changes the effect of '{evidence.changes}'"
        case Remark.ONLY_TOGETHER:
            return (
                f"apart, the two changes give {evidence.apart_share:.0%} of their joint effect on "
                "the log of the loss"
            )
