"""What the runs reached, and the budget of what they lost."""

from __future__ import annotations

import math
from typing import Any

from jaxid.core.wording import NONE, counted, joined, label, number, percent, plus_minus
from jaxid.report.content import Record, Row, Section, Table

MEASURES = (
    ("train_loss", "training loss, mean over the last epoch's batches"),
    ("train_loss_end", "training loss, whole set at the end"),
    ("test_loss", "test loss at the end"),
    ("original_test_loss", "test loss at the end, original units"),
    ("generalisation_gap", "test loss minus training loss, both at the end"),
    ("test_mape", "test mean absolute percentage error, %"),
)
PARTS = {
    "switched_off_examples": "examples on which a unit is off",
    "locked_given_features": "locked, given the features",
    "coherent": "shift common to all examples",
    "incoherent": "shift that varies by example",
}
ITEMS = (
    "locked: no step of the last layer lowers it; slow modes: more steps would; optimizer "
    "noise: smaller steps would;"
)


def outcome(record: Record, full: bool) -> Section:
    """Final losses with standard errors and the range for one more run."""
    section = Section("What the runs reached", figures=("loss_curves",))
    final = record.get("final") or {}
    rows = []
    for name, words in MEASURES:
        found = final.get(name)
        if found is None or _repeats(name, final):
            continue
        between = found.get("interval95")
        span = NONE if between is None else f"{number(between[0])} to {number(between[1])}"
        rows.append(Row((words, number(found["mean"]), number(found["sem"], 2), span)))
    if rows:
        columns = ("", ">mean", ">std. error", ">one more run (95 %)")
        section.tables.append(Table(columns, rows))
    section.texts += _foreseen(record.get("prediction"))
    reasons = [f for f in final.values() if f.get("reason") or f.get("sem_reason")]
    if any(_reaches_below_zero(f) for name, f in final.items() if name != "generalisation_gap"):
        section.notes.append(
            "The range for one more run is symmetric, mean ± t s sqrt(1 + 1/n); where it reaches "
            "below 0 the seeds are skewed and few, no loss is negative."
        )
    if reasons:
        why = reasons[0].get("reason") or reasons[0]["sem_reason"]
        section.notes.append(f"No standard errors: {why}.")
    bad = record.get("non_finite") or []
    if bad:
        shown = ", ".join(f"seed {b['seed']} at step {b['step']:,}" for b in bad[:6])
        more = f" and {len(bad) - 6} more" if len(bad) > 6 else ""
        section.texts.append(f"Blew up (loss no longer finite): {shown}{more}.")
    return section


MEANS = {
    "modes": "from second and fourth moments of the data",
    "moments": "from moments of the data and the optimizer's update rule",
    "linearised": "from the network linearised at its first parameters",
}


def _foreseen(found: Record | None) -> list[str]:
    """What was predicted before the first step, and what came of it."""
    if not found or found["curve"] is None:
        return []
    told = (
        f"Before the first step, {MEANS[found['method']]}, the loss of seed {found['seed']} on the "
        f"training set after {counted(found['epochs'], 'epoch')} was predicted to be "
        f"{number(found['predicted'])}"
    )
    if found["measured"] is not None:
        told += f"; it was {number(found['measured'])}"
    if not found["in_range"]:
        told += f". That is out of the prediction's range: {found['why']}"
    return [told + "."]


def _reaches_below_zero(found: Record) -> bool:
    between, mean = found.get("interval95"), found.get("mean")
    return between is not None and mean is not None and between[0] < 0 <= mean


def _repeats(name: str, final: Record) -> bool:
    """Original units are left out where they are the training units."""
    if name != "original_test_loss" or "test_loss" not in final:
        return False
    original, training = final[name]["mean"], final["test_loss"]["mean"]
    if original is None or training is None:
        return True
    # Both are float32 sums, taken in another order.
    return math.isclose(original, training, rel_tol=1e-5)


def budget(record: Record, full: bool) -> Section:
    """The four items, each accounted for twice."""
    section = Section("Where the loss comes from", figures=("budget",))
    found = record.get("budget")
    if not found:
        if "budget" in record:
            section.texts.append(
                f"There is no loss budget: {record.get('budget_reason') or 'not computed'}."
            )
        return section
    section.tables.append(_table(record, found, full))
    left = found["unexplained"]
    section.notes.append(
        f"{ITEMS} 2nd account: each item again, by a mechanism computed without that "
        f"intervention; it leaves {percent(left['share'])} open."
    )
    section.texts += _compound(found)
    section.notes += _doubts(found, full)
    if full:
        _details(section, found)
    return section


