"""The fields whose derivatives are a network's curvature matrices.

Each matrix is the Jacobian, at w = w0, of a vector field F(w; w0) that is a mean over
examples, so its product with v is one forward-mode derivative of F:

  Hessian               F = grad_w mean_i l_i(f(w))                     (Pearlmutter 1994)
  Gauss-Newton          F = mean_i J_i(w0)^T grad_f l_i(f(w))           G = mean J^T l'' J
  residual part         their difference                                H - G
  gradient covariance   F = mean_i g_i(w0) l_i(f(w)),  g_i = grad l_i   mean_i g_i g_i^T

Gauss-Newton needs no list of known losses: l'' is the Hessian of the user's own loss in
the outputs, positive semi-definite where that is convex (Schraudolph 2002; Martens 2020,
section 8). The last one is the empirical Fisher matrix, second moments about 0
(Kunstner, Balles and Hennig 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp

from jaxid.core import trees
from jaxid.core.types import Array, Params

BatchLoss: TypeAlias = Callable[[Params, Any], Array]
"""(params, batch) -> the mean loss of the batch's examples, a scalar."""
Outputs: TypeAlias = Callable[[Params, Any], Array]
"""(params, batch) -> the network's outputs, (batch, ...)."""
OutputLosses: TypeAlias = Callable[[Array, Any], Array]
"""(outputs, batch) -> the loss of each example, (batch,)."""


class Field(Protocol):
    """F(w; w0), a mean over a batch's examples. Equal fields share compiled programs."""

    def __call__(self, params: Params, at: Params, batch: Any) -> Params:
        """F at w = ``params``; where it matters w0 = ``at``, which is not differentiated."""
        ...


@dataclass(frozen=True)
class HessianField:
    """The gradient: its derivative is the Hessian.

    A ReLU network's loss has kinks: where a unit's pre-activation is 0 for some example the
    Hessian does not exist, and elsewhere it does not see how near the kinks are. Second
    derivatives of ReLU count as 0, as in automatic differentiation.
    """

    loss: BatchLoss

    def __call__(self, params: Params, at: Params, batch: Any) -> Params:
        """grad_w of the batch's mean loss."""
        del at
        return jax.grad(self.loss)(params, batch)


@dataclass(frozen=True)
class GaussNewtonField:
    """J(w0)^T grad_f l(f(w)): its derivative is the Gauss-Newton matrix."""

    outputs: Outputs
    losses: OutputLosses

    def __call__(self, params: Params, at: Params, batch: Any) -> Params:
        """The loss's slope in the outputs at w, pulled back at w0."""
        _, pull = jax.vjp(lambda p: self.outputs(p, batch), at)
        slope = jax.grad(lambda f: jnp.mean(self.losses(f, batch)))
        return pull(slope(self.outputs(params, batch)))[0]


@dataclass(frozen=True)
class ResidualField:
    """The Hessian's field less Gauss-Newton's: curvature of the network itself, weighted by
    the loss's slopes, which vanish where every residual does."""

    outputs: Outputs
    losses: OutputLosses

    def __call__(self, params: Params, at: Params, batch: Any) -> Params:
        """(J(w) - J(w0))^T grad_f l(f(w)), whose derivative is H - G."""
        f, pull = jax.vjp(lambda p: self.outputs(p, batch), params)
        _, pull_at = jax.vjp(lambda p: self.outputs(p, batch), at)
        slope = jax.grad(lambda f: jnp.mean(self.losses(f, batch)))(f)
        return trees.add_scaled(pull(slope)[0], -1.0, pull_at(slope)[0])


@dataclass(frozen=True)
class GradientCovarianceField:
    """mean_i g_i(w0) l_i(w): its derivative is mean_i g_i g_i^T over single examples."""

    outputs: Outputs
    losses: OutputLosses

    def __call__(self, params: Params, at: Params, batch: Any) -> Params:
        """The losses at w, pulled back at w0."""

        def losses(params: Params) -> Array:
            return self.losses(self.outputs(params, batch), batch)

        value, pull = jax.vjp(losses, at)
        return pull(losses(params) / value.size)[0]
