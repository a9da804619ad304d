"""What an Optax chain does to a gradient, measured from its own update.

With the second moments frozen, a chain of elementwise transformations answers a constant
gradient g, once its momentum has settled, with the update -r g, r one number per
parameter: the rate over P, P the diagonal by which the optimizer divides. For RMSprop
r = eta / (sqrt(v) + eps), for heavy ball r = eta / (1 - b). The state alone does not hold
eta, eps or its place, and a table of names would not know the user's own chain, so r is
read off `optimizer.update`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxid.types import Params

STEPS = 200
"""Updates until momentum has settled: 0.9^200 is 7e-10."""
PROBE = 1e-3
"""Probe gradient over sqrt(v): its own square then changes v by 1e-6 at most."""
FLOOR = 1e-12
"""Stands for sqrt(v) of parameters without gradient, whose v has decayed to nothing: far
below any eps in use, and its square is still a normal float32."""
SECOND_MOMENT = "nu"
"""Optax's name of the second moment in its states (rmsprop, adam and their kin)."""


class Rates(NamedTuple):
    """Effective rates of a chain at a state.

    Attributes:
      tree: r for every parameter, in the parameters' structure.
      elementwise: whether two probes of different size gave the same r to 1 %; else the
        chain is not a diagonal one (clipping by a global norm, say) and r means nothing.
    """

    tree: Params
    elementwise: bool

    def descending(self) -> Params:
        """r with negative ones, which climb, as 0: R in R^(1/2) H R^(1/2)."""
        return jax.tree.map(lambda r: jnp.maximum(r, 0.0), self.tree)


def effective_rates(
    optimizer: optax.GradientTransformation, opt_state: Any, params: Params
) -> Rates:
    """r = -update / gradient in the steady state, second moments frozen at ``opt_state``'s.

    Args:
      optimizer: any Optax chain.
      opt_state: its state after training; schedules are read at its step count.
      params: where it stands (weight decay sees them).
    """
    one, other = _rates(optimizer, opt_state, params)
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    same = all(bool(np.allclose(a, b, rtol=0.01, atol=0.0)) for a, b in pairs)
    return Rates(one, same)


@partial(jax.jit, static_argnums=0)
def _rates(
    optimizer: optax.GradientTransformation, opt_state: Any, params: Params
) -> tuple[Params, Params]:
    """r by a probe and by one a quarter its size."""
    optimizer = optax.with_extra_args_support(optimizer)
    zero = jax.tree.map(jnp.zeros_like, params)
    size = _probe(opt_state, params)
    # What the chain does at gradient 0 (weight decay) is not an answer to the gradient.
    rest = _steady(optimizer, opt_state, params, zero)

    def rates(scale: float) -> Params:
        gradient = jax.tree.map(lambda s: scale * s, size)
        moved = _steady(optimizer, opt_state, params, gradient)
        return jax.tree.map(lambda u, u0, g: -(u - u0) / g, moved, rest, gradient)

    return rates(1.0), rates(0.25)


def _probe(opt_state: Any, params: Params) -> Params:
    """PROBE sqrt(v), at least PROBE FLOOR; PROBE without second moments."""
    moments = _second_moments(opt_state)
    if not moments:
        return jax.tree.map(lambda leaf: jnp.full_like(leaf, PROBE), params)

    return jax.tree.map(lambda v: PROBE * jnp.maximum(jnp.sqrt(v), FLOOR), moments[0])


def _steady(
    optimizer: optax.GradientTransformationExtraArgs,
    opt_state: Any,
    params: Params,
    gradient: Params,
) -> Params:
    """The update after `STEPS` equal gradients, second moments and counters held still."""
    start, update = frozen(optimizer, opt_state, params)

    def one(carry: tuple[Any, Params], _: None) -> tuple[tuple[Any, Params], None]:
        updates, new = update(gradient, carry[0], params)
        return (new, updates), None

    zero = jax.tree.map(jnp.zeros_like, params)
    (_, updates), _ = jax.lax.scan(one, (start, zero), None, length=STEPS)
    return updates


