"""What L random linear layers do to the time constants at the start: moments of their kernel.

f = x W_1 ... W_L, weights independent and normal, mean 0, variance v_l. The loss moves on modes
(u, x) as by K = (2/m) sum_l A_l (x) M^(1/2) B_l M^(1/2), the neural tangent kernel, with

  A_l = (W_{l+1} ... W_L)^T (W_{l+1} ... W_L),  B_l = (W_1 ... W_{l-1}) (W_1 ... W_{l-1})^T.

On average each layer adds one copy of the one-layer kernel, times the n v of the others; that of
Glorot at equal widths is 1, hence L copies (Jacot, Gabriel and Hongler 2018 for wide layers; the
mean holds at every width). But A_l and B_l are no identities: a product of k square layers has
E tr S^2 / n near k + 1, so eigenvalues lie further apart with every layer. Second moments are
exact: one more layer, S' = W S W^T with n' rows, has

  E (tr S')^2 = v^2 (n'^2 E (tr S)^2 + 2 n' E tr S^2),
  E tr S'^2   = v^2 (n' E (tr S)^2 + n' (n' + 1) E tr S^2).

For two layers l < k of the sum, the matrices between them appear in both as tr V V^T, V =
W_{l+1} ... W_{k-1}; the two at the ends only once. Uniform weights differ by O(1 / n).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from jaxid.theory.signal import weight_variance


class KernelMoments(NamedTuple):
    """The kernel of L layers over that of one, white data.

    Attributes:
      mean: of its eigenvalues, over networks too: L for Glorot's weights at equal widths.
      quotient_spread: relative standard deviation, from network to network, of the curvature
        in one fixed direction.
      eigenvalue_spread: relative standard deviation of the eigenvalues, of one network and
        from network to network; near 0 the kernel is L copies, near 1 it is no such thing.
    """

    mean: float
    quotient_spread: float
    eigenvalue_spread: float


class AtStart(NamedTuple):
    """Expectations at initialisation.

    Attributes:
      loss: E|f - x|^2 / m.
      slope: squared norm of the gradient by the kernels, minus d loss / dt of the flow.
    """

    loss: float
    slope: float


class _Traces(NamedTuple):
    """E tr S, E (tr S)^2, E tr S^2."""

    trace: float
    squared: float
    of_square: float


def _layer(s: _Traces, rows: int, v: float) -> _Traces:
    return _Traces(
        v * rows * s.trace,
        v**2 * (rows**2 * s.squared + 2 * rows * s.of_square),
        v**2 * (rows * s.squared + rows * (rows + 1) * s.of_square),
    )


def _chains(
    sizes: Sequence[int], variances: list[float], shown: _Traces, made: _Traces
) -> tuple[list[_Traces], list[_Traces]]:
    """For each layer what lies below it, from ``shown``, and above it, from ``made``."""
    below, above = [shown], [made]
    for size, v in zip(sizes[1:-1], variances[:-1], strict=True):
        below.append(_layer(below[-1], size, v))
    for size, v in zip(reversed(sizes[1:-1]), reversed(variances[1:]), strict=True):
        above.insert(0, _layer(above[0], size, v))
    return below, above


def _second(
    sizes: Sequence[int], variances: list[float], shown: _Traces, made: _Traces
) -> tuple[float, float]:
    """(E tr K, E tr K^2) without the factor 2 / m, for one-layer factors of those traces."""
    below, above = _chains(sizes, variances, shown, made)
    first = sum(b.trace * a.trace for b, a in zip(below, above, strict=True))
    second = sum(b.of_square * a.of_square for b, a in zip(below, above, strict=True))
    layers = len(variances)
    for low in range(layers):
        n = sizes[low + 1]
        between = _Traces(n, n**2, n)
        for high in range(low + 1, layers):
            ends = variances[low] * variances[high] * between.squared
            second += 2 * ends * below[low].of_square * above[high].of_square
            between = _layer(between, sizes[high + 1], variances[high])
    return first, second


def kernel_moments(sizes: Sequence[int], init: str = "glorot_normal") -> KernelMoments:
    """Moments of the kernel of a linear network, exact for normal weights.

    Args:
      sizes: (d, n_1, ..., n_L).
      init: name of the kernels' initialiser; orthogonal is none of these.

    Raises:
      InputError: for an initialiser that is not random.

    Example:
      >>> kernel_moments((64, 64, 64)).mean
      2.0
    """
    variances = [weight_variance(init, a, b) for a, b in pairwise(sizes)]
    d, m = sizes[0], sizes[-1]
    ray = _Traces(1.0, 1.0, 1.0)
    mean, squares = _second(sizes, variances, ray, ray)
    total, traces = _second(sizes, variances, _Traces(d, d**2, d), _Traces(m, m**2, m))
    return KernelMoments(
        mean,
        max(squares / mean**2 - 1, 0.0) ** 0.5,
        max(traces * d * m / total**2 - 1, 0.0) ** 0.5,
    )


def at_start(sizes: Sequence[int], spectrum: np.ndarray, init: str = "glorot_normal") -> AtStart:
    """Loss on the identity target and its slope, on average over the weights, before any step.

    E|gradient|^2 = (4 / m^2) sum_l [tr M^2 prod_{k<l} v_k n_k prod_{k>l} v_k n_{k-1}
    + v_l E tr T_l^2 E tr S_l^2], S_l the moment that layer l is shown, T_l what is made of it.

    Args:
      sizes: (d, n_1, ..., n_L), n_L = d.
      spectrum: eigenvalues of M = E[x x^T], (d,).
      init: name of the kernels' initialiser; exact for normal weights.

    Raises:
      InputError: for an initialiser that is not random.
    """
    variances = [weight_variance(init, a, b) for a, b in pairwise(sizes)]
    m = sizes[-1]
    trace, square = float(np.sum(spectrum)), float(np.sum(np.square(spectrum)))
    below, above = _chains(sizes, variances, _Traces(trace, trace**2, square), _Traces(m, m**2, m))
    slope = 0.0
    for v, b, a in zip(variances, below, above, strict=True):
        # tr S and tr T over what they start from are the products of the others' n v.
        slope += square * b.trace / trace * a.trace / m + v * a.of_square * b.of_square
    outputs = _layer(below[-1], m, variances[-1]).trace
    return AtStart((outputs + trace) / m, 4 / m**2 * slope)
