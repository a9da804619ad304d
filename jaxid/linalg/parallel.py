"""Many independent dense problems at once: one per core, BLAS on one thread each.

NumPy releases the interpreter lock in BLAS and LAPACK, and one matrix of a thousand columns
does not fill two BLAS threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

from jaxid.core import interrupt

S = TypeVar("S")
T = TypeVar("T")

MOST_WORKERS = 16
"""Each holds a few matrices of its own, so memory grows with them."""


def cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def over_cores(
    function: Callable[[S], T], items: Iterable[S], *, workers: int | None = None
) -> list[T]:
    """``[function(item) for item in items]``, several at a time, in order.

    Args:
      function: spends its time in NumPy; must be safe to call from several threads.
      items: its arguments.
      workers: threads; the number of cores if None, at most 16.

    Raises:
      Whatever ``function`` raises first.
    """
    count = min(cores(), MOST_WORKERS) if workers is None else workers
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(max(1, count)) as pool:
        return interrupt.results([pool.submit(function, item) for item in items])
