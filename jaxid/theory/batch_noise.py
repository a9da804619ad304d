"""The expected loss of stochastic gradient descent on least squares, step by step.

In the eigenbasis a step of a chain with frozen P is, mode by mode, a linear map of (delta,
momentum), A + r h B (`jaxid.theory.chains`), plus the answer to the batch's noise. The
noise of mode i has the variance, summed over outputs,

  q_i = (kappa / b) (sum_k Q_ik s_k - h_i^2 s_i + N_i),   kappa = (n - b) / (n - 1),

s_k = E sum_j delta_kj^2: the fourth moments Q of the data turn one mode's error into another's
noise. The closure is that errors of different modes are uncorrelated. That is wrong where few
examples lie far out, in directions that are no modes; `exact_losses` keeps every correlation, for
few parameters, and `largest_stable_rate` does for any number: well below it the closure holds.

Reshuffled epochs use every example once, so that the noise of two batches is correlated by
-1 / (n - 1): to first order in the noise an epoch ends with

  - (1/(n - 1)) sum_k (Q_ik - h_i^2 [i = k]) sum_{s != t} w_s w_t s_k   and the same for N,

w_t the weight of step t's noise at the end; and the mean contracts a little faster, the noise
of an earlier step being undone by a later one. Sources: second moments of least squares under
SGD, Defossez and Bach 2015, section 3; the reshuffled sum is derived here.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import interrupt
from jaxid.core.precision import float64
from jaxid.core.types import Array, Estimate
from jaxid.data.examples import host
from jaxid.theory.chains import Chain
from jaxid.theory.least_squares import Quadratic

POWERS, CLOSE = 60, 1e-3
"""Steps of the power method, at most, and the relative change at which it stops."""


def losses(
    quadratic: Quadratic,
    squares: np.ndarray,
    chain: Chain,
    batch: int,
    epochs: int,
    *,
    reshuffled: bool = True,
) -> np.ndarray:
    """The expected loss on the training set at the start and after each epoch, (epochs + 1,).

    Args:
      quadratic: the loss.
      squares: (p,), sum over outputs of delta^2 at the start.
      chain: the optimizer.
      batch: examples of a step; the last batch of an epoch may be smaller.
      epochs: how many.
      reshuffled: whether each epoch uses every example once; else batches are independent.
    """
    n = quadratic.examples
    shares = _shares(n, batch)
    with float64():
        held = [jnp.asarray(part) for part in (quadratic.curvatures, quadratic.fourth)]
        curvatures, fourth = held
        noise = jnp.asarray(quadratic.noise)
        maps = jnp.asarray(chain.maps(quadratic.curvatures))
        answer = jnp.asarray(chain.slope[:, 0])
        k = answer.shape[0]
        state = jnp.zeros((curvatures.shape[0], k, k)).at[:, 0, 0].set(jnp.asarray(squares))
        fixed = None
        if reshuffled and len(shares) > 1:
            fixed = _correlated(maps, answer, fourth, curvatures, noise, len(shares), n)
        found = [np.asarray(state[:, 0, 0])]
        for _ in range(epochs):
            start = state[:, 0, 0]
            state = _epoch(state, maps, answer, fourth, curvatures, noise, jnp.asarray(shares))
            if fixed is not None:
                state = state.at[:, 0, 0].add(fixed[0] @ start + fixed[1])
            found.append(np.asarray(state[:, 0, 0]))
        return np.asarray(quadratic.loss(np.stack(found)))


def _shares(n: int, batch: int) -> np.ndarray:
    """kappa / b of each batch of an epoch; the last may be smaller."""
    sizes = [min(batch, n - start) for start in range(0, n, batch)]
    return np.array([(n - b) / (max(n - 1, 1) * b) for b in sizes])


@jax.jit
def _epoch(
    state: Array, maps: Array, answer: Array, fourth: Array, curvatures: Array, noise: Array,
    shares: Array,
) -> Array:  # fmt: skip
    outer = answer[:, None] * answer[None, :]

    def step(state: Array, share: Array) -> tuple[Array, None]:
        own = state[:, 0, 0]
        strength = share * (fourth @ own - curvatures**2 * own + noise)
        moved = jnp.einsum("pij,pjk,plk->pil", maps, state, maps)
        return moved + strength[:, None, None] * outer[None], None

    return jax.lax.scan(step, state, shares)[0]


@partial(jax.jit, static_argnums=(5, 6))
def _correlated(
    maps: Array, answer: Array, fourth: Array, curvatures: Array, noise: Array, steps: int, n: int
) -> tuple[Array, Array]:
    """What correlated batches add to an epoch's end: (p, p) on the squares at its start, (p,)."""
    powers = jnp.broadcast_to(jnp.eye(maps.shape[-1]), maps.shape)

    def power(at: Array, _: None) -> tuple[Array, tuple[Array, Array]]:
        return jnp.einsum("pij,pjk->pik", maps, at), (at[:, 0, :] @ answer, at[:, 0, 0])

    # answers[t] is what noise t steps before the end does; kept[t] what an error becomes.
    _, (answers, kept) = jax.lax.scan(power, powers, None, length=steps)
    spread = fourth - jnp.diag(curvatures**2)

    def pair(sums: tuple[Array, Array], t: Array) -> tuple[tuple[Array, Array], None]:
        weight = answers[steps - 1 - t][:, None] * kept[t][None, :]
        return (sums[0] + weight, sums[1] + weight**2), None

    zero = jnp.zeros_like(spread)
    (total, squared), _ = jax.lax.scan(pair, (zero, zero), jnp.arange(steps))
    crossed = -spread * (total**2 - squared) / (n - 1)

    def undone(sums: Array, gap: Array) -> tuple[Array, None]:
        # Noise at s answered by mode k, back into mode i at s + 1 + gap, seen at the end.
        way = answers[0][:, None] * answers[gap][None, :] * spread
        return sums + (steps - 1 - gap) * way.sum(axis=1) * kept[steps - 2 - gap], None

    mean, _ = jax.lax.scan(undone, jnp.zeros_like(curvatures), jnp.arange(steps - 1))
    # The square of a mean of (kept - shift): kept^2 - 2 kept shift.
    shift = -2.0 * kept[steps - 1] * mean / (n - 1)
    additive = answers.sum(axis=0) ** 2 - (answers**2).sum(axis=0)
    return crossed + jnp.diag(shift), -noise * additive / (n - 1)


