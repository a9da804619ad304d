"""Three sentences that a newcomer understands, made from the record and nothing else."""

from __future__ import annotations

from typing import Any

from jaxid.core.wording import SUSPECTS, counted, dead_answer, joined, number, percent

ITEMS = {
    "representation": "cannot be represented by this network at all",
    "locked": "is locked",
    "slow_modes": "is in slow modes",
    "optimizer_noise": "is noise of the constant step",
}
ANSWERS = {
    "skip": "add nothing to what the skip connection carries",
    "zero": "answer 0 to every example",
    "constant": "answer the same to every example",
}
"""What dead outputs do."""
LARGE = 0.1
"""A share of the loss worth a clause of its own."""


def verdict_sentences(record: dict[str, Any]) -> list[str]:
    """Where the loss sits, why it stays, what to do: one sentence each."""
    return [_where(record), _why(record), _remedy(record)]


def compound(record: dict[str, Any]) -> dict[str, Any] | None:
    """The strongest compound among the findings, None if there is none."""
    found = [f for f in record.get("findings", []) if len(f["causes"]) > 1]
    return min(found, key=lambda f: f["counterfactual"]["log_ratio"]) if found else None


def _where(record: dict[str, Any]) -> str:
    budget = record.get("budget")
    epochs = counted(record["problem"]["epochs"], "epoch")
    if record.get("epochs_finished"):
        epochs = f"{record['epochs_finished']:,} of {epochs}"
    bad = record.get("non_finite") or []
    if not budget:
        reason = record.get("budget_reason", "it was not measured")
        ended = record["final"]["train_loss_end"]["mean"]
        if ended is None:
            return f"After {epochs} there is no loss to split: {reason}."
        return f"After {epochs} the loss is {number(ended)}; it is not split, because {reason}."
    total = budget["total"]["mean"]
    start = f"After {epochs} the loss is {number(total)}"
    if bad:
        first = min(b["step"] for b in bad)
        start += f" ({counted(len(bad), 'seed')} went non-finite, the first at step {first})"
    solved, finite = budget["total"]["seeds"], record["problem"]["seeds"] - len(bad)
    if solved < finite:
        start += f" (mean of the {solved} of {finite} seeds that were taken apart)"
    if total == 0:
        return f"{start}: nothing is left to explain."
    exists = record["representation"]["verdict"] == "exact"
    start += ", though the network can represent the target exactly" if exists else ""
    dead = record.get("dead")
    shares = {item["cause"]: item["share"] or 0.0 for item in budget["items"]}
    parts = {p["name"]: p["loss"] for i in budget["items"] for p in i["parts"]}
    in_dead = parts.get("dead_outputs", 0.0) / total
    leads = in_dead >= max(shares[c] for c in ("representation", "slow_modes", "optimizer_noise"))
    if dead and dead["stops_gradient"] and in_dead >= LARGE and leads:
        count = dead["outputs_dead_varying"]["mean"]
        return (
            f"{start}: {percent(in_dead)} of it sits in the {number(count)} of {dead['outputs']} "
            f"outputs that are dead{_when(dead)} and {ANSWERS[dead_answer(record['problem'])]}."
        )
    largest = max(shares, key=lambda cause: shares[cause])
    given = largest == "locked" and record["problem"]["depth"] > 1
    words = ITEMS[largest] + (", given the features" if given else "")
    return f"{start}: {percent(shares[largest])} of it {words}."


def _when(dead: dict[str, Any]) -> str:
    """Since when, in brackets: before the first step, or when they died."""
    born = (dead.get("born_dead") or {"outputs": {"mean": 0.0}})["outputs"]["mean"]
    early = dead["death"]["in_first_epoch"]
    words = [f"{number(born)} before the first step"] if born else []
    others = "of the others" if born else "of them"
    if early is not None and early >= 0.5:
        words.append(f"{percent(early)} {others} since the first epoch")
    elif early is not None:
        words.append(f"half {others} by step {number(dead['death']['median_step'])}")
    return f" ({', '.join(words)})" if words else ""


def _why(record: dict[str, Any]) -> str:
    budget = record.get("budget")
    if not budget:
        return "Nothing is said of causes without a budget."
    clauses = []
    total = budget["total"]["mean"]
    points = record.get("points", [])
    plateau = [p for p in points if p["kind"] == "plateau" and p["loss"] >= LARGE * total]
    if plateau and record["problem"]["depth"] == 1:
        clauses.append(
            "the gradient of dead outputs is exactly 0, so no gradient method can leave from there"
        )
    elif plateau:
        clauses.append("the last layer's gradient at dead outputs is exactly 0")
    for item in budget["items"]:
        share = item["share"]
        if item["cause"] in ("slow_modes", "optimizer_noise") and share and abs(share) >= 0.005:
            clauses.append(f"{percent(share)} {ITEMS[item['cause']]}")
    moving = [p for p in points if p["kind"] == "not_yet_stationary"]
    falling = (budget.get("still_falling") or {}).get("matters", False)
    if falling or any(p.get("loss_annealed", p["loss"]) >= LARGE * total for p in moving):
        clauses.append("training was still on its way down when it stopped")
    left = budget["unexplained"]["share"]
    if left is not None and abs(left) >= LARGE:
        short = f"leaves {percent(abs(left))} open" if abs(left) < 1 else "fails here"
        clauses.append(f"beware: the second account of these shares {short}")
    posed = _ill_posed(record)
    if posed:
        clauses.append(posed)
    if not clauses:
        return "No cause stands out in the budget."
    text = "; ".join(clauses)
    text = f"of the loss, {text}" if text[0].isdigit() else text
    return text[0].upper() + text[1:] + "."


