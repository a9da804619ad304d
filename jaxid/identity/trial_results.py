"""What trials came to: each one's outcome, and which of them help."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from jaxid.core.statistics import Effect, judge, seeds_to_decide, t_interval
from jaxid.identity.prescriptions import RemedyGroup
from jaxid.identity.suspects import Counterfactual
from jaxid.identity.trials import Trial, ratio_interval


class TrialVerdict(Enum):
    """What a change does."""

    HELPS = "helps"
    NOTHING = "nothing"
    UNCERTAIN = "uncertain"
    HARMS = "harms"
    NON_FINITE = "non_finite"
    """Seeds blew up with it."""


@dataclass(frozen=True)
class TrialResult:
    """One remedy's outcome on paired seeds; losses are means over the last tenth of the steps,
    original units.

    Attributes:
      name, change: of the remedy, and what it changes in words.
      group: what kind of change it is.
      suspect: what it is held to cure, in words.
      predicted: the ratio that the loss budget alone predicts; None where it predicts none.
      before, after: mean losses of the pairs compared; None where no seed is finite.
      seeds: pairs compared; all that were tried where the change blew up.
      seeds_lower: pairs of which the change has less loss.
      epochs, reference_epochs: of the changed run, and where the run itself is read.
      note: what is particular about the remedy.
      solved_at_start: whether its first batches had no more loss than rounding leaves.
      built_in: whether it puts the answer into the network, by its nature or by that.
      ratio, log_ratio, ci95: after over before, the logarithm's mean, and the ratio's interval;
        None where there is none.
      verdict: what it does.
      tried: seeds that were tried.
      non_finite: seeds that blew up with the change.
      first_non_finite: the first step at which one did; None where none did in training units.
      not_compared: seeds whose own run blew up, and with the change did not.
      below_floor: seeds with a loss that float32 can't tell from 0; None without a comparison.
      seeds_to_decide: how many would, where the verdict is uncertain; None where none would.
    """

    name: str
    change: str
    group: RemedyGroup
    suspect: str
    predicted: float | None
    before: float | None
    after: float | None
    seeds: int
    seeds_lower: int
    epochs: int
    reference_epochs: int
    note: str
    solved_at_start: bool
    built_in: bool
    ratio: float | None
    log_ratio: float | None
    ci95: tuple[float, float] | None
    verdict: TrialVerdict
    tried: int
    non_finite: int = 0
    first_non_finite: int | None = None
    not_compared: int = 0
    below_floor: int | None = None
    seeds_to_decide: int | None = None


@dataclass(frozen=True)
class Prescribed:
    """The trial behind a prescription, as in `TrialResult`."""

    before: float
    after: float
    ratio: float
    ci95: tuple[float, float]
    seeds: int
    seeds_lower: int
    epochs: int
    reference_epochs: int


@dataclass(frozen=True)
class Prescription:
    """A remedy that surely helps.

    Attributes:
      name, change, group, predicted, built_in: as in `TrialResult`.
      trial: what it did.
    """

    name: str
    change: str
    group: RemedyGroup
    predicted: float | None
    built_in: bool
    trial: Prescribed


def trial_result(trial: Trial, predicted: float | None) -> TrialResult:
    """A trial's outcome.

    Args:
      trial: as it was run.
      predicted: the budget's prediction.
    """
    bad = int(np.sum(~np.isfinite(trial.after)))
    before, after = trial.pairs
    steps = trial.first_bad[trial.first_bad >= 0]
    interval = t_interval(trial.log_ratio)
    effect = judge(interval)
    compared = not bad and after.size > 0
    undecided = compared and effect is Effect.UNCERTAIN
    verdict = TrialVerdict(effect.value) if compared else TrialVerdict.UNCERTAIN
    return TrialResult(
        name=trial.remedy.name,
        change=trial.change,
        group=trial.remedy.group,
        suspect=trial.remedy.suspect,
        predicted=predicted,
        before=float(before.mean()) if before.size else None,
        after=None if bad else float((after if after.size else trial.after).mean()),
        seeds=int(trial.after.size if bad else after.size),
        seeds_lower=int(np.sum(after < before)),
        epochs=trial.epochs,
        reference_epochs=trial.reference_epochs,
        note=trial.remedy.note,
        solved_at_start=trial.solved_at_start,
        built_in=trial.remedy.built_in or trial.solved_at_start,
        ratio=float(np.exp(interval.mean)) if compared else None,
        log_ratio=interval.mean if compared else None,
        ci95=ratio_interval(interval) if compared else None,
        verdict=TrialVerdict.NON_FINITE if bad else verdict,
        tried=int(trial.after.size),
        non_finite=bad,
        first_non_finite=int(steps.min()) if bad and steps.size else None,
        not_compared=0 if bad else int(trial.after.size - after.size),
        below_floor=int(np.sum(trial.after <= trial.floor)) if compared else None,
        seeds_to_decide=seeds_to_decide(trial.log_ratio) if undecided else None,
    )


def ratio_of(found: TrialResult | Counterfactual) -> float | None:
    """Loss after over before, None where there is none.

    A loss below float32's floor, such as an exact 0, counts as the floor, in its interval too.
    """
    return None if found.ratio is None or not math.isfinite(found.ratio) else found.ratio


def ranked(trials: Sequence[TrialResult]) -> list[TrialResult]:
    """The trials that help, best first. Random controls don't count, and changes with the
    answer built in come last, whatever they reach: they prove that there is one, and what
    has not the answer in it teaches more."""
    helping = [
        t for t in trials if t.verdict is TrialVerdict.HELPS and t.group is not RemedyGroup.CONTROL
    ]
    return sorted(helping, key=lambda t: (t.built_in, ratio_of(t) or 0.0))


def best_of(trials: Sequence[TrialResult]) -> TrialResult | None:
    """The trial that helps most, None if none does. See `ranked`."""
    return next(iter(ranked(trials)), None)


def grouped(trials: Sequence[TrialResult]) -> list[tuple[RemedyGroup, list[TrialResult]]]:
    """Each group that has any, by ratio; those without one come last."""

    def order(trial: TrialResult) -> float:
        ratio = ratio_of(trial)
        return math.inf if ratio is None else ratio

    found = [
        (group, sorted((t for t in trials if t.group is group), key=order)) for group in RemedyGroup
    ]
    return [(group, members) for group, members in found if members]


def prescriptions(trials: Sequence[TrialResult]) -> tuple[Prescription, ...]:
    """What helps, best first."""
    return tuple(
        Prescription(t.name, t.change, t.group, t.predicted, t.built_in, _prescribed(t))
        for t in ranked(trials)
    )


def _prescribed(t: TrialResult) -> Prescribed:
    # What helps has an interval, and so all of them.
    assert t.before is not None and t.after is not None
    assert t.ratio is not None and t.ci95 is not None
    return Prescribed(
        t.before, t.after, t.ratio, t.ci95, t.seeds, t.seeds_lower, t.epochs, t.reference_epochs
    )
