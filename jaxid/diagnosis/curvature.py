"""The curvature of any Problem at one point: what the loss looks like, and what the optimizer
sees of it.

Measured by products in float32, as training runs: the Hessian, its Gauss-Newton and residual
parts, the Hessian under the optimizer's rates, each layer's block. Where the parameters are
few enough all eigenvalues in float64 as well; only those give a condition number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from jaxid import trees
from jaxid.curvature.dense import dense_matrix, rounding
from jaxid.curvature.exact import Exact, exact_spectrum
from jaxid.curvature.matrices import MatrixName, curvature_product
from jaxid.curvature.null_directions import count_reasons, null_directions
from jaxid.curvature.parts import Part, layer_names
from jaxid.curvature.products import EVERYTHING, MEMORY, CurvatureProduct
from jaxid.curvature.survey import Effort, Survey, survey
from jaxid.linalg.operators import Scaled
from jaxid.precision import float64, widened
from jaxid.prng import role_key
from jaxid.problem import Problem
from jaxid.stepping import effective_rates, has_moments
from jaxid.theory.thresholds import stability_limit
from jaxid.tracing import narrowings
from jaxid.training.loop import TrainState
from jaxid.training.progress import SILENT, Reporter
from jaxid.types import Array, Estimate, Key, MatVec, Params

Record = dict[str, Any]
Arrays = dict[str, np.ndarray]
SETTLING = 200
"""Gradients at one place until the second moments are that place's; 0.999^200 is 0.82, but
Adam's bias correction removes what is missing."""
EXACT_ORDER = 2000
"""Parameters up to which all eigenvalues are computed."""
LAYER_EFFORT: dict[str, Any] = {"top": 1, "bottom": 1, "probes": 2, "steps": 40, "trace_probes": 8}
PARTS_EFFORT: dict[str, Any] = {"top": 1, "bottom": 1, "probes": 0, "trace_probes": 8}


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
    residual: bool = False,
    reporter: Reporter = SILENT,
) -> tuple[Record, Arrays]:
    """Everything about one point.

    Args:
      problem: network, loss, optimizer.
      state: one seed's, whose parameters are the point.
      data: (x, y) in stored units, the examples that the loss is over.
      name: of the point; its arrays are called by it.
      look: how much to do.
      residual: whether the network has skip connections, for the null directions.
      reporter: progress.

    Returns:
      (the point's record, arrays for the figures).
    """
    params, key = state.params, role_key(state.key, "curvature")
    loss, gradient = loss_and_gradient(problem, params, data)
    view, rates = _optimizer_view(problem, state, data, role_key(key, "settle"))
    exact, why = _exact(problem, params, data, look)
    with reporter.task(f"curvature at {name}", 1) as task:
        jobs = list(_jobs(problem, params, data, look, gradient, rates))
        found = []
        for job in jobs:
            task.advance(0, job.name)
            found.append(
                survey(
                    job.name,
                    job.product,
                    job.operand,
                    job.like,
                    key,
                    effort=job.effort,
                    gradient=job.gradient,
                    exact=exact.get(job.name),
                )
            )
            task.advance(1 / len(jobs), job.name)
    arrays: Arrays = {}
    for part in found:
        arrays |= _arrays(f"{name}/{part.name}", part)
    layers = set(layer_names(params))
    record: Record = {
        "name": name,
        "step": int(state.step),
        "loss": float(loss),
        "gradient_norm": float(trees.norm(gradient)),
        "parameters": trees.size(params),
        "examples": int(data[0].shape[0]),
        "matrices": [matrix_record(part) for part in found if part.name not in layers],
        "layers": [matrix_record(part) for part in found if part.name in layers],
        "optimizer": view,
        "exact": {"computed": bool(exact), "reason": why},
        "null": _null(problem, params, data, exact.get("gauss_newton"), residual),
    }
    return record, arrays