class Frozen(NamedTuple):
    """A chain whose second moments and counters stand still.

    Attributes:
      state: to start from; its second moments are such that an update sees the given ones.
      update: (gradient, state, params) -> (updates, state), pure; only momentum moves.
    """

    state: Any
    update: Callable[[Params, Any, Params], tuple[Params, Any]]


def frozen(optimizer: optax.GradientTransformation, opt_state: Any, params: Params) -> Frozen:
    """Hold the second moments of a chain at a state's.

    Args:
      optimizer, opt_state, params: as in `effective_rates`.
    """
    extra = optax.with_extra_args_support(optimizer)
    zero = jax.tree.map(jnp.zeros_like, params)
    decayed = extra.update(zero, opt_state, params, value=jnp.zeros(()))[1]
    before = _undecayed(opt_state, decayed)

    def update(gradient: Params, state: Any, params: Params) -> tuple[Params, Any]:
        updates, new = extra.update(gradient, state, params, value=jnp.zeros(()))
        return updates, _held(new, before)

    return Frozen(before, update)


def has_moments(opt_state: Any) -> bool:
    """Whether the chain keeps second moments, so that its P depends on the gradients seen."""
    return bool(_second_moments(opt_state))


def at_unit_moments(
    optimizer: optax.GradientTransformation, opt_state: Any, params: Params
) -> tuple[Any, Params]:
    """(state, params) of the same chain on one scalar for each leaf, at the same counters:
    second moments 1, momentum 0, parameters 0."""
    scalars = jax.tree.map(lambda leaf: jnp.zeros((), leaf.dtype), params)
    fresh = optimizer.init(scalars)

    def same(small: Any, real: Any) -> Any:
        keep = jnp.shape(real) == () and not jnp.issubdtype(jnp.asarray(real).dtype, jnp.floating)
        return jnp.asarray(real) if keep else small

    state = jax.tree.map(same, fresh, opt_state)

    def unit(node: Any) -> Any:
        if not _is_moment_state(node):
            return node
        ones = jax.tree.map(jnp.ones_like, getattr(node, SECOND_MOMENT))
        return node._replace(**{SECOND_MOMENT: ones})

    return jax.tree.map(unit, state, is_leaf=_is_moment_state), scalars


def _is_moment_state(node: Any) -> bool:
    return hasattr(node, "_fields") and SECOND_MOMENT in node._fields


def _second_moments(opt_state: Any) -> list[Params]:
    nodes = jax.tree.leaves(opt_state, is_leaf=_is_moment_state)
    return [getattr(node, SECOND_MOMENT) for node in nodes if _is_moment_state(node)]


def _undecayed(opt_state: Any, decayed: Any) -> Any:
    """The state whose second moment, after the next update decays it, is ``opt_state``'s.

    The decay is measured: v' / v at gradient 0.
    """

    def node(state: Any, after: Any) -> Any:
        if not _is_moment_state(state):
            return state

        def back(v: Any, shrunk: Any) -> Any:
            return jnp.where(shrunk > 0, v * (v / jnp.where(shrunk > 0, shrunk, 1.0)), v)

        moment = jax.tree.map(back, getattr(state, SECOND_MOMENT), getattr(after, SECOND_MOMENT))
        return state._replace(**{SECOND_MOMENT: moment})

    return jax.tree.map(node, opt_state, decayed, is_leaf=_is_moment_state)


def _held(new: Any, before: Any) -> Any:
    """``new`` with second moments and integer counters as in ``before``: only momentum moves."""

    def node(after: Any, held: Any) -> Any:
        if _is_moment_state(after):
            fields = {SECOND_MOMENT: getattr(held, SECOND_MOMENT)}
            if "count" in after._fields:
                fields["count"] = held.count
            return after._replace(**fields)
        if jnp.issubdtype(jnp.asarray(after).dtype, jnp.integer):
            return held
        return after

    return jax.tree.map(node, new, before, is_leaf=_is_moment_state)
