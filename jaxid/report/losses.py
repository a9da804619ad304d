"""What the runs reached, and the budget of what they lost."""

from __future__ import annotations

import math
from collections.abc import Mapping

from jaxid.core.statistics import Lack, Summary
from jaxid.core.wording import NONE, joined, label, number, percent, plus_minus
from jaxid.diagnosis.final import Final
from jaxid.diagnosis.items import Budget, Item, PartName
from jaxid.identity.diagnosis import Diagnosis
from jaxid.report.content import Row, Section, Table
from jaxid.report.foreseen import foreseen
from jaxid.report.words import NO_BUDGET

PARTS: Mapping[PartName, str] = {
    PartName.SWITCHED_OFF_EXAMPLES: "examples on which a unit is off",
    PartName.LOCKED_GIVEN_FEATURES: "locked, given the features",
    PartName.COHERENT: "shift common to all examples",
    PartName.INCOHERENT: "shift that varies by example",
}
LACKS: Mapping[Lack, str] = {
    Lack.NO_FINITE_SEED: "no seed ended finite",
    Lack.ONE_SEED: "one seed has no standard error",
}
ITEMS = (
    "locked: no step of the last layer lowers it; slow modes: more steps would; optimizer "
    "noise: smaller steps would;"
)
ORDER_NOTE = (
    "The gaps are taken in this order: anneal, then solve the last layer, then compare with "
    "the least loss possible. Another order would share them out differently; "
    "the effects 'each alone' are those of one intervention from the end state."
)


def outcome(diagnosis: Diagnosis, full: bool) -> Section:
    """Final losses with standard errors and the range for one more run."""
    section = Section("What the runs reached", figures=("loss_curves",))
    measures = _measures(diagnosis.final)
    rows = []
    for words, found in measures:
        between = found.interval95
        span = NONE if between is None else f"{number(between[0])} to {number(between[1])}"
        rows.append(Row((words, number(found.mean), number(found.sem, 2), span)))
    columns = ("", ">mean", ">std. error", ">one more run (95 %)")
    section.tables.append(Table(columns, rows))
    section.texts += foreseen(diagnosis)
    gap = diagnosis.final.generalisation_gap
    if any(_reaches_below_zero(found) for found in _summaries(diagnosis.final) if found is not gap):
        section.notes.append(
            "The range for one more run is symmetric, mean ± t s sqrt(1 + 1/n); where it reaches "
            "below 0 the seeds are skewed and few, no loss is negative."
        )
    reasons = [f.reason for f in _summaries(diagnosis.final) if f.reason is not None]
    if reasons:
        section.notes.append(f"No standard errors: {LACKS[reasons[0]]}.")
    bad = diagnosis.non_finite
    if bad:
        shown = ", ".join(f"seed {b.seed} at step {b.step:,}" for b in bad[:6])
        more = f" and {len(bad) - 6} more" if len(bad) > 6 else ""
        section.texts.append(f"Blew up (loss no longer finite): {shown}{more}.")
    return section


def _summaries(final: Final) -> list[Summary]:
    """Those that there are."""
    return [found for found in vars(final).values() if found is not None]


def _measures(final: Final) -> list[tuple[str, Summary]]:
    """(words, summary) of those that are shown. Original units are left out where they are the
    training units."""
    original = final.original_test_loss
    found = (
        ("training loss, mean over the last epoch's batches", final.train_loss),
        ("training loss, whole set at the end", final.train_loss_end),
        ("test loss at the end", final.test_loss),
        ("test loss at the end, original units", None if _repeats(final) else original),
        ("test loss minus training loss, both at the end", final.generalisation_gap),
        ("test mean absolute percentage error, %", final.test_mape),
    )
    return [(words, summary) for words, summary in found if summary is not None]


def _reaches_below_zero(found: Summary) -> bool:
    between, mean = found.interval95, found.mean
    return between is not None and mean is not None and between[0] < 0 <= mean


def _repeats(final: Final) -> bool:
    if final.original_test_loss is None or final.test_loss is None:
        return False
    original, training = final.original_test_loss.mean, final.test_loss.mean
    if original is None or training is None:
        return True
    # Both are float32 sums, taken in another order.
    return math.isclose(original, training, rel_tol=1e-5)


