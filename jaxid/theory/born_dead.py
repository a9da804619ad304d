"""How likely a ReLU network is dead before its first step: hidden signals zero on an input.

Zero biases, independent rows of symmetric weights, hidden layers of w_1, ..., w_k units; then
the output does not depend on the input and no gradient leaves the last layer (Lu et al. 2019).
An example is at a layer whole or dead, and dies there with probability 2^-w.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def one_example(widths: Sequence[int]) -> float:
    """1 - prod (1 - 2^-w) over the hidden ReLU layers: exact, for any symmetric weights."""
    return -math.expm1(sum(_log_alive(width) for width in widths))


def _log_alive(width: int) -> float:
    return math.log1p(-(2.0**-width)) if width > 0 else -math.inf
