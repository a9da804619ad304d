"""What could have been said of a run before its first step, beside what it did; where that is
quick. `jaxid predict` tells it for any size, and more of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from jaxid.core.progress import Reporter
from jaxid.identity.spec import IdentitySpec
from jaxid.prediction.predict import method_of, predict
from jaxid.problem.problem import Problem
from jaxid.training.run import Census, Runner

Record = dict[str, Any]
Arrays = dict[str, np.ndarray]
WIDE = 128
"""Features up to which it takes seconds."""
LONG = 300.0
"""Seconds from which on a run has a minute for what takes one with more features."""
STEPS = 1000
"""Steps that are foreseen of a course that is followed step by step."""


def foreseen(
    spec: IdentitySpec,
    runner: Runner,
    census: Census | None,
    reporter: Reporter,
    *,
    seconds: float = 0.0,
) -> tuple[Record, Arrays]:
    """The first seed's predicted loss, as far as it is quick, and its measured one there.

    Args:
      spec: resolved.
      runner: of its problem.
      census: of the training that was done, for the measured loss.
      reporter: shows progress.
      seconds: that the whole run is thought to take.

    Returns:
      (record, arrays); without a curve where it would take minutes or nothing is known.
    """
    problem: Problem = runner.problem
    method, why = method_of(problem)
    inputs = int(np.prod(np.shape(problem.train[0])[1:]))
    quick = inputs <= WIDE or seconds >= LONG
    if method is not None and not quick:
        why = f"it takes minutes with {inputs} features; `jaxid predict` tells it"
    if method is None or not quick:
        return {"method": None, "curve": None, "why": why}, {}
    steps = problem.steps_per_epoch
    epochs = problem.epochs
    if method == "moments":
        epochs = min(epochs, max(1, STEPS // steps)) if inputs <= WIDE else 1
    asked = dataclasses.replace(problem, epochs=epochs)
    states = runner.init(spec.seed_list[:1])
    found, _ = predict(asked, states, spec.seed_list[:1], (), reporter)
    if found.get("interrupted") is not None:
        # Of one seed there is nothing to keep.
        raise KeyboardInterrupt
    curve = np.asarray(found["curve"], float)
    record: Record = {
        "method": found["method"],
        "curve": curve.tolist(),
        "epochs": epochs,
        "seed": spec.seed_list[0],
        "in_range": found["in_range"],
        "until": found["until"],
        "why": found["why"],
        "predicted": float(curve[-1]),
        "measured": _measured(census, epochs * steps),
    }
    return record, {"loss/predicted": curve}


def _measured(census: Census | None, step: int) -> float | None:
    """The first seed's loss on the training set after so many steps."""
    at = np.flatnonzero(census.step == step) if census is not None else np.zeros(0, int)
    if census is None or not at.size:
        return None
    value = float(census.loss[0, at[0]])
    return value if np.isfinite(value) else None
