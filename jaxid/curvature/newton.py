"""How low the last layer alone can bring the loss: Gauss-Newton in float64, unit by unit.

With the features h~ = [h, 1] frozen, the loss is a sum over output units j of
l_j(w) = (1/n) sum_i (phi(h~_i w) - y_ij)^2, so every unit is solved by itself. With
s_i = phi'(z_i), r_i = phi(z_i) - y_ij:

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

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import linalg

from jaxid.curvature.activation import derivative, value
from jaxid.curvature.blocks import stack
from jaxid.linalg.gram import EPS, Gram, changed_gram, reduced_gram
from jaxid.linalg.parallel import over_cores
from jaxid.linalg.rows import Rows, prepare_rows

UNITS = 32
"""Output units taken at once, at most."""
HELD = 2**29
"""Bytes that their pre-activations and matrices may take: n and k^2 float64 each."""
WIDE = 2**30
"""Bytes that all rows may take in float64; beyond that they are converted a part at a time."""
ROWS = 8192
"""Examples in such a part."""
DAMPING = 10.0
"""delta over q eps trace(G)."""
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
        mean squared error; for outputs that came below the floor, their loss, which bounds it.
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


class _Problem(NamedTuple):
    """The shared part of all units' problems.

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


class _Seen(NamedTuple):
    """A ReLU unit's matrix at an earlier step: the examples it was on, and their sum."""

    on: np.ndarray
    gram: Gram


