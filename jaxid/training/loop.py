"""Training as one pure program: ``make_train(problem) -> train(key)``, and its parts.

Keras' semantics to the letter: every epoch is reshuffled, the last, smaller batch is kept,
and an epoch's loss is the mean over its batches, weighted by their sizes. The smaller batch
is padded and masked, so that every step has one shape and the program is traced once.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxid.core.random import role_key
from jaxid.core.types import Array, Key, Params
from jaxid.problem.problem import Problem


class Stage(enum.Enum):
    """Where in training parameters were taken."""

    INIT = "init"
    """Before the first step."""
    END = "end"
    """After the last one."""
    CHECKPOINT = "checkpoint"
    """Where a run was saved."""


class TrainState(NamedTuple):
    """One seed's state between steps.

    Attributes:
      key: the seed's key; every use folds in a role.
      params, opt_state: the model's and the optimizer's.
      step: steps taken, int32.
      first_bad: the step at which the loss first was not finite, -1 if never, int32.
    """

    key: Key
    params: Params
    opt_state: Any
    step: Array
    first_bad: Array


def one_seed(states: TrainState, index: int) -> TrainState:
    """One seed's state out of stacked ones."""
    return jax.tree.map(lambda leaf: leaf[index], states)


class StepLosses(NamedTuple):
    """Batch losses of a stretch of steps, before each update, (steps_per_epoch,) float32.

    Entries outside the stretch are 0. ``original`` is in original units.
    """

    train: Array
    original: Array


class Loop(NamedTuple):
    """The parts of training one seed; all pure, none of them jitted.

    Attributes:
      init: key -> TrainState.
      steps: (state, x, y, epoch, start, stop, anneal) -> (state, StepLosses): the steps
        start..stop-1 of an epoch; all integers may be traced. The update is multiplied by
        the factor of ``anneal`` at the global step.
    """

    init: Callable[[Key], TrainState]
    steps: Callable[..., tuple[TrainState, StepLosses]]


class Anneal(NamedTuple):
    """A factor on the user's update: 1 - (step - start) / length, clipped to [0, 1].

    ``length`` = 0 means no annealing (the factor is 1). Both int32 scalars.
    """

    start: Array | int = 0
    length: Array | int = 0

    def factor(self, step: Array) -> Array:
        """The factor at a global step, float32."""
        length = jnp.asarray(self.length)
        fraction = (step - self.start + 0.5) / jnp.maximum(length, 1)
        return jnp.where(length > 0, jnp.clip(1.0 - fraction, 0.0, 1.0), 1.0)


def make_loop(problem: Problem) -> Loop:
    """The training loop's parts for a problem.

    Args:
      problem: model, loss, optimizer, batch size.
    """
    n, batch, steps_per_epoch = problem.examples, problem.batch_size, problem.steps_per_epoch
    padding = steps_per_epoch * batch - n
    optimizer = optax.with_extra_args_support(problem.optimizer)

    def init(key: Key) -> TrainState:
        params = problem.init(role_key(key, "init"))
        zero = jnp.zeros((), jnp.int32)
        return TrainState(key, params, optimizer.init(params), zero, zero - 1)

    def steps(
        state: TrainState,
        x: Array,
        y: Array | None,
        epoch: Array | int,
        start: Array | int,
        stop: Array | int,
        anneal: Anneal,
    ) -> tuple[TrainState, StepLosses]:
        order = jax.random.permutation(role_key(state.key, "shuffle", epoch), n)
        # Padding repeats the first rows; their weight is 0.
        order = (
            jnp.concatenate([order, order[:padding]])
            if padding <= n
            else jnp.resize(order, (steps_per_epoch * batch,))
        )

        def one(
            index: Array, carry: tuple[TrainState, StepLosses]
        ) -> tuple[TrainState, StepLosses]:
            state, losses = carry
            rows = jax.lax.dynamic_slice_in_dim(order, index * batch, batch)
            weights = (index * batch + jnp.arange(batch) < n).astype(jnp.float32)
            xs, ys = x[rows], None if y is None else y[rows]
            (loss, original), gradient = jax.value_and_grad(problem.batch_loss, has_aux=True)(
                state.params, xs, ys, weights
            )
            updates, opt_state = optimizer.update(
                gradient, state.opt_state, state.params, value=loss
            )
            factor = anneal.factor(state.step)
            updates = jax.tree.map(lambda u: factor.astype(u.dtype) * u, updates)
            bad = (state.first_bad < 0) & ~jnp.isfinite(loss)
            state = TrainState(
                state.key,
                optax.apply_updates(state.params, updates),
                opt_state,
                state.step + 1,
                jnp.where(bad, state.step, state.first_bad),
            )
            losses = StepLosses(
                losses.train.at[index].set(loss), losses.original.at[index].set(original)
            )
            return state, losses

        empty = jnp.zeros((steps_per_epoch,), jnp.float32)
        return jax.lax.fori_loop(start, stop, one, (state, StepLosses(empty, empty)))

    return Loop(init, steps)


def batch_weights(problem: Problem) -> Array:
    """Each batch's share of an epoch, (steps_per_epoch,) float32, summing to 1."""
    n, batch = problem.examples, problem.batch_size
    starts = jnp.arange(problem.steps_per_epoch) * batch
    return jnp.minimum(batch, n - starts).astype(jnp.float32) / n


class Trained(NamedTuple):
    """What `make_train`'s function returns: the end state and the batch losses by epoch.

    ``losses`` holds (epochs, steps_per_epoch) arrays; ``train`` is Keras' running mean by
    epoch, (epochs,).
    """

    state: TrainState
    losses: StepLosses
    train: Array


def make_train(problem: Problem) -> Callable[[Key, Array, Array | None], Trained]:
    """Training from a key to the end as one pure function of (key, x, y).

    The data are arguments rather than constants of the program, so that one trace serves
    every seed and nothing is copied into the executable. Compose with `jax.jit`,
    `jax.vmap` over keys, or `jax.lax.map`.

    Example:
      >>> train = jax.jit(jax.vmap(make_train(problem), in_axes=(0, None, None)))
      >>> result = train(jax.random.split(jax.random.key(0), 8), x, None)
    """
    loop = make_loop(problem)
    weights = batch_weights(problem)
    stop = problem.steps_per_epoch

    def train(key: Key, x: Array, y: Array | None) -> Trained:
        def epoch(state: TrainState, index: Array) -> tuple[TrainState, tuple[StepLosses, Array]]:
            state, losses = loop.steps(state, x, y, index, 0, stop, Anneal())
            return state, (losses, jnp.dot(weights, losses.train))

        state, (losses, means) = jax.lax.scan(epoch, loop.init(key), jnp.arange(problem.epochs))
        return Trained(state, losses, means)

    return train
