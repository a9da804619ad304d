"""The last layer's exact spectrum at initialisation, at the end and after annealing.

The first two are what a person asks for; the third, with the distance to the solved
parameters in its eigenvectors, says which modes were slow. For more than one layer the
least eigenvalue of the whole network's Hessian comes from Lanczos, on as many examples as
`LANCZOS_BUDGET` allows, because a last layer's block cannot show a saddle between layers.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import numpy as np

from jaxid.core import trees
from jaxid.core.progress import Reporter
from jaxid.core.random import role_key, seed_key
from jaxid.core.types import Estimate
from jaxid.curvature.conditioning import effective_kappa_curve
from jaxid.curvature.last_layer.head import HeadData, SeedEvidence, head_data
from jaxid.curvature.last_layer.nullspace import null_reasons
from jaxid.curvature.last_layer.spectrum import HeadSpectrum, head_spectrum
from jaxid.curvature.matrices import curvature_product
from jaxid.curvature.products import MEMORY
from jaxid.diagnosis.evidence import Evidence, seed_params
from jaxid.diagnosis.head_curvature import (
    Blocks,
    Conditioning,
    Decade,
    EffectiveCurve,
    EffectiveKappa,
    HeadCurvature,
    NoSpectra,
    NullCounts,
    SeedCurvature,
    SlowModes,
    WholeNetwork,
)
from jaxid.linalg.lanczos import LEAST_BASIS, RESTARTS, extremal_eigenvalues
from jaxid.training.run import History, Runner

SHARE = 0.99
"""Share of the excess that the effective condition number accounts for."""
LANCZOS_BUDGET = 1.5e13
"""Floating-point operations that the whole network's Lanczos may take (minutes on 2 cores)."""
LEFT = 0.01
"""A mode counts as learned when its excess has fallen to this share."""


class Spectra(NamedTuple):
    """What `measure` gives.

    Attributes:
      conditioning: the result.
      modes: which modes are slow, for the budget; None without solved parameters.
      least, lambda_max: ends of the Hessian at the annealed point; None if not computed.
      null_dims: (m,) flat directions of each output's block at the annealed point.
      block: order of one output's block.
    """

    conditioning: Conditioning
    modes: SlowModes | None = None
    least: Estimate | None = None
    lambda_max: float | None = None
    null_dims: np.ndarray | None = None
    block: int = 0


def lanczos_flops(weights: float) -> float:
    """The whole network's Lanczos, restarts and all, for each example. A Hessian-vector
    product is the tangents' forward and backward pass, about 8 operations a weight; a
    restart makes three quarters of a basis anew."""
    return 8.0 * weights * LEAST_BASIS * (1 + 0.75 * RESTARTS)


def measure(
    runner: Runner,
    history: History,
    evidence: Evidence | None,
    count: int,
    reporter: Reporter,
    seeds: list[int],
) -> Spectra:
    """Exact spectra of the first ``count`` finite seeds; the first one's go to the figures.

    Args:
      runner: gives the problem and the initial states.
      history: the run.
      evidence: annealed and solved states; None if no seed stayed finite.
      count: how many seeds; 0 computes nothing.
      reporter: progress.
      seeds: the run's seeds, in the order of ``history``.
    """
    problem = runner.problem
    chosen = [int(s) for s in np.flatnonzero(history.first_bad < 0)[:count]]
    if not chosen or problem.net.head is None or problem.net.inspect is None:
        reason = NoSpectra.NOT_ASKED if count == 0 else NoSpectra.NO_FINITE_SEED
        return Spectra(Conditioning(None, None, reason))
    rows: list[SeedCurvature] = []
    first: list[Blocks] = []
    for s in chosen:
        ends = []
        initial = seed_params(runner.init([seeds[s]]), 0)
        for name, params in (("init", initial), ("end", seed_params(history.state, s))):
            data = head_data(problem, params)
            found = _spectrum(data, reporter, f"spectrum at {name}, seed {seeds[s]}")
            ends.append(_curvature(data, found, seeds[s]))
            if s == chosen[0]:
                first.append(Blocks(found.eigenvalues, found.thresholds))
        rows.append(SeedCurvature(*ends))
    conditioning = Conditioning(
        rows[0].at_init,
        rows[0].at_end,
        seeds=tuple(rows),
        spectrum_init=first[0],
        spectrum_end=first[1],
    )
    solved = None if evidence is None else {e.index: e for e in evidence.seeds}.get(chosen[0])
    if evidence is None or solved is None:
        return Spectra(conditioning)
    data = head_data(problem, seed_params(evidence.annealed.state, chosen[0]))
    found = _spectrum(data, reporter, "spectrum after annealing", solved)
    least, largest = found.least, found.lambda_max
    if len(problem.net.activations) > 1:
        least, largest = _whole_network(runner, evidence, chosen[0], reporter)
    # The share of the excess is that of the way from the annealed to the solved point.
    at_end = dataclasses.replace(rows[0].at_end, effective_kappa=_effective(found))
    return Spectra(
        dataclasses.replace(
            conditioning,
            at_end=at_end,
            seeds=(dataclasses.replace(rows[0], at_end=at_end), *rows[1:]),
            whole_network=WholeNetwork(least, largest),
            effective=_effective_curve(found),
        ),
        _modes(found, problem.steps_per_epoch),
        least,
        largest.value,
        found.null_dims,
        found.eigenvalues.shape[1],
    )


