"""What the loss budget alone says that a remedy should do, before it is run."""

from __future__ import annotations

from collections.abc import Mapping

from jaxid.diagnosis.items import Budget, Item, PartName

REMOVES: Mapping[str, tuple[Item, ...]] = {
    "linear output": (Item.LOCKED,),
    "leaky ReLU": (Item.LOCKED,),
    "decaying rate": (Item.OPTIMIZER_NOISE,),
    "linear output + decaying rate": (Item.LOCKED, Item.OPTIMIZER_NOISE),
}
"""Which items of the budget a remedy takes away, were they independent."""
FREES_RANGE = {"linear output", "leaky ReLU", "linear output + decaying rate"}
"""Remedies after which the output has no range."""
RANGE = {PartName.NEGATIVE_TARGETS, PartName.TARGETS_OUT_OF_RANGE}
"""Parts of the representation bound that any output without that range is free of."""


def predicted_ratio(remedy: str, budget: Budget | None) -> float | None:
    """The loss after over before if the remedy removed its items and changed nothing else.

    None where the budget says nothing about the remedy. The difference to the measured
    ratio is what the items do to each other.
    """
    if budget is None or remedy not in REMOVES or not budget.total.mean:
        return None
    removed = sum(item.loss for item in budget.items if item.cause in REMOVES[remedy])
    if remedy in FREES_RANGE:
        parts = [part for item in budget.items for part in item.parts]
        removed += sum(part.loss for part in parts if part.name in RANGE)
    return max(0.0, 1.0 - removed / budget.total.mean)
