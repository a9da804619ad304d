"""Second derivatives of the loss in the last layer's pre-activations, for any loss.

With z the pre-activations, phi the output activation and l_i(z_i) = loss(phi(z_i), y_i), the
block of output unit j of the Hessian with respect to the last layer's weights is

  B_j = (1/n) sum_i t_ij x~_i x~_i^T,   t_ij = d^2 l_i / d z_ij^2,

phi's own curvature included. Where the loss is a sum over outputs of something of each, as
the squared error is, the outputs share nothing and the blocks are the whole Hessian; for
cross-entropy they are its diagonal blocks only.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core.precision import float64
from jaxid.core.types import Array, LossFn
from jaxid.data.examples import slices
from jaxid.nets.activations import activation

PROBES = 2
"""Random directions by which a Hessian is told to be diagonal."""
SAME = 1e-9
"""Relative difference of the probes up to which it is."""


class OutputCurvature(NamedTuple):
    """t and whether the outputs share anything.

    Attributes:
      weights: (n, m) float64, t_ij.
      separable: whether d^2 l_i / dz_i^2 is diagonal for every example, as far as random
        directions tell: (D r) / r is then the diagonal of D for every r.
    """

    weights: np.ndarray
    separable: bool


def output_curvature(
    loss: LossFn, name: str, z: np.ndarray, targets: np.ndarray
) -> OutputCurvature:
    """t_ij = d^2 l_i / d z_ij^2, by automatic differentiation in float64.

    Args:
      loss: (outputs (batch, m), targets) -> (batch,), the problem's.
      name: the output activation's, elementwise. At a kink its second derivative is 0.
      z: (n, m) pre-activations.
      targets: (n, ...), as the loss takes them.

    Returns:
      OutputCurvature. For a loss that is not separable each output costs a pass of its own.
    """
    n, m = z.shape
    draw = np.random.default_rng(0)
    # Away from 0, so that a division by them is harmless.
    random = draw.choice([-1.0, 1.0], (PROBES, m)) * draw.uniform(0.5, 1.0, (PROBES, m))

    def hessian_rows(z: Array, y: Array, directions: Array) -> Array:
        """(directions, m): the Hessian in z times each direction."""

        def gradient(z: Array) -> Array:
            return jax.grad(lambda z: loss(activation(name)(z)[None], y[None])[0])(z)

        return jax.lax.map(lambda r: jax.jvp(gradient, (z,), (r,))[1], directions)

    rows = jax.jit(jax.vmap(hessian_rows, in_axes=(0, 0, None)))
    weights, separable = np.empty((n, m)), True
    with float64():
        y = jnp.asarray(targets)
        if jnp.issubdtype(y.dtype, jnp.floating):
            y = y.astype(jnp.float64)
        parts = list(slices(n))
        for part in parts:
            found = np.asarray(rows(jnp.asarray(z[part], jnp.float64), y[part], random))
            both = found / random[None]
            size = np.abs(both).max(initial=0.0)
            if np.abs(both[:, 0] - both[:, 1]).max(initial=0.0) > SAME * size:
                separable = False
                break
            weights[part] = both[:, 0]
        if not separable:
            for part in parts:
                found = np.asarray(rows(jnp.asarray(z[part], jnp.float64), y[part], np.eye(m)))
                weights[part] = np.diagonal(found, axis1=1, axis2=2)
    return OutputCurvature(weights, separable)
