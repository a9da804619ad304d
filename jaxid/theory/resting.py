"""Where RMSprop and Adam rest on targets that have no noise, such as the identity.

SGD goes on to the solution: its noise vanishes with the error. A chain that divides by its
gradients doesn't: as they shrink its effective rate grows, until the error can shrink no more.
It rests at the edge of stability that it makes for itself, where the second moments S of the
error (for each output; momenta included) are reproduced by the chain with its own P:

  S = E[(A + B R C_b) S (A + B R C_b)^T],   R = r(v),   v_i = E[g_i^2],   g = C_b delta,

C_b = (2/m) mean_b x~ x~^T over the b examples of a batch, drawn independently, A and B the
chain's linear map, r its effective rate at second moment v (both read off its update). The
expectation keeps the data's fourth moments, and noise of the targets adds its own. It is solved by
running it; without noise the loss, tr(E[x~ x~^T] S), is in proportion to rate^2 while eps is small
beside the gradients.

Closed forms, with eta the settled step (`jaxid.optim.first_steps`):

  eta^2 E|x~|_2^2, eta^2 E|x~|_1^2: weight errors of size eta, independent or of one sign;
  eta^2 E|x~|_1^2 / 4: the cycle of two steps, every weight off by +-eta/2 and flipping its
    sign. Where inputs are >= 0 and have a large mean, plain RMSprop comes to rest there.

The closure puts E[g^2] in place of v itself: right for a long memory, and too high where v varies
within its memory (heavy tails, a short memory: `tails`; few directions: five with a collinear pair
30 %). Measured on made inputs of 16 and more and on digits, 4 to 256 examples a step: RMSprop 0 to
20 % too high (digits, 32 a step: 0.4 %), Adam 11 % at most. Between bursts the error of an output
becomes many orders smaller than its mean under a long memory; where it falls below rounding it is
gone for good, and a run ends below this floor (float64, Adam, 256 examples: at a third of it).
Adaptive edge of
stability: Cohen et al. 2022, section 3; second moments of least squares: Defossez and Bach 2015,
section 3. Put together here.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxid.core import interrupt
from jaxid.core.precision import float64, widened
from jaxid.core.types import Array, Estimate
from jaxid.optim.chain import ChainClass
from jaxid.optim.first_steps import settled_step
from jaxid.optim.rates import effective_rates, held_maps, looked_through, representative

LATE = 10**6
"""Steps taken before: bias corrections are 1."""
CHUNK, ROUNDS, CLOSE = 500, 40, 1e-4
"""Steps of the recursion at a time, how often at most, relative change at which it stops."""
MEMORY = 0.97
"""Decay of v while the recursion is solved; where it rests does not depend on it."""
MOMENTS = np.geomspace(1e-40, 1e20, 6001)
"""Second moments at which a chain's rate is measured; between them it is interpolated."""
TAILS = 0.2
"""Beyond this the floor comes out too high, by more than a quarter where it was measured."""


class Resting(NamedTuple):
    """Where training rests above the least loss, in units of the loss.

    Attributes:
      loss: the floor; not converged where v varies too much.
      coherent: share of it that is the squared mean residual over examples; the rest is
        residual variance.
      independent, together: eta^2 E|x~|_2^2 and eta^2 E|x~|_1^2.
      two_cycle: eta^2 E|x~|_1^2 / 4.
      tails: variance of v over its squared mean, if gradients were independent from step to
        step: (1 - d) / (1 + d) (kurtosis - 1), d the decay of v; mean over parameters, by v.
    """

    loss: Estimate
    coherent: float | None
    independent: float
    together: float
    two_cycle: float
    tails: float | None


class _Solved(NamedTuple):
    excess: float
    change: float
    coherent: float
    kurtosis: float


