"""The training of one linear layer, mode by mode, before its first step.

For optimizers that are linear in the gradient, exact but for the noise's closure: from second
and fourth moments of the data, the initial weights and the update rule. Nothing here evaluates
the network, its loss or a gradient: `tests/prediction/test_predict.py` counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from jaxid.core.types import Estimate, Params
from jaxid.prediction.forecast import Forecast, Reach, asked, reached
from jaxid.prediction.reasons import Reason, Why
from jaxid.problem.problem import Problem
from jaxid.theory.batch_noise import exact_losses, largest_stable_rate, losses
from jaxid.theory.chains import Chain
from jaxid.theory.least_squares import Quadratic, linear_layer
from jaxid.theory.reach import steps_of_modes, steps_to_reach
from jaxid.training.loop import TrainState, one_seed

CLOSE = 0.4
"""Share of the largest stable rate up to which predictions were within 2 % of what was measured
(`scripts/predicted_vs_measured.py`); above it errors of modes are no longer uncorrelated."""
SMALL, TOLERATED = 130, 0.02
"""Directions up to which the closure's error is computed, and how large it may be."""


@dataclass(frozen=True)
class Stability:
    """The rate beside its two limits.

    Attributes:
      rate: the settled one, of slow modes: what is left of an error a step is 1 - rate h.
      spectrum_limit: largest stable rate of plain SGD by the largest curvature alone, 2 / h.
      limit: the same with noise of batches; None where it was not computed.
      share: rate over ``limit``; None where that is not known.
      in_range: whether modes may be taken as uncorrelated at this rate.
      why: or why not; DIVERGES, LIMIT_UNKNOWN, FAR_OUT, CORRELATED or STABLE.
    """

    rate: float
    spectrum_limit: float
    limit: Estimate | None
    share: float | None
    in_range: bool
    why: Reason


@dataclass(frozen=True)
class Modes:
    """What is known mode by mode; E epochs, d modes of positive curvature.

    Attributes:
      without_noise: (E + 1,) the loss without noise of batches.
      floor: the least loss that any weights reach.
      closure_error: (E + 1,) what taking modes as uncorrelated changes the loss by, relative;
        None where that was not computed.
      stability: the rate beside its limits.
      curvature: (d,) eigenvalues of the loss's Hessian for one output, descending.
      excess: (d,) the first loss in each, above the floor, mean over the seeds.
      epochs: (d,) until 1 % of it is left, without noise; infinite where it never is.
    """

    without_noise: np.ndarray
    floor: float
    closure_error: np.ndarray | None
    stability: Stability
    curvature: np.ndarray
    excess: np.ndarray
    epochs: np.ndarray


def quadratic_of(problem: Problem) -> Quadratic:
    """The loss of a linear layer on the problem's training set."""
    inputs, targets = examples_of(problem)
    return linear_layer(inputs, targets, bias=problem.net.layers[0].bias)


