"""Can this network represent the target at all? A bound from below, a witness from above.

The target of the identity problem is an affine map A of the network's inputs (the identity
itself where both are scaled alike). A witness is a set of parameters, written down by
`jaxid.expressivity.witness` and then run: hidden layers that keep the inputs, A behind them.

Bounds from below: an output activation with range [lo, hi] misses a target by its distance
to the range; a linear output behind a layer of k < d units stays in a k-dimensional affine
subspace, so the mean square error is at least the tail of the covariance's spectrum beyond
its k largest (Eckart and Young 1936).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import interrupt
from jaxid.core.precision import float64
from jaxid.core.types import Estimate, Params
from jaxid.diagnosis.items import LeastLoss, Part, PartName
from jaxid.expressivity.family import Family, Target
from jaxid.expressivity.impossible import RANGES
from jaxid.expressivity.witness import COPIES, Layers, keep, witness
from jaxid.identity.spec import IdentitySpec
from jaxid.problem.problem import Problem

ROUNDING = 1e-10
"""A witness's loss over the targets' mean square below which it counts as exact: float32
maps round each value by 6e-8, whose square is 4e-15, times the number of summands."""


class Reach(Enum):
    """What is known of the least loss."""

    EXACT = "exact"
    """It is 0, and a witness has it."""
    IMPOSSIBLE = "impossible"
    """It is above 0, and a witness has it."""
    BOUNDED = "bounded"
    """It lies between a bound and a witness."""
    UNKNOWN = "unknown"
    """There is a bound from below only."""


@dataclass(frozen=True)
class Representation(LeastLoss):
    """What the network can reach.

    Attributes:
      verdict: what is known of the least loss.
      upper: the witness's loss, measured; None without one.
      witness: what the witness is, in words; None without one.
    """

    verdict: Reach
    upper: Estimate | None
    witness: str | None


def representability(spec: IdentitySpec, problem: Problem) -> tuple[Representation, Params | None]:
    """(the bound and the witness of a resolved spec on its training set, the witness's
    parameters, float64; None without one)."""
    targets = _targets(problem)
    parts, how = _lower_bound(spec, targets)
    least = sum(part.loss for part in parts)
    lower = Estimate(least, 0.0, True, how)
    params, words = _witness(spec, problem)
    if params is None:
        return Representation(lower, parts, how, Reach.UNKNOWN, None, None), None
    loss = network_loss(problem, params)
    upper = Estimate(loss, 0.0, True, "loss of the witness on the training set, float64")
    scale = float(np.mean(np.square(targets, dtype=np.float64)))
    if loss - least > ROUNDING * max(scale, np.finfo(float).tiny):
        verdict = Reach.BOUNDED
    else:
        verdict = Reach.EXACT if least <= ROUNDING * scale else Reach.IMPOSSIBLE
    return Representation(lower, parts, how, verdict, upper, words), params


def network_loss(problem: Problem, params: Params, chunk: int = 4096) -> float:
    """Mean squared error on the training set in float64."""
    total = 0.0
    for outputs, targets in outputs64(problem, params, np.asarray(problem.train[0]), chunk):
        total += float(np.sum(np.square(outputs - targets)))
    return total / (problem.examples * targets.shape[1])


def outputs64(
    problem: Problem, params: Params, x: np.ndarray, chunk: int = 4096
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(outputs, targets) in training units, float64, chunk by chunk, for stored inputs."""
    apply = jax.jit(problem.net.apply)
    with float64():
        held = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
    for start in range(0, x.shape[0], chunk):
        interrupt.check()
        # Nothing is yielded from inside: two of these at once would leave float64 on.
        with float64():
            rows = jnp.asarray(x[start : start + chunk])
            inputs = problem.inputs(rows).astype(jnp.float64)
            targets = problem.targets(rows, None).astype(jnp.float64)
            pair = np.asarray(apply(held, inputs)), np.asarray(targets)
        yield pair


def _targets(problem: Problem) -> np.ndarray:
    x = jnp.asarray(problem.train[0])
    return np.asarray(problem.targets(x, None))


def _lower_bound(spec: IdentitySpec, targets: np.ndarray) -> tuple[tuple[Part, ...], str]:
    assert spec.width is not None
    d = targets.shape[1]
    if not spec.residual and spec.output_activation in RANGES:
        low, high = RANGES[spec.output_activation]
        outside = np.maximum(low - targets, 0.0) + np.maximum(targets - high, 0.0)
        loss = float(np.mean(np.square(outside, dtype=np.float64)))
        relu = spec.output_activation == "relu"
        name = PartName.NEGATIVE_TARGETS if relu else PartName.TARGETS_OUT_OF_RANGE
        how = f"targets outside the range of {spec.output_activation}: mean square distance to it"
        return (Part(name, loss),), how
    if spec.depth > 1 and spec.width < d and spec.output_activation == "linear":
        values = np.linalg.eigvalsh(np.cov(targets.astype(np.float64), rowvar=False, bias=True))
        loss = float(np.maximum(values[: d - spec.width], 0.0).sum()) / d
        how = f"tail of the covariance beyond rank {spec.width}"
        return (Part(PartName.BOTTLENECK_RANK, loss),), how
    return (), "no bound above 0 is known for this family"


def _witness(spec: IdentitySpec, problem: Problem) -> tuple[Params | None, str | None]:
    """Parameters that reach the bound where such are known, float64."""
    inputs = np.asarray(problem.inputs(jnp.asarray(problem.train[0])), np.float64)
    low, high = inputs.min(axis=0), inputs.max(axis=0)
    d, same = low.size, problem.input_map is problem.target_map
    family = family_of(spec, d)
    if family.residual:
        found = witness(family, Target(np.ones(d), np.zeros(d), low, high)) if same else None
        return (None, None) if found is None else (_params(found.layers, spec), found.words)
    kept = keep(family, low, high, high - low)
    if kept is None or not kept.exact or spec.output_activation not in COPIES:
        return None, None
    matrix, offset = (np.eye(d), np.zeros(d)) if same else _affine(problem, d)
    layers = [*kept.layers, (kept.matrix @ matrix, kept.offset @ matrix + offset)]
    if not spec.use_bias and any(bias.any() for _, bias in layers):
        return None, None
    words = "the identity" if same else "the affine map from inputs to targets"
    words = f"{words}, written down weight by weight"
    return _params(layers, spec), words if spec.depth == 1 else f"{words}: {kept.words}"


def family_of(spec: IdentitySpec, features: int) -> Family:
    """The family that a resolved spec draws from."""
    return Family(
        features,
        spec.depth,
        spec.width,
        spec.activation,
        spec.output_activation,
        spec.use_bias,
        spec.residual,
    )


def _affine(problem: Problem, d: int) -> tuple[np.ndarray, np.ndarray]:
    """(A, b) with target = input A + b, from the maps themselves."""
    probe = jnp.concatenate([jnp.zeros((1, d)), jnp.eye(d)])
    raw = probe if problem.input_map is None else problem.input_map.invert(probe)
    out = raw if problem.target_map is None else problem.target_map.apply(raw)
    values = np.asarray(out, np.float64)
    return values[1:] - values[:1], values[0]


def _params(layers: Layers, spec: IdentitySpec) -> Params:
    """As the problem's network has them."""
    named = [
        {"kernel": kernel, "bias": bias} if spec.use_bias else {"kernel": kernel}
        for kernel, bias in layers
    ]
    return {"layers": dict(enumerate(named))}
