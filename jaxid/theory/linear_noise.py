"""What the noise of batches adds to a linearised network's loss, bounded from its own gradients.

A batch's gradient is the whole one plus noise of covariance C. A chain answers noise of variance c
in a mode of curvature h, step after step, with an error of variance V_t(h) c, V_t by the recursion
of the chain's own maps, so that the loss gains

  N(t) = 1/2 sum_h h V_t(h) c_h.

How c lies over the curvatures is known by its moments tr(H^k C), k = 0 to 3, and N is bounded by
the worst distribution that has them: a linear program over a grid of h from 0 to the sharpness.
Moments are measured at the residuals that the linearised network has after 1, 2, 4, ... steps,
from sums of examples with random signs, J at the first parameters; tr(C) is interpolated between
them by powers, the others may be anything between the least and the largest seen over tr(C). What
noise does to itself through the residuals that it makes is not in N: where that matters N is
already large.

Batches of an epoch that uses every example once also make the mean contract faster: the mean of the
product of their steps is smaller than the product of the means, by eta^2 k / 2 times the variance
of a batch's Hessian, k batches, to second order. That makes rates larger by the share

  (n - b) / (n - 1) eta tau / (2 b),   tau = E|g_i|^2 / (2 L),

tau the curvature of single examples as their gradients weigh it, and the loss falls by so much more
of its logarithm: the drift.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linprog

from jaxid.core import trees
from jaxid.core.types import Array, Key, Params
from jaxid.theory.chains import Chain, VaryingChain
from jaxid.theory.jacobian import Jacobian, Outputs, Start
from jaxid.theory.linear_range import Range

SHARE = 0.03
"""Of the predicted loss that noise may add within its range."""
PAIRS, GRID, LEAST = 6, 96, 64
"""Drawn sums at each residual; curvatures at which the answer is followed; examples of a sum."""
ROOM = 0.1
"""Relative room for moments: what few pairs know of them, and the grid's width."""


class Noise(NamedTuple):
    """What batches add, at most.

    Attributes:
      until: epochs up to which it stays below `SHARE` of the predicted loss.
      added: (epochs + 1,) the bound N at every epoch's end; 0 for whole batches.
      drift: (epochs + 1,) about the share of the loss that it falls below the prediction.
      traces: (c + 1, 4) tr(H^k C) of single examples, at the start and the checked places.
    """

    until: float
    added: np.ndarray
    drift: np.ndarray
    traces: np.ndarray


def batch_noise(
    at: Start,
    chain: Chain | VaryingChain,
    held: Range,
    curve: np.ndarray,
    sharpness: float,
    floor: float,
    key: Key,
) -> Noise:
    """Bound what batches add to the loss of a run.

    Args:
      at: the network at its first parameters.
      chain: the optimizer.
      held: from `measured_range`: places and residuals.
      curve: the linearised loss at every epoch's end.
      sharpness: the largest curvature of the linearised loss, bounded from above.
      floor: the least linearised loss.
      key: of the batches.
    """
    problem, epochs = at.jacobian.problem, len(curve) - 1
    n, batch = problem.examples, min(problem.batch_size, problem.examples)
    places = [k for k, residual in enumerate(held.residuals) if residual is not None]
    if batch == n or not places:
        none = np.zeros(epochs + 1)
        return Noise(float(epochs), none, none, np.zeros((0, 4)))
    given = [(0.0, at.residual)]
    given += [(float(held.checked[k]), held.residuals[k]) for k in places]  # type: ignore[misc]
    traces = np.array(
        [
            _traces(at.jacobian, residual, batch, jax.random.fold_in(key, k))
            for k, (_, residual) in enumerate(given)
        ]
    )
    per_epoch = problem.steps_per_epoch
    steps = np.arange(epochs * per_epoch)
    known = np.array([epoch * per_epoch for epoch, _ in given])
    sizes = np.array([min(batch, n - start) for start in range(0, n, batch)])
    # Within an epoch the largest that it is there.
    largest = _interpolated(steps, known, traces[:, 0]).reshape(epochs, per_epoch).max(axis=1)
    h = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, GRID - 1)]) * sharpness
    answers = 0.5 * h * _answers(chain, h, largest * n / max(n - 1, 1), sizes)
    added = _worst(answers, h, traces)
    shares = (n - sizes) / (max(n - 1, 1) * sizes)
    square = [trees.norm(at.jacobian.backward(residual)) for _, residual in given]
    # E|g_i|^2 is the trace and the whole gradient's square, 2 r / (n m) its cotangent.
    size = trees.size(at.residual)
    whole = np.square(np.array(square, np.float64) * 2 / size)
    losses = np.array([trees.norm(residual) for _, residual in given], np.float64) ** 2 / size
    tau = (traces[:, 0] + whole) / np.maximum(2 * losses, 1e-300)
    faster = 0.5 * float(np.mean(shares)) * float(tau.max()) * _rates(chain, epochs, per_epoch)
    drift = _drift(curve, floor, faster)
    with np.errstate(invalid="ignore", divide="ignore"):
        # One adds and the other takes away.
        share = np.maximum(np.where(added > 0, added / curve, 0.0), drift)
    return Noise(_until(share, epochs), added, drift, traces)


