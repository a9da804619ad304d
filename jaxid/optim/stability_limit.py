"""How large rate times curvature may be before an optimizer diverges, from its own update.

On a quadratic with curvature h, second moments frozen, an elementwise chain is a linear map
of (parameter, momentum): its Jacobian is A + h B, and it is stable while no eigenvalue lies
outside the unit circle. A and B are read off `optimizer.update`, so the limit holds for any
chain of that kind and not for a list of names:

  gradient descent 2;  heavy ball 2 (1 + b);  Nesterov 2 (1 + b) / (1 + 2 b);
  Adam (2 + 2 b1) / (1 - b1)                       (Cohen et al. 2022, section 2)

times lambda for the rate eta as it is written down. Here the rate is the one that
`jaxid.optim.rates.effective_rates` solves for, the steady answer to a constant gradient: for
heavy ball eta / (1 - b), so its limit is 2 (1 + b) / (1 - b).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optax

from jaxid.core.types import Estimate, Params
from jaxid.optim.rates import held_maps, looked_through, representative

LOW, HIGH = 1e-3, 1e5
"""Range of rate times curvature that is looked through."""
GRID = 4000
OUTSIDE = 1e-9
"""An eigenvalue is outside the unit circle beyond this."""


def stability_limit(
    optimizer: optax.GradientTransformation, opt_state: Any, params: Params
) -> Estimate:
    """The least rate times curvature at which the chain diverges on a quadratic, P frozen.

    Args:
      optimizer: any Optax chain.
      opt_state: its state; schedules are read at its step count, which stands still.
      params: the tree that it optimizes; only its structure matters.

    Returns:
      Estimate without unit: the limit for R^(1/2) H R^(1/2), R the effective rates; the
      least over the leaves where a chain treats them differently. No value for chains that
      are not elementwise, whose rate is 0, or that are stable throughout.
    """
    how = "eigenvalues of the chain's own update on a quadratic, accumulators standing still"
    found, why = looked_through(optimizer, params, opt_state)
    if found is None:
        return Estimate(None, None, False, why)
    maps = held_maps(found, opt_state)
    if maps is None:
        why = "the optimizer moves parameters by others' gradients"
        return Estimate(None, None, False, why)
    each = [one for leaf in maps for one in representative(leaf)]
    if not each or not all(np.isfinite(part).all() for one in each for part in one):
        return Estimate(None, None, False, "the optimizer's rate is 0 or not finite")
    return least_limit(each, how)


def least_limit(maps: Sequence[tuple[np.ndarray, np.ndarray]], how: str) -> Estimate:
    """The least mu at which one of z' = (A + mu B e_1^T) z leaves the unit circle.

    Args:
      maps: (A, B), (k, k) and (k,), B over the effective rate.
      how: they were found, for the Estimate.
    """

    def outside(mu: float) -> bool:
        return any(_radius(still, slope, mu) > 1 + OUTSIDE for still, slope in maps)

    grid = np.geomspace(LOW, HIGH, GRID)
    first = next((k for k, mu in enumerate(grid) if outside(float(mu))), None)
    if first is None:
        return Estimate(None, None, False, f"stable up to {HIGH:g}")
    low, high = (0.0 if first == 0 else float(grid[first - 1])), float(grid[first])
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if outside(middle) else (middle, high)
    return Estimate(low, high - low, True, how)


def _radius(still: np.ndarray, slope: np.ndarray, mu: float) -> float:
    moved = still.copy()
    moved[:, 0] += mu * slope
    return float(np.abs(np.linalg.eigvals(moved)).max())
