"""The curvature of any Problem at one point: what the loss looks like, and what the optimizer
sees of it.

Measured by products in float32, as training runs: the Hessian, its Gauss-Newton and residual
parts, the Hessian under the optimizer's rates, each layer's block. Where the parameters are
few enough all eigenvalues in float64 as well; only those give a condition number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax

from jaxid.core import trees
from jaxid.core.progress import SILENT, Reporter
from jaxid.core.random import role_key
from jaxid.core.types import Array, Estimate, Key, Params
from jaxid.curvature.exact import Exact
from jaxid.curvature.fields import GaussNewtonField
from jaxid.curvature.null_directions import Reasons, count_reasons, null_directions
from jaxid.curvature.output_space import gauss_newton_trace, passes_cost
from jaxid.curvature.survey import Survey, survey
from jaxid.problem.problem import Problem
from jaxid.spectra.all_eigenvalues import Both, Tried, all_eigenvalues
from jaxid.spectra.from_survey import matrix_spectrum
from jaxid.spectra.look import Job, Look, jobs, loss_and_gradient
from jaxid.spectra.matrix import Kind, MatrixSpectrum
from jaxid.spectra.optimizer_view import OptimizerView, optimizer_view, top_mode
from jaxid.training.loop import Stage, TrainState

EXACT_TRACE = 2_000_000_000
"""examples x outputs x parameters up to which Gauss-Newton's trace is exact: seconds."""


@dataclass(frozen=True)
class NullDirections:
    """Gauss-Newton's null directions by reason.

    Attributes:
      null_dim: how many.
      reasons: of these, which has which reason.
      log10_permutations: of the number of equal solutions by permuting hidden units.
    """

    null_dim: int
    reasons: Reasons
    log10_permutations: float


@dataclass(frozen=True)
class PointSpectrum:
    """The curvature at one point.

    Attributes:
      name: where in training it lies.
      step: optimizer steps taken.
      loss: mean over the examples, in training units.
      gradient_norm: of that loss.
      parameters, examples: how many.
      matrices: of the whole network; the Hessian comes first.
      layers: each layer's own block of the Hessian.
      optimizer: what the optimizer does to it.
      exact: whether every eigenvalue was computed.
      null: Gauss-Newton's null directions; None where they were not counted.
      interrupted: name of the matrix that an interrupt left out; None if none came.
    """

    name: Stage
    step: int
    loss: float
    gradient_norm: float
    parameters: int
    examples: int
    matrices: tuple[MatrixSpectrum, ...]
    layers: tuple[MatrixSpectrum, ...]
    optimizer: OptimizerView
    exact: Tried
    null: NullDirections | None
    interrupted: str | None

    @property
    def hessian(self) -> MatrixSpectrum:
        """Of the whole network."""
        return self.matrices[0]

    @property
    def preconditioned(self) -> MatrixSpectrum | None:
        """What the optimizer sees; None where it has no diagonal P, or it was not reached."""
        return next((m for m in self.matrices if m.kind is Kind.PRECONDITIONED), None)


def examine_point(
    problem: Problem,
    state: TrainState,
    data: tuple[Array, Array | None],
    name: Stage,
    look: Look,
    *,
    reporter: Reporter = SILENT,
) -> PointSpectrum:
    """Everything about one point.

    Args:
      problem: network, loss, optimizer.
      state: one seed's, whose parameters are the point.
      data: (x, y) in stored units, the examples that the loss is over.
      name: of the point.
      look: how much to do.
      reporter: progress.

    Returns:
      PointSpectrum. After Ctrl-C it has the matrices that were finished, and in ``interrupted``
      the one that was not.

    Raises:
      KeyboardInterrupt: if not even the Hessian was finished.
    """
    params, key = state.params, role_key(state.key, "curvature")
    loss, gradient = loss_and_gradient(problem, params, data)
    view, rates = optimizer_view(problem, state, data, role_key(key, "settle"))
    exact, tried = all_eigenvalues(problem, params, data, look)
    found: list[MatrixSpectrum] = []
    stopped = None
    with reporter.task(f"curvature at {name.value}", 1) as task:
        todo = list(jobs(problem, params, data, look, gradient, rates))
        try:
            for job in todo:
                task.advance(0, job.name)
                made = _survey(job, key, exact)
                trace = None
                if job.kind is Kind.GAUSS_NEWTON:
                    trace = _exact_trace(problem, params, data, look)
                if job.kind is Kind.PRECONDITIONED and rates is not None:
                    view = replace(view, top_mode=top_mode(rates, made.ends))
                found.append(matrix_spectrum(job.kind, made, trace))
                task.advance(1 / len(todo), job.name)
        except KeyboardInterrupt:
            if not found:
                raise
            stopped = todo[len(found)].name if len(found) < len(todo) else todo[-1].name
    return PointSpectrum(
        name=name,
        step=int(state.step),
        loss=float(loss),
        gradient_norm=float(trees.norm(gradient)),
        parameters=trees.size(params),
        examples=int(data[0].shape[0]),
        matrices=tuple(one for one in found if one.kind is not Kind.LAYER),
        layers=tuple(one for one in found if one.kind is Kind.LAYER),
        optimizer=view,
        exact=tried,
        null=_null(problem, params, data, exact),
        interrupted=stopped,
    )


def _survey(job: Job, key: Key, exact: Both | None) -> Survey:
    known: Exact | None = None
    if exact is not None and job.kind is Kind.HESSIAN:
        known = exact.hessian
    if exact is not None and job.kind is Kind.GAUSS_NEWTON:
        known = exact.gauss_newton
    return survey(
        job.name,
        job.product,
        job.operand,
        job.like,
        key,
        effort=job.effort,
        gradient=job.gradient,
        exact=known,
    )


def _exact_trace(
    problem: Problem, params: Params, data: tuple[Array, Array | None], look: Look
) -> Estimate | None:
    """Gauss-Newton's trace from the outputs' side where that costs little."""
    field = GaussNewtonField(problem.outputs, problem.output_losses)
    if passes_cost(field, params, data) > EXACT_TRACE:
        return None
    return gauss_newton_trace(field, params, data, memory=look.memory)[0]


def _null(
    problem: Problem, params: Params, data: tuple[Array, Array | None], exact: Both | None
) -> NullDirections | None:
    """None where they were not counted."""
    if exact is None or not problem.net.layers:
        return None
    inputs = problem.inputs(data[0])
    outputs = int(jax.eval_shape(problem.net.apply, params, inputs).size)
    found = null_directions(problem.net, params, inputs)
    null_dim, order = exact.gauss_newton.null_dim, exact.gauss_newton.eigenvalues.size
    counts = count_reasons(found, null_dim, order=order, outputs=outputs)
    return NullDirections(null_dim, counts, found.log10_permutations)
