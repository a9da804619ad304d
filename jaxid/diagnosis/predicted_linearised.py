"""Any network's training from its linearisation at the first parameters, and how far that holds.

See `jaxid.theory.linearised`: mean square error, optimizers that are linear in the gradient, no
noise of batches. The network is read at its initial parameters; no step of it is taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxid.diagnosis.statistics import sem_by_column
from jaxid.prng import role_key, seed_key
from jaxid.problem import Problem
from jaxid.theory.chains import Chain
from jaxid.theory.linearised import Linearised, linearised, stable_share
from jaxid.training.loop import TrainState, one_seed
from jaxid.training.progress import Reporter

Record = dict[str, Any]
Arrays = dict[str, np.ndarray]


def from_linearisation(
    problem: Problem, chain: Chain, states: TrainState, seeds: list[int], reporter: Reporter
) -> tuple[Record, Arrays]:
    """The linearised network's loss at the end of every epoch, mean over the seeds.

    Args:
      problem: any, with loss mse.
      chain: its optimizer.
      states: initial, stacked.
      seeds: their numbers.
      reporter: shows progress.
    """
    found: list[Linearised] = []
    with reporter.task("linearising", len(seeds)) as task:
        for k, seed in enumerate(seeds):
            params = one_seed(states, k).params
            key = role_key(seed_key(seed), "predicted subset")
            found.append(linearised(problem, params, chain, problem.epochs, key))
            task.advance(1, f"seed {seed}")
    curves = np.stack([one.curve for one in found])
    until = min(one.range.until for one in found)
    steps = problem.epochs * problem.steps_per_epoch
    shares = [stable_share(problem.optimizer, one.sharpness, steps) for one in found]
    worst = max(shares, key=lambda share: share.value or 0.0)
    record: Record = {
        "method": "linearised",
        "curve": curves.mean(axis=0).tolist(),
        "sem": None if len(found) < 2 else sem_by_column(curves).tolist(),
        "error": np.max([one.error for one in found], axis=0).tolist(),
        "converged": all(one.converged for one in found),
        "first": float(curves[:, 0].mean()),
        "last": float(curves[:, -1].mean()),
        "linearised_floor": found[0].floor._asdict(),
        "in_range": until >= problem.epochs,
        "until": until,
        "why": _why(until, problem, found),
        "sharpness": found[0].sharpness._asdict(),
        "share_of_stable": worst._asdict(),
        "examples": found[0].examples,
        "checked": {
            "epochs": found[0].range.checked.tolist(),
            "missed": found[0].range.missed.tolist(),
            "kernel_moved": found[0].range.moved.tolist(),
        },
        "elsewhere": None if found[0].elsewhere is None else found[0].elsewhere.tolist(),
    }
    return record, {"predicted/curve": curves.mean(axis=0), "predicted/seeds": curves}


def _why(until: float, problem: Problem, found: list[Linearised]) -> str:
    if until >= problem.epochs:
        most = max(float(one.range.missed[-1]) for one in found)
        return f"the network's own outputs miss the linearised ones by {most:.2g} of the residual"
    return (
        f"the network leaves its linearisation after {until:.2g} epochs: there its own outputs "
        "miss the linearised ones by a tenth of the residual"
    )
