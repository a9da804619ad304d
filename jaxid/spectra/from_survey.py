"""A survey of one matrix as a MatrixSpectrum; what all eigenvalues say comes before products."""

from __future__ import annotations

import numpy as np

from jaxid.core.types import Estimate
from jaxid.curvature.survey import Survey
from jaxid.spectra.matrix import (
    Curve,
    DensityFound,
    End,
    ExactFound,
    ExcessFound,
    Kind,
    MatrixSpectrum,
    Share,
)


def matrix_spectrum(kind: Kind, found: Survey, trace: Estimate | None = None) -> MatrixSpectrum:
    """What a survey found; ``trace`` stands for the sampled one where it is exact."""
    top = found.effort.wanted(found.order)[0]
    values, bounds = found.ends.values.tolist(), found.ends.bounds.tolist()
    ends = tuple(
        End(value, bound, bool(converged))
        for value, bound, converged in zip(values, bounds, found.ends.converged, strict=True)
    )
    return MatrixSpectrum(
        kind=kind,
        name=found.name,
        order=found.order,
        dtype=found.dtype,
        lambda_max=found.ends.estimate(0),
        lambda_min=found.ends.estimate(-1),
        top=ends[:top],
        bottom=ends[top:],
        products=found.ends.products,
        stopped=found.ends.stopped,
        budget=found.ends.budget,
        trace=_trace(found, trace),
        trace_sampled=found.trace.trace,
        square=found.trace.square,
        participation_rank=_rank(found),
        stable_rank=found.stable_rank,
        density=_density(found),
        effective_kappa=_effective_kappa(found),
        excess=_excess(found),
        curve=_curve(found),
        exact=_exact(found),
        kappa=_kappa(found),
    )


def _trace(found: Survey, known: Estimate | None) -> Estimate:
    if found.exact is None:
        return known or found.trace.trace
    values = found.exact.eigenvalues
    error = values.size * found.exact.threshold
    return Estimate(float(values.sum()), error, True, "sum of all eigenvalues, float64")


def _rank(found: Survey) -> Estimate:
    """Of a matrix whose eigenvalues don't cancel in the trace."""
    ends, exact = found.ends, found.exact
    least = ends.values[-1] if ends.values.size else 0.0
    room = ends.bounds[-1] if ends.values.size else 0.0
    if exact.negative if exact is not None else least < -room:
        return Estimate(None, None, False, "eigenvalues of both signs cancel in the trace")
    if exact is not None and exact.participation_rank is not None:
        return Estimate(exact.participation_rank, 0.0, True, "all eigenvalues, float64")
    return found.trace.participation_rank


def _density(found: Survey) -> DensityFound | None:
    density = found.density
    if density is None:
        return None
    return DensityFound(
        density.floor,
        density.blur,
        density.resolution,
        density.converged,
        density.method,
        Share(*density.share(-density.blur, density.blur)),
        Share(*density.share(-np.inf, -density.blur)),
        density.nodes,
        density.weights,
    )


def _effective_kappa(found: Survey) -> Estimate | None:
    if found.exact is not None and found.exact.effective_kappa is not None:
        return found.exact.effective_kappa
    return None if found.excess is None else found.excess.effective_kappa


def _excess(found: Survey) -> ExcessFound | None:
    excess = found.excess
    if excess is None:
        return None
    total = excess.total
    if found.exact is not None and found.exact.excess is not None:
        total = float(found.exact.excess.sum())
    return ExcessFound(total, excess.flat, excess.negative)


def _curve(found: Survey) -> Curve | None:
    exact = None if found.exact is None else found.exact.curve()
    if exact is not None:
        return Curve(*exact)
    if found.excess is None or not found.excess.nodes.size:
        return None
    return Curve(*found.excess.curve())


def _exact(found: Survey) -> ExactFound | None:
    exact = found.exact
    if exact is None:
        return None
    return ExactFound(
        exact.threshold,
        exact.lambda_max,
        exact.least,
        exact.lambda_min_nonzero,
        exact.null_dim,
        exact.negative,
        exact.near,
        exact.stable_rank,
        exact.participation_rank,
        exact.effective_kappa,
        exact.eigenvalues,
    )


def _kappa(found: Survey) -> Estimate:
    if found.exact is not None:
        return found.exact.kappa
    why = f"products in {found.dtype} do not tell the smallest eigenvalues from rounding"
    return Estimate(None, None, False, why)
