"""Three sentences that a newcomer understands: where the loss sits, why it stays, what to do."""

from __future__ import annotations

from collections.abc import Mapping

from jaxid.core.wording import counted, joined, number, percent
from jaxid.diagnosis.dead import DeadUnits
from jaxid.diagnosis.items import Budget, Item, PartName
from jaxid.diagnosis.points import PointKind
from jaxid.identity.diagnosis import DeadAnswer, Diagnosis
from jaxid.identity.prescriptions import RemedyGroup
from jaxid.identity.representation import Reach
from jaxid.identity.suspects import Finding, Suspect, Verdict
from jaxid.identity.trial_results import Prescription
from jaxid.report.posedness import ill_posed
from jaxid.report.words import NO_BUDGET, SUSPECTS

ITEMS: Mapping[Item, str] = {
    Item.REPRESENTATION: "cannot be represented by this network at all",
    Item.LOCKED: "is locked",
    Item.SLOW_MODES: "is in slow modes",
    Item.OPTIMIZER_NOISE: "is noise of the constant step",
}
ANSWERS: Mapping[DeadAnswer, str] = {
    DeadAnswer.SKIP: "add nothing to what the skip connection carries",
    DeadAnswer.ZERO: "answer 0 to every example",
    DeadAnswer.CONSTANT: "answer the same to every example",
}
"""What dead outputs do."""
LARGE = 0.1
"""A share of the loss worth a clause of its own."""


def verdict_sentences(diagnosis: Diagnosis) -> list[str]:
    """Where the loss sits, why it stays, what to do: one sentence each."""
    return [_where(diagnosis), _why(diagnosis), _remedy(diagnosis)]


def _where(diagnosis: Diagnosis) -> str:
    problem, budget, bad = diagnosis.problem, diagnosis.budget, diagnosis.non_finite
    epochs = counted(problem.epochs or 0, "epoch")
    if diagnosis.epochs_finished:
        epochs = f"{diagnosis.epochs_finished:,} of {epochs}"
    if budget is None:
        reason = diagnosis.budget_reason
        why = "it was not measured" if reason is None else NO_BUDGET[reason]
        ended = diagnosis.final.train_loss_end.mean
        if ended is None:
            return f"After {epochs} there is no loss to split: {why}."
        return f"After {epochs} the loss is {number(ended)}; it is not split, because {why}."
    total = budget.total.mean
    start = f"After {epochs} the loss is {number(total)}"
    if bad:
        first = min(b.step for b in bad)
        start += f" ({counted(len(bad), 'seed')} went non-finite, the first at step {first})"
    solved, finite = budget.total.seeds, problem.seeds - len(bad)
    if solved < finite:
        start += f" (mean of the {solved} of {finite} seeds that were taken apart)"
    if total == 0:
        return f"{start}: nothing is left to explain."
    found = diagnosis.representation
    exists = found is not None and found.verdict is Reach.EXACT
    start += ", though the network can represent the target exactly" if exists else ""
    return f"{start}: {_largest(diagnosis, budget)}."


def _largest(diagnosis: Diagnosis, budget: Budget) -> str:
    """The part of the loss that takes the headline."""
    dead = diagnosis.dead
    shares = {item.cause: item.share or 0.0 for item in budget.items}
    parts = {part.name: part.loss for item in budget.items for part in item.parts}
    in_dead = parts.get(PartName.DEAD_OUTPUTS, 0.0) / budget.total.mean
    others = (share for cause, share in shares.items() if cause is not Item.LOCKED)
    if dead and dead.stops_gradient and in_dead >= LARGE and in_dead >= max(others):
        count = dead.outputs_dead_varying.mean
        return (
            f"{percent(in_dead)} of it sits in the {number(count)} of {dead.outputs} outputs that "
            f"are dead{_when(dead)} and {ANSWERS[diagnosis.problem.dead_answer]}"
        )
    largest = max(shares, key=lambda cause: shares[cause])
    given = largest is Item.LOCKED and diagnosis.problem.depth > 1
    words = ITEMS[largest] + (", given the features" if given else "")
    return f"{percent(shares[largest])} of it {words}"


def _when(dead: DeadUnits) -> str:
    """Since when, in brackets: before the first step, or when they died."""
    born, early = dead.born_dead.outputs.mean, dead.death.in_first_epoch
    words = [f"{number(born)} before the first step"] if born else []
    others = "of the others" if born else "of them"
    if early is not None and early >= 0.5:
        words.append(f"{percent(early)} {others} since the first epoch")
    elif early is not None:
        words.append(f"half {others} by step {number(dead.death.median_step)}")
    return f" ({', '.join(words)})" if words else ""


