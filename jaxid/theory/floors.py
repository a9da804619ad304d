"""The loss at which an optimizer of constant rate comes to rest on noisy least squares.

Any elementwise chain, RMSprop and Adam among them, is taken as what it does to white noise: fed
with gradients s_i (eps_t + beta) in coordinate i it moves on average by -gain_i s_i beta, and
its moves add up to a random walk of variance D_i a step. Both are measured by running the chain
on numbers drawn for it, no network and no data. Around the least loss the error's covariance S,
the same for every output, then rests where

  S = A S A^T + U,   A = I - diag(gain) H,   U_ij = sqrt(D_i D_j) C_ij / (s_i s_j),
  C = (4/m^2) (E[x~ x~^T (sigma^2 + x~^T S x~)] / b + (1 - 1/b) M S M),  s_i^2 = C_ii,

which is solved by iteration, since gradients are noisier the larger S is; the excess is
m tr(H S) / 2. The b examples of a batch are drawn independently. For small rates it is
rate tr(P^-1 C) / 4 (Mandt, Hoffman, Blei 2017, eq. 9). Updates are taken to be correlated as
gradients are, which holds for linear chains and for weakly correlated coordinates of any.

For chains that divide by second moments, white noise must be most of the gradient: an excess of a
tenth of the noise makes the floor 36 % too high (measured). Without noise, and for the identity,
`jaxid.theory.resting` has the floor.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.linalg import solve_discrete_lyapunov

from jaxid.core import interrupt
from jaxid.core.precision import float64, widened
from jaxid.core.types import Array, Estimate, Key
from jaxid.optim.rates import accumulates

NUMBERS, SETTLE, WINDOW = 2**17, 400, 200
"""Numbers that are watched, copies of every coordinate; steps before and while they are."""
BIAS = 0.1
"""Mean of the probing gradients over their deviation."""
OWN = 0.05
"""Excess over the targets' noise up to which gradients count as white noise: at 0.03 the floor
comes out 7 % too high, at 0.1 36 %."""
ROUNDS, CLOSE = 60, 1e-3
"""Iterations, at most, and the relative change of the excess at which they stop."""


class Response(NamedTuple):
    """What a chain does to white noise of deviation s, (p,) each.

    Attributes:
      gain: mean move against a unit of mean gradient.
      spread: D, variance of the moves' sum over its length.
    """

    gain: np.ndarray
    spread: np.ndarray


def response(
    optimizer: optax.GradientTransformation, scale: np.ndarray, key: Key, numbers: int = NUMBERS
) -> Response:
    """Run the chain on noise of those deviations, (p,); on so many numbers at once."""
    with float64():
        gain, spread = _watched(optimizer, jnp.asarray(scale, jnp.float64), key, numbers)
        return Response(np.asarray(gain), np.asarray(spread))


@partial(jax.jit, static_argnums=(0, 3))
def _watched(
    optimizer: optax.GradientTransformation, scale: Array, key: Key, numbers: int
) -> tuple[Array, Array]:
    copies = max(2, numbers // scale.shape[0] // 2) * 2
    shape = (copies, scale.shape[0])
    # Every other copy is biased the other way.
    sign = jnp.where(jnp.arange(copies) % 2 == 0, BIAS, -BIAS)[:, None]
    still = jnp.zeros(shape)
    state: Any = widened(optimizer.init(still))

    def step(at: tuple[Any, Array], number: Array) -> tuple[tuple[Any, Array], None]:
        state, total = at
        noise = jax.random.normal(jax.random.fold_in(key, number), shape)
        moves, new = optimizer.update(scale[None, :] * (noise + sign), state, still)
        watched = (number >= SETTLE).astype(total.dtype)
        # The chain's own float types stay what they were.
        kept = jax.tree.map(lambda a, b: jnp.asarray(a).astype(jnp.asarray(b).dtype), new, state)
        return (kept, total + watched * moves), None

    (_, total), _ = jax.lax.scan(step, (state, still), jnp.arange(SETTLE + WINDOW))
    up, down = total[::2], total[1::2]
    gain = -(up.mean(axis=0) - down.mean(axis=0)) / (2 * BIAS * scale * WINDOW)
    spread = 0.5 * (up.var(axis=0, ddof=1) + down.var(axis=0, ddof=1)) / WINDOW
    return gain, spread


def noise_floor(
    optimizer: optax.GradientTransformation,
    inputs: np.ndarray,
    noise: float | np.ndarray,
    outputs: int,
    batch: int,
    key: Key,
    *,
    numbers: int = NUMBERS,
) -> Estimate:
    """The excess over the least loss at which training rests, in units of the loss.

    Args:
      optimizer: an elementwise chain of constant rate.
      inputs: x~, (n, p), with the 1 of the bias if there is one.
      noise: sigma^2, the variance of each target about its best prediction, one number or
        for each example, (n,), mean over outputs.
      outputs: m.
      batch: b, examples of a step.
      key: of the noise that the chain is fed with.
      numbers: how many at once; the floor's own error is about sqrt(2 / numbers).

    Returns:
      An Estimate whose error is the last iteration's change; not converged where a chain with
      second moments would see too much of its own error. None without noise.
    """
    if not np.any(noise):
        return Estimate(None, None, False, "the targets have no noise: see theory.resting")
    x = np.asarray(inputs, np.float64)
    n, p = x.shape
    white = not accumulates(optimizer, jnp.zeros(()), optimizer.init(jnp.zeros(())))
    share = 1.0 / batch
    second = x.T @ x / n
    hessian = 2 / outputs * second
    # A start of the size of the noise, so that chains have something to divide by.
    covariance = 1e-3 * float(np.mean(noise)) / np.trace(second) * np.eye(p)
    excess, change, how = 0.0, np.inf, f"answer of the chain to {numbers:,} noisy numbers"
    for _ in range(ROUNDS):
        interrupt.check()
        weight = noise + ((x @ covariance) * x).sum(axis=1)
        gradient = 4 / outputs**2 * (
            share * (x * weight[:, None]).T @ x / n
            + (1 - share) * second @ covariance @ second
        )  # fmt: skip
        scale = np.sqrt(np.maximum(np.diag(gradient), 1e-300))
        found = response(optimizer, scale, key, numbers)
        step = np.eye(p) - found.gain[:, None] * hessian
        if np.abs(np.linalg.eigvals(step)).max() >= 1:
            return Estimate(None, None, False, "the rate is beyond the stability limit")
        moves = np.sqrt(found.spread / scale**2)
        covariance = solve_discrete_lyapunov(step, moves[:, None] * gradient * moves[None, :])
        new = 0.5 * outputs * float(np.trace(hessian @ covariance))
        change, excess = abs(new - excess), new
        if change <= CLOSE * excess:
            own = excess / float(np.mean(noise))
            if white or own <= OWN:
                return Estimate(excess, change, True, how)
            how += f"; out of its range: {own:.2g} of the noise, above {OWN:g}"
            return Estimate(excess, change, False, how)
    return Estimate(excess, change, False, how)
