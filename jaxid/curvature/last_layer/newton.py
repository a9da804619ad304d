"""How low the last layer alone can bring the loss: Gauss-Newton in float64, unit by unit.

With the features h~ = [h, 1] frozen, the loss is a sum over output units j of
l_j(w) = (1/n) sum_i (phi(h~_i w) - y_ij)^2, so every unit is solved by itself, by the steps
of `newton_step`. A step is taken only as far as it lowers the unit's loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxid.core import interrupt
from jaxid.curvature.last_layer.activation import value
from jaxid.curvature.last_layer.blocks import stack
from jaxid.curvature.last_layer.newton_step import (
    Seen,
    Units,
    cholesky_factor,
    line_search,
    newton_steps,
)
from jaxid.linalg.gram import reduced_gram
from jaxid.linalg.rows import Rows, parts, prepare_rows, product, widened

UNITS = 32
"""Output units taken at once, at most."""
HELD = 2**29
"""Bytes that their pre-activations and matrices may take: n and k^2 float64 each."""
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
    wide = widened(rows)
    full = reduced_gram(rows)
    w = stack(kernel, bias)
    start = _losses(wide, w, targets, activation)
    floor = tolerance * float(start.mean())
    shared = None
    if activation == "linear":
        shared = cholesky_factor(2.0 / targets.shape[0] * full.matrix)
    problem = Units(rows, wide, full, shared, activation, SETTLED * floor)
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
        interrupt.check()
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


def _solve_group(problem: Units, group: _Group, y: np.ndarray, max_iterations: int) -> None:
    """Steps for all units of a group until each has settled, stalled or used its budget."""
    # All of them once: what a step promises is wanted of small losses too.
    active = np.flatnonzero(group.loss > 0)
    seen: dict[int, Seen] = {}
    for iteration in range(max_iterations + 1):
        interrupt.check()
        if active.size == 0:
            return
        # Recomputed rather than updated by each step: no rounding piles up.
        z = product(problem.wide, group.weights[:, active])
        step, decrease = newton_steps(problem, z, y[:, active], active, seen)
        group.predicted[active] = decrease
        if iteration == 0:
            group.start_predicted[active] = decrease
        moving = (decrease > problem.edge) & (group.loss[active] > problem.edge)
        active, step = active[moving], step[:, moving]
        # Past the budget only the promise is computed, so that it is the final weights'.
        if active.size == 0 or iteration == max_iterations:
            return
        length, after = line_search(
            z[:, moving],
            product(problem.wide, step),
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


def _losses(rows: Rows, w: np.ndarray, targets: np.ndarray, activation: str) -> np.ndarray:
    """(m,) each output's mean squared error."""
    kept, total = w[rows.columns], np.zeros(targets.shape[1])
    for part, x in parts(rows):
        total += np.sum(np.square(value(activation, x @ kept) - targets[part]), axis=0)
    return total / targets.shape[0]
