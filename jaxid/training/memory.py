"""Whether so many seeds fit in memory, from shapes alone, before anything is allocated."""

from __future__ import annotations

import jax
import psutil

from jaxid.core import trees
from jaxid.core.errors import InputError
from jaxid.problem.problem import Problem


def training_bytes(problem: Problem, seeds: int) -> int:
    """Bytes that training needs: data, then per seed parameters, gradient, moments, one
    evaluation chunk; from shapes alone."""
    params = jax.eval_shape(problem.init, jax.random.key(0))
    opt_state = jax.eval_shape(problem.optimizer.init, params)
    per_seed = 3 * trees.nbytes(params) + 2 * trees.nbytes(opt_state)
    data = sum(part[0].nbytes for part in (problem.train, problem.test) if part is not None)
    return data + seeds * per_seed + 400_000_000


def check_memory(problem: Problem, seeds: int, available: int | None = None) -> None:
    """Refuse before anything is allocated.

    Raises:
      InputError: naming how many seeds would fit.
    """
    if available is None:
        stats = jax.devices()[0].memory_stats()
        limit = (stats or {}).get("bytes_limit")
        available = int(limit) if limit else psutil.virtual_memory().available
    need, one = training_bytes(problem, seeds), training_bytes(problem, 1)
    if need <= available:
        return
    per_seed = training_bytes(problem, 2) - one
    fit_seeds = max(0, 1 + (available - one) // per_seed)
    advice = f"use --seeds {fit_seeds} or fewer" if fit_seeds else "use a smaller --width"
    raise InputError(
        f"{seeds} seeds need {need / 1e9:.1f} GB and {available / 1e9:.1f} GB are free; {advice}"
    )
