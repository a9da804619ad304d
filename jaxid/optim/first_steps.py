"""What an Optax chain does first, measured from its own update: no table of names.

The chain is run on numbers, its parameter held still; no network, no data. Under a constant
gradient g from a fresh state

  SGD eta g;  RMSprop eta / sqrt(1 - rho^t), the first eta / sqrt(1 - rho);  Adam eta,

whatever g for the last two, while g is far above eps. That a step does not depend on the
gradient's size is the chain's **degree** alpha: over a whole fresh run

  update(c g_1, c g_2, ...) = c^alpha update(g_1, g_2, ...):  1 for SGD, 0 for RMSprop, Adam.

With eps > 0 it holds where gradients are large only; `half_step` is the gradient at which the
settled step is half of its full size: eps outside the root eps, inside it sqrt(eps / 3), since
eta g / (g + eps) and eta g / sqrt(g^2 + eps).

Sources: Tieleman and Hinton 2012 (RMSprop); Kingma and Ba 2015, section 2.1 (Adam's step).
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxid.core.precision import float64, widened
from jaxid.core.types import Array, Estimate

SETTLED = 20_000
"""Updates until a chain has settled: 0.999^20000 is 2e-9."""
LARGE = 1e14
"""A gradient beside which every eps in use is nothing."""
SMALL = 1e-30
"""The least gradient at which half a step is looked for."""
SCALES = (1e-3, 1e-1, 1.0, 1e1, 1e3)
"""Over which a degree must be the same."""
RUN, SAME = 60, 1e-9
"""Random gradients of a run; relative departure up to which updates are the same."""


class FirstSteps(NamedTuple):
    """Sizes of the updates of a fresh chain under a constant gradient.

    Attributes:
      sizes: |update| of the first k steps, (k,) float64, in units of the parameter.
      settled: what they come to; not converged if they still change (a schedule).
    """

    sizes: np.ndarray
    settled: Estimate


def first_steps(
    optimizer: optax.GradientTransformation, gradient: float = 1.0, count: int = 10
) -> FirstSteps:
    """The first updates, their direction left out.

    Args:
      optimizer: any elementwise Optax chain.
      gradient: g, constant.
      count: k.
    """
    with float64():
        moves = np.asarray(_updates(optimizer, jnp.full((count, 1), float(gradient))))
    return FirstSteps(np.abs(moves[:, 0]), settled_step(optimizer, gradient))


def settled_step(
    optimizer: optax.GradientTransformation, gradient: float, steps: int = SETTLED
) -> Estimate:
    """|update| after so many equal gradients; its error is the change over the second half."""
    end, half = _settled(optimizer, np.array([gradient]), steps)
    size, change = float(end[0]), float(abs(end[0] - half[0]))
    how = f"the chain's own update after {steps:,} equal gradients"
    if not np.isfinite(size):
        return Estimate(None, None, False, how + ": not finite")
    return Estimate(size, change, change <= 1e-6 * size, how)


def degree(optimizer: optax.GradientTransformation, scale: float = 1.0) -> Estimate:
    """alpha: update(c g) = c^alpha update(g) at every step of a fresh run.

    Args:
      optimizer: any Optax chain.
      scale: deviation of the gradients; `LARGE` leaves eps out.

    Returns:
      Estimate without unit: alpha, its error the largest departure over steps and over scales
      from 1e-3 to 1e3. Converged where the chain is homogeneous to rounding; with eps > 0 it is
      nearly so at best. No value for a chain that looks at the parameters (weight decay, trust
      ratios) or mixes them (clipping by a global norm).
    """
    how = f"the chain's own update on {RUN} random gradients at {len(SCALES)} scales"
    noise = scale * np.random.default_rng(0).normal(size=(RUN, 2))
    with float64():
        run = [np.asarray(_updates(optimizer, jnp.asarray(c * noise))) for c in SCALES]
        moved = np.asarray(_updates(optimizer, jnp.asarray(noise), 1.0))
        other = np.asarray(_updates(optimizer, jnp.asarray(noise * np.array([[1.0, 100.0]]))))
    base = run[SCALES.index(1.0)]
    if not np.allclose(moved, base, rtol=1e-6, atol=0.0):
        return Estimate(None, None, False, "updates depend on the parameters (weight decay)")
    if not np.allclose(other[:, 0], base[:, 0], rtol=1e-6, atol=0.0):
        return Estimate(None, None, False, "the optimizer is not elementwise")
    if not np.all(np.isfinite(run)) or not np.all(base):
        return Estimate(None, None, False, "an update is 0 or not finite")
    others = [(c, u) for c, u in zip(SCALES, run, strict=True) if c != 1.0]
    if any(not np.all(u / base > 0) for _, u in others):
        return Estimate(None, None, False, "an update is 0 or turns its sign with the scale")
    found = np.array([np.log(u / base) / np.log(c) for c, u in others])
    # The median, so that one step near a zero of momentum does not decide.
    value = float(np.median(found))
    error = float(np.abs(found - value).max())
    return Estimate(value, error, error <= SAME, how)


def share_of_full_step(
    optimizer: optax.GradientTransformation, gradients: np.ndarray, steps: int = SETTLED
) -> np.ndarray | None:
    """The settled step at those sizes of gradient over the one at large gradients, (k,).

    1 minus it is what eps takes. None for a chain whose step has no full size (SGD).

    Args:
      optimizer: any elementwise Optax chain.
      gradients: |g|, (k,), constant in time: for gradients that vary, their root mean square.
      steps: updates until then; those of the run for a chain with a schedule.

    Example:
      eps = 1e-5 outside the root and gradients of 1e-4 leave 0.91 of the step.
    """
    sizes = np.concatenate([np.asarray(gradients, np.float64), [LARGE, LARGE * 1e2]])
    end, _ = _settled(optimizer, sizes, steps)
    if not np.isfinite(end).all() or not end[-1] > 0 or abs(end[-2] / end[-1] - 1) > 1e-4:
        return None
    share: np.ndarray = end[:-2] / end[-1]
    return share


def half_step(optimizer: optax.GradientTransformation) -> Estimate:
    """The constant gradient at which the settled step is half of its full size.

    Returns:
      Estimate in units of the gradient; 0, converged, where the step is whole at every size
      (eps = 0), down to 1e-30. No value for a chain without a full size.
    """
    low, high = np.log(SMALL), np.log(LARGE)
    how = "settled steps of the chain's own update, by bisection"
    for _ in range(6):
        logs = np.linspace(low, high, 65)
        share = share_of_full_step(optimizer, np.exp(logs))
        if share is None:
            return Estimate(None, None, False, "the step grows with the gradient at every size")
        below = np.flatnonzero(share < 0.5)
        if below.size == 0:
            return Estimate(0.0, SMALL, True, f"the step is whole down to gradients of {SMALL:g}")
        low, high = logs[below[-1]], logs[min(below[-1] + 1, 64)]
    value = float(np.exp((low + high) / 2))
    return Estimate(value, float(np.exp(high) - np.exp(low)), True, how)


def _settled(
    optimizer: optax.GradientTransformation, gradients: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """|update| at so many steps and at half of them, (k,) each."""
    with float64():
        end, half = _constant(optimizer, jnp.asarray(gradients, jnp.float64), steps)
        return np.abs(np.asarray(end)), np.abs(np.asarray(half))


@partial(jax.jit, static_argnums=(0, 2))
def _constant(
    optimizer: optax.GradientTransformation, gradient: Array, steps: int
) -> tuple[Array, Array]:
    still = jnp.zeros_like(gradient)

    def step(at: tuple[Any, Array], _: None) -> tuple[tuple[Any, Array], None]:
        moves, state = _update(optimizer, gradient, at[0], still)
        return (state, moves), None

    start = (widened(optimizer.init(still)), still)
    at, _ = jax.lax.scan(step, start, None, length=steps // 2)
    (_, end), _ = jax.lax.scan(step, at, None, length=steps - steps // 2)
    return end, at[1]


@partial(jax.jit, static_argnums=0)
def _updates(
    optimizer: optax.GradientTransformation, gradients: Array, where: float = 0.0
) -> Array:
    """Every update of a fresh run on gradients (steps, k), parameters held at ``where``."""
    still = jnp.full(gradients.shape[1:], where)

    def step(state: Any, gradient: Array) -> tuple[Any, Array]:
        moves, state = _update(optimizer, gradient, state, still)
        return state, moves

    return jax.lax.scan(step, widened(optimizer.init(still)), gradients)[1]


def _update(
    optimizer: optax.GradientTransformation, gradient: Array, state: Any, still: Array
) -> tuple[Array, Any]:
    extra = optax.with_extra_args_support(optimizer)
    moves, new = extra.update(gradient, state, still, value=jnp.zeros(()))
    # The chain's own float types stay what they were.
    kept = jax.tree.map(lambda a, b: jnp.asarray(a).astype(jnp.asarray(b).dtype), new, state)
    return moves, kept