def _rates(chain: Chain | VaryingChain, epochs: int, per_epoch: int) -> np.ndarray:
    """(epochs,) about the rate of each."""
    if isinstance(chain, Chain):
        return np.full(epochs, chain.settled_rate or 0.0)
    found: np.ndarray = np.abs(chain.slope[:, 0, 0]).reshape(epochs, per_epoch).mean(axis=1)
    return found


def _drift(curve: np.ndarray, floor: float, faster: np.ndarray) -> np.ndarray:
    """(epochs + 1,) what larger rates make of the loss, over it."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        excess = np.maximum(curve - floor, 1e-12 * curve)
        fallen = np.maximum(np.log(excess[:-1] / excess[1:]), 0.0)
        more = np.concatenate([[0.0], np.cumsum(faster * np.nan_to_num(fallen, nan=0.0))])
        found: np.ndarray = np.nan_to_num(more * excess / curve, nan=np.inf)
    return found


def _traces(jacobian: Jacobian, residual: Outputs, batch: int, key: Key) -> list[float]:
    """tr(H^k C), k = 0 to 3, of single examples, at a residual.

    Examples are drawn by their residuals, half of them, and alike, the other half, each with a
    random sign and the weight that makes the sum's covariance E[g_i g_i^T]: rare examples far out
    are seen. What the mean gradient has of it is taken off.
    """
    outputs, rows = jnp.concatenate(residual), jnp.concatenate(jacobian.inputs)
    n, each = outputs.shape[0], trees.size(residual) // outputs.shape[0]
    sizes = jnp.square(outputs.reshape(n, -1)).sum(axis=1)
    chances = 0.5 / n + 0.5 * sizes / jnp.maximum(sizes.sum(), 1e-300)
    count = max(LEAST, min(n, 2 * batch))
    found = []
    for one in jax.random.split(key, PAIRS):
        drawn, signed = jax.random.split(one)
        places = jax.random.choice(drawn, n, (count,), p=chances / chances.sum())
        weights = jax.random.rademacher(signed, (count,), outputs.dtype)
        weights = weights / jnp.sqrt(n * count * chances[places])
        weights = weights.reshape(-1, *[1] * (outputs.ndim - 1))
        pulled = (2.0 / each * weights * outputs[places]).astype(outputs.dtype)
        some = jacobian._replace(inputs=(rows[places],))
        found.append(_moments(jacobian, some.backward([pulled]), n * each))
    half = jax.tree.map(lambda r: 2.0 / (n * each) * r, residual)
    whole = _moments(jacobian, jacobian.backward(half), n * each)
    mean: list[float] = np.maximum(np.mean(found, axis=0) - whole, 0.0).tolist()
    return mean


def _moments(jacobian: Jacobian, v: Params, size: int) -> np.ndarray:
    """v^T H^k v, k = 0 to 3."""
    seen = jacobian.forward(v)
    bent = jacobian.backward(seen)
    again = jacobian.forward(bent)
    sizes = [float(trees.norm(x)) ** 2 for x in (v, seen, bent, again)]
    return np.array([(2.0 / size) ** k * one for k, one in enumerate(sizes)])


def _interpolated(steps: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """By powers of the step count; as at the last place beyond it."""
    floor = 1e-300
    logs = np.interp(np.log1p(steps), np.log1p(known), np.log(np.maximum(values, floor)))
    found: np.ndarray = np.exp(logs)
    return found


def _answers(
    chain: Chain | VaryingChain, h: np.ndarray, variances: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """(epochs + 1, h) V_t(h) at every epoch's end.

    An epoch uses every example once: noise of its batches s and t has the covariance
    c (1/b_s [s = t] - 1/n), so that it cancels but for what the chain answers to it in between.

    Args:
      chain, h: the maps, curvatures.
      variances: (epochs,) c, of single examples, times n / (n - 1).
      sizes: of an epoch's batches.
    """
    k, n = chain.still.shape[-1], float(sizes.sum())
    # One map for every step, or the same one for all of them.
    stills, slopes = (part.reshape(-1, k, k) for part in (chain.still, chain.slope))
    state = np.zeros((h.size, k, k))
    found = [state[:, 0, 0].copy()]
    maps = stills[0] + h[:, None, None] * slopes[0]
    with np.errstate(over="ignore", invalid="ignore"):
        for epoch, variance in enumerate(variances):
            own, mean = np.zeros((h.size, k, k)), np.zeros((h.size, k))
            for place, size in enumerate(sizes):
                step = epoch * sizes.size + place
                if len(stills) > 1:
                    maps = stills[step] + h[:, None, None] * slopes[step]
                kick = slopes[step % len(slopes), :, 0]
                turned = np.swapaxes(maps, -1, -2)
                own = maps @ own @ turned + np.outer(kick, kick)[None] / size
                mean = (maps @ mean[..., None])[..., 0] + kick[None]
                state = maps @ state @ turned
            state = state + variance * (own - mean[:, :, None] * mean[:, None, :] / n)
            found.append(np.nan_to_num(state[:, 0, 0], nan=np.inf))
    return np.maximum(np.array(found), 0.0)


def _worst(answers: np.ndarray, h: np.ndarray, traces: np.ndarray) -> np.ndarray:
    """The largest sum of answers that a distribution over h with those moments gives."""
    ratios = traces[:, 1:] / np.where(traces[:, :1] > 0, traces[:, :1], 1.0)
    low, high = (1 - ROOM) * ratios.min(axis=0), (1 + ROOM) * ratios.max(axis=0)
    top = h[-1]
    powers = np.stack([(h / top) ** k for k in (1, 2, 3)])
    scale = top ** np.arange(1, 4)
    limits = np.concatenate([high / scale, -low / scale])
    found = []
    for row in answers:
        most = float(row.max())
        if not np.isfinite(most) or most <= 0:
            found.append(most if most <= 0 else np.inf)
            continue
        solved = linprog(
            -row / most, A_ub=np.vstack([powers, -powers]), b_ub=limits,
            A_eq=np.ones((1, h.size)), b_eq=[1.0], method="highs",
        )  # fmt: skip
        # Where the measured moments fit no distribution the answer itself bounds it.
        worst = None if solved.fun is None else -most * float(solved.fun)
        found.append(most if worst is None or solved.status != 0 else worst)
    return np.array(found)


def _until(share: np.ndarray, epochs: int) -> float:
    beyond = np.flatnonzero(~(share <= SHARE))
    if not beyond.size:
        return float(epochs)
    k = int(beyond[0])
    if k == 0:
        return 0.0
    before, after = share[k - 1], share[k]
    if not np.isfinite(after):
        return float(k - 1)
    return float(k - 1 + (SHARE - before) / (after - before))


def rounding_loss(at: Start, chain: Chain | VaryingChain, steps: np.ndarray) -> np.ndarray:
    """About the loss below which a run in the parameters' own precision no longer falls.

    Outputs are known to eps |f|; and an update below half a unit of the last place of its
    parameter changes nothing: in modes that take t steps that leaves eps^2 |theta|^2 t / (8 eta).
    """
    leaves: list[Array] = jax.tree.leaves(at.jacobian.params)
    eps = float(np.finfo(np.dtype(leaves[0].dtype)).eps)
    size = trees.size(at.residual)
    outputs = float(trees.norm(at.outputs)) ** 2 / size
    rate = _typical_rate(chain)
    stalled = float(trees.norm(at.jacobian.params)) ** 2 / (8 * rate) if rate > 0 else 0.0
    total: np.ndarray = eps**2 * (outputs + stalled * np.asarray(steps, np.float64))
    return total


def _typical_rate(chain: Chain | VaryingChain) -> float:
    if isinstance(chain, Chain):
        return chain.settled_rate or 0.0
    return float(np.abs(chain.slope[:, 0, 0]).mean())
