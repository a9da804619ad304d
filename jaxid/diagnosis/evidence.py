"""What is measured on a trained problem before anything is concluded from it.

Four states of each seed: the initial one, the end, the annealed one (the update's factor
taken to 0 from the end) and the solved one (the last layer by Gauss-Newton from there).
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import interrupt
from jaxid.core.progress import Reporter
from jaxid.core.types import Params
from jaxid.curvature.last_layer.head import SeedEvidence, examine_head, head_data
from jaxid.diagnosis.noise import predicted_floor
from jaxid.nets.activations import CAN_DIE
from jaxid.problem.targets import constant_targets as constant_targets
from jaxid.training.loop import TrainState, one_seed
from jaxid.training.metrics import residual_shift
from jaxid.training.run import History, Runner


@dataclass(frozen=True)
class Evidence:
    """All of it; arrays have the seeds first.

    Attributes:
      history: the run.
      annealed, annealed_twice: after annealing over ``anneal_epochs`` and twice as many;
        the second for the first ``annealed_twice`` seeds only.
      coherent, incoherent: (S, m), squared mean and variance of the difference of outputs
        between the end and the annealed state.
      seeds: for each of the first solved seeds, its head evidence; () without a head.
      constant: (m,) bool, targets that never vary on the training set.
      can_die: whether an output that is never positive stops: elsewhere it still learns.
    """

    history: History
    anneal_epochs: int
    annealed: History
    annealed_twice: History
    coherent: np.ndarray
    incoherent: np.ndarray
    seeds: tuple[SeedEvidence, ...]
    constant: np.ndarray
    can_die: bool

    def dead(self, state: History) -> np.ndarray:
        """(solved seeds, m) bool: outputs without a slope on any training example."""
        index = [seed.index for seed in self.seeds]
        return (np.asarray(state.train_end.fires[-1])[index] == 0) & self.can_die


def seed_params(state: TrainState, index: int) -> Params:
    """One seed's parameters out of a stacked state."""
    return jax.tree.map(lambda leaf: leaf[index], state.params)


def gather(
    runner: Runner,
    history: History,
    *,
    solve_seeds: int,
    twice_seeds: int,
    end_seeds: int,
    reporter: Reporter,
) -> Evidence:
    """Anneal, solve and compare, from a finished run.

    Args:
      runner: the run's programs.
      history: the run.
      solve_seeds: how many seeds' last layers are solved.
      twice_seeds: how many seeds are annealed a second time, twice as long.
      end_seeds: how many are also solved from the end state, for one-at-a-time effects.
      reporter: progress.
    """
    problem = runner.problem
    epochs = max(2, round(problem.epochs / 4))
    annealed = runner.anneal(history.state, epochs, name="annealing", reporter=reporter)
    some = jax.tree.map(lambda leaf: leaf[:twice_seeds], history.state)
    twice = runner.anneal(some, 2 * epochs, name="annealing twice as long", reporter=reporter)
    shift = jax.jit(
        lambda a, b, x, y: (
            residual_shift(problem, a, b, x, y)
            if problem.loss == "mse"
            else (jnp.zeros(0), jnp.zeros(0))
        )
    )
    seeds = history.first_bad.size
    coherent, incoherent = [], []
    for s in range(seeds):
        interrupt.check()
        with jax.default_matmul_precision(runner.precision):
            mean, variance = shift(
                seed_params(history.state, s), seed_params(annealed.state, s), runner.x, runner.y
            )
        coherent.append(np.asarray(mean))
        incoherent.append(np.asarray(variance))
    solved = []
    if problem.net.head is not None and problem.net.inspect is not None and problem.loss == "mse":
        finite = np.flatnonzero((history.first_bad < 0) & (annealed.first_bad < 0))
        for place, s in enumerate(finite[:solve_seeds].tolist()):
            end = head_data(problem, seed_params(history.state, s)) if place < end_seeds else None
            state = one_seed(history.state, s)
            params = seed_params(annealed.state, s)
            with jax.default_matmul_precision(runner.precision):
                noise = predicted_floor(problem, state, runner.x, runner.y, s)
            solved.append(
                examine_head(
                    s,
                    head_data(problem, params),
                    noise=noise,
                    end=end,
                    reporter=reporter,
                    name=f"solving, seed {place + 1}/{min(solve_seeds, finite.size)}",
                )
            )
    return Evidence(
        history,
        epochs,
        annealed,
        twice,
        np.stack(coherent),
        np.stack(incoherent),
        tuple(solved),
        constant_targets(problem),
        bool(problem.net.activations) and problem.net.activations[-1] in CAN_DIE,
    )
