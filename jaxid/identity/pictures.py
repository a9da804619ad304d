"""The arrays behind the figures, by the names that `jaxid.plot` reads."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxid.data.sources import Dataset
from jaxid.diagnosis.evidence import Evidence, constant_targets, seed_params
from jaxid.problem.problem import Problem
from jaxid.training.run import History

Arrays = dict[str, np.ndarray]
SHOWN = 8
"""Test examples shown as images."""


def curves(history: History) -> Arrays:
    """Losses by epoch, training units."""
    arrays = {
        "loss/epoch": np.arange(1, history.train.shape[1] + 1),
        "loss/train": history.train,
    }
    if history.test.size:
        arrays["loss/test"] = history.test
    return arrays


def census(history: History, problem: Problem) -> Arrays:
    """Dead units and the loss in dead outputs over time."""
    record = history.census
    if record is None or not record.dead:
        return {}
    constant = constant_targets(problem)
    varying = record.dead[-1] & ~constant[None, None, :]
    return {
        "census/step": record.step,
        "census/epoch": record.epoch,
        "census/dead": np.stack([layer.sum(axis=-1) for layer in record.dead], axis=1),
        "census/dead_varying": varying.sum(axis=-1),
        "census/dead_loss": np.where(varying, record.output_loss, 0.0).mean(axis=-1),
        "census/loss": record.loss,
    }


def images(history: History, problem: Problem, dataset: Dataset) -> Arrays:
    """Test images, the first finite seed's outputs for them, and its error map."""
    finite = np.flatnonzero(history.first_bad < 0)
    if finite.size == 0:
        return {}
    seed = int(finite[0])
    params = seed_params(history.state, seed)
    squares, errors = np.zeros(dataset.test.shape[1]), []
    for start in range(0, dataset.test.shape[0], 2000):
        rows = jnp.asarray(dataset.test[start : start + 2000])
        f = problem.original(problem.net.apply(params, problem.inputs(rows)))
        square = np.square(np.asarray(f, np.float64) - np.asarray(rows))
        squares += square.sum(axis=0)
        errors.append(square.mean(axis=1))
    chosen = _shown(np.concatenate(errors))
    x = jnp.asarray(dataset.test[chosen])
    outputs = problem.original(problem.net.apply(params, problem.inputs(x)))
    arrays: Arrays = {
        "images/maximum": np.asarray(dataset.maximum),
        "images/input": np.asarray(dataset.test[chosen], np.float32),
        "images/output": np.asarray(outputs, np.float32),
        "images/error": np.sqrt(squares / dataset.test.shape[0]),
        "images/constant": constant_targets(problem),
        "images/dead": np.asarray(history.train_end.fires[-1])[seed] == 0
        if history.train_end.fires
        else np.zeros(dataset.test.shape[1], bool),
    }
    if dataset.image_shape is not None:
        arrays["images/shape"] = np.asarray(dataset.image_shape)
    return arrays


def floors(evidence: Evidence, representation: Any) -> Arrays:
    """The budget's levels by seed, for lines in the loss figure."""
    index = [seed.index for seed in evidence.seeds]
    return {
        "floors/end": np.asarray(evidence.history.train_end.loss)[index],
        "floors/annealed": np.asarray(evidence.annealed.train_end.loss)[index],
        "floors/solved": np.array([seed.solution.loss for seed in evidence.seeds]),
        "floors/representation": np.asarray(representation.lower.value),
    }


def _shown(errors: np.ndarray) -> np.ndarray:
    """Half spread over the set, the same in every run; half those with the largest errors."""
    count = min(SHOWN, errors.size)
    spread = np.linspace(0, errors.size - 1, count - count // 2).astype(int)
    worst = np.argsort(-errors)
    return np.concatenate([spread, worst[~np.isin(worst, spread)][: count // 2]])
