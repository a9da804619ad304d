"""Array functions for NumPy and JAX alike: NumPy's unless an operand is JAX's.

Interval arithmetic of a long program is hundreds of small operations. As one compiled program
that costs seconds for every new function and is done in milliseconds; NumPy does it at once. What
also runs inside compiled programs uses the same code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special


def of_jax(*operands: Any) -> bool:
    """Whether an operand, or one in a list of them, is JAX's."""
    return any(
        of_jax(*each) if isinstance(each, tuple | list) else isinstance(each, jax.Array)
        for each in operands
    )


def either(of_numpy: Callable[..., Any], of_jax_: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is the second one for JAX's operands, else the first."""

    def function(*operands: Any, **options: Any) -> Any:
        return (of_jax_ if of_jax(*operands) else of_numpy)(*operands, **options)

    return function


class _Namespace:
    """``xp.NAME`` is NumPy's or JAX's function of that name, by its operands."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        found = either(getattr(np, name), getattr(jnp, name))
        # Kept, so that the next look-up finds it.
        setattr(self, name, found)
        return found


xp: Any = _Namespace()
erf = either(scipy.special.erf, jax.lax.erf)
erfc = either(scipy.special.erfc, jax.lax.erfc)
sigmoid = either(scipy.special.expit, jax.nn.sigmoid)
softplus = either(lambda z: np.logaddexp(z, 0.0), jax.nn.softplus)
rsqrt = either(lambda z: 1 / np.sqrt(z), jax.lax.rsqrt)