def resting_loss(
    optimizer: optax.GradientTransformation,
    inputs: np.ndarray,
    outputs: int,
    batch: int,
    noise: float | np.ndarray = 0.0,
) -> Resting:
    """The loss above the least one at which a linear layer rests, its targets noisy or not.

    Args:
      optimizer: an elementwise chain of constant rate.
      inputs: x~, (n, p), with the 1 of the bias if there is one. Costs p^3 and n p^2 a step of
        the recursion, some thousands of steps.
      outputs: m.
      batch: b, examples of a step.
      noise: sigma^2, the targets' variance about their best prediction, one number or for each
        example, (n,), mean over outputs. The identity has none.

    Returns:
      A Resting; without noise its loss is 0 for chains that keep no second moments. It is None,
      with the reason, for those that diverge or are no linear map once v is held.
    """
    x = np.asarray(inputs, np.float64)
    eta = settled_step(optimizer, 1.0).value or 0.0
    two, one = (float(np.mean(np.sum(np.abs(x) ** k, axis=1) ** (2 / k))) for k in (2, 1))
    scales = (eta**2 * two, eta**2 * one, eta**2 * one / 4)
    with float64():
        zero = jnp.zeros(())
        late = jax.tree.map(_late, widened(optimizer.init(zero)))
        found, why = looked_through(optimizer, zero, late)
        record = None if found is None else _record(optimizer, found, late)
        if found is None or record is None:
            return _none(why or "the optimizer gathers other than a mean of squares", scales)
        moments = record.leaf is not None
        maps = held_maps(found, _with_moments(late, record.leaf, jnp.ones(())))
        units = [] if maps is None else representative(maps[0], 1)
        if not units:
            return _none("with its second moments held the optimizer is no linear map", scales)
        still, answer = units[0]
        rates = _rates(optimizer, late, record.leaf)
        decay = record.decay
        spread = np.broadcast_to(np.asarray(noise, np.float64), len(x))
        solved = _solve(
            x, spread, outputs, batch, still, answer, np.log(rates), eta, moments
        )  # fmt: skip
    if solved is None or not np.isfinite(solved.excess):
        return _none("the rate is beyond the stability limit", scales)
    if not moments and not np.any(spread):
        how = "the optimizer divides by nothing: its noise falls with the error"
        return Resting(Estimate(0.0, 0.0, True, how), None, *scales, None)
    tails = (1 - decay) / (1 + decay) * (solved.kurtosis - 1)
    how = "second moments of the error reproduced by the chain with its own E[g^2]"
    steady = tails <= TAILS
    if not steady:
        how += f"; out of its range: v varies by {tails:.2g} of its square, above {TAILS:g}"
    done = solved.change <= CLOSE * solved.excess and steady
    loss = Estimate(solved.excess, solved.change, done, how)
    return Resting(loss, solved.coherent, *scales, tails)


def _none(why: str, scales: tuple[float, float, float]) -> Resting:
    return Resting(Estimate(None, None, False, why), None, *scales, None)


def _late(leaf: Array) -> Array:
    whole = jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.integer)
    return jnp.full_like(leaf, LATE) if whole else leaf


class _Record(NamedTuple):
    """Which leaf of the state is the mean of squared gradients, None if the chain keeps nothing
    but momenta, and its decay."""

    leaf: int | None
    decay: float


def _record(
    optimizer: optax.GradientTransformation, found: ChainClass, late: Any
) -> _Record | None:
    """None where it is something else than v' = d v + (1 - d) g^2, or several."""
    kept = [k for k, own in enumerate(found.standing) if own.kind == "accumulator"]
    if not kept:
        return _Record(None, 0.0)
    if len(kept) > 1 or found.program.states[kept[0]][0] != ():
        return None

    def after(v: float, gradient: float) -> float:
        held = _with_moments(late, kept[0], jnp.asarray(v))
        moved = optimizer.update(jnp.asarray(gradient), held, jnp.zeros(()))[1]
        return float(jax.tree.leaves(moved)[kept[0]])

    decay = after(1.0, 0.0)
    tried = [(v, g) for v in (0.0, 1.0, 5.0) for g in (0.0, -0.5, 3.0)]
    right = all(np.isclose(after(v, g), decay * v + (1 - decay) * g**2) for v, g in tried)
    return _Record(kept[0], decay) if right and 0 <= decay < 1 else None


def _with_moments(state: Any, leaf: int | None, moments: Array) -> Any:
    leaves, structure = jax.tree.flatten(state)
    if leaf is not None:
        leaves[leaf] = moments
    return jax.tree.unflatten(structure, leaves)


def _rates(optimizer: optax.GradientTransformation, late: Any, leaf: int | None) -> np.ndarray:
    """r at `MOMENTS`."""
    many = jnp.zeros(MOMENTS.shape)
    fresh = jax.tree.map(
        lambda new, old: old if jnp.shape(old) == jnp.shape(new) else new,
        widened(optimizer.init(many)), late,
    )  # fmt: skip
    state = _with_moments(fresh, leaf, jnp.asarray(MOMENTS))
    return np.asarray(effective_rates(optimizer, state, many).tree)


