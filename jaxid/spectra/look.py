"""How to look at a point: the matrices that are surveyed there, how hard, and what that costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import psutil

from jaxid.core import trees
from jaxid.core.errors import InputError
from jaxid.core.types import Array, MatVec, Params
from jaxid.core.wording import counted
from jaxid.curvature.matrices import MatrixName, curvature_product
from jaxid.curvature.parts import Part, layer_names, own_part
from jaxid.curvature.products import EVERYTHING, MEMORY, CurvatureProduct
from jaxid.curvature.survey import Effort
from jaxid.linalg.operators import Scaled
from jaxid.problem.problem import Problem
from jaxid.spectra.matrix import Kind

EXACT_ORDER = 2000
"""Parameters up to which all eigenvalues are computed."""
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

    effort: Effort = field(default_factory=Effort)
    exact_order: int = EXACT_ORDER
    memory: int = MEMORY
    layers: bool = True

    def check(self, order: int) -> None:
        """Refuse what a network of ``order`` parameters has not, or memory has no room for: the
        vectors that Lanczos keeps for so many eigenvalues, twice while it restarts.

        Raises:
          InputError: one line.
        """
        asked, usual = self.effort, Effort()
        for name, number, own in (
            ("top", asked.top, usual.top),
            ("bottom", asked.bottom, usual.bottom),
        ):
            if number > order and number != own:
                raise InputError(
                    f"--{name} is {number} and the network has {counted(order, 'parameter')}; ask "
                    "for no more eigenvalues"
                )
        vectors = min(order, 2 * sum(asked.wanted(order)) + 10)
        need, available = 8 * vectors * order, psutil.virtual_memory().available
        if need > available:
            raise InputError(
                f"--top {asked.top} and --bottom {asked.bottom} keep {vectors:,} vectors of "
                f"{order:,} numbers, {need / 1e9:,.1f} GB, and {available / 1e9:.1f} GB are free; "
                "ask for fewer"
            )


class Job(NamedTuple):
    """One survey to make.

    Attributes:
      kind, name: as in `jaxid.spectra.matrix.MatrixSpectrum`.
      product, operand: as in `jaxid.linalg.lanczos.eigenpairs`.
      like: a tree of v's structure.
      effort: how much to do.
      gradient: the loss's, in v's coordinates; None where it is not asked for.
    """

    kind: Kind
    name: str
    product: MatVec
    operand: Any
    like: Params
    effort: Effort
    gradient: Params | None = None


def jobs(
    problem: Problem,
    params: Params,
    data: tuple[Array, Array | None],
    look: Look,
    gradient: Params,
    rates: Params | None,
) -> Iterator[Job]:
    """The surveys of a point, the Hessian's first.

    Args:
      problem, params, data: network and loss, where, and over what.
      look: how much to do.
      gradient: the loss's.
      rates: the optimizer's; None where it has no diagonal P.
    """

    def fitted(matrix: MatrixName, part: Part = EVERYTHING) -> CurvatureProduct:
        return curvature_product(problem, matrix, part=part).within(look.memory, params, data)

    def whole(kind: Kind, product: MatVec, effort: Effort, some: Params | None = None) -> Job:
        return Job(kind, kind.value, product, operand, params, effort, some)

    effort, operand = look.effort, (params, data)
    less = replace(effort, top=1, bottom=1, probes=0, trace_probes=8)
    hessian = fitted("hessian")
    yield whole(Kind.HESSIAN, hessian, effort, gradient)
    yield whole(Kind.GAUSS_NEWTON, fitted("gauss_newton"), less)
    yield whole(Kind.RESIDUAL, fitted("residual"), less)
    if rates is not None:
        seen = whole(Kind.PRECONDITIONED, Scaled(hessian), effort)
        scaled = jax.tree.map(lambda r, g: jnp.sqrt(r) * g, rates, gradient)
        yield seen._replace(operand=(operand, rates), gradient=scaled)
    layers = layer_names(params)
    if look.layers and len(layers) > 1:
        least = replace(effort, top=1, bottom=1, probes=2, steps=40, trace_probes=8)
        for layer in layers:
            part = own_part(params, layer)
            product = fitted("hessian", part)
            yield Job(Kind.LAYER, layer, product, operand, part.take(params), least)


def predicted_seconds(
    problem: Problem, params: Params, data: tuple[Array, Array | None], look: Look
) -> float:
    """How long a look at a point will take, about, from one gradient that is timed now."""
    loss_and_gradient(problem, params, data)[0].block_until_ready()
    began = time.perf_counter()
    loss_and_gradient(problem, params, data)[0].block_until_ready()
    product = PRODUCT_OVER_GRADIENT * (time.perf_counter() - began) + DISPATCH
    # The rates only decide whether there is a fourth matrix.
    todo = list(jobs(problem, params, data, look, params, params))
    count = sum(
        job.effort.products(trees.size(job.like), gradient=job.gradient is not None) for job in todo
    )
    order = trees.size(params)
    if order <= look.exact_order:
        count += 2 * FLOAT64 * order
    return count * product + COMPILE * len(todo) + START


@partial(jax.jit, static_argnums=0)
def loss_and_gradient(
    problem: Problem, params: Params, data: tuple[Array, Array | None]
) -> tuple[Array, Params]:
    """The mean loss over the data, and its gradient."""
    return jax.value_and_grad(problem.mean_loss)(params, data)
