"""Curvature matrices by their definitions, dense, from whole batches: slow and plain."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxid.core import trees
from jaxid.core.precision import float64
from jaxid.core.types import Array, LossFn, Params
from jaxid.curvature.dense import MEMORY, check_dense, dense_matrix
from jaxid.curvature.last_layer.blocks import curvature_weights, preactivations, stack
from jaxid.curvature.last_layer.output_curvature import output_curvature
from jaxid.curvature.parts import layer_names, own_part
from jaxid.curvature.products import CurvatureProduct
from jaxid.linalg.gram import reduced_gram
from jaxid.linalg.rows import Rows, prepare_rows
from jaxid.nets.activations import activation
from jaxid.theory import deep_linear

ROWS = 2048
"""Examples differentiated together: a block's forward mode holds q x 2048 tangents."""


def flat(tree) -> np.ndarray:
    return np.asarray(ravel_pytree(tree)[0])


def dense_hessian(problem, params, data) -> np.ndarray:
    """d^2 L / dw^2 by `jax.hessian` of the raveled parameters."""
    w, unravel = ravel_pytree(params)
    return np.asarray(jax.jit(jax.hessian(lambda w: problem.mean_loss(unravel(w), data)))(w))


def dense_gauss_newton(problem, params, data) -> np.ndarray:
    """mean_i J_i^T (d^2 l_i / d f^2) J_i, an example at a time."""
    w, unravel = ravel_pytree(params)

    def outputs(w, one):
        return problem.outputs(unravel(w), one).reshape(-1)

    def loss(f, one):
        shape = jax.eval_shape(lambda: problem.outputs(params, one)).shape
        return problem.output_losses(f.reshape(shape), one)[0]

    @jax.jit
    def parts(w, one):
        return jax.jacobian(outputs)(w, one), jax.hessian(loss)(outputs(w, one), one)

    total = np.zeros((w.size, w.size))
    examples = jax.tree.leaves(data)[0].shape[0]
    for i in range(examples):
        one = jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], data)
        jacobian, curved = (np.asarray(part) for part in parts(w, one))
        total += jacobian.T @ curved @ jacobian / examples
    return total


def dense_gradient_covariance(problem, params, data) -> np.ndarray:
    """mean_i g_i g_i^T, g_i the gradient of one example's loss."""
    w, unravel = ravel_pytree(params)

    def losses(w):
        tree = unravel(w)
        return problem.output_losses(problem.outputs(tree, data), data)

    gradients = np.asarray(jax.jit(jax.jacobian(losses))(w))
    return gradients.T @ gradients / gradients.shape[0]


def dense_residual(problem, params, data) -> np.ndarray:
    """Hessian minus Gauss-Newton."""
    return dense_hessian(problem, params, data) - dense_gauss_newton(problem, params, data)


def columns(product, operand, like) -> np.ndarray:
    """The matrix of an operator, one product per column."""
    w, unravel = ravel_pytree(like)
    one = jax.jit(lambda e: ravel_pytree(product(operand, unravel(e)))[0])
    # NumPy's rows: a JAX array's would be cut out by one more program for each size.
    return np.stack([np.asarray(one(e)) for e in np.eye(w.size, dtype=w.dtype)], axis=1)


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


def layer_blocks(
    product: CurvatureProduct, params: Params, data: Any, *, limit: int = MEMORY
) -> dict[str, np.ndarray]:
    """The diagonal block of every layer, by the layer's name; arguments as in `dense_matrix`.

    Raises:
      InputError: if the largest block does not fit.
    """
    parts = {name: own_part(params, name) for name in layer_names(params)}
    check_dense(max(trees.size(part.take(params)) for part in parts.values()), limit)
    return {
        name: dense_matrix(dataclasses.replace(product, part=part), params, data, limit=limit)
        for name, part in parts.items()
    }


def weighted_gram(
    x: np.ndarray | Rows, weights: np.ndarray | None = None, *, ones: bool = False
) -> np.ndarray:
    """G = sum_i s_i x~_i x~_i^T, (q, q) float64 on the host.

    Args:
      x: (n, p) of any real dtype, or `Rows` when many Gram matrices are wanted.
      weights: (n,) s; 1 if None.
      ones: whether x~ = [x, 1]; for `Rows` it was decided there.

    Example:
      >>> weighted_gram(np.array([[1, 2], [3, 4]], np.uint8), np.array([True, False]))
      array([[1., 2.],
             [2., 4.]])
    """
    rows = x if isinstance(x, Rows) else prepare_rows(x, ones=ones)
    return rows.expand(reduced_gram(rows, weights).matrix)


def time_to_keep(
    share: float, start: complex, layers: int, curvature: float, target: float = 1.0
) -> float:
    """Time until an eigenvalue keeps that share of its distance from the target.

    int_share^1 de / (e L h |w(e)|^(2 - 2/L)), w(e) = a + (w_0 - a) e, by Gauss-Legendre panels
    that narrow where w passes 0, relative error below 1e-8. For L = 2, 0 < s_0 < s_1 < a it is
    ln(s_1 (a - s_0) / (s_0 (a - s_1))) / (2 h a) (Saxe et al. 2014).

    Args:
      share: in (0, 1]; for a real strength s it is (a - s) / (a - s_0).
      start: w_0, real or complex.
      layers: L.
      curvature: h > 0.
      target: a > 0.

    Returns:
      Infinity if w has to pass 0 on its way.
    """
    times, _ = deep_linear._table(start / target, share, layers)
    return float(times[-1]) / deep_linear.local_rate(layers, curvature, target)
