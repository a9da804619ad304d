"""Scoped numerical precision: float64 where exactness is claimed, never switched on globally."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp


@contextlib.contextmanager
def float64() -> Iterator[None]:
    """Double precision for the block, on every JAX that jaxid supports.

    `jax.enable_x64` is the context manager from JAX 0.8 on; before that it lived in
    `jax.experimental`.
    """
    if hasattr(jax, "enable_x64"):
        manager = jax.enable_x64(True)
    else:  # pragma: no cover - older JAX
        manager = importlib.import_module("jax.experimental").enable_x64()
    with manager:
        yield


def widened(tree: Any) -> Any:
    """Floating-point leaves as float64; call inside `float64`."""

    def leaf(x: Any) -> Any:
        x = jnp.asarray(x)
        return x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x

    return jax.tree.map(leaf, tree)