def _solve(
    x: np.ndarray, noise: np.ndarray, outputs: int, batch: int, still: np.ndarray,
    answer: np.ndarray, log_rates: np.ndarray, eta: float, moments: bool,
) -> _Solved | None:  # fmt: skip
    n, p = x.shape
    second = x.T @ x / n
    values, vectors = np.linalg.eigh(second)
    # H delta depends on delta through the data's span alone, whatever the chain does beside it.
    kept = values > p * np.finfo(float).eps * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    modes = x @ vectors
    k, r = len(still), len(values)
    parts = (modes, values, vectors, still, answer, log_rates, noise)
    arrays = [jnp.asarray(part) for part in parts]
    scale = 2 / outputs
    start = jnp.zeros((k, r, k, r)).at[0, :, 0, :].set(jnp.eye(r) * (eta or 1.0) ** 2)
    v = jnp.zeros((p,))
    last, excess = np.inf, np.inf
    state = start
    for number in range(ROUNDS):
        interrupt.check()
        state, v, trail = _run(state, v, jnp.asarray(number == 0), MEMORY, batch, scale, *arrays)
        trail = np.asarray(trail)
        last, excess = excess, float(trail.mean())
        if not np.isfinite(excess):
            return None
        if not (moments or noise.any()) and excess < 1e-12 * eta**2:
            return _Solved(0.0, 0.0, 0.0, 1.0)
        if abs(excess - last) <= CLOSE * excess:
            break
    if not (moments or noise.any()):
        return None if excess > last else _Solved(0.0, 0.0, 0.0, 1.0)
    own = np.asarray(state[0, :, 0, :])
    mean = modes.mean(axis=0)
    coherent = float(mean @ own @ mean) / excess
    kurtosis = _kurtosis(x, modes, values, vectors, own, noise, batch)
    return _Solved(excess, abs(excess - last), coherent, kurtosis)


@partial(jax.jit, static_argnums=(3, 4, 5))
def _run(
    state: Array, v: Array, first: Array, memory: float, batch: int, scale: float,
    modes: Array, values: Array, vectors: Array, still: Array, answer: Array, log_rates: Array,
    noise: Array,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """`CHUNK` steps of the recursion in the data's eigenbasis: (S, v, loss after each step)."""
    n, k, r = modes.shape[0], still.shape[0], values.shape[0]
    grid = jnp.log(jnp.asarray(MOMENTS))
    eye = jnp.eye(r)

    def step(at: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], Array]:
        state, v, first = at
        own = state[0, :, 0, :]
        along = ((modes @ own) * modes).sum(axis=1) + noise
        mean = scale**2 * values[:, None] * own * values[None, :]
        apart = scale**2 * (modes * along[:, None]).T @ modes / n
        apart = (apart - mean) / batch
        seen = ((vectors @ (mean + apart)) * vectors).sum(axis=1)
        v = jnp.where(first, seen, memory * v + (1 - memory) * seen)
        # No gradient ever: nothing moves there, and the rate at v = 0 would be eps' alone.
        rate = jnp.exp(jnp.interp(jnp.log(jnp.maximum(v, 1e-300)), grid, log_rates))
        rate = jnp.where(v > 1e-20 * v.max(), rate, 0.0)
        divided = (vectors * rate[:, None]).T @ vectors
        pull = divided * (scale * values)[None, :]
        moved = still[:, None, :, None] * eye[None, :, None, :]
        moved = moved.at[:, :, 0, :].add(answer[:, None, None] * pull[None, :, :])
        flat = moved.reshape(k * r, k * r)
        new = (flat @ state.reshape(k * r, k * r) @ flat.T).reshape(k, r, k, r)
        kick = divided @ apart @ divided.T
        new = new + (answer[:, None] * answer[None, :])[:, None, :, None] * kick[None, :, None, :]
        loss = (values * jnp.diagonal(new[0, :, 0, :])).sum()
        return (new, v, jnp.asarray(False)), loss

    (state, v, _), trail = jax.lax.scan(step, (state, v, first), None, length=CHUNK)
    return state, v, trail


def _kurtosis(
    x: np.ndarray, modes: np.ndarray, values: np.ndarray, vectors: np.ndarray, own: np.ndarray,
    noise: np.ndarray, batch: int,
) -> float:  # fmt: skip
    """E[g^4] / E[g^2]^2, mean over parameters weighted by E[g^2], the noise of an example's
    gradient x_i (x . delta) for normal delta taken with its tails, its mean as +-1."""
    along = ((modes @ own) * modes).sum(axis=1) + noise
    second = np.square(x).T @ along / len(x)
    fourth = (np.square(np.square(x)).T @ (3 * np.square(along))) / len(x)
    pulled = vectors * values[None, :]
    mean = ((pulled @ own) * pulled).sum(axis=1)
    apart = np.maximum(second - mean, 0.0) / batch
    tails = 3 * apart**2 + np.maximum(fourth - 3 * second**2, 0.0) / batch**3
    total = mean + apart
    alive = total > 1e-20 * total.max()
    kurtosis = (mean**2 + 6 * mean * apart + tails)[alive] / total[alive] ** 2
    return float(np.average(kurtosis, weights=total[alive]))
