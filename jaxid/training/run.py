"""Many seeds of one problem, from keys to a history: epochs on the device, records on the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import interrupt
from jaxid.core.progress import SILENT, Reporter
from jaxid.core.random import seed_key
from jaxid.core.types import Array
from jaxid.problem.problem import Problem
from jaxid.training.layout import Layout, over_seeds
from jaxid.training.loop import Anneal, StepLosses, TrainState, batch_weights, make_loop
from jaxid.training.metrics import Evaluation, make_evaluate


class Census(NamedTuple):
    """Which units are dead when: pre-activation <= 0 on every training example.

    Attributes:
      step, epoch: (C,), when; epoch is step / steps_per_epoch.
      dead: for each layer (S, C, width) bool; S is `Runner.train`'s ``census_seeds``.
      loss: (S, C), the loss on the whole training set.
      output_loss: (S, C, m).
    """

    step: np.ndarray
    epoch: np.ndarray
    dead: tuple[np.ndarray, ...]
    loss: np.ndarray
    output_loss: np.ndarray


class History(NamedTuple):
    """What `Runner.train` gives: S seeds, T epochs, B batches an epoch.

    Attributes:
      state: the end states, stacked.
      step_loss, step_original: (S, T * B) batch losses before each update, training and
        original units.
      train: (S, T), Keras' running mean over each epoch.
      test: (S, T) test loss after each epoch, empty without a test set.
      census: None unless asked for.
      train_end, test_end: evaluations at the end, stacked; test_end None without a test set.
      first_bad: (S,), the step at which a seed's loss first was not finite, -1 if never; the
        number of steps where only the loss at the end is not.
      interrupted: epochs that were finished when an interrupt came, of a run that keeps them;
        None if none came.
    """

    state: TrainState
    step_loss: np.ndarray
    step_original: np.ndarray
    train: np.ndarray
    test: np.ndarray
    census: Census | None
    train_end: Evaluation
    test_end: Evaluation | None
    first_bad: np.ndarray
    interrupted: int | None = None


def census_steps(steps_per_epoch: int, count: int = 20) -> list[int]:
    """About ``count`` log-spaced steps inside the first epoch, 0 included, its end not."""
    if steps_per_epoch < 2:
        return [0]
    inner = np.geomspace(1, steps_per_epoch - 1, count)
    return sorted({0, *np.round(inner).astype(int).tolist()})


class Runner:
    """Compiled programs of one problem in one layout; nothing is compiled twice.

    Args:
      problem: what to train.
      layout: how seeds are laid out.
      precision: matmul precision, "highest" for true float32 on accelerators.
    """

    def __init__(
        self, problem: Problem, layout: Layout = "sequential", precision: str = "highest"
    ) -> None:
        self.problem, self.layout, self.precision = problem, layout, precision
        loop, evaluate = make_loop(problem), make_evaluate(problem)
        self.x, self.y = _on_device(problem.train)
        self.test = None if problem.test is None else _on_device(problem.test)

        def steps(
            states: TrainState, x: Array, y: Array | None, *where: Any
        ) -> tuple[TrainState, StepLosses]:
            return over_seeds(lambda s: loop.steps(s, x, y, *where), layout)(states)

        def evaluated(states: TrainState, x: Array, y: Array | None) -> Evaluation:
            return over_seeds(lambda s: evaluate(s.params, x, y), layout)(states)

        self._init = jax.jit(jax.vmap(loop.init))
        # The states are donated: parameters and moments are updated in place.
        self._steps = jax.jit(steps, donate_argnums=0)
        self._evaluate = jax.jit(evaluated)

    def init(self, seeds: Sequence[int]) -> TrainState:
        """Initial states of those seeds, stacked."""
        with jax.default_matmul_precision(self.precision):
            return self._init(jnp.stack([seed_key(seed) for seed in seeds]))

    def evaluate(self, states: TrainState, *, test: bool = False) -> Evaluation:
        """Full pass over the training (or test) set, on the host."""
        return jax.device_get(self._evaluate_on_device(states, test=test))

    def _evaluate_on_device(self, states: TrainState, *, test: bool) -> Evaluation:
        x, y = (self.test or (None, None)) if test else (self.x, self.y)
        assert x is not None, "no test set"
        with jax.default_matmul_precision(self.precision):
            return self._evaluate(states, x, y)

    def steps(
        self, states: TrainState, epoch: int, start: int, stop: int, anneal: Anneal
    ) -> tuple[TrainState, StepLosses]:
        """Steps start..stop-1 of an epoch for all seeds; ``states`` is donated."""
        with jax.default_matmul_precision(self.precision):
            return self._steps(states, self.x, self.y, epoch, start, stop, anneal)

    def train(
        self,
        seeds: Sequence[int],
        *,
        epochs: int | None = None,
        census: bool = False,
        census_seeds: int | None = None,
        test_curve: bool = True,
        keep: bool = False,
        name: str = "training",
        reporter: Reporter = SILENT,
    ) -> History:
        """Train those seeds from their initialisation.

        Args:
          seeds: which.
          epochs: the problem's, if None.
          census: count dead units at log-spaced steps of the first epoch and then after
            each epoch (a full pass each).
          census_seeds: only for that many seeds, the first ones; all if None.
          test_curve: evaluate the test set after every epoch.
          keep: after an interrupt give the epochs that were finished, and say so in
            `History.interrupted`.
          name, reporter: for the progress bar.

        Raises:
          KeyboardInterrupt: for an interrupt, unless an epoch is kept.
        """
        total = self.problem.epochs if epochs is None else epochs
        watched = (len(seeds) if census_seeds is None else census_seeds) if census else 0
        return self._run(
            self.init(seeds), 0, total, Anneal(), watched, test_curve, name, reporter, keep=keep
        )

    def losses(
        self, seeds: Sequence[int], *, name: str, reporter: Reporter = SILENT
    ) -> tuple[np.ndarray, np.ndarray]:
        """Train and keep only the batch losses: the least that a trial needs.

        Returns:
          (batch losses in original units (S, T * B), first_bad (S,)).
        """
        states, stop = self.init(seeds), self.problem.steps_per_epoch
        anneal = Anneal(*(jnp.asarray(v, jnp.int32) for v in Anneal()))
        parts: list[StepLosses] = []
        with reporter.task(name, self.problem.epochs * len(seeds)) as task:
            for epoch in range(self.problem.epochs):
                states, part = self.steps(states, epoch, 0, stop, anneal)
                parts.append(part)
                note = _note(parts[-2] if epoch else None, epoch, self.problem.epochs)
                task.advance(len(seeds), note)
        original = np.concatenate([p.original for p in jax.device_get(parts)], axis=1)
        return original, np.asarray(states.first_bad)

    def anneal(
        self, states: TrainState, epochs: int, *, name: str, reporter: Reporter = SILENT
    ) -> History:
        """Go on from trained states with the update's factor falling linearly to 0.

        The states are copied, not consumed. Batch orders are those of epochs after the
        run's own, so a second, longer annealing starts with the same batches.
        """
        copied = jax.tree.map(jnp.copy, states)
        start = int(np.max(np.asarray(states.step)))
        ramp = Anneal(start, epochs * self.problem.steps_per_epoch)
        first = self.problem.epochs
        return self._run(copied, first, epochs, ramp, 0, False, name, reporter)

    def _run(
        self,
        states: TrainState,
        first: int,
        epochs: int,
        anneal: Anneal,
        watched: int,
        test_curve: bool,
        name: str,
        reporter: Reporter,
        *,
        keep: bool = False,
    ) -> History:
        per_epoch = self.problem.steps_per_epoch
        anneal = Anneal(*(jnp.asarray(v, jnp.int32) for v in anneal))
        losses: list[StepLosses] = []
        tests: list[Array] = []
        records: list[tuple[int, Evaluation]] = []
        curve = test_curve and self.test is not None
        seeds = int(states.step.shape[0])
        stopped: int | None = None
        with interrupt.listening(), reporter.task(name, epochs * seeds) as task:
            for epoch in range(first, first + epochs):
                cuts = census_steps(per_epoch) if watched and epoch == first else [0]
                parts: list[StepLosses] = []
                for start, stop in zip(cuts, [*cuts[1:], per_epoch], strict=True):
                    if watched and epoch == first:
                        records.append((start, self._census_pass(states, watched)))
                    states, part = self.steps(states, epoch, start, stop, anneal)
                    parts.append(part)
                losses.append(jax.tree.map(lambda *p: sum(p[1:], start=p[0]), *parts))
                if watched:
                    end = (epoch - first + 1) * per_epoch
                    records.append((end, self._census_pass(states, watched)))
                if curve:
                    tests.append(self._evaluate_on_device(states, test=True).loss)
                # The previous epoch's loss is ready by now: no wait on the running one.
                note = _note(losses[-2] if len(losses) > 1 else None, epoch - first, epochs)
                try:
                    task.advance(seeds, note)
                except KeyboardInterrupt:
                    # Here the epoch stands whole, and so do the states.
                    if not keep:
                        raise
                    stopped = epoch - first + 1
                    break
            history = self._collect(states, losses, tests, records, curve)
            if keep and stopped is None and interrupt.taken():
                stopped = epochs
        history = history._replace(interrupted=stopped)
        return history

    def _census_pass(self, states: TrainState, watched: int) -> Evaluation:
        some = jax.tree.map(lambda leaf: leaf[:watched], states)
        return self._evaluate_on_device(some, test=False)

    def _collect(
        self,
        states: TrainState,
        losses: list[StepLosses],
        tests: list[Array],
        records: list[tuple[int, Evaluation]],
        curve: bool,
    ) -> History:
        host: list[StepLosses] = jax.device_get(losses)
        train = np.stack([part.train for part in host], axis=1)
        original = np.stack([part.original for part in host], axis=1)
        weights = np.asarray(batch_weights(self.problem))
        seeds = train.shape[0]
        whole = bool(records) and records[-1][1].loss.shape[0] == seeds
        last = records[-1][1] if whole else self._evaluate_on_device(states, test=False)
        test_end = None if self.test is None else self.evaluate(states, test=True)
        end: Evaluation = jax.device_get(last)
        first_bad = np.asarray(states.first_bad)
        # The last update may be the one that leaves the finite numbers.
        late = (first_bad < 0) & ~np.isfinite(end.loss)
        return History(
            states,
            train.reshape(seeds, -1),
            original.reshape(seeds, -1),
            train @ weights,
            np.stack(jax.device_get(tests), axis=1) if curve else np.zeros((seeds, 0)),
            _census(records, self.problem.steps_per_epoch) if records else None,
            end,
            test_end,
            np.where(late, np.asarray(states.step), first_bad),
        )


def _census(records: list[tuple[int, Evaluation]], per_epoch: int) -> Census:
    step = np.array([at for at, _ in records])
    passes: list[Evaluation] = jax.device_get([record for _, record in records])
    layers = len(passes[0].fires)
    return Census(
        step,
        step / per_epoch,
        tuple(np.stack([p.fires[i] == 0 for p in passes], axis=1) for i in range(layers)),
        np.stack([p.loss for p in passes], axis=1),
        np.stack([p.output_loss for p in passes], axis=1),
    )


def _note(losses: StepLosses | None, epoch: int, epochs: int) -> str:
    if losses is None:
        return f"epoch {epoch + 1}/{epochs}"
    return f"epoch {epoch + 1}/{epochs}  loss {float(jnp.mean(losses.train)):.4g}"


def _on_device(part: tuple[Any, Any]) -> tuple[Array, Array | None]:
    x, y = part
    return jnp.asarray(x), None if y is None else jnp.asarray(y)
