"""Can a family represent an affine target on a box? Exactly, never, or how nearly.

A bound that no parameters undercut, from `jaxid.expressivity.impossible`; parameters written
down, from `jaxid.expressivity.witness`, whose worst error on the box is certified. Where both
agree the least worst error of the family is known.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core.types import Estimate
from jaxid.expressivity.family import Family, Target
from jaxid.expressivity.impossible import Impossible, least_error
from jaxid.expressivity.witness import Witness, witness
from jaxid.verification.attack import worst_found
from jaxid.verification.bounds import output_bounds
from jaxid.verification.intervals import Interval
from jaxid.verification.network import Network, network

Kind: TypeAlias = Literal["exact", "impossible", "bounded", "unknown"]
ROUNDING = 1e-9
"""A witness's error over the largest target below which it counts as rounding: its weights are
stored in float64."""


class Verdict(NamedTuple):
    """What a family can do on a box.

    Attributes:
      kind: exact; impossible (the least worst error is above 0); bounded (it lies between
        ``lower`` and ``upper``); unknown (no witness).
      lower: no parameters have a smaller worst error; why, and the input that shows it.
      upper: the witness's worst error; None without one.
      witness: its parameters and words; None without one.
      attained: where the bounds agree or are rounding apart.
      words: one sentence.
    """

    kind: Kind
    lower: Impossible
    upper: Estimate | None
    witness: Witness | None
    attained: bool
    words: str


def verdict(family: Family, target: Target, *, method: Any = "crown") -> Verdict:
    """The verdict on a family, a target and a box.

    Args:
      family, target: which networks, what, where.
      method: of the bound on the witness's error (`jaxid.verification.bounds`).
    """
    lower = least_error(family, target)
    found = witness(family, target)
    if found is None:
        kind: Kind = "impossible" if lower.error > 0 else "unknown"
        return Verdict(kind, lower, None, None, False, _words(kind, lower, None, None, False))
    upper = _error(family, target, found, method)
    assert upper.value is not None
    size = max(1e-300, float(np.abs(target.range).max()))
    attained = upper.value - lower.error <= ROUNDING * size
    kind = "bounded"
    if lower.error > 0:
        kind = "impossible"
    elif found.exact and attained:
        kind = "exact"
    words = _words(kind, lower, upper, found, attained)
    return Verdict(kind, lower, upper, found, attained, words)


def error_network(family: Family, target: Target, found: Witness) -> Network:
    """The witness less the target, as bounds take it."""
    apply = family.apply(found.layers)

    def error(x: Any) -> Any:
        if target.matrix is not None:
            return apply(x) - (x @ jnp.asarray(target.matrix) + target.offset[None, :])
        return apply(x) - (x * jnp.asarray(target.scale)[None, :] + target.offset[None, :])

    return network(error, (family.features,))


def _error(family: Family, target: Target, found: Witness, method: Any) -> Estimate:
    """The witness's worst error: certified, or, of pairs, known by their identity."""
    net = error_network(family, target, found)
    box = Interval(target.low, target.high)
    if found.words.startswith("g(x) - g(-x)") and found.exact:
        attack = worst_found(net, box, jax.random.key(0), restarts=2)
        how = "g(z) - g(-z) = z in real arithmetic; the error is the largest found, of rounding"
        return Estimate(0.0, attack.error, True, how)
    bounds = output_bounds(net, box, method).output
    worst = float(np.maximum(np.abs(bounds.low), np.abs(bounds.high)).max())
    return Estimate(worst, 0.0, True, f"certified on the whole box by {method}")


def _words(
    kind: Kind,
    lower: Impossible,
    upper: Estimate | None,
    found: Witness | None,
    attained: bool,
) -> str:
    if kind == "unknown":
        return "unknown: no bound above 0 and no parameters that do it are known"
    if kind == "exact":
        assert found is not None
        return f"exact: {found.words}"
    if upper is None or upper.value is None:
        return f"impossible: the worst error is at least {lower.error:g}; {lower.reason}"
    if kind == "impossible" and attained:
        return f"impossible: the least worst error is {lower.error:g}; {lower.reason}"
    if kind == "impossible":
        return (
            f"impossible: the least worst error is between {lower.error:g} and "
            f"{upper.value:.3g}; {lower.reason}"
        )
    assert found is not None
    return f"within {upper.value:.3g}: {found.words}"