def exact_losses(
    quadratic: Quadratic,
    modes: np.ndarray,
    residuals: np.ndarray,
    errors: np.ndarray,
    rate: float,
    batch: int,
    steps: int,
) -> np.ndarray:
    """The expected loss of plain SGD with independent batches after each step, (steps + 1,),
    every correlation kept: S' = E over batches, S = E sum_j delta_j delta_j^T. Every epoch's
    last batch may be smaller, as in `losses`.

    Args:
      quadratic: the loss.
      modes: z = U^T x~ of every example, (n, p).
      residuals: r of every example, (n, m).
      errors: delta at the start, (p, m).
      rate, batch, steps: of the descent.
    """
    n, m = quadratic.examples, quadratic.outputs
    shares = np.resize(_shares(n, batch), steps)
    with float64():
        z, r = jnp.asarray(modes), jnp.asarray(residuals)
        h = jnp.asarray(quadratic.curvatures)

        def step(at: tuple[Array, Array], share: Array) -> tuple[tuple[Array, Array], Array]:
            second, mean = at
            # Per example and output: (2/m) z (z . delta - r).
            along = jnp.einsum("ni,ij,nj->n", z, second, z)
            crossed = ((z @ mean) * r).sum(axis=1)
            weight = along - 2 * crossed + (r**2).sum(axis=1)
            each = (4 / m**2) * (z * weight[:, None]).T @ z / n
            gradient = h[:, None] * second * h[None, :]
            moved = (1 - rate * h)[:, None] * second * (1 - rate * h)[None, :]
            second = moved + rate**2 * share * (each - gradient)
            mean = (1 - rate * h)[:, None] * mean
            return (second, mean), jnp.diag(second)

        start = jnp.asarray(errors)
        first = start @ start.T
        _, found = jax.lax.scan(step, (first, start), jnp.asarray(shares))
        squares = np.concatenate([np.diag(np.asarray(first))[None], np.asarray(found)])
        return np.asarray(quadratic.loss(squares))


def largest_stable_rate(
    quadratic: Quadratic, inputs: np.ndarray, batch: int, *, steps: int = POWERS
) -> Estimate:
    """The rate of plain SGD beyond which the expected loss grows without bound.

    With independent batches S' = S - rate L(S) + rate^2 K(S), L(S) = H S + S H and
    K(S) = (1 - kappa/b) H S H + (kappa/b) (4/m^2) E[x~ (x~^T S x~) x~^T]. Both inverses that
    matter map positive matrices to such, so that the limit is 1 / radius(L^-1 K), found by the
    power method from the identity; every correlation of modes is kept. Without noise it is
    2 / h_1. Examples far out, large fourth moments, make it smaller: what the spectrum alone
    calls safe may diverge (Defossez and Bach 2015, section 3).

    Args:
      quadratic: the loss.
      inputs: (n, d), as the network sees them.
      batch: examples of a step.
      steps: of the power method, of 4 n p^2 operations each.

    Returns:
      An Estimate whose error is the last step's change; converged if that is under 1 %.
    """
    n, m = quadratic.examples, quadratic.outputs
    share = (n - batch) / (max(n - 1, 1) * batch)
    alive = quadratic.curvatures > 0
    h, basis = quadratic.curvatures[alive], quadratic.vectors[:, alive]
    if not h.size:
        return Estimate(None, None, False, "no direction has curvature")
    size = np.eye(h.size)
    radius, change = 0.0, np.inf
    taken = steps if share > 0 else 1
    for _ in range(taken):
        interrupt.check()
        pushed = (1 - share) * h[:, None] * size * h[None, :]
        if share > 0:
            pushed += share * _squeezed(inputs, basis, size) * (4 / m**2)
        size = pushed / (h[:, None] + h[None, :])
        norm = float(np.trace(size))
        size /= norm
        change, radius = abs(norm - radius), norm
        if change <= CLOSE * radius:
            break
    if share == 0:
        return Estimate(2.0 / float(h[0]), 0.0, True, "2 over the largest curvature")
    value = 1.0 / radius
    how = f"power method on second moments, {n} examples"
    return Estimate(value, value * change / radius, change <= 10 * CLOSE * radius, how)


def _squeezed(inputs: np.ndarray, basis: np.ndarray, size: np.ndarray) -> np.ndarray:
    """E[z (z^T S z) z^T] for z = basis^T x~."""
    total = np.zeros_like(size)
    wide = basis.shape[0] > inputs.shape[1]
    for (x,) in host(inputs):
        if wide:
            x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
        z = x @ basis
        weight = ((z @ size) * z).sum(axis=1)
        total += (z * weight[:, None]).T @ z
    return total / inputs.shape[0]
