"""One Gauss-Newton step of many output units at once, and how far along it to go.

With h~ = [h, 1], z_i = h~_i w, s_i = phi'(z_i), r_i = phi(z_i) - y_ij:

  gradient        g = (2/n) sum_i s_i r_i h~_i
  Gauss-Newton    G = (2/n) sum_i s_i^2 h~_i h~_i^T
  step            d = -(G + delta I)^(-1) g;  predicted decrease  -g^T d / 2

delta = 10 q eps lambda_max, lambda_max bounded by the trace: enough for Cholesky to succeed
where directions are null, and too little to hold back any mode above the threshold for
long (the next step takes what this one left). g has no part in the null directions, so
they stay where they are but for rounding, which delta keeps within about a tenth of |d|.
Nocedal and Wright 2006, sections 10.3 and 3.4.

Units are solved one per core. G is a sum over the examples on which a ReLU unit is on, and
few of them change at a step, so it is brought up to date by those.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg

from jaxid.core import interrupt
from jaxid.curvature.last_layer.activation import derivative, value
from jaxid.linalg.gram import EPS, Gram, changed_gram, reduced_gram
from jaxid.linalg.parallel import over_cores
from jaxid.linalg.rows import Rows, transposed

DAMPING = 10.0
"""delta over q eps trace(G)."""
HALVINGS = 20
"""Step halvings before a unit is given up as stalled."""


class Units(NamedTuple):
    """What all units' problems share.

    Attributes:
      rows: h~ without columns that are zero throughout.
      wide: the same in float64, if there is room.
      full: their Gram matrix.
      shared: Cholesky factor for a linear output, the same for every unit; else None.
      activation: the output activation's name.
      edge: what an output's loss or predicted decrease must exceed to be worth a step.
    """

    rows: Rows
    wide: Rows
    full: Gram
    shared: np.ndarray | None
    activation: str
    edge: float


class Seen(NamedTuple):
    """A ReLU unit's matrix at an earlier step: the examples it was on, and their sum."""

    on: np.ndarray
    gram: Gram


def newton_steps(
    problem: Units, z: np.ndarray, y: np.ndarray, units: np.ndarray, seen: dict[int, Seen]
) -> tuple[np.ndarray, np.ndarray]:
    """Steps (k, units) and predicted decreases (units,), one unit per core.

    ``units`` are the places in the group; ``seen`` is brought up to date.
    """
    n = z.shape[0]
    slope = derivative(problem.activation, z)
    force = slope * (value(problem.activation, z) - y)
    gradient = 2.0 / n * transposed(problem.wide, force)

    def step(j: int) -> np.ndarray:
        if not gradient[:, j].any():
            return np.zeros(gradient.shape[0])
        factor = problem.shared
        if factor is None:
            if problem.activation == "relu":
                now = _now(problem, slope[:, j] > 0, seen.get(int(units[j])))
                seen[int(units[j])] = now
                gram = now.gram
            else:
                gram = reduced_gram(problem.rows, slope[:, j] ** 2, full=problem.full)
            factor = cholesky_factor(2.0 / n * gram.matrix)
        return -linalg.cho_solve((factor, True), gradient[:, j], check_finite=False)

    steps = np.stack(over_cores(step, range(z.shape[1])), axis=1)
    return steps, -0.5 * np.einsum("ku,ku->u", gradient, steps)


def _now(problem: Units, on: np.ndarray, seen: Seen | None) -> Seen:
    """The matrix over the examples ``on``, from whichever start leaves fewest rows to sum."""
    everywhere = np.ones(on.shape, bool)
    starts = [Seen(everywhere, problem.full)] + ([] if seen is None else [seen])
    changes = [np.count_nonzero(start.on != on) for start in starts]
    least = int(np.argmin(changes))
    if changes[least] < np.count_nonzero(on):
        start = starts[least]
        return Seen(on, changed_gram(problem.rows, start.gram, start.on, on))
    return Seen(on, reduced_gram(problem.rows, on))


def cholesky_factor(matrix: np.ndarray) -> np.ndarray:
    """The lower Cholesky factor of matrix + delta I."""
    delta = DAMPING * matrix.shape[0] * EPS * float(np.trace(matrix))
    # Slopes that underflow leave nothing of the matrix, and rounding may outgrow delta.
    delta = max(delta, float(np.finfo(np.float64).tiny))
    while True:
        interrupt.check()
        damped = matrix.copy()
        damped[np.diag_indices_from(damped)] += delta
        try:
            return linalg.cholesky(damped, lower=True, overwrite_a=True, check_finite=False)
        except linalg.LinAlgError:
            delta *= 100.0


def line_search(
    z: np.ndarray, dz: np.ndarray, y: np.ndarray, before: np.ndarray, activation: str
) -> tuple[np.ndarray, np.ndarray]:
    """The longest of 1, 1/2, 1/4, ... that lowers each unit's loss, 0 if none does, and the
    loss there."""
    length, after = np.zeros(before.shape), before.copy()
    open_ = np.arange(before.size)
    trial = 1.0
    for _ in range(HALVINGS):
        outputs = value(activation, z[:, open_] + trial * dz[:, open_])
        loss = np.mean(np.square(outputs - y[:, open_]), axis=0)
        lower = loss < before[open_]
        length[open_[lower]], after[open_[lower]] = trial, loss[lower]
        open_ = open_[~lower]
        if open_.size == 0:
            break
        trial *= 0.5
    return length, after
