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

from jaxid.core import interrupt
from jaxid.core.precision import float64
from jaxid.core.types import Params
from jaxid.optim.chain import classified, why_not_linear
from jaxid.optim.linear_optimizer import SAME, linear_runs, rates_beside

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

    @property
    def settled_rate(self) -> float | None:
        """-update / gradient under a constant gradient, once momentum has settled; None where it
        never does."""
        momenta = self.still[1:, 1:]
        own = np.eye(len(momenta)) - momenta
        if momenta.size and np.abs(np.linalg.eigvals(momenta)).max() >= 1 - SAME:
            return None
        rest = np.linalg.solve(own, self.slope[1:, 0])
        return -float(self.slope[0, 0] + self.still[0, 1:] @ rest)

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
                found.append(_held(state[:, 0]))
        return np.reshape(found, (len(found), len(maps)))


def plain(rate: float) -> Chain:
    """Gradient descent: delta' = (1 - rate h) delta - rate noise."""
    return Chain(np.eye(1), np.full((1, 1), -rate))


class VaryingChain(NamedTuple):
    """A chain whose maps change along the run: x' = (still_t + h slope_t) x + noise slope_t[:, 0].

    Attributes:
      still, slope: (steps, k, k); the first component of x is the error.
    """

    still: np.ndarray
    slope: np.ndarray

    def left(self, curvatures: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """(t, p) what is left of an error of 1, the chain at rest, after each of the ascending
        ``steps``, none beyond the run; at most `HUGE` in size."""
        h = np.asarray(curvatures)[:, None, None]
        state = np.zeros((h.shape[0], self.still.shape[1]))
        state[:, 0] = 1.0
        wanted, found = np.asarray(steps, int), []
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(int(wanted[-1]) + 1 if wanted.size else 0):
                interrupt.check()
                found += [_held(state[:, 0])] * int((wanted == step).sum())
                if step < len(self.still):
                    maps = self.still[step] + h * self.slope[step]
                    state = np.einsum("pij,pj->pi", maps, state)
        return np.reshape(found, (len(found), h.shape[0]))


class Measured(NamedTuple):
    """What an optimizer is over a run, if it is a linear map of the gradient.

    Attributes:
      chain: its maps; None where there is no such thing.
      scales: factors of the leaves' rates over the chain's, in the order of the leaves; None
        where all are alike.
      why: there is no chain.
    """

    chain: Chain | VaryingChain | None
    scales: tuple[float, ...] | None
    why: str


def measured_chain(optimizer: optax.GradientTransformation, params: Params, steps: int) -> Measured:
    """The maps of an optimizer that is proved linear in the gradient, over a run.

    Args:
      optimizer: any Optax chain.
      params: what it optimizes, or its shapes.
      steps: of the run.
    """
    with float64():
        zeros = jax.tree.map(_zeros, params)
        if not jax.tree.leaves(zeros):
            return Measured(None, None, "there are no parameters")
        try:
            state = optimizer.init(zeros)
            found = classified(optimizer, zeros, state)
        except Exception as wrong:  # noqa: BLE001 - whatever a user's optimizer raises
            first = str(wrong).splitlines()[0] if str(wrong) else type(wrong).__name__
            return Measured(None, None, f"the optimizer's update is not to be had: {first}")
        why = why_not_linear(found)
        if why:
            return Measured(None, None, why)
        for k, (own, leaf) in enumerate(zip(found.leaves, jax.tree.leaves(state), strict=True)):
            if own.kind == "linear" and (found.starts[k] or bool(jnp.any(leaf != 0))):
                return Measured(None, None, "the optimizer's state does not start at 0")
        runs = linear_runs(found, state, steps)
    if runs is None:
        return Measured(None, None, "the optimizer moves parameters by others' gradients")
    if not all(run.even for run in runs):
        why = "the optimizer's rate differs between elements of one array"
        return Measured(None, None, why)
    if not all(run.free for run in runs):
        why = "the optimizer's update depends on the parameters themselves (weight decay)"
        return Measured(None, None, why)
    if not all(run.at_rest for run in runs):
        return Measured(None, None, "the optimizer moves parameters at gradient 0")
    moving = [run for run in runs if not run.unmoved]
    if not moving:
        return Measured(None, None, "no parameter moves")
    climbs = [k for k, run in enumerate(runs) if np.any(run.slope[:, 0] > 0)]
    if climbs:
        # What a mask leaves out gets the gradient itself for its update.
        why = f"the optimizer moves {found.program.paths[climbs[0]]} up its gradient, not down"
        return Measured(None, None, why)
    factors = [rates_beside(run, moving[0]) for run in runs]
    if any(factor is None for factor in factors):
        odd = found.program.paths[factors.index(None)]
        why = f"the optimizer treats {odd} differently, and not by its rate alone"
        return Measured(None, None, why)
    known = tuple(factor for factor in factors if factor is not None)
    one = moving[0]
    slope = np.zeros(one.still.shape)
    slope[:, :, 0] = one.slope
    alike = None if all(abs(factor - 1) <= SAME for factor in known) else known
    constant = all(np.all(part == part[:1]) for part in (one.still, slope))
    if constant:
        return Measured(Chain(one.still[0], slope[0]), alike, "")
    return Measured(VaryingChain(one.still, slope), alike, "")


def _zeros(x: Any) -> jax.Array:
    dtype = jnp.dtype(x.dtype) if hasattr(x, "dtype") else jnp.asarray(x).dtype
    wide = jnp.float64 if jnp.issubdtype(dtype, jnp.floating) else dtype
    return jnp.zeros(np.shape(x), wide)


def _held(values: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(values, nan=HUGE, posinf=HUGE, neginf=-HUGE), -HUGE, HUGE)
