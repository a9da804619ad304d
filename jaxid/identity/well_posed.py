"""Is the problem well posed in Hadamard's sense: does a solution exist, is it one, is it stable?

Existence comes from `representation`, uniqueness from the null directions and two solutions
shown side by side, stability from targets perturbed by one grey level along the singular
vectors of the inputs (`jaxid.curvature.ill_posed`). Source: Hadamard 1902; Engl, Hanke,
Neubauer 1996, section 2.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxid.core.types import Estimate
from jaxid.curvature.conditioning import Moment, covariance, second_moment
from jaxid.curvature.ill_posed import Stability, stability
from jaxid.data.sources import Dataset
from jaxid.identity.representation import Reach, Representation, representability
from jaxid.identity.solutions import TwoSolutions, two_solutions
from jaxid.identity.spec import IdentitySpec
from jaxid.problem.problem import Problem


class Answer(Enum):
    """To one of Hadamard's questions."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class InputMoment:
    """The spectrum of one second-moment matrix of the inputs, as in
    `jaxid.curvature.conditioning.Moment`.

    Attributes:
      name: which matrix.
      lambda_max, lambda_min_nonzero, kappa: the extremes above the threshold, their ratio.
      rank, null_dim: eigenvalues above the threshold, and all others.
      trace: the sum of all.
      threshold: below which one counts as 0.
    """

    name: str
    lambda_max: Estimate
    lambda_min_nonzero: Estimate
    kappa: Estimate
    rank: int
    null_dim: int
    trace: float
    threshold: float


@dataclass(frozen=True)
class Existence:
    """Does a solution exist? `Representation` says why."""

    answer: Answer


@dataclass(frozen=True)
class Uniqueness:
    """Is it the only one?

    Attributes:
      answer: to that.
      null_dim: flat directions of the first layer's weights before any unit has died, those of
        each unit times the units.
      directions, order: flat ones of one unit's weights, and all of them.
      units: of the first layer.
      two_solutions: two that differ; None where no witness is known or none is flat.
    """

    answer: Answer
    null_dim: int
    directions: int
    order: int
    units: int
    two_solutions: TwoSolutions | None


@dataclass(frozen=True)
class StabilityCurve:
    """Modes of the inputs along which one output's targets were moved.

    Attributes:
      eigenvalues: (k,) of the inputs' second moment, falling.
      predicted, measured: (k,) change of the weights (norm).
    """

    eigenvalues: np.ndarray
    predicted: np.ndarray
    measured: np.ndarray


@dataclass(frozen=True)
class Continuity:
    """Does it depend stably on the data? None of the numbers is known of inputs that are all 0.

    Attributes:
      answer: no, where the largest change exceeds the length of weights that copy one input.
      largest_change, predicted: of one output's weights (norm), measured and predicted, when its
        targets move by one unit (root mean square) along the mode that moves them most.
      copy_length: of the weights that copy one input.
      smallest_sigma: singular value of the data matrix along that mode.
      unit: one grey level, or one unit of made data, in training units.
      modes, rank: that were tried, and all that there are.
      method: how the systems were solved.
      curve: change by mode.
    """

    answer: Answer
    largest_change: float | None = None
    copy_length: float | None = None
    predicted: float | None = None
    smallest_sigma: float | None = None
    unit: float | None = None
    modes: int | None = None
    rank: int | None = None
    method: str | None = None
    curve: StabilityCurve | None = None


@dataclass(frozen=True)
class WellPosed:
    """Hadamard's three questions."""

    exists: Existence
    unique: Uniqueness
    continuous: Continuity


class Posedness(NamedTuple):
    """What `well_posedness` gives.

    Attributes:
      representation: the least loss.
      moments: of [x, 1], the covariance, and the standardized covariance.
      well_posed: the three answers.
    """

    representation: Representation
    moments: tuple[InputMoment, ...]
    well_posed: WellPosed


def well_posedness(spec: IdentitySpec, problem: Problem, dataset: Dataset) -> Posedness:
    """Hadamard's three questions for a resolved spec."""
    representation, witness = representability(spec, problem)
    inputs = np.asarray(problem.train[0])
    if problem.input_map is not None:
        inputs = np.asarray(problem.inputs(jnp.asarray(inputs)))
    moments = [
        second_moment(inputs, bias=spec.use_bias),
        covariance(inputs),
        covariance(inputs, standardized=True),
    ]
    pair = None if witness is None else two_solutions(problem, dataset, witness)
    return Posedness(
        representation,
        tuple(_input_moment(moment) for moment in moments),
        WellPosed(
            Existence(_exists(representation)),
            _unique(spec, moments[0], pair, inputs.shape[1]),
            _continuous(*_stability(spec, problem, inputs)),
        ),
    )


def _exists(found: Representation) -> Answer:
    if found.verdict is Reach.EXACT:
        return Answer.YES
    return Answer.NO if (found.lower.value or 0.0) > 0 else Answer.UNKNOWN


def _unique(
    spec: IdentitySpec, moment: Moment, pair: TwoSolutions | None, features: int
) -> Uniqueness:
    units = spec.width if spec.depth > 1 else features
    assert units is not None
    flat, order = int(moment.null_dim), int(moment.eigenvalues.size)
    if flat:
        return Uniqueness(Answer.NO, flat * units, flat, order, units, pair)
    linear = spec.depth == 1 and spec.output_activation == "linear"
    return Uniqueness(Answer.YES if linear else Answer.UNKNOWN, 0, 0, order, units, None)


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


def _continuous(found: Stability | None, unit: float, length: float) -> Continuity:
    if found is None:
        return Continuity(Answer.UNKNOWN)
    worst = int(np.argmax(found.measured))
    change = float(found.measured[worst])
    return Continuity(
        answer=Answer.NO if change > length else Answer.YES,
        largest_change=change,
        copy_length=length,
        predicted=float(found.predicted[worst]),
        smallest_sigma=float(found.sigma[worst]),
        unit=unit,
        modes=int(found.eigenvalues.size),
        rank=int(found.rank),
        method=found.method,
        curve=StabilityCurve(found.eigenvalues, found.predicted, found.measured),
    )


def _input_moment(moment: Moment) -> InputMoment:
    return InputMoment(
        moment.name,
        moment.lambda_max,
        moment.lambda_min_nonzero,
        moment.kappa,
        int(moment.rank),
        int(moment.null_dim),
        float(moment.trace),
        float(moment.threshold),
    )
