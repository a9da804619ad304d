"""The training of one linear layer, mode by mode, before its first step.

For optimizers that are linear in the gradient, exact but for the noise's closure: from second
and fourth moments of the data, the initial weights and the update rule. Nothing here evaluates
the network, its loss or a gradient: `tests/diagnosis/test_prediction.py` counts.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxid.core.types import Estimate, Params
from jaxid.problem.problem import Problem
from jaxid.theory.batch_noise import exact_losses, largest_stable_rate, losses
from jaxid.theory.chains import Chain
from jaxid.theory.least_squares import Quadratic, linear_layer
from jaxid.theory.reach import steps_of_modes, steps_to_reach
from jaxid.training.loop import TrainState, one_seed

Record = dict[str, Any]
Arrays = dict[str, np.ndarray]
CLOSE = 0.4
"""Share of the largest stable rate up to which predictions were within 2 % of what was measured
(`scripts/predicted_vs_measured.py`); above it errors of modes are no longer uncorrelated."""
SMALL, TOLERATED = 130, 0.02
"""Directions up to which the closure's error is computed, and how large it may be."""
SHARES = (0.5, 0.1, 0.01, 1e-3, 1e-4)
"""Losses that are asked for by default, over the first one."""


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
    wanted: tuple[float, ...],
) -> tuple[Record, Arrays]:
    """The loss at the end of every epoch, how long losses take, where it stops.

    Args:
      problem: its batch size and epochs.
      chain: its optimizer.
      quadratic, limit: from `quadratic_of` and `stable_rate`; None where that takes too long.
      errors: from `start_errors`.
      wanted: losses to reach; shares of the first one, `SHARES`, if empty.
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
    asked = wanted or tuple(share * first for share in SHARES)
    stability = _stability(chain, quadratic, limit)
    off = closure_error(problem, chain, quadratic, errors)
    until = problem.epochs if stability["in_range"] else 0
    why = stability["why"]
    if off is not None and (stability["share"] or 0.0) < 1:
        beyond = np.flatnonzero(~(off <= TOLERATED))
        until = int(beyond[0]) - 1 if beyond.size else problem.epochs
        why = f"taking modes as uncorrelated costs {100 * off[until]:.2g} % by epoch {until}"
        if beyond.size:
            why += f" and {100 * off[until + 1]:.2g} % by the next"
    record = {
        "method": "modes",
        "curve": curve.tolist(),
        "without_noise": np.asarray(quiet).tolist(),
        "first": first,
        "floor": quadratic.floor,
        "last": float(curve[-1]),
        "in_range": until >= problem.epochs,
        "until": until,
        "why": why,
        "closure_error": None if off is None else off.tolist(),
        "stability": stability,
        "reach": [
            _later(problem, excess, factors, quadratic.floor, reach)
            for reach in reached(curve, asked)
        ],
    }
    alive = quadratic.curvatures > 0
    arrays = {
        "predicted/curve": curve,
        "predicted/without_noise": np.asarray(quiet),
        "modes/curvature": quadratic.curvatures[alive],
        "modes/excess": excess[alive],
        "modes/epochs": steps_of_modes(factors[alive]) / problem.steps_per_epoch,
    }
    return record, arrays


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


def reached(curve: np.ndarray, asked: tuple[float, ...]) -> list[Record]:
    """Epochs at which the curve first is at a loss, in between by its logarithm; None if it is
    not within the run."""
    found: list[Record] = []
    for loss in asked:
        below = np.flatnonzero(curve <= loss)
        epochs = None
        if below.size:
            k = int(below[0])
            epochs = float(k)
            if k > 0 and curve[k] > 0:
                high, low = np.log(curve[k - 1]), np.log(curve[k])
                epochs = k - 1 + float((high - np.log(loss)) / (high - low))
        found.append({"loss": loss, "epochs": epochs, "within": int(curve.size - 1)})
    return found


def _later(
    problem: Problem, excess: np.ndarray, factors: np.ndarray, floor: float, reach: Record
) -> Record:
    """A loss that is not reached within the run: when it is without batch noise, or never."""
    if reach["epochs"] is not None:
        return reach
    epochs = _epochs(problem, excess, factors, reach["loss"] - floor)
    if epochs is None:
        return {"loss": reach["loss"], "epochs": None}
    return reach | {"epochs": epochs} if epochs > problem.epochs else reach


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


def _stability(chain: Chain, quadratic: Quadratic, limit: Estimate | None) -> Record:
    """The rate beside the two limits, and whether the prediction is in its range."""
    largest = float(chain.factors(quadratic.curvatures[:1])[0])
    plain = chain.still.shape == (1, 1)
    rate = -float(chain.slope[0, 0]) if plain else _settled_rate(chain, quadratic)
    least = None if limit is None else limit.value
    share = None if rate is None or least is None else rate / least
    if largest > 1:
        valid, why = False, "the rate is beyond the limit of the largest curvature: it diverges"
    elif share is None:
        valid, why = True, "the limit of batch noise is not known"
    elif share > 1:
        valid, why = False, "examples far out make the expected loss grow at this rate"
    elif share > CLOSE:
        valid = False
        why = f"above {CLOSE:g} of the largest stable rate errors of modes are correlated"
    else:
        which = "rate" if plain else "rate, once momentum has settled,"
        valid, why = True, f"the {which} is {share:.2g} of the largest stable one of plain SGD"
    return {
        "rate": rate,
        "spectrum_limit": 2.0 / float(quadratic.curvatures[0]),
        "limit": None if limit is None else limit._asdict(),
        "share": share,
        "in_range": valid,
        "why": why,
    }
