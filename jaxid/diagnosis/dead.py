"""Units that stopped: when, how many, what they cost, and which are harmless."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxid.core.statistics import Mean, mean_of, sem
from jaxid.diagnosis.evidence import constant_targets
from jaxid.nets.activations import CAN_DIE
from jaxid.problem.problem import Problem
from jaxid.training.run import Census, History


@dataclass(frozen=True)
class DeadLayer:
    """One layer's units, means over the seeds that were watched.

    Attributes:
      layer: its number, from 1.
      units: its width.
      activation: its name.
      dead_start, dead_end: units that fire on no training example, at the first and the last
        census.
      revivals: how often a unit dead at one census fires at the next.
    """

    layer: int
    units: int
    activation: str
    dead_start: Mean
    dead_end: Mean
    revivals: Mean


@dataclass(frozen=True)
class BornDead:
    """Outputs with varying targets that never fire at any census, and the loss in them."""

    outputs: Mean
    loss: Mean


@dataclass(frozen=True)
class DeathClock:
    """When outputs with varying targets that are dead at the end died, pooled over seeds.

    Attributes:
      count: how many did, those that were dead before the first step left out.
      median_step: by when half of them had; None if none did.
      in_first_epoch: the share that did within it; None if none did.
    """

    count: int
    median_step: float | None
    in_first_epoch: float | None


@dataclass(frozen=True)
class DeadUnits:
    """Units that stopped, layer by layer, and the outputs' loss by varying and constant target.

    Attributes:
      layers: all of them, the outputs last.
      census_seeds: seeds that were watched along training.
      outputs: how many there are.
      outputs_dead, outputs_dead_varying, outputs_dead_constant: dead at the end, all of them,
        and those whose targets vary or never do.
      constant_targets: targets that never vary on the training set.
      loss_varying, loss_constant: the loss in dead outputs, training units.
      share_of_loss: of the mean loss, that in dead outputs whose target varies; None if it is 0.
      share_sem: standard error of the seeds' shares.
      revivals: of outputs.
      born_dead, death: since when.
      stops_gradient: whether an output that is never positive gets no gradient.
      how: what counts as dead.
    """

    layers: tuple[DeadLayer, ...]
    census_seeds: int
    outputs: int
    outputs_dead: Mean
    outputs_dead_varying: Mean
    outputs_dead_constant: Mean
    constant_targets: int
    loss_varying: Mean
    loss_constant: Mean
    share_of_loss: float | None
    share_sem: float | None
    revivals: Mean
    born_dead: BornDead
    death: DeathClock
    stops_gradient: bool
    how: str


@dataclass(frozen=True)
class CensusCurves:
    """Dead units along training: S seeds that were watched, C moments, L layers.

    Attributes:
      step, epoch: (C,), when.
      dead: (S, L, C), units that fire on no training example.
      dead_varying: (S, C), of the outputs those whose target varies.
      dead_loss: (S, C), the loss in them, training units.
      loss: (S, C), the whole loss.
    """

    step: np.ndarray
    epoch: np.ndarray
    dead: np.ndarray
    dead_varying: np.ndarray
    dead_loss: np.ndarray
    loss: np.ndarray


def death_index(dead: np.ndarray) -> np.ndarray:
    """The first census after which a unit never fires again: (..., C, w) -> (..., w).

    C where the unit fires at the last census (it is not dead at the end).
    """
    fires = ~dead
    count = dead.shape[-2]
    last_fire = count - 1 - np.argmax(fires[..., ::-1, :], axis=-2)
    last_fire = np.where(fires.any(axis=-2), last_fire, -1)
    return np.minimum(last_fire + 1, count)


def revivals(dead: np.ndarray) -> np.ndarray:
    """How often a unit dead at one census fires at the next: (..., C, w) -> (...)."""
    return np.sum(dead[..., :-1, :] & ~dead[..., 1:, :], axis=(-2, -1))


def dead_units(history: History, problem: Problem) -> DeadUnits | None:
    """Units that are dead at the end, by layer, and what they cost.

    A unit counts as dead when its pre-activation is <= 0 on every training example. That
    stops its gradient only where the activation is 0 there; ``stops_gradient`` says so.
    Seeds that went non-finite are left out (nothing of theirs is above 0); None without others.
    """
    census, kept = history.census, history.first_bad < 0
    if census is None or not census.dead or not kept[: census.loss.shape[0]].any():
        return None
    watched = kept[: census.loss.shape[0]]
    census = census._replace(
        dead=tuple(layer[watched] for layer in census.dead),
        loss=census.loss[watched],
        output_loss=census.output_loss[watched],
    )
    constant = constant_targets(problem)
    outputs = np.asarray(history.train_end.fires[-1])[kept] == 0
    losses = np.asarray(history.train_end.output_loss, float)[kept]
    varying = outputs & ~constant[None, :]
    in_varying = np.where(varying, losses, 0.0).mean(axis=1)
    in_constant = np.where(outputs & constant[None, :], losses, 0.0).mean(axis=1)
    total = np.asarray(history.train_end.loss, float)[kept]
    share = in_varying[total > 0] / total[total > 0]
    return DeadUnits(
        layers=tuple(
            _layer(i, dead, problem.net.activations[i]) for i, dead in enumerate(census.dead)
        ),
        census_seeds=int(watched.sum()),
        outputs=int(outputs.shape[1]),
        outputs_dead=mean_of(outputs.sum(axis=1)),
        outputs_dead_varying=mean_of(varying.sum(axis=1)),
        outputs_dead_constant=mean_of((outputs & constant[None, :]).sum(axis=1)),
        constant_targets=int(constant.sum()),
        loss_varying=mean_of(in_varying),
        loss_constant=mean_of(in_constant),
        # Of the mean loss, as the budget's shares are; not the mean of the seeds' shares.
        share_of_loss=float(in_varying.mean() / total.mean()) if total.any() else None,
        share_sem=sem(share),
        revivals=mean_of(revivals(census.dead[-1])),
        born_dead=_born(census, constant),
        death=_clock(census, constant),
        stops_gradient=problem.net.activations[-1] in CAN_DIE,
        how="pre-activation <= 0 on all training examples; death is the first census "
        "after which a unit never fires",
    )


def census_curves(history: History, problem: Problem) -> CensusCurves | None:
    """Dead units and the loss in dead outputs over time; None where nothing was watched."""
    census = history.census
    if census is None or not census.dead:
        return None
    varying = census.dead[-1] & ~constant_targets(problem)[None, None, :]
    return CensusCurves(
        census.step,
        census.epoch,
        np.stack([layer.sum(axis=-1) for layer in census.dead], axis=1),
        varying.sum(axis=-1),
        np.where(varying, census.output_loss, 0.0).mean(axis=-1),
        census.loss,
    )


def _layer(index: int, dead: np.ndarray, activation: str) -> DeadLayer:
    return DeadLayer(
        index + 1,
        int(dead.shape[-1]),
        activation,
        mean_of(dead[:, 0].sum(axis=-1)),
        mean_of(dead[:, -1].sum(axis=-1)),
        mean_of(revivals(dead)),
    )


def _born(census: Census, constant: np.ndarray) -> BornDead:
    """Varying outputs that never fire at any census, and the loss in them at the end."""
    born = (death_index(census.dead[-1]) == 0) & ~constant[None, :]
    lost = np.where(born, census.output_loss[:, -1], 0.0).mean(axis=1)
    return BornDead(mean_of(born.sum(axis=1)), mean_of(lost))


def _clock(census: Census, constant: np.ndarray) -> DeathClock:
    """When varying outputs that are dead at the end died, pooled over seeds; those that were
    dead before the first step are counted apart."""
    at = death_index(census.dead[-1])[:, ~constant]
    died = at[(at > 0) & (at < census.step.size)]
    if died.size == 0:
        return DeathClock(0, None, None)
    return DeathClock(
        int(died.size),
        float(np.median(census.step[died])),
        float(np.mean(census.epoch[died] <= 1.0)),
    )
