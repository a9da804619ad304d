"""What the loss budget alone says that a remedy should do, before it is run."""

from __future__ import annotations

from typing import Any

REMOVES: dict[str, tuple[str, ...]] = {
    "linear output": ("locked",),
    "leaky ReLU": ("locked",),
    "decaying rate": ("optimizer_noise",),
    "linear output + decaying rate": ("locked", "optimizer_noise"),
}
"""Which items of the budget a remedy takes away, were they independent."""
RANGE = ("negative_targets", "targets_out_of_range")
"""Parts of the representation bound that any output without that range is free of."""


def predicted_ratio(remedy: str, budget: dict[str, Any] | None) -> float | None:
    """The loss after over before if the remedy removed its items and changed nothing else.

    None where the budget says nothing about the remedy. The difference to the measured
    ratio is what the items do to each other.
    """
    if budget is None or remedy not in REMOVES or not budget["total"]["mean"]:
        return None
    removed = sum(i["loss"] for i in budget["items"] if i["cause"] in REMOVES[remedy])
    if "linear output" in remedy or remedy == "leaky ReLU":
        parts = [part for item in budget["items"] for part in item["parts"]]
        removed += sum(part["loss"] for part in parts if part["name"] in RANGE)
    return max(0.0, 1.0 - removed / budget["total"]["mean"])
