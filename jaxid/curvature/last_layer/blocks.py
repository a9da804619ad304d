"""The last layer's Hessian, one block per output unit.

Under mean squared error the units of the last layer share nothing but their features, so
the Hessian with respect to the layer's weights is block diagonal. Unit j has the loss
l_j(w, b) = (1/m) mean_i (phi(h_i w + b) - y_ij)^2, the loss is the sum over j, and with
z_i = h_i w + b, x~_i = [h_i, 1] the block is

  B_j = (2 / (m n)) sum_i s_ij x~_i x~_i^T,   s_ij = phi'(z_i)^2 + (phi(z_i) - y_ij) phi''(z_i),

a weighted Gram matrix. For a ReLU s is the mask z > 0, for a linear output it is 1 and all
units share one block. `unit_hessians` takes the definition at its word by automatic
differentiation; `curvature_weights` is the fast path, tested equal to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import interrupt
from jaxid.core.precision import float64
from jaxid.core.types import Array, LossFn
from jaxid.curvature.last_layer.activation import derivative, value
from jaxid.curvature.last_layer.output_curvature import output_curvature
from jaxid.linalg.gram import reduced_gram
from jaxid.linalg.rows import prepare_rows
from jaxid.nets.activations import PIECEWISE_LINEAR, activation

ROWS = 2048
"""Examples differentiated together: a block's forward mode holds q x 2048 tangents."""


def unit_loss(
    unit: Array, features: Array, target: Array, name: str, outputs: int, use_bias: bool
) -> Array:
    """(1/m) mean_i (phi(h_i w + b) - y_i)^2, the loss of one output unit.

    Args:
      unit: (q,), the kernel's column w followed by b if ``use_bias``.
      features: (n, p).
      target: (n,), that output's targets.
      name: the activation's.
      outputs: m.
      use_bias: whether the last entry of ``unit`` is a bias.
    """
    z = features @ (unit[:-1] if use_bias else unit)
    if use_bias:
        z = z + unit[-1]
    return jnp.mean(jnp.square(activation(name)(z) - target)) / outputs


def unit_hessians(
    features: np.ndarray,
    targets: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    name: str,
    *,
    units: Sequence[int] | None = None,
    chunk: int = 8,
) -> np.ndarray:
    """The blocks by ``vmap(jax.hessian(unit_loss))`` in float64.

    Exact but slow (q Hessian-vector products per block): for checks and small layers.

    Args:
      features: (n, p), any real dtype.
      targets: (n, m).
      kernel: (p, m). bias: (m,) or None.
      name: the output activation's.
      units: which outputs; all if None.
      chunk: outputs differentiated together. Examples are streamed 2048 at a time.

    Returns:
      (k, q, q) float64, parameters in the order [w, b].
    """
    n, m = targets.shape
    chosen = np.arange(m) if units is None else np.asarray(units, int)
    use_bias = bias is not None
    stacked = stack(kernel, bias)

    @jax.jit
    def hessians(stacked: Array, features: Array, targets: Array) -> Array:
        one = jax.hessian(lambda w, h, y: unit_loss(w, h, y, name, m, use_bias))
        return jax.vmap(one, in_axes=(1, None, 1))(stacked, features, targets)

    blocks = np.zeros((chosen.size, stacked.shape[0], stacked.shape[0]))
    with float64():
        for start in range(0, chosen.size, chunk):
            part = chosen[start : start + chunk]
            for first in range(0, n, ROWS):
                interrupt.check()
                rows = slice(first, min(first + ROWS, n))
                share = (rows.stop - rows.start) / n
                blocks[start : start + chunk] += share * np.asarray(
                    hessians(
                        jnp.asarray(stacked[:, part]),
                        jnp.asarray(features[rows], jnp.float64),
                        jnp.asarray(targets[rows][:, part], jnp.float64),
                    )
                )
    return blocks


def curvature_weights(name: str, z: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """s = phi'(z)^2 + (phi(z) - y) phi''(z), float64 or, for a ReLU, its mask z > 0.

    Where phi has a kink its second derivative is taken as 0, as automatic differentiation
    does: the Hessian does not see kinks.

    Args:
      name: the activation's.
      z: pre-activations, float64.
      targets: of the same shape.
    """
    if name == "relu":
        return z > 0
    slope = derivative(name, z)
    if name in PIECEWISE_LINEAR:
        return slope * slope
    return slope * slope + (value(name, z) - targets) * derivative(name, z, 2)


def unit_blocks(
    features: np.ndarray,
    targets: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    name: str,
    *,
    units: Sequence[int] | None = None,
    loss: LossFn | None = None,
) -> np.ndarray:
    """The same blocks by the weighted Gram matrix; arguments as in `unit_hessians`.

    With a ``loss`` (outputs, targets) -> (batch,) they are that loss's diagonal blocks
    (`jaxid.curvature.last_layer.output_curvature`), and targets are as it takes them.
    """
    n, m = features.shape[0], kernel.shape[1]
    chosen = np.arange(m) if units is None else np.asarray(units, int)
    rows = prepare_rows(features, ones=bias is not None)
    if loss is None:
        part = None if bias is None else bias[chosen]
        z = preactivations(features, kernel[:, chosen], part)
        weights = curvature_weights(name, z, np.asarray(targets[:, chosen], np.float64))
        scale = 2.0 / (m * n)
    else:
        z = preactivations(features, kernel, bias)
        weights = output_curvature(loss, name, z, targets).weights[:, chosen]
        scale = 1.0 / n
    full = reduced_gram(rows)
    return np.stack(
        [
            scale * rows.expand(reduced_gram(rows, weights[:, k], full=full).matrix)
            for k in range(chosen.size)
        ]
    )


def stack(kernel: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """(q, m) float64: the kernel with the bias as its last row."""
    weights = np.asarray(kernel, np.float64)
    if bias is None:
        return weights
    return np.concatenate([weights, np.asarray(bias, np.float64)[None, :]])


def preactivations(
    features: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None, chunk: int = 8192
) -> np.ndarray:
    """features @ kernel + bias in float64, (n, m), features converted a chunk at a time."""
    kernel = np.asarray(kernel, np.float64)
    z = np.empty((features.shape[0], kernel.shape[1]))
    for start in range(0, features.shape[0], chunk):
        interrupt.check()
        part = slice(start, start + chunk)
        np.matmul(features[part].astype(np.float64), kernel, out=z[part])
    if bias is not None:
        z += np.asarray(bias, np.float64)[None, :]
    return z
