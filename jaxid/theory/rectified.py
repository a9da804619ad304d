"""Gradients of one layer with rectified or linear outputs, in distribution, from moments.

Output j has z = w . x~, f = relu(z) and target y. Given a stratum and the target's value v, z is
taken as Gaussian with mean mu and deviation s, linear in v; an example is active where z > 0.
With u = (z - mu) / s and t = mu / s everything that is needed is a moment of a truncated normal,

  E[1] = Phi(t),  E[u] = phi(t),  E[u^2] = Phi(t) - t phi(t)     (over z > 0),

the expected gradient (2 / m) E[(z - v) x~; z > 0] among them, x~ being regressed on v and z.
A batch adds to that: how many of its examples are active, their summed residuals (a
gamma variable where all residuals have one sign, which they have where v <= 0 < z), and what
of x~ is not explained. A sum of terms r x~_i with r > 0 can't lie below r low_i, so there the
noise is log-normal about that, with the right mean and variance: with few examples active this
is what makes a push common to all weights, and what kills.

Sources: moments of truncated normals, Johnson, Kotz and Balakrishnan 1994, section 10.1; the
rest is derived here.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from jaxid.core.types import Array, Key
from jaxid.theory.strata import Strata

DRAWN = 128
"""Leading eigenvectors along which the unexplained part of x~ is drawn jointly."""
TINY, STILL, SURE = 1e-30, 100.0, 30.0
"""Stands for 0; times it a variance is none; deviations from 0 at which a sign is certain."""


class Outputs(NamedTuple):
    """Every output's z by part k and target value q.

    Attributes:
      along: basis^T w, (r, m).
      pushed: inner basis^T w, (k, r, m).
      covariance: of z and the target, (k, m).
      deviation: s, (k, m).
      mean: mu, (k, q, m).
      shifts: v less the target's mean, (k, q, m).
      share: of all examples that are of this kind and active, (k, q, m).
      hazard, second: E[u] and E[u^2] among the active, (k, q, m).
    """

    along: Array
    pushed: Array
    covariance: Array
    deviation: Array
    mean: Array
    shifts: Array
    share: Array
    hazard: Array
    second: Array


def outputs(data: Strata, w: Array, rectified: bool) -> Outputs:
    """The distribution of z = w . x~ for every column of w, (p, m)."""
    along = data.basis.T @ w
    pushed = jnp.einsum("krs,sm->krm", data.inner, along)
    variance = (along[None] * pushed).sum(axis=1) + data.rest @ jnp.square(w)
    variance = jnp.maximum(variance, 0.0)
    m = data.values.shape[1]
    own = w[:m].diagonal() if w.shape[0] >= m else jnp.zeros((m,))
    covariance = (data.cross * along[None]).sum(axis=1) + data.cross_rest * own[None]
    slope = jnp.where(
        data.target_variances > 0,
        covariance / jnp.where(data.target_variances > 0, data.target_variances, 1.0),
        0.0,
    )
    # Rounding leaves a little below zero where z is the target itself.
    left = jnp.maximum(variance - covariance * slope, 1e-5 * variance + TINY)
    deviation = jnp.sqrt(left)
    shifts = data.values[None] - data.target_means[:, None]
    mean = (data.means @ w)[:, None] + slope[:, None] * shifts
    kind = data.shares[:, None, None] * data.levels
    if not rectified:
        one = jnp.ones_like(mean)
        return Outputs(along, pushed, covariance, deviation, mean, shifts, kind, 0 * one, one)
    # A unit whose z is one number is on or off, and at 0 it is off, as the gradient of ReLU is.
    fixed = (variance <= STILL * TINY)[:, None]
    t = jnp.where(fixed, jnp.where(mean > 0, SURE, -SURE), mean / deviation[:, None])
    t = jnp.clip(t, -SURE, SURE)
    # phi / Phi by logarithms: both vanish far below.
    hazard = jnp.exp(norm.logpdf(t) - norm.logcdf(t))
    share = kind * norm.cdf(t)
    return Outputs(
        along, pushed, covariance, deviation, mean, shifts, share, hazard,
        jnp.maximum(1 - t * hazard, 0.0),
    )  # fmt: skip


def activity(found: Outputs) -> Array:
    """Share of the examples on which each output is active, (m,)."""
    return found.share.sum(axis=(0, 1))


def loss(data: Strata, found: Outputs) -> Array:
    """E (f - y)^2 of each output, (m,)."""
    residual = found.mean - data.values[None]
    s = found.deviation[:, None]
    active = jnp.square(residual) + 2 * residual * s * found.hazard + s**2 * found.second
    kind = data.shares[:, None, None] * data.levels
    still = jnp.maximum(kind - found.share, 0.0)
    return (found.share * active + still * jnp.square(data.values)[None]).sum(axis=(0, 1))


class Group(NamedTuple):
    """Examples of a part that are active, over some target values; means among them, (k, m)."""

    share: Array
    residual: Array
    spread: Array
    square: Array
    along: Array
    hazard: Array
    shifted: Array


def group(data: Strata, found: Outputs, chosen: Array) -> Group:
    """Means over the target values that are chosen, (q, m) of 0 and 1."""
    share = found.share * chosen[None]
    total = share.sum(axis=1)
    weight = share / jnp.maximum(total, TINY)[:, None]
    s, gap = found.deviation[:, None], found.mean - data.values[None]
    residual = gap + s * found.hazard
    square = jnp.square(gap) + 2 * gap * s * found.hazard + s**2 * found.second
    means = [
        (weight * part).sum(axis=1)
        for part in (
            residual, square, gap * found.hazard + s * found.second, found.hazard,
            residual * found.shifts,
        )
    ]  # fmt: skip
    mean, squared, along, hazard, shifted = means
    spread = jnp.maximum(squared - jnp.square(mean), 1e-6 * squared + TINY)
    return Group(total, mean, spread, squared, along, hazard, shifted)


def drawn_gradient(
    data: Strata, w: Array, batch: Array, key: Key, rectified: bool
) -> tuple[Array, Outputs]:
    """(a batch's gradient as it may come out, (p, m); what it was drawn from).

    Args:
      data: moments.
      w: (p, m), kernel and bias.
      batch: examples of the batch.
      key: for the draws, of the gradient's p m numbers.
      rectified: whether the outputs are relu(z); else z.
    """
    found = outputs(data, w, rectified)
    keys = jax.random.split(key, 5)
    m = w.shape[1]
    unexplained = _unexplained(data, keys[0], m)
    signed = (data.values <= 0) if rectified else jnp.zeros(data.values.shape, bool)
    signed = signed.astype(w.dtype)
    one, other = group(data, found, signed), group(data, found, 1 - signed)
    count, further = _counts(keys[1], keys[3], batch, one.share, other.share)
    # Residuals of 0 have no shape, and sum up to 0 with any.
    shape = jnp.maximum(jnp.square(one.residual) / one.spread, 1e-6)
    summed = jax.random.gamma(keys[2], jnp.maximum(shape * count, 1e-3)) / shape * one.residual
    # Without any, the gamma draw of almost no shape is no number to keep.
    gradient = _one_sign(data, found, w, one, count, jnp.where(count > 0, summed, 0.0), unexplained)
    noise = jax.random.normal(keys[4], further.shape)
    summed = further * other.residual + jnp.sqrt(further * other.spread) * noise
    free = _assembled(data, found, w, other, further, summed)
    # Another output's draw: one that is independent of this output's first.
    others = jnp.roll(unexplained, 1, axis=1)
    free += jnp.sqrt((further * other.square).sum(axis=0))[None] * others
    return 2.0 / (m * batch) * (gradient + free), found


def _counts(key: Key, other: Key, batch: Array, one: Array, two: Array) -> tuple[Array, Array]:
    """How many examples of a batch are active in each part, for two groups of shares (k, m).

    Poisson, and then scaled so that an output's total has the variance b a (1 - a) of a batch
    of exactly b examples; where few are active nothing changes.
    """
    counts = [
        jax.random.poisson(key, batch * one).astype(one.dtype),
        jax.random.poisson(other, batch * two).astype(one.dtype),
    ]
    total = (counts[0] + counts[1]).sum(axis=0)
    share = (one + two).sum(axis=0)
    wanted = batch * share + (total - batch * share) * jnp.sqrt(jnp.maximum(1 - share, 0.0))
    scale = jnp.where(total > 0, wanted / jnp.where(total > 0, total, 1.0), 0.0)[None]
    return counts[0] * scale, counts[1] * scale


def _assembled(
    data: Strata, found: Outputs, w: Array, part: Group, count: Array, summed: Array
) -> Array:
    """sum of r x~ over active examples, x~ as its regression on v and z, (p, m)."""
    extra = summed - count * part.residual
    g = (count * part.along + extra * part.hazard) / found.deviation
    turned = (count * part.shifted - found.covariance * g).sum(axis=0)
    inside = data.basis @ (found.pushed * g[:, None]).sum(axis=0)
    return data.means.T @ summed + data.regression * turned[None] + inside + (data.rest.T @ g) * w


def _one_sign(
    data: Strata, found: Outputs, w: Array, part: Group, count: Array, summed: Array, noise: Array
) -> Array:
    """The same with noise, where every residual is positive."""
    total = summed.sum(axis=0)[None]
    floor = data.low[:, None] * total
    plain = data.means.T @ summed - floor
    mean = _assembled(data, found, w, part, count, summed) - floor
    # The regression is linear and may leave the range of the data; an exponential doesn't.
    over = mean / jnp.maximum(plain, TINY)
    mean = plain * jnp.where(over >= 1, over, jnp.exp(jnp.maximum(over, -10.0) - 1))
    deviations = jnp.sqrt(data.variances)[:, None]
    size = jnp.sqrt((count * part.square).sum(axis=0))[None] * deviations
    width = jnp.log1p(jnp.minimum(jnp.square(size / jnp.maximum(mean, TINY)), 1e6))
    unit = noise / jnp.where(deviations > 0, deviations, 1.0)
    drawn = mean * jnp.exp(jnp.sqrt(width) * unit - width / 2)
    return jnp.minimum(drawn, (data.high - data.low)[:, None] * total) + floor


def _unexplained(data: Strata, key: Key, m: int) -> Array:
    """x~ about its mean, within parts, one for each output: (p, m)."""
    pooled = jnp.einsum("k,krr->r", data.shares, data.inner)[:DRAWN]
    leading = data.basis[:, :DRAWN] * jnp.sqrt(jnp.maximum(pooled, 0.0))[None]
    left = jnp.maximum(data.variances - jnp.square(leading).sum(axis=1), 0.0)
    ours, rest = jax.random.split(key)
    joint = leading @ jax.random.normal(ours, (leading.shape[1], m))
    return joint + jnp.sqrt(left)[:, None] * jax.random.normal(rest, (left.shape[0], m))