def _effective(found: HeadSpectrum) -> EffectiveKappa:
    (value,) = effective_kappa_curve(
        found.eigenvalues, _coordinates(found), [SHARE], thresholds=found.thresholds[:, None]
    )[1]
    where = "last layer after annealing, against the solved last layer"
    return EffectiveKappa(**vars(value), share=SHARE, where=where)


def _effective_curve(found: HeadSpectrum) -> EffectiveCurve:
    shares, curve = effective_kappa_curve(
        found.eigenvalues, _coordinates(found), thresholds=found.thresholds[:, None]
    )
    return EffectiveCurve(shares, np.array([np.nan if e.value is None else e.value for e in curve]))


def _spectrum(
    data: HeadData, reporter: Reporter, name: str, solved: SeedEvidence | None = None
) -> HeadSpectrum:
    target = None if solved is None else (solved.solution.kernel, solved.solution.bias)
    m = data.targets.shape[1]
    with reporter.task(name, m) as task:
        done = 0

        def progress(now: int, total: int) -> None:
            nonlocal done
            del total
            task.advance(now - done)
            done = now

        return head_spectrum(
            data.features,
            data.targets,
            data.kernel,
            data.bias,
            data.activation,
            solved=target,
            progress=progress,
        )


def _coordinates(found: HeadSpectrum) -> np.ndarray:
    assert found.coordinates is not None, "no solved parameters were given"
    return found.coordinates


def _curvature(data: HeadData, found: HeadSpectrum, seed: int) -> HeadCurvature:
    reasons = null_reasons(data.features, found, bias=data.bias is not None)
    why = "only for the first seed whose last layer was solved"
    return HeadCurvature(
        operator="last_layer_hessian",
        seed=seed,
        size=int(found.eigenvalues.size),
        lambda_max=found.lambda_max,
        lambda_min_nonzero=found.lambda_min_nonzero,
        kappa=found.kappa,
        effective_kappa=EffectiveKappa(None, None, False, why),
        null_dim=int(found.null_dim),
        null_share=found.null_dim / found.eigenvalues.size,
        null_reasons=NullCounts(**reasons.counts),
        negative=int(found.negative.sum()),
        near_threshold=int(found.near.sum()),
        least=found.least,
        threshold=float(found.threshold),
        dead_units=int(found.dead.sum()),
    )


def _modes(found: HeadSpectrum, steps_per_epoch: int) -> SlowModes:
    """Where the excess between the annealed and the solved point lies, by curvature.

    Gradient descent at the rate 1 / lambda_max shrinks a mode's excess by
    (1 - lambda / lambda_max)^2 a step, so to a share r it takes
    ln(1 / r) lambda_max / (2 lambda) steps where lambda is small. Other optimizers differ.
    """
    values, coordinates = found.eigenvalues, _coordinates(found)
    keep = values > found.thresholds[:, None]
    ratio = values[keep] / values.max()
    excess = 0.5 * values[keep] * coordinates[keep] ** 2
    total = float(excess.sum())
    if total == 0:
        return SlowModes(0.0, (), "nothing is left to learn")
    decades = []
    exponent = np.floor(np.log10(ratio)).astype(int)
    for power in range(int(exponent.max()), int(exponent.min()) - 1, -1):
        inside = exponent == power
        if inside.any():
            epochs = np.log(1 / LEFT) / (2 * 10.0**power) / steps_per_epoch
            share = float(excess[inside].sum()) / total
            decades.append(Decade(power, int(inside.sum()), share, float(epochs)))
    return SlowModes(
        total,
        tuple(decades),
        "shares of sum lambda c^2 / 2 by decade of lambda / lambda_max; epochs for "
        f"gradient descent at rate 1 / lambda_max to bring a mode of lambda_max times that "
        f"power of ten to {LEFT:.0%} of its excess",
    )


def _whole_network(
    runner: Runner, evidence: Evidence, index: int, reporter: Reporter
) -> tuple[Estimate, Estimate]:
    """(least, largest) eigenvalue of the whole network's Hessian at the annealed point."""
    problem = runner.problem
    params = seed_params(evidence.annealed.state, index)
    affordable = int(LANCZOS_BUDGET / lanczos_flops(trees.size(params)))
    x, y = runner.x, runner.y
    n = min(problem.examples, max(problem.batch_size, affordable))
    with (
        jax.default_matmul_precision(runner.precision),
        reporter.task("least eigenvalue (Lanczos)", 1) as task,
    ):
        data = (x[:n], None if y is None else y[:n])
        found = extremal_eigenvalues(
            curvature_product(problem).within(MEMORY, params, data),
            (params, data),
            trees.random_like(role_key(seed_key(index), "lanczos"), params),
        )
        task.advance(1)
    note = f"; whole network, the first {n:,} of {problem.examples:,} training examples"
    return (
        dataclasses.replace(found.smallest, method=found.smallest.method + note),
        dataclasses.replace(found.largest, method=found.largest.method + note),
    )
