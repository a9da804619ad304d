"""The last layer by itself: its data at fixed lower layers, solved, and accounted for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core.progress import Reporter
from jaxid.core.types import Estimate, Params
from jaxid.curvature.last_layer.activation import derivative, value
from jaxid.curvature.last_layer.newton import HeadSolution, solve_head
from jaxid.data.examples import host, placed
from jaxid.nets.activations import CAN_DIE
from jaxid.problem.problem import Problem


@dataclass(frozen=True)
class HeadData:
    """The last layer's problem at fixed lower layers: outputs = phi(H W + b) against Y.

    ``features`` (n, p) and ``targets`` (n, m) keep the data's own dtype where they are the
    data (depth 1, raw); a skip connection is taken off the targets.
    """

    features: np.ndarray
    targets: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray | None
    activation: str

    def preactivations(self) -> np.ndarray:
        """H W + b, (n, m) float64."""
        z = self.features.astype(np.float64) @ self.kernel.astype(np.float64)
        return z if self.bias is None else z + self.bias[None, :]


@dataclass(frozen=True)
class SeedEvidence:
    """What the head's analysis gives for one seed.

    Attributes:
      index: which of the run's seeds.
      solution: from the annealed state.
      quadratic: sum over the head Hessian's eigenmodes at the annealed point of
        lambda_i c_i^2 / 2, by output (m,), in the output's own mean squared error.
      gradient: (m,) norm of the gradient of the loss by each output unit's weights at the
        annealed point, float64.
      stopped: (m,) the part of each output's mean squared error at the solved point that
        lies on examples where the unit is off; 0 for units dead on all examples, which are
        counted apart, and for activations that cannot die.
      below_zero: (m,) the part of each output's mean squared error there that lies on
        examples where the unit is off, dead units included, and the target is negative:
        0 is the best that a ReLU can answer to those.
      predicted_noise: the noise floor that gradient covariance and step rule predict.
      solved_from_end: the loss after solving from the end state without annealing.
    """

    index: int
    solution: HeadSolution
    quadratic: np.ndarray
    gradient: np.ndarray
    stopped: np.ndarray
    below_zero: np.ndarray
    predicted_noise: Estimate
    solved_from_end: float | None


def head_data(problem: Problem, params: Params) -> HeadData:
    """The last layer's problem at ``params`` on the training set.

    Raises:
      ValueError: if the model's head or insides are not known.
    """
    net = problem.net
    if net.head is None or net.inspect is None:
        raise ValueError("the model's last dense layer is not known")
    inspect = net.inspect
    kernel, bias = net.head.get(params)
    host_bias = None if bias is None else np.asarray(bias, np.float64)
    x, y = problem.train
    first = jax.eval_shape(lambda v: inspect(params, problem.inputs(v)), jnp.asarray(x[:1]))
    plain = len(net.activations) == 1 and problem.input_map is None and first.skip is None
    if plain and problem.target_map is None:
        targets = np.asarray(x if y is None else y)
        return HeadData(
            np.asarray(x), targets, np.asarray(kernel, np.float64), host_bias, net.head.activation
        )

    @jax.jit
    def part(params: Params, x: Any, y: Any) -> tuple[Any, Any]:
        seen = inspect(params, problem.inputs(x))
        targets = problem.targets(x, y)
        return seen.features, targets if seen.skip is None else targets - seen.skip

    features: list[np.ndarray] = []
    wanted: list[np.ndarray] = []
    for _, inputs, labels in placed(x, y):
        h, t = part(params, inputs, labels)
        features.append(np.asarray(h))
        wanted.append(np.asarray(t))
    return HeadData(
        np.concatenate(features),
        np.concatenate(wanted),
        np.asarray(kernel, np.float64),
        host_bias,
        net.head.activation,
    )


def examine_head(
    index: int,
    data: HeadData,
    *,
    noise: Estimate,
    end: HeadData | None,
    reporter: Reporter,
    name: str,
) -> SeedEvidence:
    """Solve the last layer and account for the gap by the Hessian's quadratic form.

    Args:
      index: of the seed.
      data: at the annealed state.
      noise: the predicted noise floor, kept with the rest.
      end: at the end state, to solve from there too; None to skip it.
      reporter, name: for the progress bar.
    """
    m = data.targets.shape[1]
    with reporter.task(name, m) as task:
        seen = [0]

        def progress(done: int, total: int) -> None:
            del total
            task.advance(done - seen[0])
            seen[0] = done

        solution = solve_head(
            data.features, data.targets, data.kernel, data.bias, data.activation, progress=progress
        )
    quadratic, gradient = _quadratic(data, solution)
    from_end = None
    if end is not None:
        from_end = solve_head(end.features, end.targets, end.kernel, end.bias, end.activation).loss
    stopped, below_zero = _stopped(data, solution)
    return SeedEvidence(index, solution, quadratic, gradient, stopped, below_zero, noise, from_end)


def _quadratic(data: HeadData, solution: HeadSolution) -> tuple[np.ndarray, np.ndarray]:
    """By output: d^T H d / 2 = mean_i s_i (h~_i d)^2 with s = phi'^2 + (phi - y) phi'',
    and the norm of the loss's gradient by the unit's weights."""
    n, m = data.targets.shape
    shift = data.kernel - solution.kernel
    bias_shift = None
    if data.bias is not None and solution.bias is not None:
        bias_shift = data.bias - solution.bias
    quadratic, square = np.zeros(m), np.zeros(m)
    gradient = np.zeros((data.features.shape[1] + (data.bias is not None), m))
    for h, y in host(data.features, data.targets):
        z, move = h @ data.kernel, h @ shift
        if data.bias is not None and bias_shift is not None:
            z, move = z + data.bias[None, :], move + bias_shift[None, :]
        first = derivative(data.activation, z)
        residual = value(data.activation, z) - y
        weight = first**2 + residual * derivative(data.activation, z, 2)
        quadratic += np.sum(weight * move**2, axis=0)
        gradient[: h.shape[1]] += h.T @ (first * residual)
        if data.bias is not None:
            gradient[-1] += np.sum(first * residual, axis=0)
    square = np.linalg.norm(2.0 / (n * m) * gradient, axis=0)
    return quadratic / n, square


def _stopped(data: HeadData, solution: HeadSolution) -> tuple[np.ndarray, np.ndarray]:
    """(m,) each: mean over examples of y^2 where the solved unit is off, for units on
    somewhere; and the part of it from negative y, for all units.

    Such an example pulls on nothing: its gradient is exactly 0, as for a dead unit.
    """
    n, m = data.targets.shape
    off, below, fires = np.zeros(m), np.zeros(m), np.zeros(m, bool)
    if data.activation not in CAN_DIE:
        return off, below
    for h, y in host(data.features, data.targets):
        z = h @ solution.kernel
        if solution.bias is not None:
            z += solution.bias[None, :]
        on = z > 0
        fires |= on.any(axis=0)
        missed = np.where(on, 0.0, y)
        off += np.sum(missed**2, axis=0)
        below += np.sum(np.minimum(missed, 0.0) ** 2, axis=0)
    return np.where(fires, off / n, 0.0), below / n
