"""How far off every network of a family must be: worst errors that no parameters undercut.

Range. Outputs of an activation with values in [a, b] miss a target outside of it by its
distance, at the corner of the box where the target is furthest out.

Bottleneck. A hidden layer of k < d units, whatever stands before and behind it, gives equal
outputs to some pair of opposite points on the boundary of any (k + 1)-dimensional box about the
centre (Borsuk and Ulam: a continuous map from the k-sphere to R^k does). Their targets are
apart by twice the least half width of that box at least, so one of them is missed by that half
width: the (k + 1)-th largest of the target's. A rank argument says as much for linear outputs
(the widths of Tikhomirov 1960); this one for all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxid.expressivity.family import Family, Target

RANGES: dict[str, tuple[float, float]] = {
    "relu": (0.0, np.inf),
    "sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softplus": (0.0, np.inf),
    # Least values, at -0.7518 and -1.2785, rounded down so that they bound.
    "gelu": (-0.169972, np.inf),
    "silu": (-0.278465, np.inf),
}
"""Closures of the activations' ranges; what is not here reaches every number."""


class Impossible(NamedTuple):
    """A lower bound on the worst error.

    Attributes:
      error: no parameters have a smaller one.
      reason: in words.
      output: where it shows; None if that depends on the parameters.
      x: an input that shows it for every network, (d,); None likewise.
    """

    error: float
    reason: str
    output: int | None = None
    x: np.ndarray | None = None


def least_error(family: Family, target: Target) -> Impossible:
    """The largest lower bound known; 0 with a reason where there is none."""
    bounds = [_range(family, target), _bottleneck(family, target)]
    return max(bounds, key=lambda bound: bound.error)


def _range(family: Family, target: Target) -> Impossible:
    nothing = Impossible(0.0, "no bound above 0 is known for this family on this box")
    skip = family.residual and (family.depth == 1 or family.hidden == family.features)
    if skip or family.output_activation not in RANGES:
        return nothing
    low, high = RANGES[family.output_activation]
    least, most = target.range
    under, over = np.maximum(low - least, 0.0), np.maximum(most - high, 0.0)
    missed = np.maximum(under, over)
    output = int(np.argmax(missed))
    if missed[output] == 0:
        return nothing
    wanted_low = under[output] >= over[output]
    if target.matrix is None:
        rising = target.scale[output] >= 0
        x = np.clip(0.0, target.low, target.high)
        x[output] = target.low[output] if wanted_low == rising else target.high[output]
    else:
        x = np.where((target.matrix[:, output] > 0) == wanted_low, target.low, target.high)
    name = family.output_activation
    beyond = f"below {low:g}, the least" if wanted_low else f"above {high:g}, the largest"
    value = (least if wanted_low else most)[output]
    reason = f"the target reaches {value:g}, {beyond} that {name} gives"
    return Impossible(float(missed[output]), reason, output, x)


def _bottleneck(family: Family, target: Target) -> Impossible:
    if family.depth == 1 or family.hidden >= family.features:
        return Impossible(0.0, "no bottleneck")
    if target.matrix is not None:
        return _narrow(family, target, target.matrix)
    least, most = target.range
    half = np.sort(0.5 * (most - least))[::-1]
    reason = (
        f"{family.hidden} hidden units for {family.features} directions: two opposite points of "
        f"a box of {family.hidden + 1} of them get one output"
    )
    return Impossible(float(half[family.hidden]), reason)


def _narrow(family: Family, target: Target, matrix: np.ndarray) -> Impossible:
    """The same for any matrix: half the distance of the two targets is |(x - c) A|, in one output
    at least its length over root m; the length is at least the least singular value of A's rows
    for those k + 1 directions times their least half width."""
    half = 0.5 * (target.high - target.low)
    chosen = np.argsort(half)[::-1][: family.hidden + 1]
    rows, m = matrix[chosen], matrix.shape[1]
    if m < len(chosen):
        return Impossible(0.0, "no bottleneck: fewer outputs than hidden units")
    least = float(np.linalg.svd(rows, compute_uv=False)[-1])
    error = least * float(half[chosen].min()) / m**0.5
    reason = (
        f"{family.hidden} hidden units for {family.features} directions: two opposite points of "
        f"a box of {len(chosen)} of them get one output, and the target tells them apart"
    )
    return Impossible(error, reason)
