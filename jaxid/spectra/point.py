"""The curvature of any Problem at one point: what the loss looks like, and what the optimizer
sees of it.

Measured by products in float32, as training runs: the Hessian, its Gauss-Newton and residual
parts, the Hessian under the optimizer's rates, each layer's block. Where the parameters are
few enough all eigenvalues in float64 as well; only those give a condition number.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxid.core import trees
from jaxid.core.precision import float64, widened
from jaxid.core.progress import SILENT, Reporter
from jaxid.core.random import role_key
from jaxid.core.types import Array, Estimate, Key, MatVec, Params
from jaxid.curvature.exact import Exact, exact_of
from jaxid.curvature.fields import GaussNewtonField
from jaxid.curvature.matrices import MatrixName, curvature_product
from jaxid.curvature.null_directions import count_reasons, null_directions
from jaxid.curvature.output_space import gauss_newton_trace, passes_cost
from jaxid.curvature.parts import Part, layer_names, own_part
from jaxid.curvature.products import EVERYTHING, MEMORY, CurvatureProduct
from jaxid.curvature.survey import Effort, Survey, survey
from jaxid.linalg.operators import Scaled
from jaxid.problem.admission import drawn_at
from jaxid.problem.problem import Problem
from jaxid.spectra.optimizer_view import optimizer_view, top_mode
from jaxid.spectra.survey_record import Arrays, Record, matrix_arrays, matrix_record
from jaxid.tracing import narrowings
from jaxid.training.loop import TrainState

EXACT_ORDER = 2000
"""Parameters up to which all eigenvalues are computed."""
PARTS_EFFORT: dict[str, Any] = {"top": 1, "bottom": 1, "probes": 0, "trace_probes": 8}
LAYER_EFFORT: dict[str, Any] = {"top": 1, "bottom": 1, "probes": 2, "steps": 40, "trace_probes": 8}
EXACT_TRACE = 2_000_000_000
"""examples x outputs x parameters up to which Gauss-Newton's trace is exact: seconds."""
PRODUCT_OVER_GRADIENT = 4 / 3
"""A product's arithmetic over a gradient's: four passes, of which three make a gradient."""
FLOAT64 = 2
"""Arithmetic in float64 over the same in float32."""
DISPATCH, COMPILE, START = 4e-4, 2.0, 3.0
"""Seconds beside a product's arithmetic; to compile one matrix's programs on a CPU; for the
optimizer's view and the figures."""


@dataclass(frozen=True)
class Look:
    """How to look at a point.

    Attributes:
      effort: of the Hessian's survey.
      exact_order: parameters up to which every eigenvalue is computed in float64.
      memory: bytes that passes over the data may hold.
      layers: whether to look at every layer's block.
    """

    effort: Effort = dataclasses.field(default_factory=Effort)
    exact_order: int = EXACT_ORDER
    memory: int = MEMORY
    layers: bool = True


