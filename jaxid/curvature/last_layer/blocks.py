"""The last layer's Hessian, one block per output unit.

Under mean squared error the units of the last layer share nothing but their features, so
the Hessian with respect to the layer's weights is block diagonal. Unit j has the loss
l_j(w, b) = (1/m) mean_i (phi(h_i w + b) - y_ij)^2, the loss is the sum over j, and with
z_i = h_i w + b, x~_i = [h_i, 1] the block is

  B_j = (2 / (m n)) sum_i s_ij x~_i x~_i^T,   s_ij = phi'(z_i)^2 + (phi(z_i) - y_ij) phi''(z_i),

a weighted Gram matrix. For a ReLU s is the mask z > 0, for a linear output it is 1 and all
units share one block. `curvature_weights` gives s; tests compare the blocks with automatic
differentiation.
"""

from __future__ import annotations

import numpy as np

from jaxid.curvature.last_layer.activation import derivative, value
from jaxid.data.examples import slices
from jaxid.nets.activations import PIECEWISE_LINEAR


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


def stack(kernel: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """(q, m) float64: the kernel with the bias as its last row."""
    weights = np.asarray(kernel, np.float64)
    if bias is None:
        return weights
    return np.concatenate([weights, np.asarray(bias, np.float64)[None, :]])


def preactivations(features: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """features @ kernel + bias in float64, (n, m), features converted a chunk at a time."""
    kernel = np.asarray(kernel, np.float64)
    z = np.empty((features.shape[0], kernel.shape[1]))
    for part in slices(features.shape[0]):
        np.matmul(features[part].astype(np.float64), kernel, out=z[part])
    if bias is not None:
        z += np.asarray(bias, np.float64)[None, :]
    return z
