"""Curvature matrices by their definitions, dense, from whole batches: slow and plain."""

from __future__ import annotations

import jax
import numpy as np
from jax.flatten_util import ravel_pytree


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
