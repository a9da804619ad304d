"""What a survey of one matrix found, as JSON values, and the arrays behind its figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxid.core.types import Estimate
from jaxid.curvature.survey import Survey

Record = dict[str, Any]
Arrays = dict[str, np.ndarray]


def matrix_record(found: Survey, trace: Estimate | None = None) -> Record:
    """One survey as JSON values; ``trace`` stands for the sampled one where it is exact."""
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
        "trace": (trace or found.trace.trace)._asdict(),
        "trace_sampled": found.trace.trace._asdict(),
        "square": found.trace.square._asdict(),
        "participation_rank": _rank(found)._asdict(),
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
        total = float(exact.eigenvalues.sum())
        size = exact.eigenvalues.size * exact.threshold
        record["trace"] = Estimate(total, size, True, "sum of all eigenvalues, float64")._asdict()
        if exact.participation_rank is not None and not exact.negative:
            rank = Estimate(exact.participation_rank, 0.0, True, "all eigenvalues, float64")
            record["participation_rank"] = rank._asdict()
        record["kappa"] = exact.kappa._asdict()
        if exact.effective_kappa is not None and exact.excess is not None:
            record["effective_kappa"] = exact.effective_kappa._asdict()
            record["excess"]["total"] = float(exact.excess.sum())
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


def _rank(found: Survey) -> Estimate:
    """Of a matrix whose eigenvalues don't cancel in the trace."""
    ends = found.ends
    least = ends.values[-1] if ends.values.size else 0.0
    room = ends.bounds[-1] if ends.values.size else 0.0
    if found.exact.negative if found.exact is not None else least < -room:
        return Estimate(None, None, False, "eigenvalues of both signs cancel in the trace")
    return found.trace.participation_rank


def _no_kappa(found: Survey) -> Estimate:
    return Estimate(
        None,
        None,
        False,
        f"products in {found.dtype} do not tell the smallest eigenvalues from rounding",
    )


def matrix_arrays(prefix: str, found: Survey) -> Arrays:
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
