"""What training will do, said before its first step: by the sharpest means that apply.

  one linear layer, an optimizer linear in the gradient   mode by mode (`predicted_modes`)
  one layer, linear or ReLU outputs, any other optimizer  moments by strata (`predicted_moments`)
  any other network, an optimizer linear in the gradient  its linearisation (`predicted_linearised`)

all for the mean square error. For the rest there is no curve, with the reason; what the optimizer
does first and what the layers pass on is said all the same.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import jax
import numpy as np

from jaxid.core.progress import Reporter
from jaxid.core.types import Estimate
from jaxid.core.wording import number
from jaxid.prediction.initial_signal import initial_signal
from jaxid.prediction.linearised import from_linearisation
from jaxid.prediction.modes import (
    SHARES,
    examples_of,
    from_modes,
    quadratic_of,
    reached,
    stable_rate,
    start_errors,
)
from jaxid.prediction.moments import from_moments
from jaxid.prediction.optimizer_facts import optimizer_facts
from jaxid.problem.problem import Problem
from jaxid.theory.chains import Chain, Measured, measured_chain
from jaxid.theory.least_squares import Quadratic
from jaxid.theory.resting import resting_loss
from jaxid.training.loop import TrainState

Record = dict[str, Any]
Arrays = dict[str, np.ndarray]
Method = Literal["modes", "moments", "linearised"]
WITHIN: dict[Method, float] = {"modes": 0.02, "moments": 0.14, "linearised": 0.05}
"""How near predictions in range were to what was measured: `scripts/predicted_vs_measured.py`,
`moments_range.py` (all of them), `linearised_range.py` (95 of 100)."""
SIGN_LIKE = 0.5
"""Degree of homogeneity below which steps hardly grow with the gradient; RMSprop and Adam 0."""
WIDE = 128
"""Features up to which a resting place takes seconds."""
AT_REST = 2.0
"""Times the resting loss below which single epochs scatter: digits under RMSprop, 0.4 to 0.9 of
what was measured, and 1.06 at 2.2 times."""


def method_of(problem: Problem) -> tuple[Method | None, str]:
    """(how it can be predicted, "") or (None, why not)."""
    if problem.loss != "mse":
        name = problem.loss if isinstance(problem.loss, str) else "one of your own"
        return None, f"the loss is {name}; only mse is predicted"
    measured = chain_of(problem)
    layers = problem.net.layers
    if len(layers) == 1 and not layers[0].skip:
        plain = isinstance(measured.chain, Chain) and measured.scales is None
        if layers[0].activation == "linear" and plain:
            return "modes", ""
        if layers[0].activation in ("linear", "relu"):
            return "moments", ""
    if measured.chain is not None:
        return "linearised", ""
    return None, (
        f"{measured.why}; this network is predicted only where each parameter moves linearly with "
        "its own gradient"
    )


@lru_cache(maxsize=8)
def chain_of(problem: Problem) -> Measured:
    """What the problem's optimizer is over its run."""
    shapes = jax.eval_shape(problem.init, jax.random.key(0))
    return measured_chain(problem.optimizer, shapes, problem.epochs * problem.steps_per_epoch)


def moments_of(problem: Problem, reporter: Reporter) -> tuple[Quadratic, Estimate]:
    """The quadratic of one linear layer and the largest stable rate of plain SGD."""
    with reporter.task("moments and stable rate", 2) as task:
        quadratic = quadratic_of(problem)
        task.advance(1)
        limit = stable_rate(quadratic, problem)
        task.advance(1)
    return quadratic, limit


def predict(
    problem: Problem,
    states: TrainState,
    seeds: list[int],
    wanted: tuple[float, ...],
    reporter: Reporter,
    *,
    moments: tuple[Quadratic, Estimate | None] | None = None,
) -> tuple[Record, Arrays]:
    """The loss at the end of every epoch, its range, how long losses take, what dies.

    Args:
      problem: what is predicted.
      states: initial, stacked.
      seeds: their numbers.
      wanted: losses to reach; shares of the first one if empty.
      reporter: shows progress.
      moments: from `moments_of`, where they are known already.

    Returns:
      (record, arrays); without a curve where `method_of` gives none.
    """
    method, why = method_of(problem)
    record: Record = {"method": None, "curve": None, "in_range": False, "until": 0, "why": why}
    arrays: Arrays = {}
    if method == "modes":
        chain = chain_of(problem).chain
        assert isinstance(chain, Chain)
        if moments is None:
            moments = moments_of(problem, reporter)
        errors = start_errors(problem, moments[0], states, len(seeds))
        record, arrays = from_modes(problem, chain, *moments, errors, wanted)
    elif method == "moments":
        record, arrays = from_moments(problem, states, seeds, reporter)
    elif method == "linearised":
        record, arrays = from_linearisation(problem, chain_of(problem), states, seeds, reporter)
    if method is not None:
        record["within"] = WITHIN[method]
    if record["curve"] is not None and "reach" not in record:
        record["reach"] = reached(np.asarray(record["curve"]), wanted or _asked(record))
    record["optimizer"] = optimizer_facts(problem)
    if record.get("deaths"):
        record["deaths"]["expected"] = _will_die(record["deaths"], record["optimizer"])
    if method == "moments" and problem.net.layers[0].activation == "linear":
        record["resting"] = _rests(problem, record["optimizer"], reporter)
        _end_at_rest(record)
    record["signal"] = initial_signal(problem)
    return record, arrays


def _will_die(deaths: Record, optimizer: Record | None) -> float:
    """Outputs dead if training went on. Where the optimizer has soon forgotten how large gradients
    were, a single active example pushes as hard as many, and those that are fading die; else
    those dead by then."""
    forgets = optimizer is not None and optimizer["forgets"]
    return float(deaths["fading" if forgets else "dead"][-1])


def _asked(record: Record) -> tuple[float, ...]:
    return tuple(share * float(record["curve"][0]) for share in SHARES)


def _rests(problem: Problem, optimizer: Record | None, reporter: Reporter) -> Record | None:
    """Where a linear layer comes to rest under steps that do not shrink with the gradient; None
    where nothing is known or it takes minutes."""
    if optimizer is None or optimizer["degree"]["value"] is None:
        return None
    constant = optimizer["settled_step"]["converged"]
    if optimizer["degree"]["value"] >= SIGN_LIKE or not constant:
        return None
    inputs, targets = examples_of(problem)
    if inputs.shape[1] > WIDE:
        return None
    x = np.asarray(inputs, np.float64)
    if problem.net.layers[0].bias:
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    batch = min(problem.batch_size, problem.examples)
    with reporter.task("where it rests", 1) as task:
        found = resting_loss(problem.optimizer, x, targets.shape[1], batch)
        task.advance(1)
    return {
        "loss": found.loss._asdict(),
        "coherent_share": found.coherent,
        "independent": found.independent,
        "together": found.together,
    }


def _end_at_rest(record: Record) -> None:
    """Near its resting place a run scatters from epoch to epoch; its level is told, not more."""
    rest = None if record["resting"] is None else record["resting"]["loss"]["value"]
    if rest is None or not record["in_range"]:
        return
    near = np.flatnonzero(np.asarray(record["curve"]) <= AT_REST * rest)
    if near.size:
        record["in_range"], record["until"] = False, int(near[0])
        record["why"] = (
            f"from epoch {near[0]} on it is near its resting loss, {number(rest)}, where single "
            "epochs scatter"
        )
