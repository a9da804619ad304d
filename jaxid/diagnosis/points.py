"""What kind of point training stopped at, for dead and live outputs apart.

The questions are asked in this order, and the first yes decides: plateau (gradient exactly
0, loss above its floor); noise ball (annealing lowers the group's loss by over 5 % and 3
standard errors); not yet stationary (predicted Gauss-Newton decrease over 1 % of the
group's loss); saddle (least eigenvalue plus its bound below -1e-3 lambda_max); else a
degenerate minimum with its flat dimension. The Hessian does not see ReLU's kinks: a point
on one can be lowered although every eigenvalue here says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from jaxid.core.types import Estimate
from jaxid.diagnosis.evidence import Evidence

NOISE_SHARE, NOISE_ERRORS = 0.05, 3.0
STATIONARY_SHARE = 0.01
SADDLE_SHARE = 1e-3


class Group(Enum):
    """Which outputs are asked about."""

    DEAD = "dead"
    LIVE = "live"


class PointKind(Enum):
    """What kind of point it is, in the order in which it is asked."""

    PLATEAU = "plateau"
    NOISE_BALL = "noise_ball"
    NOT_YET_STATIONARY = "not_yet_stationary"
    SADDLE = "saddle"
    DEGENERATE_MINIMUM = "degenerate_minimum"
    UNDECIDED = "undecided"


class Doubt(Enum):
    """Why a kind is undecided."""

    ONE_SEED = "one_seed"
    """Annealing lowers the loss, but one seed gives no standard error."""
    NO_LEAST_EIGENVALUE = "no_least_eigenvalue"
    """It did not converge, so a saddle is not excluded."""


@dataclass(frozen=True)
class Point:
    """Where a group of outputs stopped; losses are the group's part of the mean over outputs, in
    training units, means over the solved seeds.

    Attributes:
      group: which outputs.
      outputs: how many, mean over seeds.
      loss, loss_annealed: at the end, and after annealing.
      gradient_norm: of the last layer at the annealed state.
      predicted_decrease: of the loss, by one Gauss-Newton step from there.
      least_eigenvalue: of the Hessian there; None if it was not computed.
      largest_eigenvalue: likewise.
      flat_dim, flat_share: directions without curvature of the first solved seed's blocks, and
        their share of all; None if unknown.
      kind: what it is.
      doubt: why it is undecided; None where it is not.
    """

    group: Group
    outputs: float
    loss: float
    loss_annealed: float
    gradient_norm: float
    predicted_decrease: float
    least_eigenvalue: Estimate | None
    largest_eigenvalue: float | None
    flat_dim: int | None
    flat_share: float | None
    kind: PointKind
    doubt: Doubt | None


def classify(
    evidence: Evidence,
    *,
    least: Estimate | None,
    lambda_max: float | None,
    null_dims: np.ndarray | None,
    block: int,
    floor: float = 0.0,
) -> tuple[Point, ...]:
    """One point for the dead outputs and one for the live ones.

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
    return tuple(
        _point(
            group,
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
        for group, mask in ((Group.DEAD, dead), (Group.LIVE, ~dead))
        if mask.any()
    )


def _point(
    group: Group,
    mask: np.ndarray,
    evidence: Evidence,
    end: np.ndarray,
    annealed: np.ndarray,
    least: Estimate | None,
    lambda_max: float | None,
    null_dims: np.ndarray | None,
    block: int,
    floor: float,
) -> Point:
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
    kind, doubt = _decide(before, after, gradient, predicted, least, lambda_max, floor)
    return Point(
        group,
        float(mask.sum(axis=1).mean()),
        float(before.mean()),
        float(after.mean()),
        float(gradient.mean()),
        float(predicted.mean()),
        least,
        lambda_max,
        flat,
        None if flat is None else flat / max(1, int(mask[0].sum()) * block),
        kind,
        doubt,
    )


def _decide(
    before: np.ndarray,
    after: np.ndarray,
    gradient: np.ndarray,
    predicted: np.ndarray,
    least: Estimate | None,
    lambda_max: float | None,
    floor: float,
) -> tuple[PointKind, Doubt | None]:
    if np.all(gradient == 0) and after.mean() > floor:
        return PointKind.PLATEAU, None
    drop = before - after
    if drop.size == 1 and drop[0] > NOISE_SHARE * before[0]:
        return PointKind.UNDECIDED, Doubt.ONE_SEED
    error = drop.std(ddof=1) / np.sqrt(drop.size) if drop.size > 1 else np.inf
    if drop.mean() > NOISE_SHARE * before.mean() and drop.mean() > NOISE_ERRORS * error:
        return PointKind.NOISE_BALL, None
    if predicted.mean() > STATIONARY_SHARE * after.mean():
        return PointKind.NOT_YET_STATIONARY, None
    if least is None or least.value is None or lambda_max is None or not least.converged:
        return PointKind.UNDECIDED, Doubt.NO_LEAST_EIGENVALUE
    if least.value + (least.error or 0.0) < -SADDLE_SHARE * lambda_max:
        return PointKind.SADDLE, None
    return PointKind.DEGENERATE_MINIMUM, None
