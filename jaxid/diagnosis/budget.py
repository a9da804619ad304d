"""The loss budget: four gaps by intervention, each accounted for again by a mechanism.

L = representation + locked + slow modes + optimizer noise telescopes by construction, which
proves nothing; the check is that mechanisms computed without the gaps sum to L as well:
unexplained = L - representation - sum of the mechanisms' estimates.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from jaxid.core.statistics import sem
from jaxid.core.types import Estimate
from jaxid.diagnosis.evidence import Evidence
from jaxid.diagnosis.items import (
    AnnealingUncertainty,
    Budget,
    BudgetItem,
    Floors,
    Item,
    LeastLoss,
    OneAtATime,
    Part,
    PartName,
    Solver,
    StillFalling,
    Total,
    Unexplained,
)

PROGRESS = 0.25
"""Share of the noise gap from which progress during annealing is worth a warning."""


class Gaps(NamedTuple):
    """Per seed (k,), in the loss's units.

    Attributes:
      total: L at the end, full training set.
      annealed, solved: L_annealed and L_solved.
      representation: the bound, a scalar.
      dead: loss in dead outputs above their part of the bound, at the annealed state.
      stopped: loss of live outputs on examples where they are off at the solved state, above
        the bound likewise.
      quadratic: sum of lambda c^2 / 2.
      coherent, incoherent: the two parts of the noise.
    """

    total: np.ndarray
    annealed: np.ndarray
    solved: np.ndarray
    representation: float
    dead: np.ndarray
    stopped: np.ndarray
    quadratic: np.ndarray
    coherent: np.ndarray
    incoherent: np.ndarray


def measure_gaps(evidence: Evidence, representation: float) -> Gaps:
    """The gaps of the solved seeds."""
    index = [seed.index for seed in evidence.seeds]
    annealed = evidence.annealed.train_end
    dead = evidence.dead(evidence.annealed)
    dead_loss = np.where(dead, np.asarray(annealed.output_loss, float)[index], 0.0)
    stopped = np.stack([seed.stopped for seed in evidence.seeds])
    # Negative targets of a ReLU are the representation bound's already, where there is one.
    below = np.stack([seed.below_zero for seed in evidence.seeds]) * (representation > 0)
    return Gaps(
        np.asarray(evidence.history.train_end.loss, float)[index],
        np.asarray(annealed.loss, float)[index],
        np.array([seed.solution.loss for seed in evidence.seeds]),
        representation,
        (dead_loss - np.where(dead, below, 0.0)).mean(axis=1),
        (stopped - np.where(dead, 0.0, below)).mean(axis=1),
        np.array([float(seed.quadratic.mean()) for seed in evidence.seeds]),
        np.asarray(evidence.coherent, float)[index].mean(axis=1),
        np.asarray(evidence.incoherent, float)[index].mean(axis=1),
    )


def build_budget(
    evidence: Evidence,
    representation: LeastLoss,
    *,
    depth: int,
) -> Budget:
    """The budget from evidence with at least one solved seed, without the slow modes' detail.

    Args:
      evidence: what was measured.
      representation: the least loss possible.
      depth: dense layers; above 1 the locked item is given the features.
    """
    floor = float(representation.lower.value or 0.0)
    gaps = measure_gaps(evidence, floor)
    total = gaps.total
    given = "" if depth == 1 else "locked given the features: "
    off = PartName.SWITCHED_OFF_EXAMPLES if depth == 1 else PartName.LOCKED_GIVEN_FEATURES
    noise = _item(
        Item.OPTIMIZER_NOISE,
        total - gaps.annealed,
        gaps.coherent + gaps.incoherent,
        total,
        (_part(PartName.COHERENT, gaps.coherent), _part(PartName.INCOHERENT, gaps.incoherent)),
        f"end minus annealed over {evidence.anneal_epochs} epochs; explained by the mean "
        "square of the difference of outputs before and after",
    )
    explained = floor + gaps.dead + gaps.stopped + gaps.quadratic + gaps.coherent + gaps.incoherent
    unexplained = total - explained
    mean = float(total.mean())
    return Budget(
        total=Total(mean, sem(total), int(total.size)),
        items=(
            _item(
                Item.REPRESENTATION,
                np.full(total.shape, floor),
                np.full(total.shape, floor),
                total,
                representation.parts,
                representation.how,
            ),
            _item(
                Item.LOCKED,
                gaps.solved - floor,
                gaps.dead + gaps.stopped,
                total,
                (_part(PartName.DEAD_OUTPUTS, gaps.dead), _part(off, gaps.stopped)),
                f"{given}last layer solved by float64 Gauss-Newton from the annealed state; "
                "explained by the loss of outputs that fire on no training example and of "
                "examples on which a solved output is off",
            ),
            _item(
                Item.SLOW_MODES,
                gaps.annealed - gaps.solved,
                gaps.quadratic,
                total,
                (),
                "annealed minus solved; explained by the sum of lambda c^2 / 2 over the last "
                "layer's Hessian modes",
            ),
            dataclasses.replace(noise, predicted_floor=_predicted_noise(evidence)),
        ),
        unexplained=Unexplained(
            float(unexplained.mean()), sem(unexplained), _share(float(unexplained.mean()), mean)
        ),
        annealing_uncertainty=_annealing_uncertainty(evidence),
        still_falling=_still_falling(evidence, total - gaps.annealed),
        solver=_solver(evidence),
        one_at_a_time=_one_at_a_time(evidence, gaps),
        slow_modes_detail=None,
    )


def floors(evidence: Evidence, representation: LeastLoss) -> Floors:
    """The budget's levels by seed."""
    index = [seed.index for seed in evidence.seeds]
    return Floors(
        np.asarray(evidence.history.train_end.loss)[index],
        np.asarray(evidence.annealed.train_end.loss)[index],
        np.array([seed.solution.loss for seed in evidence.seeds]),
        float(representation.lower.value or 0.0),
    )