def _why(diagnosis: Diagnosis) -> str:
    budget = diagnosis.budget
    if budget is None:
        return "Nothing is said of causes without a budget."
    clauses, total, points = [], budget.total.mean, diagnosis.points
    plateau = any(p.kind is PointKind.PLATEAU and p.loss >= LARGE * total for p in points)
    if plateau and diagnosis.problem.depth == 1:
        clauses.append(
            "the gradient of dead outputs is exactly 0, so no gradient method can leave from there"
        )
    elif plateau:
        clauses.append("the last layer's gradient at dead outputs is exactly 0")
    for cause in (Item.SLOW_MODES, Item.OPTIMIZER_NOISE):
        share = budget.item(cause).share
        if share and abs(share) >= 0.005:
            clauses.append(f"{percent(share)} {ITEMS[cause]}")
    moving = [p for p in points if p.kind is PointKind.NOT_YET_STATIONARY]
    if budget.still_falling.matters or any(p.loss_annealed >= LARGE * total for p in moving):
        clauses.append("training was still on its way down when it stopped")
    left = budget.unexplained.share
    if left is not None and abs(left) >= LARGE:
        short = f"leaves {percent(abs(left))} open" if abs(left) < 1 else "fails here"
        clauses.append(f"beware: the second account of these shares {short}")
    posed = ill_posed(diagnosis)
    if posed:
        clauses.append(posed)
    if not clauses:
        return "No cause stands out in the budget."
    text = "; ".join(clauses)
    text = f"of the loss, {text}" if text[0].isdigit() else text
    return text[0].upper() + text[1:] + "."


def _remedy(diagnosis: Diagnosis) -> str:
    trials, helping = diagnosis.trials, diagnosis.prescriptions
    if not trials:
        why = "--trials none" if diagnosis.interrupted is None else "the run was interrupted"
        return f"No remedy was tried ({why}), so what would cure it is not proved here."
    if helping:
        return _cure(diagnosis, helping[0])
    rescued = [t.name for t in trials if t.before is None and t.after is not None]
    if rescued:
        more = f" and {len(rescued) - 3} more" if len(rescued) > 3 else ""
        return (
            f"The run itself goes non-finite; no seed does with {', '.join(rescued[:3])}{more} "
            f"({len(rescued)} of the {len(trials)} changes tried)."
        )
    if all(t.seeds == 1 for t in trials):
        return (
            f"{len(trials)} changes were tried, but one seed gives no interval, so none is sure: "
            "use --seeds 2 or more."
        )
    return f"None of the {len(trials)} changes tried lowers the loss by a sure 10 %."


def _cure(diagnosis: Diagnosis, best: Prescription) -> str:
    trial, joint = best.trial, diagnosis.compound
    cure = (
        f"{best.name} takes it from {number(trial.before)} to {number(trial.after)} "
        f"on the {counted(trial.seeds, 'seed')} it was tried on ({trial.seeds_lower} lower)"
    )
    if _too_far(diagnosis):
        return (
            "The rate is too large: the first step moves the outputs "
            f"{number(diagnosis.first_step.value, 2)} times as far as the targets lie; {cure}."
        )
    if joint is None:
        return f"{_most(diagnosis, best)}: {cure}."
    sentence = _together(joint)
    together = joint.counterfactual
    if together.remedy == best.name:
        return sentence + "."
    single = best.group is RemedyGroup.SINGLE
    if single and together.ratio is not None and trial.ratio < together.ratio:
        # A cause of its own, stronger than the two that only act together.
        beside = f"{sentence[0].lower()}{sentence[1:]}"
        return f"{_most(diagnosis, best)}: {cure}; beside it, {beside}."
    return f"{sentence}; best of all, {cure}."


def _together(joint: Finding) -> str:
    """A compound, with what each of its two changes does alone."""
    first, second = joint.evidence.apart
    together = joint.counterfactual
    ratios = [number(value, 2) for value in (first.ratio, second.ratio, together.ratio)]
    return (
        f"The cause is a compound of {' and '.join(SUSPECTS[c] for c in joint.causes)}: "
        f"{first.remedy} alone gives {ratios[0]} times the loss, {second.remedy} alone "
        f"{ratios[1]}, both together {ratios[2]} "
        f"({number(together.before)} to {number(together.after)})"
    )


def _most(diagnosis: Diagnosis, best: Prescription) -> str:
    """How the best remedy is introduced: not as the best of all where it is not."""
    better = [p for p in diagnosis.prescriptions if p.trial.ratio < best.trial.ratio]
    if not better:
        return "What helps most"
    names = joined([p.name for p in better[:2]])
    return f"What helps most, with {names} left aside because they build the answer in"


def _too_far(diagnosis: Diagnosis) -> bool:
    """Whether a smaller rate was confirmed to be what is missing."""
    return any(
        finding.causes == (Suspect.RATE_TOO_LARGE,) and finding.verdict is Verdict.CAUSE
        for finding in diagnosis.findings
    )
