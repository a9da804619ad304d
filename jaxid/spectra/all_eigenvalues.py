"""Every eigenvalue of a point's Hessian and Gauss-Newton matrix, or why they are not computed."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxid.core import trees
from jaxid.core.precision import float64, widened
from jaxid.core.types import Array, Params
from jaxid.curvature.exact import Exact, exact_of
from jaxid.curvature.matrices import curvature_product
from jaxid.problem.admission import drawn_at
from jaxid.problem.problem import Problem
from jaxid.spectra.look import Look, loss_and_gradient
from jaxid.tracing import narrowings

ROUNDINGS = 1000.0
"""Times what one unit of the last place does to the loss: what rounding inside may do."""


class WhyNot(enum.Enum):
    """Why not every eigenvalue was computed."""

    ORDER = "order"
    """There are more parameters than ``exact_order``."""
    FLOAT32_INSIDE = "float32_inside"
    """The network computes in float32 whatever it is given."""
    CONSTANTS = "constants"
    """It is another function in float64: its constants depend on the precision."""
    RANDOM = "random"
    """It is another function in float64: it draws random numbers, and others there."""


@dataclass(frozen=True)
class Tried:
    """Whether every eigenvalue was computed, in float64, and if not why.

    Attributes:
      computed: whether.
      reason: why not; None if they were.
      exact_order: parameters up to which it is tried.
      narrowings: the primitives that compute in float32, for `WhyNot.FLOAT32_INSIDE`.
      loss_float32, loss_float64: the loss in both precisions, for functions that differ in them.
      drawn_at: where the random numbers are drawn, " at FILE:LINE"; "" where that is unknown.
    """

    computed: bool
    reason: WhyNot | None
    exact_order: int
    narrowings: tuple[str, ...] = ()
    loss_float32: float | None = None
    loss_float64: float | None = None
    drawn_at: str = ""


class Both(NamedTuple):
    """All eigenvalues of two matrices of one point."""

    hessian: Exact
    gauss_newton: Exact


def all_eigenvalues(
    problem: Problem, params: Params, data: tuple[Array, Array | None], look: Look
) -> tuple[Both | None, Tried]:
    """(every eigenvalue or None, whether and why not)."""
    limit = look.exact_order
    if trees.size(params) > limit:
        return None, Tried(False, WhyNot.ORDER, limit)
    narrow = float32_inside(problem, params, data)
    if narrow:
        return None, Tried(False, WhyNot.FLOAT32_INSIDE, limit, narrow)
    other = _precisions_differ(problem, params, data, limit)
    if other is not None:
        return None, other
    with float64():
        wide, data = widened(params), widened(data)
        gradient = np.asarray(ravel_pytree(jax.grad(problem.mean_loss)(wide, data))[0])
    gauss_newton = curvature_product(problem, "gauss_newton")
    found = Both(
        exact_of(curvature_product(problem), params, data, limit=look.memory, gradient=gradient),
        exact_of(gauss_newton, params, data, limit=look.memory),
    )
    return found, Tried(True, None, limit)


def float32_inside(
    problem: Problem, params: Params, data: tuple[Array, Array | None]
) -> tuple[str, ...]:
    """The primitives by which no eigenvalue is exact beyond float32, though computed in float64;
    none if all are."""
    with float64():
        return tuple(narrowings(problem.mean_loss, widened(params), widened(data)))


def _precisions_differ(
    problem: Problem, params: Params, data: tuple[Array, Array | None], limit: int
) -> Tried | None:
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
    reason = WhyNot.CONSTANTS if drawn is None else WhyNot.RANDOM
    return Tried(False, reason, limit, loss_float32=narrow, loss_float64=wide, drawn_at=drawn or "")