def _table(record: Record, found: dict[str, Any], full: bool) -> Table:
    deep = (record.get("problem") or {}).get("depth", 1) > 1
    rows = []
    for item in found["items"]:
        name = label(item["cause"])
        name = "locked, given the features" if item["cause"] == "locked" and deep else name
        rows.append(
            Row(
                (
                    name,
                    number(item["loss"]),
                    percent(item["share"]),
                    number(item["explained"]),
                    number(item["sem"], 2),
                )
            )
        )
        rows += [
            Row((PARTS.get(part["name"], label(part["name"])), "", "", number(part["loss"]), ""), 1)
            for part in item["parts"]
            if full or part["loss"]
        ]
    left, total = found["unexplained"], found["total"]
    rows.append(
        Row(
            (
                "not explained",
                NONE,
                percent(left["share"]),
                number(left["loss"]),
                number(left["sem"], 2),
            )
        )
    )
    rows.append(
        Row(
            (
                "loss at the end",
                number(total["mean"]),
                "100 %" if total["mean"] else NONE,
                number(total["mean"]),
                number(total["sem"], 2),
            )
        )
    )
    return Table(("", ">loss", ">share", ">2nd account", ">std. error"), rows)


def _compound(found: dict[str, Any]) -> list[str]:
    """Two items that hide each other are one cause: the budget must not blame either."""
    joint = found.get("compound")
    if not joint:
        return []
    alone = joint["evidence"]["alone"]
    singles = " and ".join(f"{name} alone x {number(ratio, 2)}" for name, ratio in alone.items())
    text = (
        f"{joined([label(c) for c in joint['causes']]).capitalize()} are one compound cause: "
        f"{singles}, both together x {number(joint['counterfactual']['ratio'], 2)}."
    )
    rows = {item["cause"] for item in found["items"]} & set(joint["causes"])
    if len(rows) == 2:
        text += " Their rows are what remains of each while the other is there."
    elif rows:
        text += f" The row '{label(min(rows))}' is what remains of it while the other is there."
    return [text]


def _doubts(found: dict[str, Any], full: bool) -> list[str]:
    doubts = []
    solver, change = found.get("solver") or {}, found.get("annealing_uncertainty") or {}
    if solver and not solver["converged"]:
        doubts.append(
            "The last layer was not solved to its tolerance "
            f"({number(solver['predicted_decrease'], 2)} left, {number(solver['tolerance'], 2)} "
            "allowed): 'locked' may be smaller and 'slow modes' larger."
        )
    falling = found.get("still_falling") or {}
    if falling.get("matters"):
        doubts.append(
            f"Training was still falling: about {number(falling['progress'], 2)} of 'optimizer "
            f"noise' ({percent(falling['share_of_noise'])}) may be progress made while annealing; "
            "more epochs would tell."
        )
    if change and full:
        doubts.append(
            "Annealing twice as long moves "
            f"{plus_minus(change['change'], change['sem'], 2)} between noise and slow modes."
        )
    return doubts


def _details(section: Section, found: dict[str, Any]) -> None:
    rows = [
        Row((label(one["cause"]), number(one["effect"]), number(one["sem"], 2), one["how"]))
        for one in found.get("one_at_a_time") or []
    ]
    if rows:
        section.tables.append(Table(("each alone", ">loss falls by", ">std. error", "+how"), rows))
    modes = (found.get("slow_modes_detail") or {}).get("decades")
    if modes:
        rows = [
            Row(
                (
                    f"1e{mode['decade']}",
                    number(mode["modes"]),
                    percent(mode["share"]),
                    number(mode["epochs"], 2),
                )
            )
            for mode in modes
            if mode["share"] >= 0.001
        ]
        columns = ("slow modes: lambda / lambda_max", ">modes", ">share", ">epochs")
        section.tables.append(Table(columns, rows))
        section.notes.append(f"Slow modes: {found['slow_modes_detail']['how']}.")
    if found.get("order_note"):
        section.notes.append(found["order_note"])
    section.notes += [
        f"{name.capitalize()}: {how.removeprefix(f'{name}: ')}."
        for name, how in ((label(i["cause"]), i.get("how")) for i in found["items"])
        if how
    ]
    for item in found["items"]:
        floor = item.get("predicted_floor")
        if floor and floor["value"] is not None:
            section.notes.append(
                f"Theory's floor for the noise: {plus_minus(floor['value'], floor['error'])} "
                f"({floor['method']})."
            )
