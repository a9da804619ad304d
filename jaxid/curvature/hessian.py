"""Products with the Hessian of a whole network's loss, and its extremal eigenvalues.

Operators are values, not closures: `HessianProduct(loss, chunk)` called with
((params, data), v). Two of them made from the same loss are equal, so one trace serves all
seeds and all calls. Data pass through as arguments, streamed in chunks of examples, so that
memory is that of one chunk.

A ReLU network's loss has kinks: where a unit's pre-activation is 0 for some example the
Hessian does not exist, and elsewhere it does not see how near the kinks are. Second
derivatives of ReLU count as 0, as in automatic differentiation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from jaxid import trees
from jaxid.linalg.lanczos import RESTARTS, STEPS, TOLERANCE, Extremes, extremal_eigenvalues
from jaxid.types import ApplyFn, Array, Key, LossFn, Params

BatchLoss: TypeAlias = Callable[[Params, Any], Array]
"""(params, batch) -> the mean loss of the batch's examples, a scalar."""
Product: TypeAlias = Callable[[Params, Any, Params], Params]

CHUNK = 1024
"""Examples per product."""


@dataclass(frozen=True)
class HessianProduct:
    """((params, data), v) -> H v, H the Hessian of the mean loss over all of ``data``.

    Forward over reverse: the derivative of the gradient along v (Pearlmutter 1994).

    Attributes:
      loss: (params, batch) -> mean loss over the batch's examples; a batch has the tree of
        ``data``, whose leaves have the examples first.
      chunk: examples per product.

    Example:
      >>> product = HessianProduct(lambda w, x: jnp.mean((x @ w) ** 2))
      >>> product((jnp.ones(2), jnp.eye(2)), jnp.ones(2))
      Array([1., 1.], dtype=float32)
    """

    loss: BatchLoss
    chunk: int = CHUNK

    def __call__(self, operand: tuple[Params, Any], v: Params) -> Params:
        """H v."""
        params, data = operand

        def product(params: Params, batch: Any, v: Params) -> Params:
            gradient = jax.grad(lambda p: self.loss(p, batch))
            return jax.jvp(gradient, (params,), (v,))[1]

        return _mean_over_chunks(product, params, data, v, self.chunk)


@dataclass(frozen=True)
class GaussNewtonProduct:
    """((params, (inputs, targets)), v) -> G v, G = mean_i J_i^T (d^2 l_i / d f^2) J_i.

    For the mean squared error over m outputs the middle factor is 2/m. G is the Hessian
    without the residuals' curvature: positive semi-definite, and equal to it where the
    residuals are 0 (Schraudolph 2002; Martens 2020, section 8).

    Attributes:
      apply: (params, inputs) -> outputs (batch, m).
      loss_fn: (outputs, targets) -> per-example loss (batch,).
      chunk: examples per product.
    """

    apply: ApplyFn
    loss_fn: LossFn
    chunk: int = CHUNK

    def __call__(self, operand: tuple[Params, tuple[Array, Array]], v: Params) -> Params:
        """G v."""
        params, data = operand

        def product(params: Params, batch: Any, v: Params) -> Params:
            inputs, targets = batch
            outputs, moved = jax.jvp(lambda p: self.apply(p, inputs), (params,), (v,))
            _, pull = jax.vjp(lambda p: self.apply(p, inputs), params)
            outer = jax.grad(lambda f: jnp.mean(self.loss_fn(f, targets)))
            curved = jax.jvp(outer, (outputs,), (moved,))[1]
            return pull(curved)[0]

        return _mean_over_chunks(product, params, data, v, self.chunk)


def least_eigenvalue(
    loss: BatchLoss,
    params: Params,
    data: Any,
    key: Key,
    *,
    chunk: int = CHUNK,
    steps: int = STEPS,
    restarts: int = RESTARTS,
    tolerance: float = TOLERANCE,
) -> Extremes:
    """The least and the largest eigenvalue of the loss's Hessian, with bounds.

    Args:
      loss, data, chunk: as in `HessianProduct`. Pass the same function for all seeds.
      params: where the Hessian is taken; their dtype is the arithmetic's.
      key: of the random start.
      steps, restarts, tolerance: as in `jaxid.linalg.lanczos.extremal_eigenvalues`; the
        tolerance is relative to the largest |eigenvalue|, so the least one is known to
        ``tolerance * lambda_max`` if it converged.

    Returns:
      Extremes; ``smallest.converged`` says whether a saddle can be decided.
    """
    return extremal_eigenvalues(
        HessianProduct(loss, chunk),
        (params, data),
        trees.random_like(key, params),
        steps=steps,
        restarts=restarts,
        tolerance=tolerance,
    )


def _mean_over_chunks(product: Product, params: Params, data: Any, v: Params, chunk: int) -> Params:
    """The mean over examples of a product that is a mean over each batch's examples."""
    examples = jax.tree.leaves(data)[0].shape[0]
    whole, rest = divmod(examples, chunk)
    total = jax.tree.map(jnp.zeros_like, v)
    if whole:
        split = jax.tree.map(
            lambda leaf: leaf[: whole * chunk].reshape(whole, chunk, *leaf.shape[1:]), data
        )

        def step(total: Params, batch: Any) -> tuple[Params, None]:
            part = product(params, batch, v)
            return trees.add_scaled(total, chunk / examples, part), None

        total, _ = jax.lax.scan(step, total, split)
    if rest:
        last = jax.tree.map(lambda leaf: leaf[whole * chunk :], data)
        total = trees.add_scaled(total, rest / examples, product(params, last, v))
    return total
