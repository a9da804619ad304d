"""What the figures show besides numbers: losses by epoch, and images."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from jaxid.data.sources import Dataset
from jaxid.diagnosis.evidence import constant_targets, seed_params
from jaxid.problem.problem import Problem
from jaxid.training.run import History

SHOWN = 8
"""Test examples shown as images."""


@dataclass(frozen=True)
class LossCurves:
    """Losses along training, training units: S seeds, T epochs.

    Attributes:
      epoch: (T,), from 1.
      train: (S, T), mean over each epoch's batches.
      test: (S, T), after each epoch; None without a test set.
      predicted: (t + 1,), what the first seed was predicted to have on the training set, before
        the first step and after each of t epochs; None without a prediction.
    """

    epoch: np.ndarray
    train: np.ndarray
    test: np.ndarray | None
    predicted: np.ndarray | None = None


@dataclass(frozen=True)
class Images:
    """Test examples and the first finite seed's outputs for them, original units: r examples of
    d features.

    Attributes:
      maximum: the largest value that a feature can have.
      input, output: (r, d).
      error: (d,), root mean square over the whole test set.
      constant: (d,) bool, targets that never vary on the training set.
      dead: (d,) bool, outputs that are positive on no training example at the end.
      shape: of an example as an image; None where it is none.
    """

    maximum: float
    input: np.ndarray
    output: np.ndarray
    error: np.ndarray
    constant: np.ndarray
    dead: np.ndarray
    shape: tuple[int, ...] | None


def curves(history: History) -> LossCurves:
    """Losses by epoch."""
    epoch = np.arange(1, history.train.shape[1] + 1)
    return LossCurves(epoch, history.train, history.test if history.test.size else None)


def images(history: History, problem: Problem, dataset: Dataset) -> Images | None:
    """Test images, the first finite seed's outputs for them, and its error map; None where no
    seed is finite."""
    finite = np.flatnonzero(history.first_bad < 0)
    if finite.size == 0:
        return None
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
    fires = history.train_end.fires
    dead = np.asarray(fires[-1])[seed] == 0 if fires else np.zeros(dataset.test.shape[1], bool)
    return Images(
        float(dataset.maximum),
        np.asarray(dataset.test[chosen], np.float32),
        np.asarray(outputs, np.float32),
        np.sqrt(squares / dataset.test.shape[0]),
        constant_targets(problem),
        dead,
        None if dataset.image_shape is None else tuple(dataset.image_shape),
    )


def _shown(errors: np.ndarray) -> np.ndarray:
    """Half spread over the set, the same in every run; half those with the largest errors."""
    count = min(SHOWN, errors.size)
    spread = np.linspace(0, errors.size - 1, count - count // 2).astype(int)
    worst = np.argsort(-errors)
    return np.concatenate([spread, worst[~np.isin(worst, spread)][: count // 2]])
