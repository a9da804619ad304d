"""Any network's training from its linearisation at the first parameters, and how far that holds.

See `jaxid.theory.linearised`: mean square error, optimizers that are linear in the gradient, no
noise of batches. The network is read at its initial parameters; no step of it is taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxid.core.progress import Reporter
from jaxid.core.random import role_key, seed_key
from jaxid.core.statistics import sem_by_column
from jaxid.problem.admission import depends_on_batch
from jaxid.problem.problem import Problem
from jaxid.theory.chains import Measured
from jaxid.theory.linear_noise import SHARE
from jaxid.theory.linearised import Linearised, linearised, stable_share
from jaxid.training.loop import TrainState, one_seed

Record = dict[str, Any]
Arrays = dict[str, np.ndarray]
ROUNDING, KNOWN = 10.0, 0.05
"""Times what rounding leaves, and relative error of the linearised loss, beyond which nothing is
claimed."""


def from_linearisation(
    problem: Problem, measured: Measured, states: TrainState, seeds: list[int], reporter: Reporter
) -> tuple[Record, Arrays]:
    """The linearised network's loss at the end of every epoch, mean over the seeds.

    Args:
      problem: any, with loss mse.
      measured: its optimizer, which has a chain.
      states: initial, stacked.
      seeds: their numbers.
      reporter: shows progress.
    """
    chain = measured.chain
    assert chain is not None
    found: list[Linearised] = []
    stopped = False
    with reporter.task("linearising", len(seeds)) as task:
        for k, seed in enumerate(seeds):
            params = one_seed(states, k).params
            key = role_key(seed_key(seed), "predicted subset")
            try:
                found.append(
                    linearised(problem, params, chain, problem.epochs, key, scales=measured.scales)
                )
                task.advance(1, f"seed {seed}")
            except KeyboardInterrupt:
                # Seeds that are predicted whole stand.
                if not found:
                    raise
                stopped = True
                break
    curves = np.stack([one.curve for one in found])
    until, why = _until(problem, found, curves)
    shares = [stable_share(chain, one.sharpness) for one in found]
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
        "why": why,
        "sharpness": found[0].sharpness._asdict(),
        "share_of_stable": worst._asdict(),
        "noise_added": np.max([one.noise.added for one in found], axis=0).tolist(),
        "noise_drift": np.max([one.noise.drift for one in found], axis=0).tolist(),
        "examples": found[0].examples,
        "checked": {
            "epochs": found[0].range.checked.tolist(),
            "missed": found[0].range.missed.tolist(),
            "kernel_moved": found[0].range.moved.tolist(),
        },
        "elsewhere": None if found[0].elsewhere is None else found[0].elsewhere.tolist(),
    }
    if stopped:
        record["interrupted"] = len(found)
    return record, {"predicted/curve": curves.mean(axis=0), "predicted/seeds": curves}


def _until(problem: Problem, found: list[Linearised], curves: np.ndarray) -> tuple[float, str]:
    """(epochs up to which the prediction is claimed, why it ends there or holds)."""
    why = depends_on_batch(problem)
    if why is not None and problem.batch_size < problem.examples:
        return 0.0, (
            f"examples depend on one another ({why}): the loss of a batch is no mean over examples"
        )
    linear = min(one.range.until for one in found)
    noisy = min(one.noise.until for one in found)
    rounded = min(_above(one) for one in found)
    sure = min(_known(one) for one in found)
    until = min(linear, noisy, rounded, sure)
    if until * problem.steps_per_epoch < 1:
        # Not even one step.
        linear, noisy, rounded, sure = (
            0.0 if one == until else one for one in (linear, noisy, rounded, sure)
        )
        until = 0.0
    if until >= problem.epochs:
        most = max(float(one.range.missed[-1]) if one.range.missed.size else 0.0 for one in found)
        return until, (
            f"the network's own outputs miss the linearised ones by {most:.2g} of the residual"
        )
    if noisy == until:
        return until, (
            f"after {until:.2g} epochs noise of batches may change the predicted loss by more than "
            f"{100 * SHARE:g} %"
        )
    if sure == until:
        return until, f"after {until:.2g} epochs too few products with the Jacobian were made"
    if rounded == until:
        return until, (
            f"after {until:.2g} epochs the predicted loss is below what rounding leaves of it"
        )
    return until, (
        f"the network leaves its linearisation after {until:.2g} epochs: there its own outputs "
        "miss the linearised ones by a tenth of the residual"
    )


def _above(one: Linearised) -> float:
    """Whole epochs up to which the loss is well above rounding."""
    below = np.flatnonzero(~(one.curve >= ROUNDING * one.rounding))
    return float(below[0] - 1) if below.size else float(one.curve.size - 1)


def _known(one: Linearised) -> float:
    """Whole epochs up to which the linearised loss itself is known well enough."""
    beyond = np.flatnonzero(~(one.error <= KNOWN * one.curve))
    return float(beyond[0] - 1) if beyond.size else float(one.curve.size - 1)