def examine_point(
    problem: Problem,
    state: TrainState,
    data: tuple[Array, Array | None],
    name: str,
    look: Look,
    *,
    reporter: Reporter = SILENT,
) -> tuple[Record, Arrays]:
    """Everything about one point.

    Args:
      problem: network, loss, optimizer.
      state: one seed's, whose parameters are the point.
      data: (x, y) in stored units, the examples that the loss is over.
      name: of the point; its arrays are called by it.
      look: how much to do.
      reporter: progress.

    Returns:
      (the point's record, arrays for the figures). After Ctrl-C the matrices that were
      finished, and in ``interrupted`` the one that was not.

    Raises:
      KeyboardInterrupt: if not even the Hessian was finished.
    """
    params, key = state.params, role_key(state.key, "curvature")
    loss, gradient = loss_and_gradient(problem, params, data)
    view, rates = optimizer_view(problem, state, data, role_key(key, "settle"))
    exact, why = _exact(problem, params, data, look)
    found: list[Survey] = []
    traces: dict[str, Estimate] = {}
    stopped = None
    with reporter.task(f"curvature at {name}", 1) as task:
        jobs = list(_jobs(problem, params, data, look, gradient, rates))
        try:
            for job in jobs:
                task.advance(0, job.name)
                found.append(_survey(job, key, None if job.of_layer else exact.get(job.name)))
                if job.name == "gauss_newton":
                    traces = _exact_trace(problem, params, data, look)
                task.advance(1 / len(jobs), job.name)
        except KeyboardInterrupt:
            if not found:
                raise
            stopped = jobs[len(found)].name if len(found) < len(jobs) else jobs[-1].name
    arrays: Arrays = {}
    for part, job in zip(found, jobs, strict=False):
        # A layer may have a matrix's name.
        apart = "layer " if job.of_layer and part.name in NAMES else ""
        arrays |= matrix_arrays(f"{name}/{apart}{part.name}", part)
    # By what they are, not by their names: a layer may be called residual.
    whole = [part for part, job in zip(found, jobs, strict=False) if not job.of_layer]
    own = [part for part, job in zip(found, jobs, strict=False) if job.of_layer]
    for part in whole:
        if part.name == "preconditioned" and rates is not None:
            view["top_mode"] = top_mode(rates, part.ends)
    record: Record = {
        "name": name,
        "step": int(state.step),
        "loss": float(loss),
        "gradient_norm": float(trees.norm(gradient)),
        "parameters": trees.size(params),
        "examples": int(data[0].shape[0]),
        "matrices": [matrix_record(part, traces.get(part.name)) for part in whole],
        "layers": [matrix_record(part) for part in own],
        "optimizer": view,
        "exact": {"computed": bool(exact), "reason": why},
        "null": _null(problem, params, data, exact.get("gauss_newton")),
        "interrupted": stopped,
    }
    return record, arrays


def predicted_seconds(
    problem: Problem, params: Params, data: tuple[Array, Array | None], look: Look
) -> float:
    """How long `examine_point` will take, about, from one gradient that is timed now."""
    loss_and_gradient(problem, params, data)[0].block_until_ready()
    began = time.perf_counter()
    loss_and_gradient(problem, params, data)[0].block_until_ready()
    product = PRODUCT_OVER_GRADIENT * (time.perf_counter() - began) + DISPATCH
    # The rates only decide whether there is a fourth matrix.
    jobs = list(_jobs(problem, params, data, look, params, params))
    count = sum(
        job.effort.products(trees.size(job.like), gradient=job.gradient is not None) for job in jobs
    )
    order = trees.size(params)
    if order <= look.exact_order:
        count += 2 * FLOAT64 * order
    return count * product + COMPILE * len(jobs) + START


NAMES = ("hessian", "gauss_newton", "residual", "preconditioned")
"""Of the matrices of a whole network."""


ROUNDINGS = 1000.0
"""Times what one unit of the last place does to the loss: what rounding inside may do."""


class Job(NamedTuple):
    """One survey to make."""

    name: str
    product: MatVec
    operand: Any
    like: Params
    effort: Effort
    gradient: Params | None = None
    of_layer: bool = False


def _survey(job: Job, key: Key, exact: Exact | None) -> Survey:
    return survey(
        job.name,
        job.product,
        job.operand,
        job.like,
        key,
        effort=job.effort,
        gradient=job.gradient,
        exact=exact,
    )


def _exact_trace(
    problem: Problem, params: Params, data: tuple[Array, Array | None], look: Look
) -> dict[str, Estimate]:
    """Gauss-Newton's trace from the outputs' side where that costs little."""
    field = GaussNewtonField(problem.outputs, problem.output_losses)
    if passes_cost(field, params, data) > EXACT_TRACE:
        return {}
    total, _ = gauss_newton_trace(field, params, data, memory=look.memory)
    return {"gauss_newton": total}


def _jobs(
    problem: Problem,
    params: Params,
    data: tuple[Array, Array | None],
    look: Look,
    gradient: Params,
    rates: Params | None,
) -> Iterator[Job]:
    def fitted(matrix: MatrixName, part: Part = EVERYTHING) -> CurvatureProduct:
        return curvature_product(problem, matrix, part=part).within(look.memory, params, data)

    effort, operand = look.effort, (params, data)
    less = dataclasses.replace(effort, **PARTS_EFFORT)
    hessian = fitted("hessian")
    yield Job("hessian", hessian, operand, params, effort, gradient)
    yield Job("gauss_newton", fitted("gauss_newton"), operand, params, less)
    yield Job("residual", fitted("residual"), operand, params, less)
    if rates is not None:
        scaled = jax.tree.map(lambda r, g: jnp.sqrt(r) * g, rates, gradient)
        yield Job("preconditioned", Scaled(hessian), (operand, rates), params, effort, scaled)
    layers = layer_names(params)
    if look.layers and len(layers) > 1:
        least = dataclasses.replace(effort, **LAYER_EFFORT)
        for layer in layers:
            part = own_part(params, layer)
            product = fitted("hessian", part)
            yield Job(layer, product, operand, part.take(params), least, of_layer=True)


