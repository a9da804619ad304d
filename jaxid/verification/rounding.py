"""Floating-point arithmetic that errs on the safe side.

A certificate is about the function in real arithmetic with the stored parameters, computed
in float64. A sum of n products, in any order, with or without fused operations, is within
gamma_n sum |a_i b_i| of the true one, gamma_n = n u / (1 - n u), u = 2^-53 (Higham 2002,
section 3.1); what is said to bound it is widened by that, and a little for its own rounding.
"""

from __future__ import annotations

from jaxid.core.types import Array

UNIT = 2.0**-53
"""u, the unit roundoff of float64."""
TINY = 1e-290
"""Added wherever products may underflow."""


def gamma(n: int) -> float:
    """gamma_(n + 8): n products, and a few roundings before and after them.

    Raises:
      ValueError: for so many that the bound says nothing.
    """
    k = (n + 8) * UNIT
    if k >= 0.5:
        raise ValueError(f"a sum of {n} products has no useful error bound")
    return k / (1 - k)


def up(value: Array) -> Array:
    """A little more than a sum of terms of one sign that is computed with few roundings."""
    return value * (1 + 1e-9) + TINY
