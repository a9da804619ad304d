"""Two exact solutions that differ: the same on every training example, not off the data.

From a witness (parameters that reach the least loss) the first layer's weights are moved
along directions v with [x, 1] v = 0 for every training input x. Nothing that the training
set can measure changes; what the network does to inputs off the data does.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from jaxid.core.types import Params
from jaxid.curvature.last_layer.nullspace import input_null_basis
from jaxid.data.sources import Dataset
from jaxid.identity.representation import outputs64
from jaxid.problem.problem import Problem


@dataclass(frozen=True)
class TwoSolutions:
    """How far two solutions agree, and where they part.

    Attributes:
      directions: flat directions of each first-layer unit, k.
      distance: Frobenius norm of the difference of their parameters, beside ``norm``, the
        first one's.
      loss_a, loss_b: training losses, float64.
      train_difference: largest |f_a(x) - f_b(x)| over the training set, original units.
      off_difference: root mean square of f_a - f_b over the off-data inputs.
      inputs, a, b: (r, d) off-data inputs and both answers, original units.
      names: what the inputs are.
      shape: of an input as an image; None where it is none.
    """

    directions: int
    distance: float
    norm: float
    loss_a: float
    loss_b: float
    train_difference: float
    off_difference: float
    inputs: np.ndarray
    a: np.ndarray
    b: np.ndarray
    names: tuple[str, ...]
    shape: tuple[int, ...] | None


def two_solutions(
    problem: Problem, dataset: Dataset, witness: Params, *, seed: int = 0
) -> TwoSolutions | None:
    """A second solution beside the witness; None if no direction of the first layer is flat.

    The move is random along the flat directions, as long as the witness's own first layer,
    so that it is no small perturbation.
    """
    layer = problem.net.layers[0]
    kernel, bias = layer.get(witness)
    inputs = np.asarray(problem.train[0])
    if problem.input_map is not None:
        inputs = np.asarray(problem.inputs(jnp.asarray(inputs)))
    basis = input_null_basis(inputs, bias=bias is not None)
    if basis.shape[1] == 0:
        return None
    rng = np.random.default_rng(seed)
    move = basis @ rng.standard_normal((basis.shape[1], kernel.shape[1]))
    size = float(np.linalg.norm(kernel)) or 1.0
    move *= size / np.linalg.norm(move)
    d = inputs.shape[1]
    moved_bias = None if bias is None else bias + move[d]
    other = layer.put(witness, kernel + move[:d], moved_bias)
    loss_a, loss_b, apart = 0.0, 0.0, 0.0
    stored = np.asarray(problem.train[0])
    pairs = zip(outputs64(problem, witness, stored), outputs64(problem, other, stored), strict=True)
    for (f_a, targets), (f_b, _) in pairs:
        loss_a += float(np.sum(np.square(f_a - targets)))
        loss_b += float(np.sum(np.square(f_b - targets)))
        apart = max(apart, float(np.abs(_original(problem, f_a) - _original(problem, f_b)).max()))
    count = problem.examples * d
    off, names = off_data_inputs(dataset, rng)
    a, b = (_original(problem, _outputs(problem, p, off)) for p in (witness, other))
    return TwoSolutions(
        int(basis.shape[1]),
        float(np.linalg.norm(move)),
        size,
        loss_a / count,
        loss_b / count,
        apart,
        float(np.sqrt(np.mean(np.square(a - b)))),
        off.astype(np.float32),
        a.astype(np.float32),
        b.astype(np.float32),
        names,
        None if dataset.image_shape is None else tuple(dataset.image_shape),
    )


def off_data_inputs(
    dataset: Dataset, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Inputs that the data do not contain: (r, d) in stored units, with their names."""
    d, top = dataset.train.shape[1], dataset.maximum
    if dataset.image_shape is None:
        noise = rng.standard_normal((2, d)) * dataset.train.std()
        return noise.astype(dataset.train.dtype), ("noise", "other noise")
    noise = rng.integers(0, int(top) + 1, d)
    rows = np.stack([top - dataset.test[0], noise, np.full(d, top)])
    return rows.astype(dataset.train.dtype), ("an inverted digit", "noise", "all white")


def _outputs(problem: Problem, params: Params, x: np.ndarray) -> np.ndarray:
    return np.concatenate([outputs for outputs, _ in outputs64(problem, params, x)])


def _original(problem: Problem, outputs: np.ndarray) -> np.ndarray:
    if problem.target_map is None:
        return outputs
    return np.asarray(problem.original(jnp.asarray(outputs, jnp.float32)), np.float64)
