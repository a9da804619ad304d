"""How low the last layer alone can bring the loss: Gauss-Newton in float64, unit by unit.

With the features h~ = [h, 1] frozen, the loss is a sum over output units j of
l_j(w) = (1/n) sum_i (phi(h~_i w) - y_ij)^2, so every unit is solved by itself. With
s_i = phi'(z_i), r_i = phi(z_i) - y_ij:

  gradient        g = (2/n) sum_i s_i r_i h~_i
  Gauss-Newton    G = (2/n) sum_i s_i^2 h~_i h~_i^T
  step            d = -G^+ g;  predicted decrease  g^T G^+ g / 2

G^+ is the pseudo-inverse over eigenvalues above q eps lambda_max (q its order), so null
directions are left where they are. Nocedal and Wright 2006, section 10.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxid.curvature.activation import derivative, value
from jaxid.linalg.gram import weighted_gram

BLOCK = 32
"""Output units whose pre-activations are held at once: n x 32 float64."""
HALVINGS = 20
"""Step halvings before a unit is given up as stalled."""
SETTLED = 0.25
"""An output is left alone once its promised decrease is below this part of the tolerance;
the mean over outputs is then below it too."""


class HeadSolution(NamedTuple):
    """The last layer after Gauss-Newton.

    Attributes:
      kernel, bias: float64, (p, m) and (m,) or None.
      output_loss: (m,), each output's mean squared error; the loss is its mean.
      start_loss: (m,), the same before the first step.
      predicted: (m,), the decrease that one more full step promises, in the output's own
        mean squared error; for outputs below the floor, their loss, which bounds it.
      start_predicted: (m,), the same at the start.
      iterations: (m,) steps taken.
      stalled: (m,) bool, outputs for which no step length lowered the loss although the
        predicted decrease was above the tolerance.
      converged: whether the mean predicted decrease is within the tolerance.
      tolerance: in units of the loss.
    """

    kernel: np.ndarray
    bias: np.ndarray | None
    output_loss: np.ndarray
    start_loss: np.ndarray
    predicted: np.ndarray
    start_predicted: np.ndarray
    iterations: np.ndarray
    stalled: np.ndarray
    converged: bool
    tolerance: float

    @property
    def loss(self) -> float:
        """Mean over outputs."""
        return float(self.output_loss.mean())


def solve_head(
    features: np.ndarray,
    targets: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    activation: str,
    *,
    tolerance: float = 1e-3,
    max_iterations: int = 30,
    progress: Callable[[int, int], None] | None = None,
) -> HeadSolution:
    """Gauss-Newton on the last layer from where it stands.

    Args:
      features: (n, p), any real dtype; converted to float64 once (8 n p bytes).
      targets: (n, m), in training units, any skip connection already taken off.
      kernel, bias: the start, (p, m) and (m,) or None.
      activation: the output activation's name.
      tolerance: stop when the predicted decrease of the loss is below this share of the
        loss at the start. Outputs whose own loss is below a quarter of that are left alone:
        they cannot matter to it.
      max_iterations: steps per output.
      progress: called with (outputs done, m).

    Returns:
      HeadSolution. The loss never rises: a step is taken only if it lowers the output's
      loss, after at most 20 halvings.
    """
    n, m = targets.shape
    x = np.asarray(features, np.float64)
    if bias is not None:
        x = np.concatenate([x, np.ones((n, 1))], axis=1)
    w = np.asarray(kernel, np.float64)
    w = w.copy() if bias is None else np.concatenate([w, np.asarray(bias, np.float64)[None, :]])
    columns = np.flatnonzero(np.any(x != 0, axis=0))
    xs = x if columns.size == x.shape[1] else np.ascontiguousarray(x[:, columns])
    shared = _pseudo_inverse(2.0 / n * weighted_gram(xs)) if activation == "linear" else None

    losses, start = np.zeros(m), np.zeros(m)
    for block in _blocks(m):
        z = xs @ w[np.ix_(columns, block)]
        start[block] = np.mean((value(activation, z) - targets[:, block]) ** 2, axis=0)
    losses[:] = start
    floor = tolerance * start.mean()
    predicted, iterations = np.zeros(m), np.zeros(m, int)
    start_predicted = start.copy()
    stalled = np.zeros(m, bool)
    for done, block in enumerate(_blocks(m)):
        y = np.asarray(targets[:, block], np.float64)
        wb = w[np.ix_(columns, block)]
        active = losses[block] > SETTLED * floor
        predicted[block] = losses[block]
        for iteration in range(max_iterations):
            if not active.any():
                break
            where = np.flatnonzero(active)
            step, decrease = _newton_step(xs, y[:, where], wb[:, where], activation, shared)
            predicted[block[where]] = decrease
            if iteration == 0:
                start_predicted[block[where]] = decrease
            moving = decrease > SETTLED * floor
            active[where[~moving]] = False
            where, step = where[moving], step[:, moving]
            if where.size == 0:
                break
            length, after = _line_search(
                xs @ wb[:, where], xs @ step, y[:, where], losses[block[where]], activation
            )
            wb[:, where] += length * step
            losses[block[where]] = after
            iterations[block[where]] += length > 0
            stalled[block[where[length == 0]]] = True
            active[where[length == 0]] = False
            solved = after <= SETTLED * floor
            predicted[block[where[solved]]] = after[solved]
            active[where[solved]] = False
        w[np.ix_(columns, block)] = wb
        if progress is not None:
            progress(min((done + 1) * BLOCK, m), m)
    return HeadSolution(
        w if bias is None else w[:-1],
        None if bias is None else w[-1],
        losses,
        start,
        predicted,
        start_predicted,
        iterations,
        stalled,
        bool(predicted.mean() <= floor),
        float(floor),
    )


def _newton_step(
    x: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
    activation: str,
    shared: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Steps (p, k) and predicted decreases (k,) for k outputs."""
    n = x.shape[0]
    z = x @ w
    slope = derivative(activation, z)
    gradient = 2.0 / n * (x.T @ (slope * (value(activation, z) - y)))
    step = np.zeros_like(w)
    for k in range(w.shape[1]):
        if not gradient[:, k].any():
            continue
        inverse = shared
        if inverse is None:
            inverse = _pseudo_inverse(2.0 / n * weighted_gram(x, slope[:, k] ** 2))
        step[:, k] = -inverse @ gradient[:, k]
    return step, -0.5 * np.einsum("pk,pk->k", gradient, step)


def _line_search(
    z: np.ndarray, dz: np.ndarray, y: np.ndarray, before: np.ndarray, activation: str
) -> tuple[np.ndarray, np.ndarray]:
    """The longest of 1, 1/2, 1/4, ... that lowers each output's loss, 0 if none does."""
    length, after = np.zeros(before.shape), before.copy()
    open_ = np.arange(before.size)
    trial = 1.0
    for _ in range(HALVINGS):
        outputs = value(activation, z[:, open_] + trial * dz[:, open_])
        loss = np.mean((outputs - y[:, open_]) ** 2, axis=0)
        lower = loss < before[open_]
        length[open_[lower]], after[open_[lower]] = trial, loss[lower]
        open_ = open_[~lower]
        if open_.size == 0:
            break
        trial *= 0.5
    return length, after


def _pseudo_inverse(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    threshold = matrix.shape[0] * np.finfo(np.float64).eps * max(values[-1], 0.0)
    keep = values > threshold
    return (vectors[:, keep] / values[keep]) @ vectors[:, keep].T


def _blocks(m: int) -> list[np.ndarray]:
    return [np.arange(a, min(a + BLOCK, m)) for a in range(0, m, BLOCK)]
