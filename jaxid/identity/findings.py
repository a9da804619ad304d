"""Suspects tried: which are causes, which are not, and which act only together.

cause: the 95 % interval of the counterfactual's log ratio lies wholly below a fall of 10 %.
not a cause: wholly within +-10 %, and so does its joint effect with each confirmed cause,
beyond that cause's own. Else uncertain, with the number of seeds that would decide. Two
that act almost only together are one compound.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from jaxid.core.statistics import BAND, Effect, judge, seeds_to_decide, t_interval
from jaxid.diagnosis.items import Budget, Item
from jaxid.identity.prescriptions import FIT_RATE, Remedy, RemedyGroup, both
from jaxid.identity.suspects import (
    Counterfactual,
    Evidence,
    Finding,
    Interaction,
    RatioWith,
    Remark,
    Suspect,
    Verdict,
)
from jaxid.identity.trials import Trial, ratio_interval

COUNTERFACTUALS: Mapping[str, Suspect] = {
    FIT_RATE: Suspect.RATE_TOO_LARGE,
    "linear output": Suspect.LOCKED,
    "decaying rate": Suspect.OPTIMIZER_NOISE,
    "standardize": Suspect.CONDITIONING,
    "scale to 0..1": Suspect.INPUT_SCALE,
    "scale inputs to 0..1": Suspect.TARGET_SCALE,
    "eps inside the root": Suspect.PLACE_OF_EPS,
    "Adam": Suspect.WEAK_OPTIMIZER,
    "4 x epochs": Suspect.TOO_FEW_STEPS,
    "4 x batch": Suspect.BATCH_NOISE,
    "He initialisation": Suspect.INITIALISATION,
    "one layer": Suspect.COMPOSITION_OF_LAYERS,
}
"""Which remedy is the counterfactual of which suspect."""
ITEMS: Mapping[Suspect, Item] = {
    Suspect.LOCKED: Item.LOCKED,
    Suspect.OPTIMIZER_NOISE: Item.OPTIMIZER_NOISE,
}
"""Suspects that are items of the budget."""

APART = 0.25
"""Largest part of a pair's effect that its parts may have apart for a compound: above it each
is a cause of its own, and the pair only adds up."""
_VERDICTS = {Effect.HELPS: Verdict.CAUSE, Effect.NOTHING: Verdict.NOT_A_CAUSE}
_ORDER = (Verdict.CAUSE, Verdict.UNCERTAIN, Verdict.NOT_A_CAUSE)
Trials = Mapping[str, Trial]
"""By their remedies' names."""


def build_findings(trials: Sequence[Trial], budget: Budget | None) -> tuple[Finding, ...]:
    """Findings, ranked: causes and compounds by effect, then uncertain ones, then the rest."""
    by_name = _usable(trials)
    findings = [
        _single(suspect, by_name[name], _share(budget, (suspect,)))
        for name, suspect in COUNTERFACTUALS.items()
        if name in by_name
    ]
    findings += [
        _open(COUNTERFACTUALS[trial.remedy.name], trial)
        for trial in trials
        if trial.remedy.name in COUNTERFACTUALS
        and trial.remedy.name not in by_name
        and np.isfinite(trial.before).any()
    ]
    compounds = [f for f in (_pair(t, by_name, budget) for t in trials) if f is not None]
    members = {suspect for f in compounds for suspect in f.causes}
    confirmed = _confirmed(by_name)
    findings = [_unless_withdrawn(f, by_name, confirmed, members) for f in findings]
    ranked = sorted(
        [*compounds, *findings],
        key=lambda f: (_ORDER.index(f.verdict), _or_last(f.counterfactual.log_ratio)),
    )
    return tuple(dataclasses.replace(f, rank=rank) for rank, f in enumerate(ranked, start=1))


def follow_ups(trials: Sequence[Trial]) -> list[Remedy]:
    """The joint changes still to be run before suspects that do nothing alone are acquitted:
    each with each confirmed cause, a compound counting as one."""
    by_name = _usable(trials)
    return [
        both(by_name[cause].remedy, by_name[suspect].remedy)
        for cause in _confirmed(by_name)
        for suspect in COUNTERFACTUALS
        if suspect in by_name
        and judge(t_interval(by_name[suspect].log_ratio)) is Effect.NOTHING
        and not _exclusive(by_name[cause], by_name[suspect])
        and _joint(by_name, cause, suspect) is None
    ]


def _share(budget: Budget | None, suspects: Sequence[Suspect]) -> float | None:
    """Of the loss, what the budget has of them; None where it has none."""
    if budget is None:
        return None
    found = [budget.item(ITEMS[suspect]).share for suspect in suspects if suspect in ITEMS]
    known = [share for share in found if share is not None]
    return sum(known) if known else None


def _usable(trials: Sequence[Trial]) -> Trials:
    """By name, those with finite pairs: what blew up, or has no finite run to be compared
    with, convicts nobody."""
    return {
        trial.remedy.name: trial
        for trial in trials
        if np.isfinite(trial.after).all() and trial.log_ratio.size
    }


def _confirmed(by_name: Trials) -> list[str]:
    """Remedies that confirm a cause: single ones that help, and pairs that show a compound."""
    return [
        name
        for name, trial in by_name.items()
        if (name in COUNTERFACTUALS and judge(t_interval(trial.log_ratio)) is Effect.HELPS)
        or _pair(trial, by_name, None) is not None
    ]


