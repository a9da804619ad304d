"""Any network's training from its linearisation at the first parameters, and how far that holds.

See `jaxid.theory.linearised`: mean square error, optimizers that are linear in the gradient, no
noise of batches. The network is read at its initial parameters; no step of it is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxid.core.progress import Reporter
from jaxid.core.random import role_key, seed_key
from jaxid.core.types import Estimate
from jaxid.prediction.forecast import Forecast, asked, reached
from jaxid.prediction.reasons import Reason, Why
from jaxid.problem.admission import depends_on_batch
from jaxid.problem.problem import Problem
from jaxid.theory.chains import Measured
from jaxid.theory.linearised import Linearised, linearised, stable_share
from jaxid.training.loop import TrainState, one_seed

ROUNDING, KNOWN = 10.0, 0.05
"""Times what rounding leaves, and relative error of the linearised loss, beyond which nothing is
claimed."""


@dataclass(frozen=True)
class Checked:
    """The network beside its linearisation, at the linearised parameters, the first seed's.

    Attributes:
      epochs: (c,) places, up to the first beyond the range, and the last.
      missed: (c,) what its outputs miss there, over the residual.
      kernel_moved: (c,) the kernel's relative change there.
    """

    epochs: np.ndarray
    missed: np.ndarray
    kernel_moved: np.ndarray


@dataclass(frozen=True)
class Linearisation:
    """What the linearised network says beside its loss; E epochs, see `jaxid.theory.linearised`.

    Attributes:
      error: (E + 1,) of the linearised loss, for the seed where it is largest.
      converged: whether all seeds met the tolerance.
      linearised_floor: the least loss that the first seed's reaches.
      sharpness: the first seed's largest curvature of the Gauss-Newton matrix.
      share_of_stable: the rate over the largest stable one at the start, for the seed where that
        is largest; above 1 the first steps diverge.
      noise_added: (E + 1,) what batches add to the loss, at most.
      noise_drift: (E + 1,) about the share of the loss that it falls below the prediction.
      examples: how many were used.
      checked: the network beside it.
      elsewhere: (E + 1,) the first seed's loss on as many other examples, where a subset was
        taken; None without one.
    """

    error: np.ndarray
    converged: bool
    linearised_floor: Estimate
    sharpness: Estimate
    share_of_stable: Estimate
    noise_added: np.ndarray
    noise_drift: np.ndarray
    examples: int
    checked: Checked
    elsewhere: np.ndarray | None


def from_linearisation(
    problem: Problem,
    measured: Measured,
    states: TrainState,
    seeds: Sequence[int],
    wanted: Sequence[float],
    reporter: Reporter,
) -> tuple[Forecast, Linearisation]:
    """The linearised network's loss at the end of every epoch, mean over the seeds.

    Args:
      problem: any, with loss mse.
      measured: its optimizer, which has a chain.
      states: initial, stacked.
      seeds: their numbers.
      wanted: losses to reach, as in `jaxid.prediction.forecast.asked`.
      reporter: shows progress.

    Returns:
      Both of the seeds that were finished if an interrupt came, with their number in
      ``interrupted``.

    Raises:
      KeyboardInterrupt: if none was.
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
    curve = curves.mean(axis=0)
    until, why = _until(problem, found)
    shares = [stable_share(chain, one.sharpness) for one in found]
    forecast = Forecast(
        curve=curve,
        by_seed=curves,
        first=float(curves[:, 0].mean()),
        in_range=until >= problem.epochs,
        until=until,
        why=why,
        reach=reached(curve, asked(wanted, float(curve[0]))),
        interrupted=len(found) if stopped else None,
    )
    first = found[0]
    return forecast, Linearisation(
        error=np.max([one.error for one in found], axis=0),
        converged=all(one.converged for one in found),
        linearised_floor=first.floor,
        sharpness=first.sharpness,
        share_of_stable=max(shares, key=lambda share: share.value or 0.0),
        noise_added=np.max([one.noise.added for one in found], axis=0),
        noise_drift=np.max([one.noise.drift for one in found], axis=0),
        examples=first.examples,
        checked=Checked(first.range.checked, first.range.missed, first.range.moved),
        elsewhere=first.elsewhere,
    )


def _until(problem: Problem, found: list[Linearised]) -> tuple[float, Why]:
    """(epochs up to which the prediction is claimed, why it ends there or holds)."""
    why = depends_on_batch(problem)
    if why is not None and problem.batch_size < problem.examples:
        return 0.0, Why(Reason.COUPLED, named=why)
    # In the order in which they are told where several end the range at one place.
    ends = {
        Reason.NOISE: min(one.noise.until for one in found),
        Reason.PRODUCTS: min(_known(one) for one in found),
        Reason.ROUNDING: min(_above(one) for one in found),
        Reason.LEAVES: min(one.range.until for one in found),
    }
    reason, until = min(ends.items(), key=lambda end: end[1])
    if until * problem.steps_per_epoch < 1:
        # Not even one step.
        until = 0.0
    if until >= problem.epochs:
        most = max(float(one.range.missed[-1]) if one.range.missed.size else 0.0 for one in found)
        return until, Why(Reason.LINEAR, share=most)
    return until, Why(reason, epochs=until)


def _above(one: Linearised) -> float:
    """Whole epochs up to which the loss is well above rounding."""
    below = np.flatnonzero(~(one.curve >= ROUNDING * one.rounding))
    return float(below[0] - 1) if below.size else float(one.curve.size - 1)


def _known(one: Linearised) -> float:
    """Whole epochs up to which the linearised loss itself is known well enough."""
    beyond = np.flatnonzero(~(one.error <= KNOWN * one.curve))
    return float(beyond[0] - 1) if beyond.size else float(one.curve.size - 1)
