"""The trace of the Gauss-Newton matrix without a random number, from the outputs' side.

G = mean_i J_i^T B_i J_i with B_i = l''(f_i), the m x m Hessian of example i's loss in its
outputs. With B_i = sum_k beta_k u_k u_k^T

  tr G = mean_i sum_k beta_k |J_i^T u_k|^2,

m reverse passes for each example, exact but for rounding, and for each leaf of the
parameters apart. Worth it where examples x outputs x parameters are few (`passes_cost`);
random signs (`jaxid.linalg.trace`) need a handful of products for a percent.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import trees
from jaxid.core.types import Array, Estimate, Params
from jaxid.curvature.fields import GaussNewtonField
from jaxid.curvature.parts import leaf_names
from jaxid.curvature.products import MEMORY


def passes_cost(field: GaussNewtonField, params: Params, data: Any) -> int:
    """examples x outputs x parameters: what the exact trace costs, up to a small factor."""
    outputs = jax.eval_shape(lambda p, d: field.outputs(p, jax.tree.map(_first, d)), params, data)
    examples = jax.tree.leaves(data)[0].shape[0]
    return int(examples) * int(outputs.size) * trees.size(params)


def gauss_newton_trace(
    field: GaussNewtonField, params: Params, data: Any, *, memory: int = MEMORY
) -> tuple[Estimate, dict[str, Estimate]]:
    """(tr G, the same leaf by leaf by the leaves' names), in the parameters' dtype.

    Args:
      field: gives the outputs and the losses of examples.
      params: where.
      data: the examples, trees of arrays with the examples first.
      memory: bytes that the passes may hold; fewer examples go at once, one at least.

    Returns:
      Estimates whose ``error`` is the usual size of the rounding, not a bound: eps sqrt(p)
      times the value, sums over examples being float64.
    """
    examples = jax.tree.leaves(data)[0].shape[0]
    each = 4 * passes_cost(field, params, data) // examples * jax.tree.leaves(params)[0].itemsize
    together = max(1, min(examples, memory // max(1, each)))
    found = _by_example(field, together, params, data)
    eps = float(np.finfo(jnp.result_type(*jax.tree.leaves(params))).eps)
    how = "exact in output space, one reverse pass for each output of each example"
    parts = {
        name: Estimate(value, eps * leaf.size**0.5 * abs(value), True, how)
        for name, leaf, value in zip(
            leaf_names(params),
            jax.tree.leaves(params),
            (float(np.asarray(v, np.float64).mean()) for v in jax.tree.leaves(found)),
            strict=True,
        )
    }
    total = sum(part.value or 0.0 for part in parts.values())
    error = eps * trees.size(params) ** 0.5 * abs(total)
    return Estimate(total, error, bool(np.isfinite(total)), how), parts


def _first(leaf: Array) -> Array:
    return leaf[:1]


@partial(jax.jit, static_argnums=(0, 1))
def _by_example(field: GaussNewtonField, together: int, params: Params, data: Any) -> Params:
    """(examples,) sum_k beta_k |J^T u_k|^2 for every leaf."""

    def one(example: Any) -> Params:
        batch = jax.tree.map(lambda leaf: leaf[None], example)
        outputs, pull = jax.vjp(lambda p: field.outputs(p, batch), params)

        def loss(flat: Array) -> Array:
            return field.losses(flat.reshape(outputs.shape), batch)[0]

        beta, u = jnp.linalg.eigh(jax.hessian(loss)(outputs.reshape(-1)))

        def row(vector: Array) -> Params:
            return jax.tree.map(
                lambda leaf: jnp.sum(jnp.square(leaf)), pull(vector.reshape(outputs.shape))[0]
            )

        return jax.tree.map(lambda squares: beta @ squares, jax.vmap(row, in_axes=1)(u))

    return jax.lax.map(one, data, batch_size=together)
