"""What the whole family of a network could do, beside what the one that was trained does.

Filled above this layer, where a family is known: `jaxid.identity.family_verdict`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from jaxid.core.types import Estimate


class FamilyKind(enum.Enum):
    """What a family can do: the target itself; never, the least error being above 0; something
    between two bounds; not known."""

    EXACT = "exact"
    IMPOSSIBLE = "impossible"
    BOUNDED = "bounded"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class LossPart:
    """A named part of a bound from below.

    Attributes:
      name: what it is owed to.
      loss: mean square, training units.
    """

    name: str
    loss: float


@dataclass(frozen=True)
class MeanSquare:
    """The least loss on the training set that any parameters of the family reach, training units.

    Attributes:
      verdict: exact where 0 is reached.
      lower: no parameters have a smaller loss.
      upper: the loss of parameters that were written down; None without any.
      witness: what these are, in words; None without any.
      parts: of ``lower``.
      how: how ``lower`` was obtained, in words.
    """

    verdict: FamilyKind
    lower: Estimate
    upper: Estimate | None
    witness: str | None
    parts: tuple[LossPart, ...]
    how: str


@dataclass(frozen=True)
class WitnessLayer:
    """A dense layer of parameters that were written down, float64.

    Attributes:
      kernel: (inputs, outputs).
      bias: (outputs,).
    """

    kernel: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class FamilyVerdict:
    """The least worst error that any parameters of the family have on the range of the data.

    Attributes:
      kind: None where there is no verdict, and no other entry but ``words`` and ``mean_square``.
      words: the verdict in one sentence, or why there is none.
      box: on which inputs, in which units, in words.
      lower: no parameters have a smaller worst error, training units.
      reason: why, in words.
      upper: the worst error of parameters that were written down; None without any.
      attained: whether the two agree, or are rounding apart.
      witness: what these parameters are, in words; None without any.
      layers: these parameters, input side first; empty without any.
      mean_square: the same question of the loss.
    """

    kind: FamilyKind | None
    words: str
    mean_square: MeanSquare
    box: str | None = None
    lower: float | None = None
    reason: str | None = None
    upper: Estimate | None = None
    attained: bool | None = None
    witness: str | None = None
    layers: tuple[WitnessLayer, ...] = ()