def _joint(by_name: Trials, cause: str, suspect: str) -> Trial | None:
    """The trial of both changes, whichever was named first."""
    wanted = {cause, suspect}
    pairs = (t for t in by_name.values() if t.remedy.parts and set(t.remedy.parts) == wanted)
    return next(pairs, None)


def _exclusive(cause: Trial, suspect: Trial) -> bool:
    """Whether both change the same field, so that they can't stand beside each other."""
    return bool(cause.remedy.changes.keys() & suspect.remedy.changes.keys())


def _or_last(log_ratio: float | None) -> float:
    return np.inf if log_ratio is None else log_ratio


def _open(suspect: Suspect, trial: Trial) -> Finding:
    """A suspect whose counterfactual run blew up: nothing is decided."""
    before = float(trial.before[np.isfinite(trial.before)].mean())
    seeds, bad = int(trial.after.size), int(np.sum(~np.isfinite(trial.after)))
    return Finding(
        (suspect,),
        Verdict.UNCERTAIN,
        0,
        None,
        None,
        Evidence(Remark.BLEW_UP, non_finite=bad),
        Counterfactual(trial.change, trial.remedy.name, before, None, None, None, None, seeds),
    )


def _single(suspect: Suspect, trial: Trial, share: float | None) -> Finding:
    judged = judge(t_interval(trial.log_ratio))
    evidence = Evidence()
    if judged is Effect.HARMS:
        evidence = Evidence(Remark.HARMS)
    if judged is Effect.UNCERTAIN:
        evidence = Evidence(seeds_to_decide=seeds_to_decide(trial.log_ratio))
    verdict = _VERDICTS.get(judged, Verdict.UNCERTAIN)
    return Finding((suspect,), verdict, 0, share, None, evidence, _counterfactual(trial))


def _pair(trial: Trial, by_name: Trials, budget: Budget | None) -> Finding | None:
    """A compound, where the pair helps, its parts apart give less than `APART` of its effect
    in the log of the loss, and the interaction is beyond the band; None otherwise."""
    parts = trial.remedy.parts
    if trial.remedy.group is not RemedyGroup.PAIR or parts is None:
        return None
    if trial.remedy.name not in by_name:
        return None
    if any(part not in by_name or part not in COUNTERFACTUALS for part in parts):
        return None
    interaction = interaction_of(trial, by_name[parts[0]], by_name[parts[1]])
    joint = t_interval(trial.log_ratio)
    apart = sum(float(by_name[part].log_ratio.mean()) for part in parts)
    together = interaction.ci95 is not None and interaction.ci95[1] < -BAND
    if judge(joint) is not Effect.HELPS or not together or apart <= APART * joint.mean:
        return None
    causes = tuple(COUNTERFACTUALS[part] for part in parts)
    evidence = Evidence(
        Remark.ONLY_TOGETHER,
        apart=tuple(
            RatioWith(part, float(np.exp(by_name[part].log_ratio.mean()))) for part in parts
        ),
        apart_share=max(0.0, apart / joint.mean),
    )
    share = _share(budget, causes)
    return Finding(causes, Verdict.CAUSE, 0, share, interaction, evidence, _counterfactual(trial))


def interaction_of(pair: Trial, a: Trial, b: Trial) -> Interaction:
    """log ratio of the pair minus the sum of the singles', seed by seed, with its interval."""
    interval = t_interval(pair.log_ratio - a.log_ratio - b.log_ratio)
    return Interaction(interval.mean, interval.ends)


def _unless_withdrawn(
    finding: Finding, by_name: Trials, confirmed: Sequence[str], members: set[Suspect]
) -> Finding:
    """NOT_A_CAUSE needs the joint effect with each confirmed cause to be nothing too."""
    if finding.verdict is not Verdict.NOT_A_CAUSE:
        return finding
    suspect, evidence = finding.counterfactual.remedy, finding.evidence
    if finding.causes[0] in members:
        evidence = dataclasses.replace(evidence, remark=Remark.ACTS_IN_A_COMPOUND)
        return dataclasses.replace(finding, verdict=Verdict.UNCERTAIN, evidence=evidence)
    verdict: Verdict = Verdict.NOT_A_CAUSE
    for cause in confirmed:
        if _exclusive(by_name[cause], by_name[suspect]):
            continue
        joint = _joint(by_name, cause, suspect)
        if joint is None:
            verdict = Verdict.UNCERTAIN
            missing = (*evidence.not_tried_with, cause)
            evidence = dataclasses.replace(evidence, not_tried_with=missing)
            continue
        beyond = t_interval(joint.log_ratio - by_name[cause].log_ratio)
        told = (*evidence.beyond, RatioWith(cause, float(np.exp(beyond.mean))))
        evidence = dataclasses.replace(evidence, beyond=told)
        if judge(beyond) is not Effect.NOTHING:
            verdict = Verdict.UNCERTAIN
            evidence = dataclasses.replace(evidence, remark=Remark.CHANGES_A_CAUSE, changes=cause)
    return dataclasses.replace(finding, verdict=verdict, evidence=evidence)


def _counterfactual(trial: Trial) -> Counterfactual:
    interval = t_interval(trial.log_ratio)
    before, after = trial.pairs
    return Counterfactual(
        trial.change,
        trial.remedy.name,
        float(before.mean()),
        float(after.mean()),
        float(np.exp(interval.mean)),
        interval.mean,
        ratio_interval(interval),
        int(after.size),
    )
