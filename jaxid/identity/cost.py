"""How long a run will take, from its floating-point operations and a matmul measured now."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.data.sources import Dataset
from jaxid.diagnosis.conditioning import LANCZOS_BUDGET, lanczos_flops
from jaxid.identity.spec import IdentitySpec
from jaxid.identity.trials import TrialMode, trial_plan

STEP_OVERHEAD = 40e-6
"""Seconds per step that are not arithmetic (measured on digits, 47 steps an epoch)."""
COMPILE = 1.2
"""Seconds to trace and compile one training program on a CPU."""
PROGRAMS = 12
"""Programs compiled besides those of the trials."""
TRIALS = 24
SOLVE_BUDGET = 450.0
"""Seconds that solving the last layers may take before fewer seeds are solved."""
LEAST_SOLVED = 2
TWICE_SEEDS = 3
"""Seeds annealed a second time, twice as long: enough for a standard error of the change."""
END_SEEDS = 3
"""Seeds whose last layer is solved a second time, from the end state: what solving does
without annealing. Above one layer none: a solve takes minutes there."""
CENSUS_BUDGET = 160.0
"""Seconds that counting units along training may take before fewer seeds are counted."""
LEAST_COUNTED = 3


@dataclass(frozen=True)
class Cost:
    """The sizes that cost time, and two measured rates (FLOP/s).

    Attributes:
      steps: training steps of one seed.
      step_flops: of one step: forward, backward without the input's gradient.
      pass_flops: of one forward pass over the training set.
      examples, features, outputs: of the last layer's problem.
      exact: whether its features are the data's own integers, in float32 without rounding.
      rate32, rate64: float32 in a training loop, float64 BLAS on the host.
    """

    spec: IdentitySpec
    steps: int
    step_flops: float
    pass_flops: float
    examples: int
    features: int
    outputs: int
    exact: bool
    rate32: float
    rate64: float

    @classmethod
    def of(cls, spec: IdentitySpec, dataset: Dataset) -> Cost:
        """Count for a resolved spec; takes about 0.3 s to measure the rates."""
        assert spec.epochs and spec.batch_size and spec.width
        n, d = dataset.train.shape
        sizes = [d, *[spec.width] * (spec.depth - 1), d]
        weights = [a * b for a, b in pairwise(sizes)]
        forward = 2.0 * sum(weights)
        backward = 2 * forward - 2.0 * weights[0]
        return cls(
            spec,
            spec.epochs * -(-n // spec.batch_size),
            (forward + backward) * spec.batch_size,
            forward * n,
            n,
            sizes[-2] + int(spec.use_bias),
            d,
            spec.depth == 1
            and spec.scaling == "raw"
            and spec.input_scaling in (None, "raw")
            and dataset.train.dtype.kind in "ui",
            _rate32(spec.batch_size, spec.width),
            _rate64(min(sizes[-2], 1000)),
        )

    def train_seconds(self, seeds: int, share: float = 1.0) -> float:
        """Training ``seeds`` seeds over that share of the run."""
        return seeds * share * self.steps * (self.step_flops / self.rate32 + STEP_OVERHEAD)

    def block_seconds(self) -> float:
        """One output's masked Gram matrix and its eigenvalues, at 40 % active rows.

        Integers cost less: half by float32, and of a mask and its complement the smaller.
        """
        p = self.features
        rows = (0.25 if self.exact else 0.8) * self.examples
        return (rows * p * p + 7.0 * p**3) / self.rate64 + 1e-4

    def solve_seconds(self) -> float:
        """One seed's last layer: half of the outputs alive, a first matrix and some changes."""
        return 0.75 * self.outputs * self.block_seconds()

    def twice_seeds(self) -> int:
        """Seeds annealed a second time."""
        return min(TWICE_SEEDS, self.spec.seeds)

    def end_seeds(self) -> int:
        """Seeds solved a second time, from the end state."""
        return min(END_SEEDS, self.solve_seeds()) if self.spec.depth == 1 else 0

    def census_seconds(self) -> float:
        """One seed's passes over the training set: 20 in the first epoch, then one each."""
        return (20 + (self.spec.epochs or 1)) * self.pass_flops / self.rate32

    def census_seeds(self) -> int:
        """All seeds, or as many as the time allows (three at least)."""
        affordable = int(CENSUS_BUDGET / max(self.census_seconds(), 1e-9))
        return min(self.spec.seeds, max(LEAST_COUNTED, affordable))

    def solve_seeds(self) -> int:
        """All seeds, or as many as the time allows (two at least)."""
        affordable = int(SOLVE_BUDGET / max(self.solve_seconds(), 1e-9))
        return min(self.spec.seeds, max(LEAST_SOLVED, affordable))

    def seconds(self, trials: TrialMode, spectrum_seeds: int) -> float:
        """The whole run."""
        seeds, epochs = self.spec.seeds, self.spec.epochs or 1
        census = self.census_seeds() * self.census_seconds()
        census += seeds * epochs * self.pass_flops / self.rate32 / 5
        anneal = 0.25 * self.train_seconds(seeds) + 0.5 * self.train_seconds(self.twice_seeds())
        # At initialisation all outputs are alive, at the end about half are.
        counted = min(spectrum_seeds, seeds)
        spectra = (1.5 * counted + 0.5) * self.outputs * self.block_seconds() if counted else 0.0
        total = self.train_seconds(seeds) + census + anneal + spectra + PROGRAMS * COMPILE
        total += (self.solve_seeds() + self.end_seeds()) * self.solve_seconds() + 6.0
        if self.spec.depth > 1 and counted:
            # At most this much; it stops where it has converged.
            weights = self.pass_flops / (2.0 * self.examples)
            whole = self.examples * lanczos_flops(weights)
            total += min(LANCZOS_BUDGET, whole) / self.rate32
        if trials != "none":
            tried, length = trial_plan(self.spec, trials)
            total += TRIALS * (COMPILE + self.train_seconds(tried, 1.2 * length / epochs))
        return total


def _rate32(batch: int, width: int) -> float:
    """FLOP/s of float32 products of the training step's shape, in a loop as training has it."""
    shape = (min(batch, 512), min(width, 2048))
    a, w = jnp.ones(shape, jnp.float32), jnp.full((shape[1], shape[1]), 1e-3, jnp.float32)
    repeat = max(4, int(2e9 / (2 * shape[0] * shape[1] ** 2)))
    repeat = min(repeat, 2000)
    run = jax.jit(lambda a, w: jax.lax.fori_loop(0, repeat, lambda _, x: jnp.tanh(x @ w), a))
    run(a, w).block_until_ready()
    start = time.perf_counter()
    run(a, w).block_until_ready()
    return repeat * 2 * shape[0] * shape[1] ** 2 / (time.perf_counter() - start)


def _rate64(p: int) -> float:
    """FLOP/s of X^T X in float64 on the host, counted as a general product."""
    x = np.random.default_rng(0).random((2000, p))
    x.T @ x
    start = time.perf_counter()
    x.T @ x
    return 2 * 2000 * p * p / (time.perf_counter() - start)
