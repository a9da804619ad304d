"""Suspects tried: which are causes, which are not, and which act only together.

cause: the 95 % interval of the counterfactual's log ratio lies wholly below a fall of 10 %.
not a cause: wholly within +-10 %, and so does its joint effect with each confirmed cause,
beyond that cause's own. Else uncertain, with the number of seeds that would decide. Two
that act almost only together are one compound.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxid.core.statistics import BAND, judge, seeds_to_decide, t_interval
from jaxid.identity.prescriptions import FIT_RATE, Remedy, both, pair_parts
from jaxid.identity.trials import Trial

COUNTERFACTUALS: dict[str, str] = {
    FIT_RATE: "rate_too_large",
    "linear output": "locked",
    "decaying rate": "optimizer_noise",
    "standardize": "conditioning",
    "scale to 0..1": "input_scale",
    "scale inputs to 0..1": "target_scale",
    "eps inside the root": "place_of_eps",
    "Adam": "weak_optimizer",
    "4 x epochs": "too_few_steps",
    "4 x batch": "batch_noise",
    "He initialisation": "initialisation",
    "one layer": "composition_of_layers",
}
"""Which remedy is the counterfactual of which suspect."""

APART = 0.25
"""Largest part of a pair's effect that its parts may have apart for a compound: above it each
is a cause of its own, and the pair only adds up."""
_VERDICTS = {"helps": "cause", "nothing": "not_a_cause"}


def build_findings(trials: list[Trial], budget: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Findings, ranked: causes and compounds by effect, then uncertain ones, then the rest."""
    by_name = _usable(trials)
    shares = {} if budget is None else {i["cause"]: i["share"] for i in budget["items"]}
    findings = [
        _single(suspect, by_name[name], shares.get(suspect))
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
    compounds = [f for f in (_pair(t, by_name, shares) for t in trials) if f is not None]
    members = {c for f in compounds for c in f["causes"]}
    _withdraw_acquittals(findings, by_name, _confirmed(by_name), members)
    order = {"cause": 0, "uncertain": 1, "not_a_cause": 2}
    ranked = sorted(
        [*compounds, *findings],
        key=lambda f: (order[f["verdict"]], _or_last(f["counterfactual"]["log_ratio"])),
    )
    for rank, finding in enumerate(ranked, start=1):
        finding["rank"] = rank
    return ranked


def follow_ups(trials: list[Trial]) -> list[Remedy]:
    """The joint changes still to be run before suspects that do nothing alone are acquitted:
    each with each confirmed cause, a compound counting as one."""
    by_name = _usable(trials)
    return [
        both(by_name[cause].remedy, by_name[suspect].remedy)
        for cause in _confirmed(by_name)
        for suspect in COUNTERFACTUALS
        if suspect in by_name
        and judge(t_interval(by_name[suspect].log_ratio)) == "nothing"
        and not _exclusive(by_name[cause], by_name[suspect])
        and _joint(by_name, cause, suspect) is None
    ]


def _usable(trials: list[Trial]) -> dict[str, Trial]:
    """By name, those with finite pairs: what blew up, or has no finite run to be compared
    with, convicts nobody."""
    return {
        trial.remedy.name: trial
        for trial in trials
        if np.isfinite(trial.after).all() and trial.log_ratio.size
    }


def _confirmed(by_name: dict[str, Trial]) -> list[str]:
    """Remedies that confirm a cause: single ones that help, and pairs that show a compound."""
    return [
        name
        for name, trial in by_name.items()
        if (name in COUNTERFACTUALS and judge(t_interval(trial.log_ratio)) == "helps")
        or _pair(trial, by_name, {}) is not None
    ]


def _joint(by_name: dict[str, Trial], cause: str, suspect: str) -> Trial | None:
    """The trial of both changes, whichever was named first."""
    return by_name.get(f"{cause} + {suspect}") or by_name.get(f"{suspect} + {cause}")


def _exclusive(cause: Trial, suspect: Trial) -> bool:
    """Whether both change the same field, so that they can't stand beside each other."""
    return bool(cause.remedy.changes.keys() & suspect.remedy.changes.keys())


def _or_last(log_ratio: float | None) -> float:
    return np.inf if log_ratio is None else log_ratio


def _finding(
    causes: list[str],
    verdict: str,
    evidence: dict[str, Any],
    counterfactual: dict[str, Any],
    share: float | None = None,
    interaction: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One finding as the record has it, its rank still open."""
    return {
        "causes": causes,
        "verdict": verdict,
        "rank": None,
        "share": share,
        "interaction": interaction,
        "evidence": evidence,
        "counterfactual": counterfactual,
    }


def _open(suspect: str, trial: Trial) -> dict[str, Any]:
    """A suspect whose counterfactual run blew up: nothing is decided."""
    bad = int(np.sum(~np.isfinite(trial.after)))
    why = f"{bad} of {trial.after.size} seeds went non-finite with the change"
    return _finding(
        [suspect],
        "uncertain",
        {"why": why},
        {
            "change": trial.change,
            "remedy": trial.remedy.name,
            "before": float(trial.before[np.isfinite(trial.before)].mean()),
            "after": None,
            "ratio": None,
            "log_ratio": None,
            "ci95": None,
            "seeds": int(trial.after.size),
        },
    )


def _single(suspect: str, trial: Trial, share: float | None) -> dict[str, Any]:
    ratios = trial.log_ratio
    judged = judge(t_interval(ratios))
    evidence: dict[str, Any] = {}
    if judged == "harms":
        evidence["why"] = "alone, the change makes it worse"
    if judged == "uncertain":
        evidence["seeds_to_decide"] = seeds_to_decide(ratios)
    verdict = _VERDICTS.get(judged, "uncertain")
    return _finding([suspect], verdict, evidence, _counterfactual(trial), share)


def _pair(
    trial: Trial, by_name: dict[str, Trial], shares: dict[str, float | None]
) -> dict[str, Any] | None:
    """A compound, where the pair helps, its parts apart give less than `APART` of its effect
    in the log of the loss, and the interaction is beyond the band; None otherwise."""
    parts = pair_parts(trial.remedy.name)
    if trial.remedy.group != "pair" or parts is None or trial.remedy.name not in by_name:
        return None
    if any(part not in by_name or part not in COUNTERFACTUALS for part in parts):
        return None
    interaction = interaction_of(trial, by_name[parts[0]], by_name[parts[1]])
    joint = t_interval(trial.log_ratio)
    apart = sum(float(by_name[part].log_ratio.mean()) for part in parts)
    together = interaction["ci95"] is not None and interaction["ci95"][1] < -BAND
    if judge(joint) != "helps" or not together or apart <= APART * joint.mean:
        return None
    causes = [COUNTERFACTUALS[part] for part in parts]
    known = [share for share in (shares.get(c) for c in causes) if share is not None]
    return _finding(
        causes,
        "cause",
        {
            "alone": {part: float(np.exp(by_name[part].log_ratio.mean())) for part in parts},
            "apart_share": max(0.0, apart / joint.mean),
            "why": f"apart, the two changes give {max(0.0, apart / joint.mean):.0%} of their joint "
            "effect on the log of the loss",
        },
        _counterfactual(trial),
        sum(known) if known else None,
        interaction,
    )


def interaction_of(pair: Trial, a: Trial, b: Trial) -> dict[str, Any]:
    """log ratio of the pair minus the sum of the singles', seed by seed, with its interval."""
    values = pair.log_ratio - a.log_ratio - b.log_ratio
    interval = t_interval(values)
    ci = None if interval.low is None else [interval.low, interval.high]
    return {"value": interval.mean, "ci95": ci}


def _withdraw_acquittals(
    findings: list[dict[str, Any]],
    by_name: dict[str, Trial],
    confirmed: list[str],
    members: set[str],
) -> None:
    """not_a_cause needs the joint effect with each confirmed cause to be nothing too."""
    for finding in findings:
        if finding["verdict"] != "not_a_cause":
            continue
        suspect = finding["counterfactual"]["remedy"]
        evidence = finding["evidence"]
        if finding["causes"][0] in members:
            finding["verdict"] = "uncertain"
            evidence["why"] = "alone it does nothing; it acts in a compound"
            continue
        for cause in confirmed:
            if _exclusive(by_name[cause], by_name[suspect]):
                continue
            joint = _joint(by_name, cause, suspect)
            if joint is None:
                finding["verdict"] = "uncertain"
                evidence.setdefault("not_tried_with", []).append(cause)
                continue
            beyond = t_interval(joint.log_ratio - by_name[cause].log_ratio)
            evidence.setdefault("beyond", {})[cause] = float(np.exp(beyond.mean))
            if judge(beyond) != "nothing":
                finding["verdict"] = "uncertain"
                evidence["why"] = f"alone nothing, but it changes the effect of '{cause}'"


def _counterfactual(trial: Trial) -> dict[str, Any]:
    interval = t_interval(trial.log_ratio)
    before, after = trial.pairs
    ci = None
    if interval.low is not None and interval.high is not None:
        ci = [float(np.exp(interval.low)), float(np.exp(interval.high))]
    return {
        "change": trial.change,
        "remedy": trial.remedy.name,
        "before": float(before.mean()),
        "after": float(after.mean()),
        "ratio": float(np.exp(interval.mean)),
        "log_ratio": interval.mean,
        "ci95": ci,
        "seeds": int(after.size),
    }
