"""How many epochs a loss needs, mode by mode, before a step is taken.

Without batch noise mode i keeps the share rho_i^(2 t) of its excess h_i s_i / 2 after t steps,
rho_i the factor of its error a step: |1 - rate h_i| for gradient descent.
"""

from __future__ import annotations

import numpy as np

FAR = 1e15
"""Steps beyond which it is never."""


def steps_to_reach(excess: np.ndarray, factors: np.ndarray, wanted: float) -> float:
    """Least t >= 0 with sum_i excess_i factors_i^(2 t) <= wanted; infinity beyond `FAR`.

    Args:
      excess: (p,), h s / 2 at the start.
      factors: (p,), |factor| of the error a step; those of 1 and more never fall.
      wanted: the loss above the floor.
    """

    def left(steps: float) -> float:
        with np.errstate(over="ignore"):
            return float((excess * np.power(factors, 2.0 * steps)).sum())

    if left(0.0) <= wanted:
        return 0.0
    if not left(FAR) <= wanted:
        return float("inf")
    low, high = 0.0, 1.0
    while left(high) > wanted:
        low, high = high, 2 * high
    while high - low > 1e-6 * high:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if left(middle) > wanted else (low, middle)
    return high


def steps_of_modes(factors: np.ndarray, share: float = 0.01) -> np.ndarray:
    """Steps until each mode keeps that share of its excess; infinity for factors of 1 and more."""
    with np.errstate(divide="ignore"):
        steps = np.log(share) / (2 * np.log(np.maximum(factors, 1e-300)))
    return np.where(factors < 1, steps, np.inf)