def _annealing_uncertainty(evidence: Evidence) -> AnnealingUncertainty:
    twice = np.asarray(evidence.annealed_twice.train_end.loss, float)
    once = np.asarray(evidence.annealed.train_end.loss, float)[: twice.size]
    # The longer one may blow up on a seed that the shorter one brought home.
    both = np.isfinite(once) & np.isfinite(twice)
    change = once[both] - twice[both]
    return AnnealingUncertainty(
        float(change.mean()) if change.size else None,
        sem(change),
        int(change.size),
        f"annealed over {evidence.anneal_epochs} epochs minus over "
        f"{2 * evidence.anneal_epochs}; it lies between noise and slow modes",
    )


def _still_falling(evidence: Evidence, noise: np.ndarray) -> StillFalling:
    """How much of the noise gap may be progress: annealing is also more epochs of training.

    The training loss's slope over the last fifth of the epochs (two at least), kept up over
    the annealing at the mean of its factor, 1/2.
    """
    index = [seed.index for seed in evidence.seeds]
    losses = np.asarray(evidence.history.train, float)[index]
    last = min(losses.shape[1], max(2, losses.shape[1] // 5))
    if last < 2:
        return StillFalling(None, None, None, False, None)
    slope = np.polyfit(np.arange(last), losses[:, -last:].T, 1)[0]
    progress = np.maximum(0.0, -slope) * evidence.anneal_epochs / 2
    mean, error, gap = float(progress.mean()), sem(progress), float(noise.mean())
    share = mean / gap if gap > 0 else None
    sure = error is not None and mean > 2 * error
    return StillFalling(
        mean,
        error,
        share,
        bool(sure and share is not None and share > PROGRESS),
        f"slope of the training loss over the last {last} epochs, for "
        f"{evidence.anneal_epochs} epochs at half the rate",
    )


def _item(
    cause: Item,
    loss: np.ndarray,
    explained: np.ndarray,
    total: np.ndarray,
    parts: tuple[Part, ...],
    how: str,
) -> BudgetItem:
    return BudgetItem(
        cause,
        float(loss.mean()),
        float(explained.mean()),
        sem(loss),
        sem(explained),
        _share(float(loss.mean()), float(total.mean())),
        parts,
        how,
    )


def _part(name: PartName, loss: np.ndarray) -> Part:
    return Part(name, float(loss.mean()))


def _predicted_noise(evidence: Evidence) -> Estimate:
    """The theory's floor beside the measured noise: mean over seeds, standard error over them."""
    found = [seed.predicted_noise for seed in evidence.seeds]
    values = np.array([e.value for e in found if e.value is not None])
    if values.size == 0:
        return Estimate(None, None, False, found[0].method)
    error = sem(values) if values.size > 1 else found[0].error
    small = all(e.converged for e in found)
    return Estimate(float(values.mean()), error, small, found[0].method)


def _share(part: float, total: float) -> float | None:
    return None if total == 0 else part / total


def _solver(evidence: Evidence) -> Solver:
    """How the last layer was solved, and whether it converged on every seed."""
    solutions = [seed.solution for seed in evidence.seeds]
    return Solver(
        len(solutions),
        all(bool(s.converged) for s in solutions),
        float(np.mean([s.predicted.mean() for s in solutions])),
        float(np.mean([s.tolerance for s in solutions])),
        int(max(s.iterations.max() for s in solutions)),
        int(sum(s.stalled.sum() for s in solutions)),
    )


def _one_at_a_time(evidence: Evidence, gaps: Gaps) -> tuple[OneAtATime, ...]:
    """Each intervention alone from the end state: the fall in loss."""
    index = [seed.index for seed in evidence.seeds]
    end = evidence.history.train_end
    dead = evidence.dead(evidence.history)
    revived = np.where(dead, end.output_loss[index], 0.0).mean(axis=1)
    solved = np.array(
        [
            float(gaps.total[k]) - seed.solved_from_end
            for k, seed in enumerate(evidence.seeds)
            if seed.solved_from_end is not None
        ]
    )
    rows = [
        (Item.LOCKED, revived, "dead outputs made exact, everything else left"),
        (Item.OPTIMIZER_NOISE, gaps.total - gaps.annealed, "annealing alone"),
    ]
    if solved.size:
        rows.insert(1, (Item.SLOW_MODES, solved, "last layer solved without annealing"))
    return tuple(
        OneAtATime(cause, float(values.mean()), sem(values), int(values.size), how)
        for cause, values, how in rows
    )
