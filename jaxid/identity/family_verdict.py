"""What the identity family could have represented on the range of its data, whatever was
trained."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxid.certification.family import (
    FamilyKind,
    FamilyVerdict,
    LossPart,
    MeanSquare,
    WitnessLayer,
)
from jaxid.core.precision import float64
from jaxid.expressivity.family import Target
from jaxid.expressivity.verdict import verdict
from jaxid.identity.representation import Representation, family_of, representability
from jaxid.identity.spec import IdentitySpec
from jaxid.problem.problem import Problem


def family_verdict(spec: IdentitySpec, problem: Problem) -> FamilyVerdict:
    """What any parameters of the family could do: the worst error over the range of the data, and
    the loss over the training set (`jaxid.identity.representation`).

    Args:
      spec: resolved.
      problem: built from it.
    """
    least_loss = mean_square(representability(spec, problem)[0])
    target = target_on_range(problem)
    if target is None:
        words = "whitening mixes features, so that the box of inputs is no box behind it"
        return FamilyVerdict(None, words, least_loss)
    found = verdict(family_of(spec, target.low.size), target)
    layers = [] if found.witness is None else found.witness.layers
    return FamilyVerdict(
        kind=FamilyKind(found.kind),
        words=found.words,
        mean_square=least_loss,
        box=f"training units, inputs from {target.low.min():.4g} to {target.high.max():.4g}",
        lower=found.lower.error,
        reason=found.lower.reason,
        upper=found.upper,
        attained=found.attained,
        witness=None if found.witness is None else found.witness.words,
        layers=tuple(WitnessLayer(kernel, bias) for kernel, bias in layers),
    )


def mean_square(found: Representation) -> MeanSquare:
    """The representation as a certificate has it."""
    return MeanSquare(
        verdict=FamilyKind(found.verdict.value),
        lower=found.lower,
        upper=found.upper,
        witness=found.witness,
        parts=tuple(LossPart(part.name.value, part.loss) for part in found.parts),
        how=found.how,
    )


def target_on_range(problem: Problem) -> Target | None:
    """The identity in training units on the range of the data; None where maps mix features, so
    that the box of inputs is no box behind them."""
    x = np.asarray(problem.train[0])
    low, high = np.full(x.shape[1], x.min(), float), np.full(x.shape[1], x.max(), float)
    inputs, targets = (
        _diagonal(mapped, x.shape[1]) for mapped in (problem.input_map, problem.target_map)
    )
    if inputs is None or targets is None:
        return None
    if np.any(inputs[0] == 0):
        # A constant feature becomes 0: there is nothing to represent in it.
        inputs = (np.where(inputs[0] == 0, 1.0, inputs[0]), inputs[1])
        low = np.where(inputs[0] == 0, 0.0, low)
    scale = targets[0] / inputs[0]
    offset = targets[1] - scale * inputs[1]
    ends = np.sort([inputs[0] * low + inputs[1], inputs[0] * high + inputs[1]], axis=0)
    return Target(scale, offset, ends[0], ends[1])


def _diagonal(mapped: Any, d: int) -> tuple[np.ndarray, np.ndarray] | None:
    """(a, b) of a map that is a x + b feature by feature; None if it is not."""
    if mapped is None:
        return np.ones(d), np.zeros(d)
    with float64():
        rows = jnp.concatenate([jnp.zeros((1, d)), jnp.eye(d)])
        values = np.asarray(mapped.apply(rows), np.float64)
    matrix = values[1:] - values[:1]
    off = matrix - np.diag(np.diag(matrix))
    if np.abs(off).max() > 1e-5 * np.abs(matrix).max():
        return None
    return np.diag(matrix).copy(), values[0]
