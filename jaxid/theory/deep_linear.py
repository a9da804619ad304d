"""How deep linear networks learn: each mode along a straight line, at a speed set by its strength.

L square layers f = x W_1 ... W_L, balanced (W_l^T W_l = W_{l+1} W_{l+1}^T), loss E|f - a x|^2 / m,
h = 2 lambda / m. Gradient flow of the layers moves the product W by (Arora et al. 2018)

  dW/dt = sum_j (W W^T)^((j-1)/L) (2/m) M (a - W) (W^T W)^((L-j)/L),   M = E[x x^T].

Where W is normal and commutes with M it falls apart into eigenvalues w,

  dw/dt = L h |w|^(2 - 2/L) (a - w),

which go straight to a: w(t) = a + (w_0 - a) e(t), with e(t) from one integral (`_table`).
Two starts are of that kind: all layers V diag(w_0^(1/L)) V^T in the basis of M, any data (Saxe et
al. 2014); and any orthogonal layers on white data, w_0 the product's eigenvalues on the unit
circle. So at the solution a layer makes learning faster, L a^(2 - 2/L) h; where w passes near 0
it waits; and a negative w_0 never arrives (Bartlett, Helmbold and Long 2018), until
rounding, which breaks the balance, has grown. Times are rate x steps; gradient descent follows
within a relative O(rate L h).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.interpolate import CubicHermiteSpline

LEAST = 1e-16
"""Share of the error down to which the path is tabulated; beyond, the rate is the local one."""
POINTS, NODES = 80, 16
"""Panels of each family, and Gauss-Legendre nodes in each."""
BLOCKED = 1e-14
"""A path nearer to 0 than this passes through it."""


def local_rate(layers: int, curvature: float, target: float = 1.0) -> float:
    """L a^(2 - 2/L) h: an error falls as exp(-rate t) near the solution."""
    return layers * target ** (2 - 2 / layers) * curvature


def error_left(
    times: np.ndarray, start: complex, layers: int, curvature: float, target: float = 1.0
) -> np.ndarray:
    """The share e of the first error that is left at those times; 1 at time 0.

    Args:
      times: rate x steps, any shape.
      start: w_0, real or complex.
      layers: L.
      curvature: h > 0.
      target: a > 0.
    """
    relative = start / target
    clock = np.asarray(times, np.float64) * local_rate(layers, curvature, target)
    table, shares = _table(relative, LEAST, layers)
    arrives = bool(np.isfinite(table[-1]))
    # Panels may be shorter than the clock can tell.
    kept = np.isfinite(table) & (np.diff(table, prepend=-1.0) > 0)
    table, shares = table[kept], shares[kept]
    if len(table) < 2:
        return np.ones_like(clock)
    speed = -(np.abs(1 + (relative - 1) * shares) ** (2 - 2 / layers))
    spline = CubicHermiteSpline(table, np.log(shares), speed)
    inside = spline(np.minimum(clock, table[-1]))
    # Past the table an eigenvalue is at the target, or still before 0.
    beyond = speed[-1] * np.maximum(clock - table[-1], 0) if arrives else 0.0
    return np.exp(inside + beyond)


def _table(start: complex, least: float, layers: int) -> tuple[np.ndarray, np.ndarray]:
    """(times, shares) from share 1 down to the least, target 1 and local rate 1."""
    way = 1 - complex(start)
    if way == 0 or least >= 1:
        return np.zeros(1), np.ones(1)
    # Where on the way, from 0 to 1, the path is nearest to 0, and how near.
    place = min(1.0, max(0.0, -(complex(start) * way.conjugate()).real / abs(way) ** 2))
    near = abs(start + way * place)
    blocked = layers > 1 and near < BLOCKED and place <= 1 - least
    around = np.geomspace(max(near / abs(way), BLOCKED) / 100, 1, POINTS)
    stop = place if blocked else 1 - least
    power = 2 - 2 / layers
    # The first half by what is done, the second by what is left: each is small in its half.
    done = _edges(place, around, np.linspace(0, 0.5, POINTS), 0.0, min(stop, 0.5))
    first = _panels(done, lambda u: 1 / ((1 - u) * np.abs(start + way * u) ** power))
    times, shares = [np.cumsum(first)], [1 - done[1:]]
    if stop > 0.5:
        low = 1 - place if blocked else least
        left = _edges(1 - place, around, np.geomspace(LEAST, 0.5, POINTS), low, 0.5)[::-1]
        second = -_panels(left, lambda e: 1 / (e * np.abs(1 - way * e) ** power))
        times.append(first.sum() + np.cumsum(second))
        shares.append(left[1:])
    table, kept = np.concatenate([[0.0], *times]), np.concatenate([[1.0], *shares])
    if blocked:
        table[-1] = np.inf
    return table, kept


def _edges(
    place: float, around: np.ndarray, others: np.ndarray, low: float, high: float
) -> np.ndarray:
    """Panels from low to high, narrow about the place."""
    edges = np.concatenate([place - around, place + around, others, [place, low, high]])
    return np.unique(np.clip(edges, low, high))


def _panels(edges: np.ndarray, slowness: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Integral over each panel."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half = np.diff(edges)[:, None] / 2
    with np.errstate(divide="ignore"):
        values = slowness(edges[:-1, None] + half * (1 + nodes[None, :]))
    return (half * weights[None, :] * values).sum(axis=1)


def loss_curve(
    times: np.ndarray,
    starts: np.ndarray,
    curvatures: np.ndarray,
    layers: int,
    target: float = 1.0,
) -> np.ndarray:
    """sum_i h_i |w_i - a|^2 / 2 at those times, (T,).

    Args:
      times: rate x steps, (T,).
      starts: w_i at the start, (k,), real or complex, one for each output or each mode.
      curvatures: h_i = 2 lambda_i / m, (k,).
      layers: L.
      target: a.
    """
    total = np.zeros(len(times))
    for start, curvature in zip(starts, curvatures, strict=True):
        left = error_left(times, complex(start), layers, float(curvature), target)
        total += curvature / 2 * abs(start - target) ** 2 * left**2
    return total


def escape_time(start: float, layers: int, curvature: float, target: float = 1.0) -> float:
    """Time that a small strength s_0 waits at the saddle, to leading order in s_0.

    L = 2: ln(a / s_0) / (2 h a), to half the target, error O(s_0); L > 2:
    s_0^(2/L - 1) / ((L - 2) h a), to any strength, up to a constant. One layer doesn't wait: 0.
    """
    if layers == 1:
        return 0.0
    if layers == 2:
        return math.log(target / start) / (2 * curvature * target)
    return start ** (2 / layers - 1) / ((layers - 2) * curvature * target)
