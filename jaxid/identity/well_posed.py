"""Is the problem well posed in Hadamard's sense: does a solution exist, is it one, is it stable?

Existence comes from `representation`, uniqueness from the null directions and two solutions
shown side by side, stability from targets perturbed by one grey level along the singular
vectors of the inputs (`jaxid.curvature.ill_posed`). Source: Hadamard 1902; Engl, Hanke,
Neubauer 1996, section 2.1.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxid.curvature.conditioning import Moment, covariance, second_moment
from jaxid.curvature.ill_posed import Stability, stability
from jaxid.data.sources import Dataset
from jaxid.identity.representation import Representation, representability
from jaxid.identity.solutions import TwoSolutions, two_solutions
from jaxid.identity.spec import IdentitySpec
from jaxid.problem.problem import Problem

Answer = dict[str, Any]


def well_posedness(
    spec: IdentitySpec, problem: Problem, dataset: Dataset
) -> tuple[Representation, dict[str, Any], dict[str, np.ndarray]]:
    """Hadamard's three questions for a resolved spec.

    Returns:
      (representation, record entries ``representation``, ``well_posed`` and ``moments``,
      arrays for the figures).
    """
    representation = representability(spec, problem)
    inputs = np.asarray(problem.train[0])
    if problem.input_map is not None:
        inputs = np.asarray(problem.inputs(jnp.asarray(inputs)))
    moments = [
        second_moment(inputs, bias=spec.use_bias),
        covariance(inputs),
        covariance(inputs, standardized=True),
    ]
    pair = None
    if representation.params is not None:
        pair = two_solutions(problem, dataset, representation.params)
    stable, unit, length = _stability(spec, problem, inputs)
    record = {
        "representation": representation.record(),
        "moments": [_moment_record(m) for m in moments],
        "well_posed": {
            "exists": _exists(representation),
            "unique": _unique(spec, moments[0], pair, inputs.shape[1]),
            "continuous": _continuous(stable, unit, length, dataset),
        },
    }
    arrays = {} if pair is None else pair.arrays(dataset)
    if stable is not None:
        arrays |= {
            "posed/eigenvalues": stable.eigenvalues,
            "posed/predicted": stable.predicted,
            "posed/measured": stable.measured,
        }
    return representation, record, arrays


def _exists(found: Representation) -> Answer:
    if found.verdict == "exact":
        return {"answer": "yes", "text": f"An exact solution exists: {found.witness}."}
    lower = found.lower.value or 0.0
    if lower > 0:
        upper = "" if found.upper is None else f"; {found.upper.value:.4g} is reached"
        return {
            "answer": "no",
            "text": f"No parameters bring the loss below {lower:.4g} ({found.how}){upper}.",
        }
    if found.upper is not None:
        text = f"Not known: {found.upper.value:.4g} can be reached, 0 is not excluded."
    else:
        text = "Not known: no exact solution has been written down for this family."
    return {"answer": "unknown", "text": text}


def _unique(spec: IdentitySpec, moment: Moment, pair: TwoSolutions | None, features: int) -> Answer:
    units = spec.width if spec.depth > 1 else features
    assert units is not None
    total = moment.null_dim * units
    record = None if pair is None else pair.record()
    if moment.null_dim == 0:
        answer = "yes" if spec.depth == 1 and spec.output_activation == "linear" else "unknown"
        text = "The inputs span every direction, so they leave no weight of the first layer free."
        return {"answer": answer, "text": text, "null_dim": 0, "two_solutions": None}
    text = (
        f"No: {moment.null_dim} directions of {moment.eigenvalues.size} are invisible in the "
        f"inputs, for each of {units} units of the first layer: {total:,} flat directions before "
        "any unit has died."
    )
    if pair is not None:
        text += (
            f" Two solutions, {pair.distance:.3g} apart in their weights, differ by at most "
            f"{pair.train_difference:.2g} on the training set and by {pair.off_difference:.3g} "
            "(root mean square) off the data."
        )
    return {"answer": "no", "text": text, "null_dim": total, "two_solutions": record}


def _stability(
    spec: IdentitySpec, problem: Problem, inputs: np.ndarray
) -> tuple[Stability | None, float, float]:
    """Stability for the target that varies most, one grey level in training units, and the
    length of the weights that copy one input."""
    raw = np.asarray(problem.train[0])
    busiest = int(np.argmax(raw.std(axis=0, dtype=np.float64)))
    targets = np.asarray(problem.targets(jnp.asarray(raw), None))[:, busiest]
    # One grey level moves this target by the slope of its map.
    spread = float(np.ptp(raw[:, busiest].astype(np.float64)))
    unit = float(np.ptp(targets.astype(np.float64))) / spread if spread else 1.0
    # Weights that copy a feature are 1 where inputs and targets are mapped alike.
    length, width = 1.0, float(np.ptp(inputs[:, busiest].astype(np.float64)))
    if spec.input_scaling not in (None, spec.scaling) and width:
        length = float(np.ptp(targets.astype(np.float64))) / width
    try:
        return stability(inputs, targets, bias=spec.use_bias, unit=unit or 1.0), unit or 1.0, length
    except ValueError:
        return None, unit, length


def _continuous(found: Stability | None, unit: float, length: float, dataset: Dataset) -> Answer:
    if found is None:
        return {"answer": "unknown", "text": "All inputs are 0: there is nothing to perturb."}
    worst = int(np.argmax(found.measured))
    change, sigma = float(found.measured[worst]), float(found.sigma[worst])
    broken = change > length
    step = "one unit" if dataset.image_shape is None else "one grey level"
    text = (
        f"Targets moved by {step} (root mean square) along the smallest mode move one output's "
        "weights by "
        f"{change:.3g} (predicted {float(found.predicted[worst]):.3g}; the singular value is "
        f"{sigma:.3g}); the weights that copy one input have length {length:.3g}. "
    )
    text += (
        "So a small change of the data can change the solution much more: it is not stable."
        if broken
        else "The solution is stable."
    )
    return {
        "answer": "no" if broken else "yes",
        "text": text,
        "largest_change": change,
        "copy_length": length,
        "predicted": float(found.predicted[worst]),
        "smallest_sigma": sigma,
        "unit": unit,
        "modes": int(found.eigenvalues.size),
        "rank": found.rank,
        "method": found.method,
    }


def _moment_record(moment: Moment) -> dict[str, Any]:
    return {
        "name": moment.name,
        "lambda_max": moment.lambda_max._asdict(),
        "lambda_min_nonzero": moment.lambda_min_nonzero._asdict(),
        "kappa": moment.kappa._asdict(),
        "rank": moment.rank,
        "null_dim": moment.null_dim,
        "trace": moment.trace,
        "threshold": moment.threshold,
    }
