"""The one stream over examples: how many at a time, of what type, and where, is decided here.

What sums over examples is summed over chunks of them, so that float64 copies and what a network's
layers hold stay small; results depend on the cut by rounding alone. Where examples depend on one
another there is one chunk, of all (`jaxid.problem.admission.depends_on_batch`). Between two chunks
on the host an interrupt is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import interrupt, trees
from jaxid.core.types import Array

T = TypeVar("T")
HOST = 4096
"""Rows on the host at a time: 26 MB of float64 copies at 784 features."""
DEVICE = 2000
"""Examples in a compiled forward pass: 6 MB a layer of 784 float32."""
DIFFERENTIATED = 1024
"""Examples in one that is differentiated, which holds all layers at once;
`jaxid.curvature.products` takes fewer where they would not fit."""


def slices(examples: int, *, most: int | None = None, whole: bool = False) -> Iterator[slice]:
    """The places of the examples, a chunk at a time.

    Args:
      examples: how many there are.
      most: in a chunk; `HOST` if None.
      whole: all in one, since they depend on one another.

    Raises:
      KeyboardInterrupt: between two, if one came.
    """
    size = max(1, examples) if whole else (most or HOST)
    for start in range(0, examples, size):
        interrupt.check()
        yield slice(start, min(start + size, examples))


def host(*arrays: Any, dtype: Any = np.float64) -> Iterator[tuple[np.ndarray, ...]]:
    """The same rows of several arrays, copied to ``dtype``, a chunk at a time."""
    for rows in slices(len(arrays[0])):
        yield tuple(np.asarray(array[rows], dtype) for array in arrays)


def placed(
    x: Any, y: Any = None, *, differentiated: bool = False, whole: bool = False
) -> Iterator[tuple[slice, Array, Array | None]]:
    """(places, inputs, targets or None) on the device, as they are stored, a chunk at a time."""
    most = DIFFERENTIATED if differentiated else DEVICE
    for rows in slices(len(x), most=most, whole=whole):
        yield rows, jnp.asarray(x[rows]), None if y is None else jnp.asarray(y[rows])


def total(function: Callable[[Array, Array], T], examples: int, *, whole: bool = False) -> T:
    """The sum over all examples, inside a compiled program: one body, whatever their number.

    Args:
      function: (places (k,) int32, valid (k,) bool) -> a tree of sums over the valid ones; the
        last chunk is filled up with place 0.
      examples: how many there are.
      whole: all in one chunk.
    """
    size = examples if whole else min(DEVICE, examples)

    def chunk(index: Array) -> T:
        rows = index * size + jnp.arange(size)
        valid = rows < examples
        return function(jnp.where(valid, rows, 0), valid)

    def step(totals: T, index: Array) -> tuple[T, None]:
        return jax.tree.map(jnp.add, totals, chunk(index)), None

    shapes = jax.eval_shape(chunk, jnp.zeros((), jnp.int32))
    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return jax.lax.scan(step, zero, jnp.arange(-(-examples // size)))[0]


def mean(function: Callable[[Any], T], data: Any, chunk: int, like: T) -> T:
    """The mean over all examples of what is a mean over each batch's, inside a compiled program.

    Args:
      function: batch -> a tree of means over its examples.
      data: a tree of arrays with the examples first.
      chunk: examples in a batch; the last one is smaller, its body compiled by itself.
      like: a tree of the result's structure, shapes and types, so that tracing it once suffices.
    """
    examples = jax.tree.leaves(data)[0].shape[0]
    if examples <= chunk:
        return function(data)
    count, rest = divmod(examples, chunk)
    split = jax.tree.map(
        lambda leaf: leaf[: count * chunk].reshape(count, chunk, *leaf.shape[1:]), data
    )

    def step(sums: T, batch: Any) -> tuple[T, None]:
        return trees.add_scaled(sums, chunk / examples, function(batch)), None

    sums, _ = jax.lax.scan(step, jax.tree.map(jnp.zeros_like, like), split)
    if rest:
        last = jax.tree.map(lambda leaf: leaf[count * chunk :], data)
        sums = trees.add_scaled(sums, rest / examples, function(last))
    return sums
