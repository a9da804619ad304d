"""Types that every layer shares."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax

Array: TypeAlias = jax.Array
Key: TypeAlias = jax.Array
"""A typed PRNG key (`jax.random.key`)."""
Params: TypeAlias = Any
"""A pytree of arrays in the model's own layout."""
ApplyFn: TypeAlias = Callable[[Params, Array], Array]
"""(params, inputs (batch, ...)) -> outputs (batch, m)."""
LossFn: TypeAlias = Callable[[Array, Array], Array]
"""(outputs (batch, m), targets (batch, m)) -> loss of each example, (batch,)."""
Settings: TypeAlias = dict[str, str | int | float | bool | None]
"""How whoever posed a problem names it, for a reader: the names are theirs, no code reads them."""
MatVec: TypeAlias = Callable[[Params, Params], Params]
"""(params, v) -> A(params) v. Parameters are explicit so that one trace serves all seeds."""


@dataclass(frozen=True)
class Estimate:
    """A number that says how far it can be trusted.

    Attributes:
      value: the estimate; None where there is none (``method`` then says why).
      error: a standard error (sampled), a residual bound (iterated), or the
        rounding bound (exact); None where it is unknown.
      converged: whether the method met its own tolerance.
      method: how it was obtained, in words.
    """

    value: float | None
    error: float | None
    converged: bool
    method: str

    def _asdict(self) -> dict[str, Any]:
        """For records that are no types yet."""
        return dataclasses.asdict(self)