class Job(NamedTuple):
    """One survey to make."""

    name: str
    product: MatVec
    operand: Any
    like: Params
    effort: Effort
    gradient: Params | None = None


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
            part = Part((layer,))
            yield Job(layer, fitted("hessian", part), operand, part.take(params), least)


@partial(jax.jit, static_argnums=0)
def loss_and_gradient(
    problem: Problem, params: Params, data: tuple[Array, Array | None]
) -> tuple[Array, Params]:
    """The mean loss over the data, and its gradient."""
    return jax.value_and_grad(problem.mean_loss)(params, data)


def _optimizer_view(
    problem: Problem, state: TrainState, data: tuple[Array, Array | None], key: Key
) -> tuple[Record, Params | None]:
    """(the optimizer's limit and how P was found, its rates; None for those where there is
    no diagonal P)."""
    opt_state, how = state.opt_state, "second moments of the state"
    if has_moments(opt_state) and int(state.step) == 0:
        opt_state = _settled(problem, state, data, key)
        how = f"second moments after {SETTLING} batches' gradients at this point"
    elif not has_moments(opt_state):
        how = "no second moments: P is 1"
    rates = effective_rates(problem.optimizer, opt_state, state.params)
    limit = stability_limit(problem.optimizer, opt_state, state.params)
    if not rates.elementwise:
        none = Estimate(None, None, False, "the optimizer is not diagonal: it has no P")
        return {"limit": none._asdict(), "how": none.method, "rates": None}, None
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(rates.tree)]
    spread = {
        "least": float(min(leaf.min() for leaf in leaves)),
        "largest": float(max(leaf.max() for leaf in leaves)),
    }
    positive = jax.tree.map(lambda r: jnp.maximum(r, 0.0), rates.tree)
    return {"limit": limit._asdict(), "how": how, "rates": spread}, positive


@partial(jax.jit, static_argnums=0)
def _settled(
    problem: Problem, state: TrainState, data: tuple[Array, Array | None], key: Key
) -> Any:
    """The optimizer's state after many batches' gradients at one place: before the first
    step there are no second moments yet, and so no P."""
    optimizer = optax.with_extra_args_support(problem.optimizer)
    x, y = data
    weights = jnp.ones((problem.batch_size,), jnp.float32)

    def one(opt_state: Any, key: Key) -> tuple[Any, None]:
        rows = jax.random.randint(key, (problem.batch_size,), 0, x.shape[0])
        some = None if y is None else y[rows]
        gradient = jax.grad(lambda p: problem.batch_loss(p, x[rows], some, weights)[0])(
            state.params
        )
        return optimizer.update(gradient, opt_state, state.params, value=jnp.zeros(()))[1], None

    return jax.lax.scan(one, state.opt_state, jax.random.split(key, SETTLING))[0]


def _exact(
    problem: Problem, params: Params, data: tuple[Array, Array | None], look: Look
) -> tuple[dict[str, Exact], str]:
    """({"hessian", "gauss_newton"} -> every eigenvalue, how), or ({}, why not)."""
    order = trees.size(params)
    if order > look.exact_order:
        return {}, f"{order:,} parameters, more than --exact-order {look.exact_order:,}"
    with float64():
        wide, data = widened(params), widened(data)
        narrow = narrowings(problem.mean_loss, wide, data)
        if narrow:
            return {}, f"the network computes in float32 inside ({', '.join(narrow)})"
        gradient = np.asarray(ravel_pytree(jax.grad(problem.mean_loss)(wide, data))[0])
    found = {}
    for matrix in ("hessian", "gauss_newton"):
        product = curvature_product(problem, matrix)
        dense = dense_matrix(product, params, data, limit=look.memory)
        error = rounding(dense, data[0].shape[0])
        own = gradient if matrix == "hessian" else None
        found[matrix] = exact_spectrum(dense, error=error, gradient=own)
    return found, "all eigenvalues of the dense matrix, float64"


