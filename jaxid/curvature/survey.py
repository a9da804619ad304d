"""Everything that products tell about one matrix at one point, and, where it fits, all of it.

Products give both ends with residual bounds, the density with its standard error, traces
and the modes that hold the gradient. They do not give the smallest nonzero eigenvalue, the
null dimension or the condition number: those need every eigenvalue, in float64, which a
small enough matrix gets too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax

from jaxid.core import trees
from jaxid.core.errors import InputError
from jaxid.core.random import role_key
from jaxid.core.types import Estimate, Key, MatVec, Params
from jaxid.curvature.exact import Exact
from jaxid.curvature.excess import Excess, quadratic_excess
from jaxid.linalg.copies import all_copies
from jaxid.linalg.density import Density, spectral_density
from jaxid.linalg.lanczos import LEAST_BASIS, RESTARTS, TOLERANCE, Eigenpairs
from jaxid.linalg.operators import applied, prepared
from jaxid.linalg.trace import Trace, hutchinson


@dataclass(frozen=True)
class Effort:
    """How much a survey may do."""

    top: int = 10
    """Largest eigenvalues."""
    bottom: int = 3
    """Smallest eigenvalues."""
    restarts: int = RESTARTS
    """How often the Krylov basis may be filled again."""
    tolerance: float = TOLERANCE
    """Residual over the largest |eigenvalue| at which an end has converged."""
    steps: int = 60
    """Products per density probe, and from the gradient."""
    probes: int = 4
    """Density probes; 0 makes no density."""
    trace_probes: int = 16
    """Probes of the trace."""

    def __post_init__(self) -> None:
        for name, least in (
            ("top", 1),
            ("bottom", 1),
            ("restarts", 0),
            ("steps", 4),
            ("probes", 0),
            ("trace_probes", 2),
        ):
            if getattr(self, name) < least:
                flag = name.replace("_", "-")
                raise InputError(f"--{flag} is {getattr(self, name)}; it must be {least} or more")
        if not 0 < self.tolerance < 1:
            raise InputError(f"--tolerance is {self.tolerance}; give a number from 0 to 1")

    def products(self, order: int, *, gradient: bool) -> int:
        """How many products a survey makes, about: three fillings of the Krylov basis, which
        is usual, and as many to look for copies; the restarts allow for many more."""
        wanted = sum(self.wanted(order))
        ends = 2 * (min(order, 3 * max(LEAST_BASIS, 2 * wanted + 10)) + wanted)
        steps = min(self.steps, max(2, order))
        return ends + self.trace_probes + self.probes * steps + (self.steps if gradient else 0)

    def wanted(self, order: int) -> tuple[int, int]:
        """(largest, smallest) asked for, no more than there are."""
        top = min(self.top, max(1, order - 1))
        return top, min(self.bottom, order - top)


class Survey(NamedTuple):
    """What is known about one matrix at one point.

    Attributes:
      name: which matrix.
      order: its order.
      dtype: the arithmetic's.
      effort: what was asked for.
      ends: both ends; the first value is the largest eigenvalue, the last the least.
      trace: tr A and tr A^2.
      density: None if none was asked for.
      excess: where the gradient lies in the spectrum; None without one.
      exact: every eigenvalue, in float64; None where that did not fit.
    """

    name: str
    order: int
    dtype: str
    effort: Effort
    ends: Eigenpairs
    trace: Trace
    density: Density | None
    excess: Excess | None
    exact: Exact | None

    @property
    def stable_rank(self) -> Estimate:
        """tr A^2 / max lambda^2, |A|_F^2 over |A|^2, with the error of tr A^2."""
        square = self.trace.square
        if square.value is None or square.error is None or not self.ends.scale:
            return Estimate(None, None, False, "A is 0 or not finite")
        size = self.ends.scale**2
        ends = bool(self.ends.converged[0] and self.ends.converged[-1])
        return Estimate(square.value / size, square.error / size, ends, square.method)


def survey(
    name: str,
    matvec: MatVec,
    operand: Any,
    like: Params,
    key: Key,
    *,
    effort: Effort,
    gradient: Params | None = None,
    exact: Exact | None = None,
) -> Survey:
    """Measure one matrix.

    Args:
      name: of the matrix; its random numbers depend on it, so that adding a matrix changes no
        other's.
      matvec, operand: as in `jaxid.linalg.lanczos.eigenpairs`.
      like: a tree of v's structure, shapes and dtype.
      key: of the random starts.
      effort: how much to do.
      gradient: the loss's, for `Survey.excess`.
      exact: all eigenvalues, if they are at hand.
    """
    key = role_key(key, name)
    # One forward pass, and one program for it, for all of the methods.
    matvec, operand = applied, prepared(matvec, operand)
    order = trees.size(like)
    top, bottom = effort.wanted(order)
    ends = all_copies(
        matvec,
        operand,
        trees.random_like(role_key(key, "ends"), like),
        role_key(key, "copies"),
        top=top,
        bottom=bottom,
        restarts=effort.restarts,
        tolerance=effort.tolerance,
    )
    trace = hutchinson(matvec, operand, like, role_key(key, "trace"), probes=effort.trace_probes)
    density = None
    if effort.probes:
        density = spectral_density(
            matvec,
            operand,
            like,
            role_key(key, "density"),
            steps=min(effort.steps, max(2, order)),
            probes=effort.probes,
        )
    excess = None
    if gradient is not None:
        excess = quadratic_excess(matvec, operand, gradient, steps=effort.steps)
    dtype = str(jax.tree.leaves(like)[0].dtype)
    return Survey(name, order, dtype, effort, ends, trace, density, excess, exact)
