"""What `jaxid.certify` gives: for each region a bound from above and an input from below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from jaxid.certification.family import FamilyVerdict
from jaxid.certification.regions import RegionKind
from jaxid.core.provenance import Provenance
from jaxid.core.result import Result
from jaxid.core.types import Estimate, Settings
from jaxid.training.loop import Stage
from jaxid.verification.certificate import ByMethod, Method
from jaxid.verification.endless import Endless


@dataclass(frozen=True)
class Ends:
    """The least and the largest over the features, original units."""

    least: float
    largest: float


@dataclass(frozen=True)
class Compared:
    """What comparing the bounds with the network itself at many inputs showed.

    Attributes:
      points: how many inputs.
      largest: the largest |e| at one, original units.
      apart: the largest difference between the program as it runs and real arithmetic.
      overflown: inputs at which the program as it runs gives no finite number though float64 does.
      undefined: inputs at which float64 gives none either; they were not compared.
    """

    points: int
    largest: float
    apart: float
    overflown: int
    undefined: int


@dataclass(frozen=True)
class RegionCertificate:
    """The worst |e_j(x)| over a box of inputs, from both sides, original units throughout.

    Attributes:
      region: its name, unlike any other's.
      kind: what the box is.
      words: the box for a reader.
      half_width: the largest, over the features.
      share: of the data's half width, for the interval curve; None for others.
      low, high: ends of the box.
      lower: attained by ``x``.
      upper: no input of the box has a larger one; without a value where there is no bound.
      endless: why there is none; None where there is one.
      ratio: upper over lower; None where there is no bound, or lower is 0.
      method: what the bound rests on; None where there is none.
      by_method: what each method gives.
      looser: share of all sides on which the dearest method alone was looser than a cheaper one;
        None where only one was used.
      output: j, the component that is furthest off at ``x``.
      points: inputs that the attack moved.
      check: the bounds beside the network itself; None where that was left out.
      x: (inputs,), the worst input that was found, float64.
      outputs: (m,), what the network gives there; None where that was not asked for.
      box_low, box_high: (inputs,).
      error_low, error_high: (m,), bounds on each e_j; infinite where there are none.
    """

    region: str
    kind: RegionKind
    words: str
    half_width: float
    share: float | None
    low: Ends
    high: Ends
    lower: Estimate
    upper: Estimate
    endless: Endless | None
    ratio: float | None
    method: Method | None
    by_method: ByMethod
    looser: float | None
    output: int
    points: int
    check: Compared | None
    x: np.ndarray
    outputs: np.ndarray | None
    box_low: np.ndarray
    box_high: np.ndarray
    error_low: np.ndarray
    error_high: np.ndarray


@dataclass(frozen=True)
class Parameter:
    """An array of the network's parameters.

    Attributes:
      name: its path in their tree.
      values: the array.
    """

    name: str
    values: np.ndarray


@dataclass(frozen=True)
class Images:
    """How inputs are shown that are images.

    Attributes:
      shape: (2,), height and width.
      maximum: (), the largest value of the training set.
    """

    shape: np.ndarray
    maximum: np.ndarray


@dataclass(frozen=True, repr=False)
class Certification(Result):
    """How far off a network can be, and on which inputs.

    Attributes:
      problem: how it was named; empty for a Problem that came as it is.
      target: what the network should give, as its function is called.
      stage: where in training the parameters were taken.
      seed: of the attacks' random starts.
      family: what any parameters could do; None where the family is not known.
      regions: those that were finished.
      rounding: what the bounds hold for, and how rounding is covered, in words.
      network: the parameters of the network that was certified.
      images: None where inputs are no images.
      interrupted: the region at which an interrupt came, in words; None if none came.
      provenance: when and by what it was computed, of which seeds.
    """

    STEM: ClassVar[str] = "certificate"
    SCHEMA: ClassVar[int] = 1

    problem: Settings
    target: str
    stage: Stage
    seed: int
    family: FamilyVerdict | None
    regions: tuple[RegionCertificate, ...]
    rounding: str
    network: tuple[Parameter, ...]
    images: Images | None
    interrupted: str | None
    provenance: Provenance
