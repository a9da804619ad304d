"""Units that stopped: when, how many, what they cost, and which are harmless."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxid.core.statistics import sem
from jaxid.diagnosis.evidence import constant_targets
from jaxid.nets.activations import CAN_DIE
from jaxid.problem.problem import Problem
from jaxid.training.run import Census, History


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


def dead_record(history: History, problem: Problem) -> dict[str, Any] | None:
    """The record's ``dead``: by layer, and the outputs' loss by varying and constant target.

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
    layers = [
        _layer(i, dead, census, problem.net.activations[i]) for i, dead in enumerate(census.dead)
    ]
    outputs = np.asarray(history.train_end.fires[-1])[kept] == 0
    losses = np.asarray(history.train_end.output_loss, float)[kept]
    varying = outputs & ~constant[None, :]
    in_varying = np.where(varying, losses, 0.0).mean(axis=1)
    in_constant = np.where(outputs & constant[None, :], losses, 0.0).mean(axis=1)
    total = np.asarray(history.train_end.loss, float)[kept]
    share = in_varying[total > 0] / total[total > 0]
    return {
        "layers": layers,
        "census_seeds": int(watched.sum()),
        "outputs": int(outputs.shape[1]),
        "outputs_dead": _mean(outputs.sum(axis=1)),
        "outputs_dead_varying": _mean(varying.sum(axis=1)),
        "outputs_dead_constant": _mean((outputs & constant[None, :]).sum(axis=1)),
        "constant_targets": int(constant.sum()),
        "loss_varying": _mean(in_varying),
        "loss_constant": _mean(in_constant),
        # Of the mean loss, as the budget's shares are; not the mean of the seeds' shares.
        "share_of_loss": float(in_varying.mean() / total.mean()) if total.any() else None,
        "share_sem": sem(share),
        "revivals": _mean(revivals(census.dead[-1])),
        "born_dead": _born(census, constant),
        "death": _clock(census, constant),
        "stops_gradient": problem.net.activations[-1] in CAN_DIE,
        "how": "pre-activation <= 0 on all training examples; death is the first census "
        "after which a unit never fires",
    }


def _layer(index: int, dead: np.ndarray, census: Census, activation: str) -> dict[str, Any]:
    return {
        "layer": index + 1,
        "units": int(dead.shape[-1]),
        "activation": activation,
        "dead_start": _mean(dead[:, 0].sum(axis=-1)),
        "dead_end": _mean(dead[:, -1].sum(axis=-1)),
        "revivals": _mean(revivals(dead)),
    }


def _born(census: Census, constant: np.ndarray) -> dict[str, Any]:
    """Varying outputs that never fire at any census, and the loss in them at the end."""
    born = (death_index(census.dead[-1]) == 0) & ~constant[None, :]
    lost = np.where(born, census.output_loss[:, -1], 0.0).mean(axis=1)
    return {"outputs": _mean(born.sum(axis=1)), "loss": _mean(lost)}


def _clock(census: Census, constant: np.ndarray) -> dict[str, Any]:
    """When varying outputs that are dead at the end died, pooled over seeds; those that were
    dead before the first step are counted apart."""
    at = death_index(census.dead[-1])[:, ~constant]
    died = at[(at > 0) & (at < census.step.size)]
    if died.size == 0:
        return {"count": 0, "median_step": None, "in_first_epoch": None}
    steps = census.step[died]
    return {
        "count": int(died.size),
        "median_step": float(np.median(steps)),
        "in_first_epoch": float(np.mean(census.epoch[died] <= 1.0)),
    }


def _mean(values: np.ndarray) -> dict[str, Any]:
    return {"mean": float(np.mean(values)), "sem": sem(values)}