class _Group(NamedTuple):
    """The state of some units; fields as in `HeadSolution`, changed in place."""

    weights: np.ndarray
    loss: np.ndarray
    predicted: np.ndarray
    start_predicted: np.ndarray
    iterations: np.ndarray
    stalled: np.ndarray


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
      features: (n, p), any real dtype; integers give Gram matrices free of rounding.
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
    m = targets.shape[1]
    rows = prepare_rows(features, ones=bias is not None)
    wide = _widened(rows)
    full = reduced_gram(rows)
    w = stack(kernel, bias)
    start = _losses(wide, w, targets, activation)
    floor = tolerance * float(start.mean())
    shared = None
    if activation == "linear":
        shared = _factor(2.0 / targets.shape[0] * full.matrix)
    problem = _Problem(rows, wide, full, shared, activation, SETTLED * floor)
    whole = _Group(
        w[rows.columns],
        start.copy(),
        start.copy(),
        start.copy(),
        np.zeros(m, int),
        np.zeros(m, bool),
    )
    held = 8 * (rows.values.shape[0] + rows.columns.size**2)
    together = max(1, min(UNITS, HELD // held))
    for first in range(0, m, together):
        units = slice(first, min(first + together, m))
        group = _Group(*(part[..., units] for part in whole))  # views
        _solve_group(problem, group, np.asarray(targets[:, units], np.float64), max_iterations)
        if progress is not None:
            progress(units.stop, m)
    w[rows.columns] = whole.weights
    return HeadSolution(
        w if bias is None else w[:-1],
        None if bias is None else w[-1],
        whole.loss,
        start,
        whole.predicted,
        whole.start_predicted,
        whole.iterations,
        whole.stalled,
        bool(whole.predicted.mean() <= floor),
        floor,
    )


def _solve_group(problem: _Problem, group: _Group, y: np.ndarray, max_iterations: int) -> None:
    """Steps for all units of a group until each has settled, stalled or used its budget."""
    # All of them once: what a step promises is wanted of small losses too.
    active = np.flatnonzero(group.loss > 0)
    seen: dict[int, _Seen] = {}
    for iteration in range(max_iterations + 1):
        if active.size == 0:
            return
        # Recomputed rather than updated by each step: no rounding piles up.
        z = _product(problem.wide, group.weights[:, active])
        step, decrease = _newton_steps(problem, z, y[:, active], active, seen)
        group.predicted[active] = decrease
        if iteration == 0:
            group.start_predicted[active] = decrease
        moving = (decrease > problem.edge) & (group.loss[active] > problem.edge)
        active, step = active[moving], step[:, moving]
        # Past the budget only the promise is computed, so that it is the final weights'.
        if active.size == 0 or iteration == max_iterations:
            return
        length, after = _line_search(
            z[:, moving],
            _product(problem.wide, step),
            y[:, active],
            group.loss[active],
            problem.activation,
        )
        group.weights[:, active] += length[None, :] * step
        group.loss[active] = after
        group.iterations[active] += length > 0
        group.stalled[active[length == 0]] = True
        solved = after <= problem.edge
        group.predicted[active[solved]] = after[solved]
        active = active[(length > 0) & ~solved]


def _newton_steps(
    problem: _Problem, z: np.ndarray, y: np.ndarray, units: np.ndarray, seen: dict[int, _Seen]
) -> tuple[np.ndarray, np.ndarray]:
    """Steps (k, units) and predicted decreases (units,), one unit per core.

    ``units`` are the places in the group; ``seen`` is brought up to date.
    """
    n = z.shape[0]
    slope = derivative(problem.activation, z)
    force = slope * (value(problem.activation, z) - y)
    gradient = 2.0 / n * _transposed(problem.wide, force)

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
            factor = _factor(2.0 / n * gram.matrix)
        return -linalg.cho_solve((factor, True), gradient[:, j], check_finite=False)

    steps = np.stack(over_cores(step, range(z.shape[1])), axis=1)
    return steps, -0.5 * np.einsum("ku,ku->u", gradient, steps)


def _now(problem: _Problem, on: np.ndarray, seen: _Seen | None) -> _Seen:
    """The matrix over the examples ``on``, from whichever start leaves fewest rows to sum."""
    everywhere = np.ones(on.shape, bool)
    starts = [_Seen(everywhere, problem.full)] + ([] if seen is None else [seen])
    changes = [np.count_nonzero(start.on != on) for start in starts]
    least = int(np.argmin(changes))
    if changes[least] < np.count_nonzero(on):
        start = starts[least]
        return _Seen(on, changed_gram(problem.rows, start.gram, start.on, on))
    return _Seen(on, reduced_gram(problem.rows, on))


def _factor(matrix: np.ndarray) -> np.ndarray:
    """The lower Cholesky factor of matrix + delta I."""
    delta = DAMPING * matrix.shape[0] * EPS * float(np.trace(matrix))
    # Slopes that underflow leave nothing of the matrix, and rounding may outgrow delta.
    delta = max(delta, float(np.finfo(np.float64).tiny))
    while True:
        damped = matrix.copy()
        damped[np.diag_indices_from(damped)] += delta
        try:
            return linalg.cholesky(damped, lower=True, overwrite_a=True, check_finite=False)
        except linalg.LinAlgError:
            delta *= 100.0


def _line_search(
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


def _widened(rows: Rows) -> Rows:
    """The same rows in float64, shift and all; as they are if that takes too much room."""
    if 8 * rows.values.size > WIDE:
        return rows
    return rows._replace(values=np.add(rows.values, rows.shift, dtype=np.float64), shift=0.0)


def _parts(rows: Rows) -> Iterator[tuple[slice, np.ndarray]]:
    """h~ in float64, a part at a time."""
    for start in range(0, rows.values.shape[0], ROWS):
        part = slice(start, start + ROWS)
        values = rows.values[part].astype(np.float64, copy=False)
        yield part, values + rows.shift if np.any(rows.shift) else values


def _product(rows: Rows, w: np.ndarray) -> np.ndarray:
    """h~ w, (n, units)."""
    z = np.empty((rows.values.shape[0], w.shape[1]))
    for part, x in _parts(rows):
        np.matmul(x, w, out=z[part])
    return z


def _transposed(rows: Rows, force: np.ndarray) -> np.ndarray:
    """sum_i h~_i force_i, (k, units)."""
    total = np.zeros((rows.columns.size, force.shape[1]))
    for part, x in _parts(rows):
        total += x.T @ force[part]
    return total


def _losses(rows: Rows, w: np.ndarray, targets: np.ndarray, activation: str) -> np.ndarray:
    """(m,) each output's mean squared error."""
    kept, total = w[rows.columns], np.zeros(targets.shape[1])
    for part, x in _parts(rows):
        total += np.sum(np.square(value(activation, x @ kept) - targets[part]), axis=0)
    return total / targets.shape[0]
