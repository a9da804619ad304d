"""What an optimizer answers to a gradient at a state: effective rates, solved and not iterated.

With its accumulators (second moments under whatever name) standing still at the state's, a chain
that is linear and elementwise moves an element's momenta by s' = M s + b g and its parameter by
u = c s + d g (`jaxid.optim.forms`). Under a constant gradient momenta come to rest at
s = (I - M)^(-1) b g, so that

  u = -r g,   r = -(d + c (I - M)^(-1) b):

eta for gradient descent, eta / (1 - b) for heavy ball, eta / (sqrt(v) + eps) for RMSprop. Where
I - M is singular momenta grow for ever and there is no such rate.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxid.core.types import Array, Params
from jaxid.optim.chain import ChainClass, Walked, classified, walked, why_not_frozen
from jaxid.optim.forms import Form, Source
from jaxid.optim.linear_optimizer import components
from jaxid.optim.walk import full

STEPS = 6
"""Steps over which a rate is looked at."""
SINGULAR = 1e-7
"""How far below 1 the size of momentum's factors must be for it to settle, in float32."""


class Maps(NamedTuple):
    """A parameter leaf's map, accumulators standing still: z' = A z + g B, z = (w, s_1, ..., s_k).

    Attributes:
      still: (elements or 1, k + 1, k + 1) A.
      slope: (elements or 1, k + 1) B.
    """

    still: Array
    slope: Array


class Rates(NamedTuple):
    """Effective rates of a chain at a state.

    Attributes:
      tree: r for every parameter, in the parameters' structure; zeros where there are none.
      elementwise: whether, its accumulators held, the chain is proved linear and elementwise, and
        its momentum settles; else r means nothing.
      why: not, in words; "" else.
    """

    tree: Params
    elementwise: bool
    why: str = ""

    def descending(self) -> Params:
        """r with negative ones, which climb, as 0: R in R^(1/2) H R^(1/2)."""
        return jax.tree.map(lambda r: jnp.maximum(r, 0.0), self.tree)


def accumulates(optimizer: optax.GradientTransformation, params: Params, state: Any) -> bool:
    """Whether the state holds more than momenta and counters: what the chain divides by depends
    on the gradients seen."""
    found = classified(optimizer, params, state)
    return any(own.kind == "accumulator" for own in found.leaves)


def effective_rates(
    optimizer: optax.GradientTransformation, opt_state: Any, params: Params
) -> Rates:
    """r = -update / gradient once momentum has settled, accumulators at ``opt_state``'s.

    Args:
      optimizer: any Optax chain.
      opt_state: its state after training; schedules are read at its step count.
      params: where it stands.
    """
    none = jax.tree.map(jnp.zeros_like, params)
    found, why = looked_through(optimizer, params, opt_state)
    if found is None:
        return Rates(none, False, why)
    maps = held_maps(found, opt_state)
    if maps is None:
        return Rates(none, False, "the optimizer moves parameters by others' gradients")
    if _hops(found, opt_state, maps):
        return Rates(none, False, "the optimizer's rate is another one at every step")
    tree = jax.tree.structure(params)
    leaves, settles = [], True
    for leaf, one in zip(jax.tree.leaves(params), maps, strict=True):
        rate, fine = _settled(one)
        settles = settles and bool(fine)
        leaves.append(jnp.broadcast_to(rate, (leaf.size,)).reshape(leaf.shape).astype(leaf.dtype))
    if not settles:
        return Rates(
            none, False, "under a constant gradient the optimizer's momentum never settles"
        )
    return Rates(jax.tree.unflatten(tree, leaves), True)


def looked_through(
    optimizer: optax.GradientTransformation, params: Params, opt_state: Any
) -> tuple[ChainClass | None, str]:
    """(the class of a chain that is linear and elementwise once its accumulators stand still, "")
    or (None, why there is none)."""
    try:
        found = classified(optimizer, params, opt_state)
    except Exception as wrong:  # noqa: BLE001 - whatever a user's optimizer raises
        words = str(wrong).splitlines()
        return None, f"the optimizer's update is not to be had: {words[0] if words else wrong}"
    why = why_not_frozen(found)
    return (None, why) if why else (found, "")


def held_maps(found: ChainClass, opt_state: Any) -> list[Maps] | None:
    """Every parameter leaf's map at a state; None where leaves depend on others."""
    groups = components(found, found.held)
    if groups is None:
        return None
    values = jax.tree.leaves(opt_state)

    @jax.jit
    def run(values: list[Any]) -> list[Maps]:
        forms = walked(found.program, found.standing, values, frozen=True)
        return [_map(forms, group) for group in groups]

    return run(values)


def _hops(found: ChainClass, opt_state: Any, maps: list[Maps]) -> bool:
    """Whether updates are made every few steps only."""
    moving = [k for k, own in enumerate(found.standing) if own.kind == "fixed"]
    if not moving:
        return False

    @jax.jit
    def on(values: list[Any]) -> tuple[list[Any], list[Array]]:
        forms = walked(found.program, found.standing, values, frozen=True)
        after = list(values)
        for k in moving:
            new = full(forms.states[k])
            key = jnp.issubdtype(new.dtype, jax.dtypes.extended)
            after[k] = new if key else new.astype(values[k].dtype)
        return after, [jnp.ravel(_first_slope(forms, k)) for k in range(len(forms.updates))]

    values, seen = jax.tree.leaves(opt_state), []
    for _ in range(STEPS):
        values, slopes = on(values)
        seen.append(np.array([float(jnp.abs(slope[0])) for slope in slopes]))
    each = np.array(seen)
    return bool(np.any((each.max(axis=0) > 0) & (each.min(axis=0) == 0)))


