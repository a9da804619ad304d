"""How several seeds are laid out in one program: one after another, or vmapped.

Both are one compiled program with the same keys, so initialisation and batch order are the
same bit for bit. Measured on two CPU cores, one 784-wide layer, MNIST, batch 128, two seeds:
1.00 s per seed and epoch one after another, 1.23 s vmapped (`scripts/bench/layouts.py`): on
a CPU a seed's matrices already fill the cores, and vmap only adds memory traffic. On
accelerators one seed of this size leaves most of the device idle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypeVar

import jax

Layout: TypeAlias = Literal["sequential", "vmap"]
LayoutChoice: TypeAlias = Literal["auto", "sequential", "vmap"]
T = TypeVar("T")

# (backend, least width, layout): of the rows whose backend matches and whose width is at most
# the network's, the widest wins. Rows for accelerators are expectations until measured there.
TABLE: tuple[tuple[str, int, Layout], ...] = (
    ("cpu", 0, "sequential"),
    ("gpu", 0, "vmap"),
    ("tpu", 0, "vmap"),
)


def choose_layout(choice: LayoutChoice, width: int, backend: str | None = None) -> Layout:
    """The layout for a network's width on a backend; a choice other than "auto" is kept."""
    if choice != "auto":
        return choice
    backend = backend or jax.default_backend()
    rows = [row for row in TABLE if row[0] == backend and row[1] <= width]
    return max(rows, key=lambda row: row[1])[2] if rows else "vmap"


def over_seeds(function: Callable[[Any], T], layout: Layout) -> Callable[[Any], T]:
    """``function`` of one seed's pytree, mapped over the leading axis in that layout."""
    if layout == "vmap":
        return jax.vmap(function)
    return lambda stacked: jax.lax.map(function, stacked)