def _null(
    problem: Problem,
    params: Params,
    data: tuple[Array, Array | None],
    exact: Exact | None,
    residual: bool,
) -> Record | None:
    """Gauss-Newton's null directions by reason; None where they were not counted."""
    if exact is None or not problem.net.activations:
        return None
    inputs = problem.inputs(data[0])
    outputs = jax.eval_shape(problem.net.apply, params, inputs).size
    found = null_directions(problem.net, params, inputs, residual=residual)
    counts = count_reasons(
        found, exact.null_dim, order=exact.eigenvalues.size, outputs=int(outputs)
    )
    return {
        "null_dim": exact.null_dim,
        "reasons": counts,
        "log10_permutations": found.log10_permutations,
    }


def matrix_record(found: Survey) -> Record:
    """One survey as JSON values."""
    top = found.effort.wanted(found.order)[0]
    values, bounds = found.ends.values.tolist(), found.ends.bounds.tolist()
    ends = [
        {"value": v, "error": b, "converged": bool(c)}
        for v, b, c in zip(values, bounds, found.ends.converged, strict=True)
    ]
    exact = found.exact
    record: Record = {
        "name": found.name,
        "order": found.order,
        "dtype": found.dtype,
        "lambda_max": found.ends.estimate(0)._asdict(),
        "lambda_min": found.ends.estimate(-1)._asdict(),
        "top": ends[:top],
        "bottom": ends[top:],
        "products": found.ends.products,
        "stopped": found.ends.stopped,
        "trace": found.trace.trace._asdict(),
        "square": found.trace.square._asdict(),
        "participation_rank": found.trace.participation_rank._asdict(),
        "stable_rank": found.stable_rank._asdict(),
        "density": None,
        "effective_kappa": None,
        "exact": None,
        "kappa": _no_kappa(found)._asdict(),
    }
    if found.density is not None:
        zero, zero_error = found.density.share(-found.density.blur, found.density.blur)
        below, below_error = found.density.share(-np.inf, -found.density.blur)
        record["density"] = {
            "floor": found.density.floor,
            "blur": found.density.blur,
            "resolution": found.density.resolution,
            "converged": found.density.converged,
            "method": found.density.method,
            "zero": {"share": zero, "error": zero_error},
            "negative": {"share": below, "error": below_error},
        }
    if found.excess is not None:
        record["effective_kappa"] = found.excess.effective_kappa._asdict()
        record["excess"] = {
            "total": found.excess.total,
            "flat": found.excess.flat,
            "negative": found.excess.negative,
        }
    if exact is not None:
        record["kappa"] = exact.kappa._asdict()
        record["exact"] = {
            "threshold": exact.threshold,
            "lambda_max": exact.lambda_max._asdict(),
            "lambda_min": exact.least._asdict(),
            "lambda_min_nonzero": exact.lambda_min_nonzero._asdict(),
            "null_dim": exact.null_dim,
            "negative": exact.negative,
            "near": exact.near,
            "stable_rank": exact.stable_rank,
            "participation_rank": exact.participation_rank,
            "effective_kappa": None
            if exact.effective_kappa is None
            else exact.effective_kappa._asdict(),
        }
    return record


def _no_kappa(found: Survey) -> Estimate:
    return Estimate(
        None,
        None,
        False,
        f"products in {found.dtype} do not tell the smallest eigenvalues from rounding",
    )


def _arrays(prefix: str, found: Survey) -> Arrays:
    """What the figures are drawn from."""
    arrays: Arrays = {}
    if found.density is not None and found.density.nodes.size:
        arrays[f"{prefix}/nodes"] = found.density.nodes
        arrays[f"{prefix}/weights"] = found.density.weights
    if found.exact is not None:
        arrays[f"{prefix}/eigenvalues"] = found.exact.eigenvalues
    curve = found.excess.curve() if found.excess is not None and found.excess.nodes.size else None
    if found.exact is not None and found.exact.curve() is not None:
        curve = found.exact.curve()
    if curve is not None:
        arrays[f"{prefix}/shares"], arrays[f"{prefix}/effective_kappa"] = curve
    return arrays
