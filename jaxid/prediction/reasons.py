"""Why a prediction is claimed as far as it is, or why there is none: what decides, with numbers.

Their sentences are in `jaxid.prediction.words`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Reason(enum.Enum):
    """Why the claimed range ends where it does, or why there is no curve."""

    # No curve.
    LOSS = "loss"
    OPTIMIZER = "optimizer"
    MINUTES = "minutes"
    # Mode by mode.
    DIVERGES = "diverges"
    LIMIT_UNKNOWN = "limit_unknown"
    FAR_OUT = "far_out"
    CORRELATED = "correlated"
    STABLE = "stable"
    CLOSURE = "closure"
    # Moments.
    TAILS = "tails"
    HEAVY_TAILS = "heavy_tails"
    NOT_FINITE = "not_finite"
    NEAR_REST = "near_rest"
    # The linearised network.
    COUPLED = "coupled"
    LINEAR = "linear"
    NOISE = "noise"
    PRODUCTS = "products"
    ROUNDING = "rounding"
    LEAVES = "leaves"


@dataclass(frozen=True)
class Why:
    """A reason with what it depends on; what it doesn't depend on is None.

    Attributes:
      reason: which.
      epochs: where the range ends (CLOSURE, NOISE, PRODUCTS, ROUNDING, LEAVES), or from where on
        the loss is near its resting place (NEAR_REST).
      share: the settled rate over the largest stable one of plain SGD (STABLE); what taking modes
        as uncorrelated changes the loss by, relative, at ``epochs`` (CLOSURE); what the network's
        own outputs miss over the residual (LINEAR).
      next_share: the same an epoch later, where that is too much (CLOSURE).
      momentum: whether the chain has any (STABLE).
      kurtosis: the inputs', weighted by variance (TAILS, HEAVY_TAILS).
      loss: the resting loss (NEAR_REST).
      features: of the inputs (MINUTES).
      named: the loss's name, None for one of the user's own (LOSS); what is known of the optimizer
        (OPTIMIZER), or of what makes examples depend on one another (COUPLED), in words.
    """

    reason: Reason
    epochs: float | None = None
    share: float | None = None
    next_share: float | None = None
    momentum: bool | None = None
    kurtosis: float | None = None
    loss: float | None = None
    features: int | None = None
    named: str | None = None
