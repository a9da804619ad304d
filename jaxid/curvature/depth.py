"""How the condition number of a deep network grows out of its layers: the product structure.

In a network of linear layers h_l = W_l^T h_{l-1} + b_l under the squared error over m outputs
the Gauss-Newton block of layer l is a Kronecker product,

  G_l = (2 / m) E[h~_{l-1} h~_{l-1}^T]  (x)  M_l M_l^T,   M_l = W_{l+1} ... W_L,

what the layer is shown times what is made of it, h~ = [h, 1]. Its eigenvalues are all
products of theirs, so its condition number is the product of the two: each layer below
stretches the first factor, each layer above the second. With activations the blocks are no
products any more (Martens and Grosse 2015 take them for such), and nothing here is claimed
for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxid.core.types import Estimate
from jaxid.curvature.exact import Exact, exact_spectrum


class LayerFactors(NamedTuple):
    """One layer's two factors.

    Attributes:
      shown: spectrum of E[h~ h~^T], what the layer is shown.
      made: spectrum of M M^T, what is made of its outputs.
      kappa: of the block, the product of theirs, over eigenvalues above their thresholds.
      lambda_max: of the block.
    """

    shown: Exact
    made: Exact
    kappa: Estimate
    lambda_max: Estimate


def linear_network_factors(
    layers: Sequence[tuple[np.ndarray, np.ndarray | None]], inputs: np.ndarray
) -> list[LayerFactors]:
    """The factors of every layer's Gauss-Newton block.

    Args:
      layers: (kernel (p, q), bias (q,) or None) of each layer, input side first.
      inputs: (n, d).

    Returns:
      One `LayerFactors` a layer, float64.
    """
    kernels = [np.asarray(kernel, np.float64) for kernel, _ in layers]
    outputs = kernels[-1].shape[1]
    after = [np.eye(outputs)]
    for kernel in kernels[:0:-1]:
        after.insert(0, kernel @ after[0])
    h, found = np.asarray(inputs, np.float64), []
    for kernel, (_, bias), m in zip(kernels, layers, after, strict=True):
        seen = h if bias is None else np.concatenate([h, np.ones((h.shape[0], 1))], axis=1)
        shown = exact_spectrum(2.0 / outputs * seen.T @ seen / h.shape[0])
        made = exact_spectrum(m @ m.T)
        found.append(
            LayerFactors(
                shown,
                made,
                _times(shown.kappa, made.kappa),
                _times(shown.lambda_max, made.lambda_max),
            )
        )
        h = h @ kernel if bias is None else h @ kernel + np.asarray(bias, np.float64)[None, :]
    return found


def _times(a: Estimate, b: Estimate) -> Estimate:
    """The product, with its error to first order."""
    if a.value is None or b.value is None or a.error is None or b.error is None:
        return Estimate(None, None, False, a.method if a.value is None else b.method)
    error = abs(a.value) * b.error + abs(b.value) * a.error
    return Estimate(a.value * b.value, error, True, "product of two factors, float64")