def _remedy(record: dict[str, Any]) -> str:
    trials = {t["name"]: t for t in record.get("trials", [])}
    if not trials:
        why = "the run was interrupted" if record.get("interrupted") else "--trials none"
        return f"No remedy was tried ({why}), so what would cure it is not proved here."
    helping = record.get("prescriptions") or []
    best = helping[0] if helping else None
    joint = compound(record)
    rescued = [n for n, t in trials.items() if t["before"] is None and t["after"] is not None]
    if best is None and rescued:
        more = f" and {len(rescued) - 3} more" if len(rescued) > 3 else ""
        return (
            f"The run itself goes non-finite; no seed does with {', '.join(rescued[:3])}{more} "
            f"({len(rescued)} of the {len(trials)} changes tried)."
        )
    if best is None and all(t.get("seeds") == 1 for t in trials.values()):
        return (
            f"{len(trials)} changes were tried, but one seed gives no interval, so none is sure: "
            "use --seeds 2 or more."
        )
    if best is None:
        return f"None of the {len(trials)} changes tried lowers the loss by a sure 10 %."
    trial = best["trial"]
    cure = (
        f"{best['name']} takes it from {number(trial['before'])} to {number(trial['after'])} "
        f"on the {counted(trial['seeds'], 'seed')} it was tried on ({trial['seeds_lower']} lower)"
    )
    far = _too_far(record)
    if far is not None:
        return (
            f"The rate is too large: the first step moves the outputs {number(far, 2)} times as "
            f"far as the targets lie; {cure}."
        )
    if joint is None:
        return f"{_most(helping, best)}: {cure}."
    first, second = joint["evidence"]["alone"]
    alone = joint["evidence"]["alone"]
    names = " and ".join(SUSPECTS.get(c, c) for c in joint["causes"])
    together = joint["counterfactual"]
    ratios = [number(value, 2) for value in (alone[first], alone[second], together["ratio"])]
    sentence = (
        f"The cause is a compound of {names}: {first} alone gives {ratios[0]} times the "
        f"loss, {second} alone {ratios[1]}, both together {ratios[2]} "
        f"({number(together['before'])} to {number(together['after'])})"
    )
    if together["remedy"] == best["name"]:
        return sentence + "."
    single = " + " not in best["name"]
    if single and trial["ratio"] < together["ratio"]:
        # A cause of its own, stronger than the two that only act together.
        return f"{_most(helping, best)}: {cure}; beside it, {sentence[0].lower()}{sentence[1:]}."
    return f"{sentence}; best of all, {cure}."


def _most(helping: list[dict[str, Any]], best: dict[str, Any]) -> str:
    """How the best remedy is introduced: not as the best of all where it is not."""
    better = [p for p in helping if p["trial"]["ratio"] < best["trial"]["ratio"]]
    if not better:
        return "What helps most"
    names = joined([p["name"] for p in better[:2]])
    return f"What helps most, with {names} left aside because they build the answer in"


def _too_far(record: dict[str, Any]) -> float | None:
    """How far the first step goes, if a smaller rate was confirmed to be what is missing."""
    for finding in record.get("findings") or []:
        if finding["causes"] == ["rate_too_large"] and finding["verdict"] == "cause":
            return float(record["first_step"]["value"])
    return None


def _ill_posed(record: dict[str, Any]) -> str | None:
    """Hadamard's three answers as one clause, None where all is well or nothing is known."""
    posed = record.get("well_posed") or {}
    said = []
    moments = record.get("moments") or []
    kappa = moments[0]["kappa"]["value"] if moments else None
    if kappa is not None:
        said.append(f"condition number {number(kappa, 2)}")
    if posed.get("exists", {}).get("answer") == "no":
        said.append("no exact solution exists")
    if posed.get("unique", {}).get("answer") == "no":
        said.append(f"solutions differ along {posed['unique']['null_dim']:,} flat directions")
    if posed.get("continuous", {}).get("answer") == "no":
        change = number(posed["continuous"]["largest_change"], 2)
        step = "one unit" if record["problem"].get("data") == "gaussian" else "one grey level"
        size = number(posed["continuous"].get("copy_length", 1.0), 2)
        said.append(f"{step} in a target can move its weights by {change}, their size is {size}")
    if len(said) < 2:
        return None
    return f"the data do not settle the weights, it is ill-posed ({', '.join(said)})"
