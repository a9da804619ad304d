"""The exact worst error of one ReLU layer against an affine target, on a box.

e(x) = max(0, w x + b) - (t x + c) is the larger of two linear functions, so its largest value
on a box is the larger of theirs. Its least is a linear program with one constraint, whose dual
has one variable: the largest over theta in [0, 1] of the least of
theta (w x + b) - (t x + c) on the box, concave and piecewise linear in theta, with a corner
where theta w_i = t_i. Every theta gives a lower bound, so rounding theta breaks nothing
(Boyd and Vandenberghe 2004, section 5.2: the dual of a linear program is tight).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxid.verification.rounding import gamma


class WorstError(NamedTuple):
    """For each output.

    Attributes:
      low, high: (m,), e lies between; attained but for ``rounding``.
      at_low, at_high: (m, d), inputs that attain them.
      rounding: (m,), bound on what rounding may have changed in either.
    """

    low: np.ndarray
    high: np.ndarray
    at_low: np.ndarray
    at_high: np.ndarray
    rounding: np.ndarray


def relu_layer(
    kernel: np.ndarray,
    bias: np.ndarray,
    target: np.ndarray,
    offset: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> WorstError:
    """The range of relu(x W + b) - (x T + c) on low <= x <= high, output by output.

    Args:
      kernel, target: W and T, (d, m) float64.
      bias, offset: b and c, (m,).
      low, high: (d,).
    """
    parts = [
        _one(kernel[:, j], bias[j], target[:, j], offset[j], low, high)
        for j in range(kernel.shape[1])
    ]
    least, most, at_least, at_most = (np.array(part) for part in zip(*parts, strict=True))
    size = np.maximum(np.abs(low), np.abs(high))
    sums = size @ (np.abs(kernel) + np.abs(target)) + np.abs(bias) + np.abs(offset)
    return WorstError(least, most, at_least, at_most, 4 * gamma(2 * low.size) * sums)


def _one(
    w: np.ndarray, b: float, t: np.ndarray, c: float, low: np.ndarray, high: np.ndarray
) -> tuple[float, float, np.ndarray, np.ndarray]:
    """(least, largest, where, where) of one output."""
    tops = [(_most(w - t, low, high), b - c, w - t), (_most(-t, low, high), -c, -t)]
    high_value, shift, slope = max(tops, key=lambda top: top[0] + top[1])
    at_high = np.where(slope > 0, high, low)
    with np.errstate(divide="ignore", invalid="ignore"):
        corners = np.where(w != 0, t / w, 0.0)
    corners = np.unique(np.concatenate([[0.0, 1.0], corners[(corners > 0) & (corners < 1)]]))
    # The sum over i of min over x_i of (theta w_i - t_i) x_i, for all corners at once.
    slopes = corners[:, None] * w[None, :] - t[None, :]
    values = np.where(slopes > 0, slopes * low, slopes * high).sum(axis=1) + corners * b - c
    best = int(np.argmax(values))
    at_low = _least_point(w, b, t, corners[best], low, high)
    return float(values[best]), float(high_value + shift), at_low, at_high


def _most(slope: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    return float(np.where(slope > 0, slope * high, slope * low).sum())


def _least_point(
    w: np.ndarray, b: float, t: np.ndarray, theta: float, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """A minimiser: those inputs that theta leaves undecided are moved to w x + b = 0."""
    slope = theta * w - t
    free = np.isclose(slope, 0.0, rtol=0, atol=1e-12 * (np.abs(t) + theta * np.abs(w)))
    x = np.where(slope > 0, low, high)
    if theta <= 0 or theta >= 1 or not free.any():
        return x
    ends = np.where(free, np.where(w > 0, low, high), x)
    others = np.where(free, np.where(w > 0, high, low), x)
    at_ends, at_others = ends @ w + b, others @ w + b
    if at_others == at_ends:
        return x
    share = np.clip(-at_ends / (at_others - at_ends), 0.0, 1.0)
    return ends + share * (others - ends)