def budget(diagnosis: Diagnosis, full: bool) -> Section:
    """The four items, each accounted for twice."""
    section = Section("Where the loss comes from", figures=("budget",))
    found = diagnosis.budget
    if found is None:
        reason = diagnosis.budget_reason
        why = "not computed" if reason is None else NO_BUDGET[reason]
        section.texts.append(f"There is no loss budget: {why}.")
        return section
    section.tables.append(_table(diagnosis, found, full))
    section.notes.append(
        f"{ITEMS} 2nd account: each item again, by a mechanism computed without that "
        f"intervention; it leaves {percent(found.unexplained.share)} open."
    )
    section.texts += _compound(diagnosis)
    section.notes += _doubts(found, full)
    if full:
        _details(section, found)
    return section


def _table(diagnosis: Diagnosis, found: Budget, full: bool) -> Table:
    deep = diagnosis.problem.depth > 1
    rows = []
    for item in found.items:
        name = label(item.cause.value)
        name = "locked, given the features" if item.cause is Item.LOCKED and deep else name
        cells = (name, number(item.loss), percent(item.share), number(item.explained))
        rows.append(Row((*cells, number(item.sem, 2))))
        rows += [
            Row((PARTS.get(part.name, label(part.name.value)), "", "", number(part.loss), ""), 1)
            for part in item.parts
            if full or part.loss
        ]
    left, total = found.unexplained, found.total
    cells = ("not explained", NONE, percent(left.share), number(left.loss))
    rows.append(Row((*cells, number(left.sem, 2))))
    whole, mean = "100 %" if total.mean else NONE, number(total.mean)
    rows.append(Row(("loss at the end", mean, whole, mean, number(total.sem, 2))))
    return Table(("", ">loss", ">share", ">2nd account", ">std. error"), rows)


def _compound(diagnosis: Diagnosis) -> list[str]:
    """Two items that hide each other are one cause: the budget must not blame either."""
    joint, found = diagnosis.compound, diagnosis.budget
    if joint is None or found is None:
        return []
    singles = " and ".join(
        f"{one.remedy} alone x {number(one.ratio, 2)}" for one in joint.evidence.apart
    )
    text = (
        f"{joined([label(c.value) for c in joint.causes]).capitalize()} are one compound cause: "
        f"{singles}, both together x {number(joint.counterfactual.ratio, 2)}."
    )
    rows = {item.cause.value for item in found.items} & {cause.value for cause in joint.causes}
    if len(rows) == 2:
        text += " Their rows are what remains of each while the other is there."
    elif rows:
        text += f" The row '{label(min(rows))}' is what remains of it while the other is there."
    return [text]


def _doubts(found: Budget, full: bool) -> list[str]:
    doubts = []
    solver, change, falling = found.solver, found.annealing_uncertainty, found.still_falling
    if not solver.converged:
        doubts.append(
            "The last layer was not solved to its tolerance "
            f"({number(solver.predicted_decrease, 2)} left, {number(solver.tolerance, 2)} "
            "allowed): 'locked' may be smaller and 'slow modes' larger."
        )
    if falling.matters:
        doubts.append(
            f"Training was still falling: about {number(falling.progress, 2)} of 'optimizer "
            f"noise' ({percent(falling.share_of_noise)}) may be progress made while annealing; "
            "more epochs would tell."
        )
    if full:
        doubts.append(
            "Annealing twice as long moves "
            f"{plus_minus(change.change, change.sem, 2)} between noise and slow modes."
        )
    return doubts


def _details(section: Section, found: Budget) -> None:
    rows = [
        Row((label(one.cause.value), number(one.effect), number(one.sem, 2), one.how))
        for one in found.one_at_a_time
    ]
    if rows:
        section.tables.append(Table(("each alone", ">loss falls by", ">std. error", "+how"), rows))
    modes = found.slow_modes_detail
    if modes is not None and modes.decades:
        rows = [
            Row(
                (
                    f"1e{mode.decade}",
                    number(mode.modes),
                    percent(mode.share),
                    number(mode.epochs, 2),
                )
            )
            for mode in modes.decades
            if mode.share >= 0.001
        ]
        columns = ("slow modes: lambda / lambda_max", ">modes", ">share", ">epochs")
        section.tables.append(Table(columns, rows))
        section.notes.append(f"Slow modes: {modes.how}.")
    section.notes.append(ORDER_NOTE)
    section.notes += [
        f"{label(item.cause.value).capitalize()}: {item.how}." for item in found.items
    ]
    for item in found.items:
        floor = item.predicted_floor
        if floor is not None and floor.value is not None:
            section.notes.append(
                f"Theory's floor for the noise: {plus_minus(floor.value, floor.error)} "
                f"({floor.method})."
            )
