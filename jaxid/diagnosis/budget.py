"""The loss budget: four gaps by intervention, each accounted for again by a mechanism.

L = representation + locked + slow modes + optimizer noise telescopes by construction, which
proves nothing; the check is that mechanisms computed without the gaps sum to L as well:
unexplained = L - representation - sum of the mechanisms' estimates.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jaxid.core.statistics import sem
from jaxid.core.types import Estimate
from jaxid.diagnosis.evidence import Evidence

ORDER_NOTE = (
    "The gaps are taken in this order: anneal, then solve the last layer, then compare with "
    "the least loss possible. Another order would share them out differently; "
    "the effects 'each alone' are those of one intervention from the end state."
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


def build_budget(evidence: Evidence, representation: Any, *, depth: int) -> dict[str, Any]:
    """The record's ``budget`` from evidence with at least one solved seed.

    Args:
      evidence: what was measured.
      representation: the bound, with ``lower`` (Estimate), ``parts`` and ``how``.
      depth: dense layers; above 1 the locked item is given the features.
    """
    floor = float(representation.lower.value or 0.0)
    gaps = measure_gaps(evidence, floor)
    total = gaps.total
    twice = np.asarray(evidence.annealed_twice.train_end.loss, float)
    once = np.asarray(evidence.annealed.train_end.loss, float)[: twice.size]
    # The longer one may blow up on a seed that the shorter one brought home.
    both = np.isfinite(once) & np.isfinite(twice)
    change = once[both] - twice[both]
    locked_name = "locked" if depth == 1 else "locked given the features"
    stopped_name = "switched_off_examples" if depth == 1 else "locked_given_features"
    items = [
        _item(
            "representation",
            np.full(total.shape, floor),
            np.full(total.shape, floor),
            total,
            [(name, np.full(total.shape, loss)) for name, loss in representation.parts],
            representation.how,
        ),
        _item(
            "locked",
            gaps.solved - floor,
            gaps.dead + gaps.stopped,
            total,
            [("dead_outputs", gaps.dead), (stopped_name, gaps.stopped)],
            f"{locked_name}: last layer solved by float64 Gauss-Newton from the annealed state; "
            "explained by the loss of outputs that fire on no training example and of "
            "examples on which a solved output is off",
        ),
        _item(
            "slow_modes",
            gaps.annealed - gaps.solved,
            gaps.quadratic,
            total,
            [],
            "annealed minus solved; explained by the sum of lambda c^2 / 2 over the last "
            "layer's Hessian modes",
        ),
        _item(
            "optimizer_noise",
            total - gaps.annealed,
            gaps.coherent + gaps.incoherent,
            total,
            [("coherent", gaps.coherent), ("incoherent", gaps.incoherent)],
            f"end minus annealed over {evidence.anneal_epochs} epochs; explained by the mean "
            "square of the difference of outputs before and after",
        )
        | {"predicted_floor": _predicted_noise(evidence)},
    ]
    explained = floor + gaps.dead + gaps.stopped + gaps.quadratic + gaps.coherent + gaps.incoherent
    unexplained = total - explained
    mean = float(total.mean())
    return {
        "total": {"mean": mean, "sem": sem(total), "seeds": int(total.size)}
        | ({"sem_reason": "one seed"} if total.size == 1 else {}),
        "items": items,
        "unexplained": {
            "loss": float(unexplained.mean()),
            "sem": sem(unexplained),
            "share": _share(float(unexplained.mean()), mean),
        },
        "annealing_uncertainty": {
            "change": float(change.mean()) if change.size else None,
            "sem": sem(change),
            "seeds": int(change.size),
            "how": f"annealed over {evidence.anneal_epochs} epochs minus over "
            f"{2 * evidence.anneal_epochs}; it lies between noise and slow modes",
        },
        "still_falling": _still_falling(evidence, total - gaps.annealed),
        "solver": _solver(evidence),
        "one_at_a_time": _one_at_a_time(evidence, gaps),
        "order_note": ORDER_NOTE,
    }


def _still_falling(evidence: Evidence, noise: np.ndarray) -> dict[str, Any]:
    """How much of the noise gap may be progress: annealing is also more epochs of training.

    The training loss's slope over the last fifth of the epochs (two at least), kept up over
    the annealing at the mean of its factor, 1/2.
    """
    index = [seed.index for seed in evidence.seeds]
    losses = np.asarray(evidence.history.train, float)[index]
    last = min(losses.shape[1], max(2, losses.shape[1] // 5))
    if last < 2:
        return {"progress": None, "sem": None, "share_of_noise": None, "matters": False}
    slope = np.polyfit(np.arange(last), losses[:, -last:].T, 1)[0]
    progress = np.maximum(0.0, -slope) * evidence.anneal_epochs / 2
    mean, error, gap = float(progress.mean()), sem(progress), float(noise.mean())
    share = mean / gap if gap > 0 else None
    sure = error is not None and mean > 2 * error
    return {
        "progress": mean,
        "sem": error,
        "share_of_noise": share,
        "matters": bool(sure and share is not None and share > PROGRESS),
        "how": f"slope of the training loss over the last {last} epochs, for "
        f"{evidence.anneal_epochs} epochs at half the rate",
    }


def _item(
    cause: str,
    loss: np.ndarray,
    explained: np.ndarray,
    total: np.ndarray,
    parts: list[tuple[str, np.ndarray]],
    how: str,
) -> dict[str, Any]:
    return {
        "cause": cause,
        "loss": float(loss.mean()),
        "explained": float(explained.mean()),
        "sem": sem(loss),
        "explained_sem": sem(explained),
        "share": _share(float(loss.mean()), float(total.mean())),
        "parts": [{"name": name, "loss": float(value.mean())} for name, value in parts],
        "how": how,
    }


def _predicted_noise(evidence: Evidence) -> dict[str, Any]:
    """The theory's floor beside the measured noise: mean over seeds, standard error over them."""
    found = [seed.predicted_noise for seed in evidence.seeds]
    values = np.array([e.value for e in found if e.value is not None])
    if values.size == 0:
        return Estimate(None, None, False, found[0].method)._asdict()
    error = sem(values) if values.size > 1 else found[0].error
    small = all(e.converged for e in found)
    return Estimate(float(values.mean()), error, small, found[0].method)._asdict()


def _share(part: float, total: float) -> float | None:
    return None if total == 0 else part / total


def _solver(evidence: Evidence) -> dict[str, Any]:
    """How the last layer was solved, and whether it converged on every seed."""
    solutions = [seed.solution for seed in evidence.seeds]
    return {
        "seeds": len(solutions),
        "converged": all(s.converged for s in solutions),
        "predicted_decrease": float(np.mean([s.predicted.mean() for s in solutions])),
        "tolerance": float(np.mean([s.tolerance for s in solutions])),
        "iterations": int(max(s.iterations.max() for s in solutions)),
        "stalled_outputs": int(sum(s.stalled.sum() for s in solutions)),
    }


def _one_at_a_time(evidence: Evidence, gaps: Gaps) -> list[dict[str, Any]]:
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
        ("locked", revived, "dead outputs made exact, everything else left"),
        ("optimizer_noise", gaps.total - gaps.annealed, "annealing alone"),
    ]
    if solved.size:
        rows.insert(1, ("slow_modes", solved, "last layer solved without annealing"))
    return [
        {
            "cause": cause,
            "effect": float(values.mean()),
            "sem": sem(values),
            "seeds": int(values.size),
            "how": how,
        }
        for cause, values, how in rows
    ]
