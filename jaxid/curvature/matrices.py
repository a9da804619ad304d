"""A Problem's curvature matrices as operators, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from jaxid.curvature.fields import (
    Field,
    GaussNewtonField,
    GradientCovarianceField,
    HessianField,
    ResidualField,
)
from jaxid.curvature.parts import Part
from jaxid.curvature.products import EVERYTHING, CurvatureProduct
from jaxid.data.examples import DIFFERENTIATED
from jaxid.problem.admission import depends_on_batch
from jaxid.problem.problem import Problem

MatrixName: TypeAlias = Literal["hessian", "gauss_newton", "residual", "gradient_covariance"]

FIELDS: dict[MatrixName, Callable[[Problem], Field]] = {
    "hessian": lambda problem: HessianField(problem.mean_loss),
    "gauss_newton": lambda problem: GaussNewtonField(problem.outputs, problem.output_losses),
    "residual": lambda problem: ResidualField(problem.outputs, problem.output_losses),
    "gradient_covariance": lambda problem: GradientCovarianceField(
        problem.outputs, problem.output_losses
    ),
}


def curvature_product(
    problem: Problem,
    matrix: MatrixName = "hessian",
    *,
    chunk: int = DIFFERENTIATED,
    keep: bool = True,
    part: Part = EVERYTHING,
) -> CurvatureProduct:
    """The operator ((params, data), v) -> A v of a problem's loss.

    Args:
      problem: gives network and loss; its arrays are not used, data come with each call.
      matrix: "hessian", "gauss_newton", "residual" (their difference) or
        "gradient_covariance" (the empirical Fisher matrix).
      chunk, keep, part: as in `CurvatureProduct`; `CurvatureProduct.within` chooses the
        first two by a memory limit.

    Example:
      >>> product = curvature_product(problem, "gauss_newton", part=Part(("layers/0",)))
      >>> product((params, (x, None)), v)
    """
    coupled = depends_on_batch(problem) or ""
    return CurvatureProduct(FIELDS[matrix](problem), chunk, keep, part, coupled)