@partial(jax.jit, static_argnums=0)
def loss_and_gradient(
    problem: Problem, params: Params, data: tuple[Array, Array | None]
) -> tuple[Array, Params]:
    """The mean loss over the data, and its gradient."""
    return jax.value_and_grad(problem.mean_loss)(params, data)


def _exact(
    problem: Problem, params: Params, data: tuple[Array, Array | None], look: Look
) -> tuple[dict[str, Exact], str]:
    """({"hessian", "gauss_newton"} -> every eigenvalue, how), or ({}, why not)."""
    order = trees.size(params)
    if order > look.exact_order:
        return {}, f"{order:,} parameters, more than --exact-order {look.exact_order:,}"
    narrow = float32_inside(problem, params, data)
    if narrow is not None:
        return {}, narrow
    other = precisions_differ(problem, params, data)
    if other is not None:
        return {}, other
    with float64():
        wide, data = widened(params), widened(data)
        gradient = np.asarray(ravel_pytree(jax.grad(problem.mean_loss)(wide, data))[0])
    gauss_newton = curvature_product(problem, "gauss_newton")
    found = {
        "hessian": exact_of(
            curvature_product(problem), params, data, limit=look.memory, gradient=gradient
        ),
        "gauss_newton": exact_of(gauss_newton, params, data, limit=look.memory),
    }
    return found, "all eigenvalues of the dense matrix, float64"


def float32_inside(
    problem: Problem, params: Params, data: tuple[Array, Array | None]
) -> str | None:
    """Why no eigenvalue is exact beyond float32, though computed in float64; None if all are."""
    with float64():
        narrow = narrowings(problem.mean_loss, widened(params), widened(data))
    return f"the network computes in float32 inside ({', '.join(narrow)})" if narrow else None


def precisions_differ(
    problem: Problem, params: Params, data: tuple[Array, Array | None]
) -> str | None:
    """Why float64's eigenvalues would be another function's than the one that is trained; None
    where the loss is the same in both precisions, to what rounding may do.

    What rounding does is seen by moving every parameter by a unit of its last place.
    """
    narrow = float(loss_and_gradient(problem, params, data)[0])
    leaves, tree = jax.tree.flatten(params)
    steps = [
        jnp.where(jax.random.bernoulli(jax.random.key(k), shape=x.shape), x, jnp.nextafter(
            x, jnp.full_like(x, jnp.inf)))
        for k, x in enumerate(leaves)
    ]  # fmt: skip
    moved = float(loss_and_gradient(problem, jax.tree.unflatten(tree, steps), data)[0])
    with float64():
        wide = float(loss_and_gradient(problem, widened(params), widened(data))[0])
    room = ROUNDINGS * (abs(moved - narrow) + float(np.finfo(np.float32).eps) * abs(narrow))
    if abs(wide - narrow) <= room or not np.isfinite(narrow):
        return None
    drawn = drawn_at(problem)
    why = "its constants depend on the precision"
    if drawn is not None:
        why = f"it draws random numbers{drawn}, and others in another precision"
    return (
        f"the loss is {narrow:.6g} in float32 and {wide:.6g} in float64: {why}, so that float64's "
        "eigenvalues are not those of the network that is trained"
    )


def _null(
    problem: Problem,
    params: Params,
    data: tuple[Array, Array | None],
    exact: Exact | None,
) -> Record | None:
    """Gauss-Newton's null directions by reason; None where they were not counted."""
    if exact is None or not problem.net.layers:
        return None
    inputs = problem.inputs(data[0])
    outputs = jax.eval_shape(problem.net.apply, params, inputs).size
    found = null_directions(problem.net, params, inputs)
    counts = count_reasons(
        found, exact.null_dim, order=exact.eigenvalues.size, outputs=int(outputs)
    )
    return {
        "null_dim": exact.null_dim,
        "reasons": counts,
        "log10_permutations": found.log10_permutations,
    }
