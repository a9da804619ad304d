"""Why a network did not learn the identity: everything that `explain` finds out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from jaxid.core.provenance import Provenance
from jaxid.core.result import Result
from jaxid.core.types import Estimate
from jaxid.diagnosis.dead import CensusCurves, DeadUnits
from jaxid.diagnosis.final import Final, NonFinite, PercentageError
from jaxid.diagnosis.head_curvature import Conditioning
from jaxid.diagnosis.items import Budget, Floors, NoBudget
from jaxid.diagnosis.points import Point
from jaxid.identity.pictures import Images, LossCurves
from jaxid.identity.representation import Representation
from jaxid.identity.spec import IdentitySpec
from jaxid.identity.suspects import Finding, strongest_compound
from jaxid.identity.trial_results import Prescription, TrialResult
from jaxid.identity.trials import TrialMode
from jaxid.identity.well_posed import InputMoment, WellPosed
from jaxid.training.layout import Layout


class DeadAnswer(Enum):
    """What a dead output gives: 0 in training units, which a skip connection or a map that moves
    0 makes another thing."""

    SKIP = "skip"
    ZERO = "zero"
    CONSTANT = "constant"


@dataclass(frozen=True)
class DiagnosedProblem(IdentitySpec):
    """A resolved spec as it was trained.

    Attributes:
      mnist_dir: the folder's name without what it lies in.
      degrees_of_freedom: None for a normal distribution.
      train_examples: how many there are.
      layout_used: how seeds were laid out.
    """

    mnist_dir: str | None = None  # type: ignore[assignment]
    degrees_of_freedom: float | None = None  # type: ignore[assignment]
    train_examples: int = 0
    layout_used: Layout = "sequential"

    def __post_init__(self) -> None:
        """It was checked before it was run."""

    @classmethod
    def of(cls, spec: IdentitySpec, train_examples: int, layout: Layout) -> DiagnosedProblem:
        """From a resolved spec."""
        return cls(**spec.as_json(), train_examples=train_examples, layout_used=layout)

    @property
    def dead_answer(self) -> DeadAnswer:
        """What a dead output gives."""
        if self.residual:
            return DeadAnswer.SKIP
        return DeadAnswer.ZERO if self.scaling in ("raw", "unit") else DeadAnswer.CONSTANT

    @property
    def has_grey_levels(self) -> bool:
        """Whether one unit of the data is a grey level of an image."""
        return self.data != "gaussian"


@dataclass(frozen=True)
class Stage:
    """A stage of the run and its seconds."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Origin(Provenance):
    """Where a diagnosis comes from.

    Attributes:
      layout: how seeds were laid out.
      trials: which remedies were run.
      stages: how long each took.
    """

    layout: Layout
    trials: TrialMode
    stages: tuple[Stage, ...]


@dataclass(frozen=True, repr=False, eq=False)
class Diagnosis(Result):
    """Where the loss comes from, what is proved of each suspect, and what helps.

    Losses are in training units unless it is said otherwise. What an interrupt prevented is None
    or empty.

    Attributes:
      problem: what was trained.
      predicted_seconds: the estimate made before the start.
      provenance: where the numbers come from.
      final: losses at the end.
      non_finite: seeds that blew up.
      mape: what the percentage error is made of; None without a test set or a finite seed.
      dead: units that stopped; None where no seed is finite.
      loss, census, images: what the figures of losses, dead units and images show.
      first_step: how far it moves the outputs, over the size of the targets.
      representation: the least loss possible.
      moments: conditioning of the inputs; [x, 1] first.
      well_posed: Hadamard's three questions.
      budget: the loss taken apart; `budget_reason` says why there is none.
      floors: the budget's levels by seed.
      conditioning: spectra of the last layer.
      points: where dead and live outputs stopped.
      certificate: the worst error of the first finite seed, from both sides.
      prediction: what was predicted before the first step.
      trials: remedies that were run.
      findings: what is proved of each suspect, by rank.
      prescriptions: remedies that help, best first.
      interrupted: where an interrupt came, in words; None where none did.
      epochs_finished: where it came during training, how many were.

    Example:
      >>> import jaxid
      >>> diagnosis = jaxid.Diagnosis.load("runs/explain")
      >>> diagnosis.budget.largest.cause
      <Item.LOCKED: 'locked'>
    """

    STEM: ClassVar[str] = "diagnosis"
    ARRAYS: ClassVar[str] = "arrays"
    SCHEMA: ClassVar[int] = 1

    problem: DiagnosedProblem
    predicted_seconds: float
    provenance: Origin
    final: Final
    non_finite: tuple[NonFinite, ...]
    mape: PercentageError | None
    dead: DeadUnits | None
    loss: LossCurves
    census: CensusCurves | None
    images: Images | None
    first_step: Estimate
    representation: Representation | None
    moments: tuple[InputMoment, ...]
    well_posed: WellPosed | None
    budget: Budget | None
    budget_reason: NoBudget | None
    floors: Floors | None
    conditioning: Conditioning
    points: tuple[Point, ...]
    certificate: dict[str, Any] | None
    prediction: dict[str, Any] | None
    trials: tuple[TrialResult, ...]
    findings: tuple[Finding, ...]
    prescriptions: tuple[Prescription, ...]
    interrupted: str | None
    epochs_finished: int | None

    @property
    def compound(self) -> Finding | None:
        """The strongest compound cause; None if there is none."""
        return strongest_compound(self.findings)
