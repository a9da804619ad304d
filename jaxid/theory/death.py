"""When outputs die: one layer's activity and loss along training, predicted from moments.

The user's own chain is fed with gradients that are drawn from the distribution which the
moments of the data give them (`jaxid.theory.rectified`), from the initial weights on. No
example is shown to the network, and no loss or gradient of it is evaluated; the weights move
in the closed equations alone.

An output is dead when it is active on no training example: a ReLU then passes no gradient, and
in a network of one layer nothing revives it. Of n examples, each active with probability a,
none is with probability exp(-n a). What kills slowly also shows early: an output active on
fewer than one example of a batch on average, b a < 1, is pushed by single examples only, all
in one direction (`fading`).
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxid.core.types import Array, Key, Params
from jaxid.theory.rectified import activity, drawn_gradient, loss, outputs
from jaxid.theory.strata import Strata


class Course(NamedTuple):
    """Predicted state at the marked steps, t of them.

    Attributes:
      steps: (t,).
      activity: (t, m), share of the examples on which each output is above zero.
      loss: (t, m), of each output; their mean is the loss.
    """

    steps: np.ndarray
    activity: np.ndarray
    loss: np.ndarray

    def dead(self, examples: int, varying: np.ndarray) -> np.ndarray:
        """(t,), expected outputs active on none of so many examples, among ``varying`` (m,)."""
        none: np.ndarray = np.exp(-examples * self.activity[:, varying]).sum(axis=1)
        return none

    def fading(self, batch: int, varying: np.ndarray) -> np.ndarray:
        """(t,), outputs active on less than one example of a batch on average."""
        few: np.ndarray = (batch * self.activity[:, varying] < 1).sum(axis=1)
        return few


def course(
    data: Strata,
    params: Params,
    optimizer: optax.GradientTransformation,
    sizes: np.ndarray,
    marks: np.ndarray,
    key: Key,
    *,
    rectified: bool = True,
    advance: Any = None,
) -> Course:
    """The course of one initialisation.

    Args:
      data: moments of inputs and targets.
      params: initial, one kernel (d, m) and at most one bias (m,), in any tree.
      optimizer: any Optax chain.
      sizes: (steps an epoch,), examples of each batch.
      marks: steps at which the state is wanted, ascending, 0 allowed.
      key: of the draws.
      rectified: whether outputs are relu(z); else z.
      advance: called with the steps taken after each mark.

    Returns:
      A `Course` at the marks.
    """
    leaves, structure = jax.tree.flatten(params)
    # Copies: the steps below consume them, and the caller keeps its own.
    leaves = [jnp.array(leaf) for leaf in leaves]
    state = (tuple(leaves), optimizer.init(params))
    batches, found, at = jnp.asarray(sizes, jnp.float32), [], 0
    for mark in np.asarray(marks, int):
        if mark > at:
            state = _steps(optimizer, structure, data, state, key, at, mark, batches, rectified)
            at = int(mark)
        found.append([np.asarray(part) for part in _state(data, state[0], rectified)])
        if advance is not None:
            advance(at)
    active, losses = (np.stack(part) for part in zip(*found, strict=True))
    return Course(np.asarray(marks, int), active, losses)


@partial(jax.jit, static_argnums=(0, 1, 8), donate_argnums=3)
def _steps(
    optimizer: optax.GradientTransformation, structure: Any, data: Strata, state: Any, key: Key,
    start: int, stop: int, sizes: Array, rectified: bool,
) -> Any:  # fmt: skip
    """Steps start to stop - 1; one program for all of them."""

    def step(number: Array, state: Any) -> Any:
        leaves, kept = state
        size = sizes[number % sizes.shape[0]]
        own = jax.random.fold_in(key, number)
        gradient, _ = drawn_gradient(data, _stacked(leaves), size, own, rectified)
        params = jax.tree.unflatten(structure, leaves)
        slopes = jax.tree.unflatten(structure, _split(gradient, leaves))
        moves, kept = optimizer.update(slopes, kept, params)
        return tuple(jax.tree.leaves(optax.apply_updates(params, moves))), kept

    return jax.lax.fori_loop(start, stop, step, state)


@partial(jax.jit, static_argnums=2)
def _state(data: Strata, leaves: tuple[Array, ...], rectified: bool) -> tuple[Array, Array]:
    found = outputs(data, _stacked(leaves), rectified)
    return activity(found), loss(data, found)


def _stacked(leaves: tuple[Array, ...]) -> Array:
    """Kernel over bias, (p, m)."""
    return jnp.concatenate([part.reshape(-1, part.shape[-1]) for part in _ordered(leaves)])


def _ordered(leaves: tuple[Array, ...]) -> list[Array]:
    return sorted(leaves, key=lambda leaf: -leaf.ndim)


def _split(whole: Array, leaves: tuple[Array, ...]) -> list[Array]:
    """Kernel and bias, each where it is in the tree."""
    d = max(leaf.shape[0] for leaf in leaves if leaf.ndim == 2)
    return [whole[:d] if leaf.ndim == 2 else whole[d] for leaf in leaves]
