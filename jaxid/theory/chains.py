"""What an Optax chain is on a quadratic: a linear map of (parameter, momentum).

With second moments frozen one step in a mode of curvature h is x' = (A + h B) x, the first
component of x the error and the others the chain's own momenta; noise in the gradient enters as
the error does through B, by its first column. A and B are read off `optimizer.update`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from jaxid.precision import float64, widened
from jaxid.stepping import effective_rates, frozen, has_moments
from jaxid.types import Params

STILL = 1e-12
"""Movement at gradient 0 below which a chain rests there."""
HUGE = 1e150
"""Stands for whatever is larger: its square is still a number."""


class Chain(NamedTuple):
    """A chain of fixed rate in a mode of curvature h: x' = (still + h slope) x + noise slope[:, 0].

    Attributes:
      still, slope: (k, k); the first component of x is the error.
    """

    still: np.ndarray
    slope: np.ndarray

    def maps(self, curvatures: np.ndarray) -> np.ndarray:
        """(p, k, k), one for each curvature."""
        return self.still + np.asarray(curvatures)[:, None, None] * self.slope

    def factors(self, curvatures: np.ndarray) -> np.ndarray:
        """The factor of a mode's error a step, in the long run: (p,), the spectral radius."""
        return np.abs(np.linalg.eigvals(self.maps(curvatures))).max(axis=1)

    def left(self, curvatures: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """(t, p) what is left of an error of 1, the chain at rest, after each of the ascending
        ``steps``; at most `HUGE` in size."""
        maps = self.maps(curvatures)
        state = np.zeros(maps.shape[:-1])
        state[:, 0] = 1.0
        gaps = np.diff(np.asarray(steps, int), prepend=0)
        found = []
        with np.errstate(over="ignore", invalid="ignore"):
            powers = {gap: np.linalg.matrix_power(maps, gap) for gap in set(gaps.tolist())}
            for gap in gaps.tolist():
                state = np.einsum("pij,pj->pi", powers[gap], state)
                found.append(np.nan_to_num(state[:, 0], nan=HUGE, posinf=HUGE, neginf=-HUGE))
        return np.clip(np.reshape(found, (len(found), len(maps))), -HUGE, HUGE)


def plain(rate: float) -> Chain:
    """Gradient descent: delta' = (1 - rate h) delta - rate noise."""
    return Chain(np.eye(1), np.full((1, 1), -rate))


def measured_chain(optimizer: optax.GradientTransformation, steps: int) -> tuple[Chain | None, str]:
    """(the chain, "") of an optimizer whose answer to a gradient is linear and the same all
    through a run of so many steps; else (None, why not)."""
    with float64():
        weight = jnp.zeros(())
        try:
            state = optimizer.init(weight)
        except (TypeError, ValueError, KeyError, AttributeError):
            return None, "the optimizer treats parameters by their names"
        if has_moments(state):
            return None, "the optimizer divides by what it has seen of the gradient"
        found = [_fixed(optimizer, widened(at), weight) for at in (state, _later(state, steps))]
    if found[0] is None or found[1] is None:
        return None, "the optimizer is no linear map of the gradient, element by element"
    if any(not np.allclose(a, b, rtol=1e-6, atol=0.0) for a, b in zip(*found, strict=True)):
        return None, "the optimizer's rate changes along the run"
    chain = found[0]
    rest = chain.still[:, 0] - np.eye(len(chain.still))[0]
    if np.abs(rest).max() > STILL:
        return None, "the optimizer moves parameters at gradient 0 (weight decay)"
    return chain, ""


def _fixed(optimizer: optax.GradientTransformation, state: Any, weight: jax.Array) -> Chain | None:
    rates = effective_rates(optimizer, state, weight)
    if not rates.elementwise or not float(rates.tree) > 0:
        return None
    fixed, slope = linear_map(optimizer, state, weight, rates.tree)
    return Chain(fixed, slope * float(rates.tree))


def _later(state: Any, steps: int) -> Any:
    """The same state with its counters at the last step."""

    def leaf(value: Any) -> Any:
        whole = jnp.issubdtype(jnp.asarray(value).dtype, jnp.integer)
        return jnp.full_like(value, max(steps - 1, 0)) if whole else value

    return jax.tree.map(leaf, state)


def linear_map(
    optimizer: optax.GradientTransformation, opt_state: Any, params: Params, rates: Params
) -> tuple[np.ndarray, np.ndarray]:
    """(A, B): one step is A + mu B for the gradient mu / r times the parameters."""
    start, update = frozen(optimizer, opt_state, params)
    leaves, structure = jax.tree.flatten(start)
    moving = [k for k, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    flat, unravel = ravel_pytree((params, [leaves[k] for k in moving]))
    safe = jax.tree.map(lambda r: jnp.where(r > 0, r, jnp.inf), rates)

    def step(flat: jax.Array, mu: float) -> jax.Array:
        params, floats = unravel(flat)
        filled = list(leaves)
        for k, leaf in zip(moving, floats, strict=True):
            filled[k] = leaf
        gradient = jax.tree.map(lambda w, r: mu / r * w, params, safe)
        updates, state = update(gradient, jax.tree.unflatten(structure, filled), params)
        after = jax.tree.leaves(state)
        moved = (optax.apply_updates(params, updates), [after[k] for k in moving])
        return ravel_pytree(moved)[0]

    still, moved = (np.asarray(jax.jacobian(step)(flat, mu)) for mu in (0.0, 1.0))
    return still, moved - still