def examples_of(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """(inputs, targets) in training units."""
    x, y = problem.train
    x = jnp.asarray(x)
    return np.asarray(problem.inputs(x)), np.asarray(problem.targets(x, y))


def stable_rate(quadratic: Quadratic, problem: Problem) -> Estimate:
    """The largest rate of plain SGD at which the expected loss stays bounded."""
    inputs, _ = examples_of(problem)
    return largest_stable_rate(quadratic, inputs, min(problem.batch_size, problem.examples))


def start_errors(
    problem: Problem, quadratic: Quadratic, states: TrainState, seeds: int
) -> np.ndarray:
    """(seeds, p, m): each seed's initial error in each mode and output."""
    weights = (_weights(problem, one_seed(states, k).params) for k in range(seeds))
    return np.stack([quadratic.errors(each) for each in weights])


def from_modes(
    problem: Problem,
    chain: Chain,
    quadratic: Quadratic,
    limit: Estimate | None,
    errors: np.ndarray,
    wanted: Sequence[float],
) -> tuple[Forecast, Modes]:
    """The loss at the end of every epoch, how long losses take, where it stops.

    Args:
      problem: its batch size and epochs.
      chain: its optimizer.
      quadratic, limit: from `quadratic_of` and `stable_rate`; None where that takes too long.
      errors: from `start_errors`.
      wanted: losses to reach, as in `jaxid.prediction.forecast.asked`.
    """
    mean = np.square(errors).sum(axis=2).mean(axis=0)
    curve = losses(quadratic, mean, chain, problem.batch_size, problem.epochs)
    # Where it diverges the closure may leave the positive numbers.
    curve = np.where(np.isfinite(curve) & (curve >= 0), curve, np.inf)
    factors = chain.factors(quadratic.curvatures)
    steps = problem.steps_per_epoch * np.arange(problem.epochs + 1)
    quiet = quadratic.loss(factors[None, :] ** (2 * steps[:, None]) * mean)
    excess = 0.5 * quadratic.curvatures * mean
    first = float(quadratic.loss(mean))
    stability = _stability(chain, quadratic, limit)
    off = closure_error(problem, chain, quadratic, errors)
    until, why = _until(problem.epochs, chain, stability, off)
    forecast = Forecast(
        curve=curve,
        by_seed=None,
        first=first,
        in_range=until >= problem.epochs,
        until=until,
        why=why,
        reach=tuple(
            _later(problem, excess, factors, quadratic.floor, reach)
            for reach in reached(curve, asked(wanted, first))
        ),
    )
    alive = quadratic.curvatures > 0
    return forecast, Modes(
        without_noise=np.asarray(quiet),
        floor=quadratic.floor,
        closure_error=off,
        stability=stability,
        curvature=quadratic.curvatures[alive],
        excess=excess[alive],
        epochs=steps_of_modes(factors[alive]) / problem.steps_per_epoch,
    )


def _until(
    epochs: int, chain: Chain, stability: Stability, off: np.ndarray | None
) -> tuple[int, Why]:
    """(epochs up to which the prediction is claimed, why it ends there or holds)."""
    if off is None or (stability.share or 0.0) >= 1:
        if stability.why is not Reason.STABLE:
            return epochs if stability.in_range else 0, Why(stability.why)
        momentum = chain.still.shape != (1, 1)
        return epochs, Why(Reason.STABLE, share=stability.share, momentum=momentum)
    beyond = np.flatnonzero(~(off <= TOLERATED))
    until = int(beyond[0]) - 1 if beyond.size else epochs
    after = float(off[until + 1]) if beyond.size else None
    return until, Why(Reason.CLOSURE, epochs=until, share=float(off[until]), next_share=after)


def closure_error(
    problem: Problem, chain: Chain, quadratic: Quadratic, errors: np.ndarray
) -> np.ndarray | None:
    """What taking modes as uncorrelated does to the loss, relative, (epochs + 1,).

    Against `exact_losses`, which keeps every correlation: for plain SGD, batches of one size
    drawn independently. None with momentum and for more than `SMALL` directions.
    """
    p = quadratic.curvatures.size
    if chain.still.shape != (1, 1) or p > SMALL:
        return None
    inputs, targets = examples_of(problem)
    x = np.asarray(inputs, np.float64)
    if p > x.shape[1]:
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    modes = x @ quadratic.vectors
    seeds = len(errors)
    residuals = np.tile(targets - modes @ quadratic.solution, (1, seeds)) / seeds**0.5
    # Outputs of all seeds side by side, so that sums over them are means over seeds.
    beside = np.concatenate(list(errors), axis=1) / seeds**0.5
    steps, batch = problem.steps_per_epoch, problem.batch_size
    rate = -float(chain.slope[0, 0])
    last = steps * problem.epochs
    exact = exact_losses(quadratic, modes, residuals, beside, rate, batch, last)[::steps]
    squares = np.square(beside).sum(axis=1)
    closed = losses(quadratic, squares, chain, batch, problem.epochs, reshuffled=False)
    with np.errstate(invalid="ignore", divide="ignore"):
        off: np.ndarray = np.abs(exact / closed - 1)
    return np.where(np.isfinite(off), off, np.inf)


def _weights(problem: Problem, params: Params) -> np.ndarray:
    kernel, bias = problem.net.layers[0].get(params)
    parts = [np.asarray(kernel, np.float64)]
    if bias is not None:
        parts.append(np.asarray(bias, np.float64)[None])
    return np.vstack(parts)


def _later(
    problem: Problem, excess: np.ndarray, factors: np.ndarray, floor: float, reach: Reach
) -> Reach:
    """A loss that is not reached within the run: when it is without batch noise, or never."""
    if reach.epochs is not None:
        return reach
    epochs = _epochs(problem, excess, factors, reach.loss - floor)
    if epochs is None:
        return Reach(reach.loss, None, None)
    return dataclasses.replace(reach, epochs=epochs) if epochs > problem.epochs else reach


def _epochs(
    problem: Problem, excess: np.ndarray, factors: np.ndarray, wanted: float
) -> float | None:
    """Epochs without batch noise; None for never."""
    steps = steps_to_reach(excess, factors, wanted) if wanted > 0 else float("inf")
    return steps / problem.steps_per_epoch if np.isfinite(steps) else None


def _settled_rate(chain: Chain, quadratic: Quadratic) -> float:
    """Of slow modes: what is left of an error a step is 1 - rate h."""
    slow = 1e-4 * quadratic.curvatures[:1]
    return float((1 - chain.factors(slow)[0]) / slow[0])


def _stability(chain: Chain, quadratic: Quadratic, limit: Estimate | None) -> Stability:
    """The rate beside the two limits, and whether the prediction is in its range."""
    largest = float(chain.factors(quadratic.curvatures[:1])[0])
    plain = chain.still.shape == (1, 1)
    rate = -float(chain.slope[0, 0]) if plain else _settled_rate(chain, quadratic)
    least = None if limit is None else limit.value
    share = None if least is None else rate / least
    if largest > 1:
        valid, why = False, Reason.DIVERGES
    elif share is None:
        valid, why = True, Reason.LIMIT_UNKNOWN
    elif share > 1:
        valid, why = False, Reason.FAR_OUT
    elif share > CLOSE:
        valid, why = False, Reason.CORRELATED
    else:
        valid, why = True, Reason.STABLE
    return Stability(rate, 2.0 / float(quadratic.curvatures[0]), limit, share, valid, why)
