"""Why a box has no finite bounds."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core.precision import float64
from jaxid.verification.intervals import UNBOUNDED, Interval, propagate
from jaxid.verification.network import CurveStep, Network, Numbers, Structure


class NoBound(enum.Enum):
    """What leaves a network without a bound."""

    FUNCTION = "function"
    LARGE = "large"
    NO_NUMBERS = "no_numbers"


@dataclass(frozen=True)
class Endless:
    """Why there is no finite bound.

    Attributes:
      why: a function that may be infinite or undefined on what reaches it; numbers on the way that
        may be larger than float64 holds; bounds that came out as no numbers.
      low, high: between which that function's argument lies, as bounds have it; None for others.
      line: where that function stands in the user's file; None where it is not known.
    """

    why: NoBound
    low: float | None = None
    high: float | None = None
    line: str | None = None

    @property
    def words(self) -> str:
        """For what holds words: an `Estimate.method`, a report's sentence."""
        if self.why is NoBound.LARGE:
            return "numbers on the way may be larger than float64 holds"
        if self.why is NoBound.NO_NUMBERS:
            return "bounds came out as no numbers"
        where = "" if self.line is None else f" at {self.line}"
        return (
            f"a function{where} may be infinite or undefined where its argument lies between "
            f"{self.low:.6g} and {self.high:.6g}, as bounds have it"
        )


def endless(net: Network, box: Interval) -> Endless | None:
    """Why a box has no finite bounds; None if intervals alone bound everything.

    Names the first function that may be undefined or infinite on what reaches it.
    """
    with float64():
        held = Interval(*(jnp.asarray(end, jnp.float64).ravel() for end in box))
        found = _every(net.structure, net.numbers, held)
    for step, own in zip(net.structure.steps, found[1:], strict=True):
        infinite = ~(np.asarray(own.low) > -UNBOUNDED) | ~(np.asarray(own.high) < UNBOUNDED)
        if not infinite.any():
            continue
        if not isinstance(step, CurveStep):
            return Endless(NoBound.LARGE)
        low, high = (np.asarray(end)[infinite] for end in found[step.parent])
        ends = float(low.min()), float(high.max())
        return Endless(NoBound.FUNCTION, *ends, step.line or None)
    return None


@partial(jax.jit, static_argnums=0)
def _every(structure: Structure, numbers: Numbers, box: Interval) -> list[Interval]:
    return propagate(structure, numbers, box)
