"""What kind of point training stopped at, for dead and live outputs apart.

The questions are asked in this order, and the first yes decides: plateau (gradient exactly
0, loss above its floor); noise ball (annealing lowers the group's loss by over 5 % and 3
standard errors); not yet stationary (predicted Gauss-Newton decrease over 1 % of the
group's loss); saddle (least eigenvalue plus its bound below -1e-3 lambda_max); else a
degenerate minimum with its flat dimension. The Hessian does not see ReLU's kinks: a point
on one can be lowered although every eigenvalue here says otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxid.core.types import Estimate
from jaxid.diagnosis.evidence import Evidence

NOISE_SHARE, NOISE_ERRORS = 0.05, 3.0
STATIONARY_SHARE = 0.01
SADDLE_SHARE = 1e-3
KINKS = "The Hessian does not see the kinks of ReLU."


def classify(
    evidence: Evidence,
    *,
    least: Estimate | None,
    lambda_max: float | None,
    null_dims: np.ndarray | None,
    block: int,
    floor: float = 0.0,
) -> list[dict[str, Any]]:
    """One record for the dead outputs and one for the live ones.

    Args:
      evidence: with at least one solved seed.
      least: the least eigenvalue at the annealed point (None: not computed).
      lambda_max: the largest there.
      null_dims: (m,) null dimension of each output's block there, for the first solved
        seed; None if unknown.
      block: order of one output's block.
      floor: the representation bound; where there is one, a plateau's loss must exceed the
        part that the negative targets of its own outputs have in it.
    """
    index = [seed.index for seed in evidence.seeds]
    end, annealed = evidence.history.train_end, evidence.annealed.train_end
    dead = evidence.dead(evidence.annealed)
    # What a ReLU cannot answer to negative targets is nobody's plateau.
    below = np.stack([seed.below_zero for seed in evidence.seeds]) * (floor > 0)
    return [
        _group(
            name,
            mask,
            evidence,
            np.asarray(end.output_loss, float)[index],
            np.asarray(annealed.output_loss, float)[index],
            least,
            lambda_max,
            null_dims,
            block,
            float(np.where(mask, below, 0.0).sum(axis=1).mean()) / mask.shape[1],
        )
        for name, mask in (("dead", dead), ("live", ~dead))
        if mask.any()
    ]


def _group(
    name: str,
    mask: np.ndarray,
    evidence: Evidence,
    end: np.ndarray,
    annealed: np.ndarray,
    least: Estimate | None,
    lambda_max: float | None,
    null_dims: np.ndarray | None,
    block: int,
    floor: float,
) -> dict[str, Any]:
    m = mask.shape[1]
    before = np.where(mask, end, 0.0).sum(axis=1) / m
    after = np.where(mask, annealed, 0.0).sum(axis=1) / m
    gradient = np.array(
        [
            np.linalg.norm(seed.gradient[mask[k]]) if mask[k].any() else 0.0
            for k, seed in enumerate(evidence.seeds)
        ]
    )
    predicted = np.array(
        [seed.solution.start_predicted[mask[k]].sum() / m for k, seed in enumerate(evidence.seeds)]
    )
    flat = None if null_dims is None else int(null_dims[mask[0]].sum())
    record: dict[str, Any] = {
        "group": name,
        "outputs": float(mask.sum(axis=1).mean()),
        "loss": float(before.mean()),
        "loss_annealed": float(after.mean()),
        "gradient_norm": float(gradient.mean()),
        "predicted_decrease": float(predicted.mean()),
        "least_eigenvalue": None if least is None else least._asdict(),
        "flat_dim": flat,
        "flat_share": None if flat is None else flat / max(1, int(mask[0].sum()) * block),
        "kinks": KINKS,
    }
    kind, why = _decide(before, after, gradient, predicted, least, lambda_max, flat, floor)
    return record | {"kind": kind, "why": why}


def _decide(
    before: np.ndarray,
    after: np.ndarray,
    gradient: np.ndarray,
    predicted: np.ndarray,
    least: Estimate | None,
    lambda_max: float | None,
    flat: int | None,
    floor: float,
) -> tuple[str, str]:
    if np.all(gradient == 0) and after.mean() > floor:
        return "plateau", (
            f"the gradient is exactly 0 and the loss {after.mean():.4g}: nothing pulls on these "
            "outputs, whatever the step"
        )
    drop = before - after
    if drop.size == 1 and drop[0] > NOISE_SHARE * before[0]:
        return "undecided", (
            f"letting the rate fall to 0 lowers the loss of these outputs from {before[0]:.4g} to "
            f"{after[0]:.4g}, but one seed gives no standard error; use --seeds 2 or more"
        )
    error = drop.std(ddof=1) / np.sqrt(drop.size) if drop.size > 1 else np.inf
    if drop.mean() > NOISE_SHARE * before.mean() and drop.mean() > NOISE_ERRORS * error:
        return "noise_ball", (
            f"letting the rate fall to 0 lowers the loss of these outputs from "
            f"{before.mean():.4g} to {after.mean():.4g}: the constant step kept them jumping"
        )
    if predicted.mean() > STATIONARY_SHARE * after.mean():
        return "not_yet_stationary", (
            f"one Gauss-Newton step promises {predicted.mean():.3g} of the loss "
            f"{after.mean():.4g} after annealing: still on the way"
        )
    if least is None or least.value is None or lambda_max is None or not least.converged:
        return "undecided", "the least eigenvalue did not converge, so a saddle is not excluded"
    if least.value + (least.error or 0.0) < -SADDLE_SHARE * lambda_max:
        return "saddle", (
            f"least eigenvalue {least.value:.3g} +- {least.error or 0.0:.1g} against a largest "
            f"of {lambda_max:.3g}"
        )
    dimension = "an unknown number of" if flat is None else f"{flat:,}"
    return "degenerate_minimum", (
        f"no direction leads down (least eigenvalue {least.value:.2g}), and {dimension} "
        "directions are flat"
    )
