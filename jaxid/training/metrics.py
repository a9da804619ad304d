"""Full passes over a data set: losses by output, errors in original units, units that fire."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxid.core.types import Array, Params
from jaxid.data.examples import total
from jaxid.problem.admission import depends_on_batch
from jaxid.problem.problem import Problem

MAPE_FLOOR = 1e-7
"""Keras' epsilon in mean_absolute_percentage_error: 100 mean |y - f| / max(|y|, 1e-7)."""


class Evaluation(NamedTuple):
    """Means over a data set at one set of parameters (float32).

    Attributes:
      loss: mean loss in training units, scalar.
      output_loss: the mean squared error of each output, (m,), training units; its mean is
        ``loss`` for MSE. Empty for other losses.
      original_loss: mean loss in original units.
      mape: Keras' mean absolute percentage error, original units.
      mape_zero: the part of ``mape`` from targets that are zero.
      mape_rest: the part from the others, summed by itself: beside the zeros' part, often
        1e8 times as large, float32 would not hold it.
      fires: for each layer, on how many examples each unit's pre-activation is above 0,
        tuple of (width,) int32; () for a model without `inspect`.
    """

    loss: Array
    output_loss: Array
    original_loss: Array
    mape: Array
    mape_zero: Array
    mape_rest: Array
    fires: tuple[Array, ...]


def make_evaluate(problem: Problem) -> Callable[[Params, Array, Array | None], Evaluation]:
    """The evaluation of a problem as a pure function (params, x, y) -> Evaluation."""
    elementwise = problem.loss == "mse"
    coupled = depends_on_batch(problem) is not None

    def evaluate(params: Params, x: Array, y: Array | None) -> Evaluation:
        def part(rows: Array, valid: Array) -> Evaluation:
            return _sums(problem, params, x[rows], None if y is None else y[rows], valid)

        sums = total(part, x.shape[0], whole=coupled)
        scale = 1.0 / x.shape[0]
        means = jax.tree.map(lambda leaf: leaf * scale, sums._replace(fires=()))
        if elementwise:
            # The mean of the outputs' losses, so that parts sum to the whole to rounding.
            means = means._replace(loss=jnp.mean(means.output_loss))
        return means._replace(fires=sums.fires)

    return evaluate


def _sums(problem: Problem, params: Params, x: Array, y: Array | None, valid: Array) -> Evaluation:
    inputs = problem.inputs(x)
    preactivations: tuple[Array, ...] = ()
    if problem.net.inspect is None:
        outputs = problem.net.apply(params, inputs)
    else:
        inspection = problem.net.inspect(params, inputs)
        outputs, preactivations = inspection.outputs, inspection.preactivations
    targets = problem.targets(x, y)
    keep = valid.astype(jnp.float32)

    def summed(per_example: Array) -> Array:
        return jnp.sum(jnp.where(valid, per_example, 0.0))

    fires = tuple(
        jnp.sum((z > 0) & valid.reshape(-1, *[1] * (z.ndim - 1)), axis=0, dtype=jnp.int32)
        for z in preactivations
    )
    if problem.loss != "mse":
        loss = summed(problem.loss_fn(outputs, targets))
        zero = jnp.zeros(())
        return Evaluation(loss, jnp.zeros((0,)), loss, zero, zero, zero, fires)
    squares = jnp.square(outputs - targets)
    output_loss = jnp.einsum("i,ij->j", keep, squares)
    # The data themselves, not the targets mapped back: a zero that returns as 1e-6 would
    # be divided by itself instead of by the floor.
    f, truth = problem.original(outputs), (x if y is None else y).astype(outputs.dtype)
    relative = 100.0 * jnp.abs(f - truth) / jnp.maximum(jnp.abs(truth), MAPE_FLOOR)
    mape_rows = jnp.mean(relative, axis=1)
    is_zero = jnp.abs(truth) <= MAPE_FLOOR
    mape_zero_rows = jnp.mean(jnp.where(is_zero, relative, 0.0), axis=1)
    mape_rest_rows = jnp.mean(jnp.where(is_zero, 0.0, relative), axis=1)
    return Evaluation(
        jnp.sum(output_loss) / outputs.shape[1],
        output_loss,
        summed(jnp.mean(jnp.square(f - truth), axis=1)),
        summed(mape_rows),
        summed(mape_zero_rows),
        summed(mape_rest_rows),
        fires,
    )


def residual_shift(problem: Problem, a: Params, b: Params, x: Array) -> tuple[Array, Array]:
    """Coherent and incoherent size of f_a - f_b over a data set, by output.

    With d_ij = f_a(x_i)_j - f_b(x_i)_j: (mean_i d_ij)^2 and var_i d_ij, each (m,); their
    sum averaged over j is the mean square of the difference. The loss drops out of the
    difference of residuals because both are against the same target.
    """

    def part(rows: Array, valid: Array) -> tuple[Array, Array]:
        inputs, keep = problem.inputs(x[rows]), valid.astype(jnp.float32)
        d = problem.net.apply(a, inputs) - problem.net.apply(b, inputs)
        return jnp.einsum("i,ij->j", keep, d), jnp.einsum("i,ij->j", keep, jnp.square(d))

    first, second = total(part, x.shape[0])
    mean = first / x.shape[0]
    return jnp.square(mean), second / x.shape[0] - jnp.square(mean)