def _first_slope(forms: Walked, k: int) -> Array:
    """How the update moves with the gradient, or with the first momentum where it does not."""
    known = forms.updates[k].coefficients or {}
    own = known.get(Source("gradient", k))
    others = [c for source, c in sorted(known.items()) if source.kind == "state"]
    parts = [c for c in (own, *others) if c is not None]
    return jnp.asarray(sum(jnp.abs(jnp.ravel(c)[0]) for c in parts) if parts else jnp.zeros(()))


def _map(forms: Walked, group: list[Source]) -> Maps:
    gradient = Source("gradient", group[0].leaf)
    rows, slopes = [], []
    for k, own in enumerate(group):
        form: Form = forms.updates[own.leaf] if k == 0 else forms.states[own.leaf]
        known = form.coefficients or {}
        moved = [known.get(source, jnp.zeros(())) for source in group]
        if k == 0:
            # The parameter itself, to which its update is added.
            moved[0] = moved[0] + 1
        rows.append(moved)
        slopes.append(known.get(gradient, jnp.zeros(())))
    flat = jnp.broadcast_arrays(
        *(jnp.ravel(c) for row in rows for c in row), *map(jnp.ravel, slopes)
    )
    k = len(group)
    still = jnp.stack(flat[: k * k], axis=-1).reshape(-1, k, k)
    return Maps(still, jnp.stack(flat[k * k :], axis=-1))


def _settled(maps: Maps) -> tuple[Array, Array]:
    """r of every element; whether all momenta settle."""
    still, slope = maps
    k = still.shape[-1] - 1
    if k == 0:
        return -slope[:, 0], jnp.array(True)
    own = jnp.eye(k, dtype=still.dtype)[None] - still[:, 1:, 1:]
    if k == 1:
        # One number: no need of a solver.
        rest = slope[:, 1:] / own[:, :, 0]
        fine = jnp.all(jnp.abs(still[:, 1:, 1:]) < 1 - SINGULAR)
    else:
        rest = jnp.linalg.solve(own, slope[:, 1:, None])[..., 0]
        # Accumulators scale momenta and what they are read with; how these decay they seldom do.
        momenta = np.unique(np.asarray(still[:, 1:, 1:], np.float64), axis=0)
        radius = np.abs(np.linalg.eigvals(momenta)).max()
        fine = jnp.all(jnp.isfinite(rest)) & jnp.asarray(radius < 1 - SINGULAR)
    return -(slope[:, 0] + jnp.sum(still[:, 0, 1:] * rest, axis=-1)), fine


class Frozen(NamedTuple):
    """A chain whose accumulators and counters stand still.

    Attributes:
      state: momenta to start from, the state's own.
      update: (gradient, state, params) -> (updates, state), pure; only momenta move.
    """

    state: Any
    update: Callable[[Params, Any, Params], tuple[Params, Any]]


def frozen(optimizer: optax.GradientTransformation, opt_state: Any, params: Params) -> Frozen:
    """Hold the accumulators of a chain at a state's.

    Args:
      optimizer, opt_state, params: as in `effective_rates`.

    Raises:
      ValueError: where the chain is not linear and elementwise even so.
    """
    found, why = looked_through(optimizer, params, opt_state)
    if found is None:
        raise ValueError(why)
    values = jax.tree.leaves(opt_state)
    momenta = {k: values[k] for k, own in enumerate(found.standing) if own.kind == "linear"}
    return Frozen(momenta, partial(_applied, found, values))


def _applied(
    found: ChainClass, values: list[Any], gradient: Params, momenta: Any, params: Params
) -> tuple[Params, Any]:
    forms = walked(found.program, found.standing, values, frozen=True)
    given: dict[Source, Array] = {
        Source("gradient", k): x for k, x in enumerate(jax.tree.leaves(gradient))
    }
    given |= {Source("parameter", k): x for k, x in enumerate(jax.tree.leaves(params))}
    given |= {Source("state", k): x for k, x in momenta.items()}
    updates = [_evaluated(form, given) for form in forms.updates]
    moved = {k: _evaluated(forms.states[k], given) for k in momenta}
    return jax.tree.unflatten(jax.tree.structure(params), updates), moved


def _evaluated(form: Form, given: dict[Source, Array]) -> Array:
    offset = jnp.zeros(()) if form.offset is None else form.offset
    total = jnp.broadcast_to(offset, (form.size,)).astype(form.dtype)
    for source, c in (form.coefficients or {}).items():
        total = total + c * jnp.ravel(given[source])
    return total.reshape(form.shape).astype(form.dtype)


def representative(maps: Maps, count: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    """(A, B / r) of a few elements that move: those of the largest, the least and the median rate.

    In units of each element's own rate r they are one map wherever accumulators only scale it.
    """
    rates = np.asarray(_settled(maps)[0])
    moving = np.flatnonzero(rates > 0)
    if not moving.size:
        return []
    order = moving[np.argsort(rates[moving])]
    chosen = sorted({int(order[k]) for k in np.linspace(0, order.size - 1, count).astype(int)})
    still, slope = (np.asarray(part, np.float64) for part in maps)
    return [(still[k], slope[k] / rates[k]) for k in chosen]
