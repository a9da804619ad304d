"""Primitives that only move elements: followed by moving the places where they stand."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxid.tracing.elementwise import picked
from jaxid.tracing.values import Builder, Shape, Value

RESHAPED = {"reshape", "squeeze", "expand_dims", "copy", "copy_p", "stop_gradient"}
"""Primitives that keep the elements and their order."""
MOVED = {"slice", "rev", "gather", "dynamic_slice", "split", "pad", "scatter", "transpose",
         "broadcast_in_dim", "concatenate", "dynamic_update_slice", "stack", "unstack",
         "tile"}  # fmt: skip
"""Primitives whose every result is an element of an operand."""


def known(name: str) -> bool:
    """Whether a primitive of that name moves elements."""
    return name in RESHAPED or name in MOVED


def moved(b: Builder, primitive: Any, params: dict[str, Any], args: list[Any], shapes: list[Shape]
          ) -> list[Value]:  # fmt: skip
    """The results of a primitive that moves elements.

    Args:
      b: collects nodes.
      primitive, params: of the equation.
      args: values, and arrays: constants, or indices.
      shapes: of the results.
    """
    name = str(primitive)
    traced = [arg for arg in args if isinstance(arg, Value)]
    if name in RESHAPED:
        order = params.get("dimensions") if name == "reshape" else None
        if order is not None:
            # By columns first, say: `jnp.ravel(x, order="F")`.
            traced = [v._replace(places=np.transpose(v.places, order)) for v in traced]
        return [v._replace(places=v.places.reshape(s)) for v, s in zip(traced, shapes, strict=True)]
    if name == "transpose":
        places = np.transpose(traced[0].places, params["permutation"])
        return [traced[0]._replace(places=places)]
    if name == "broadcast_in_dim":
        return [_broadcast(traced[0], params["broadcast_dimensions"], shapes[0])]
    # Elements of every operand get numbers of their own; constants too.
    numbers: list[Any] = []
    count = 0
    data = _data(name, args)
    for k, arg in enumerate(args):
        if k not in data:
            numbers.append(arg)
            continue
        size = arg.places.size if isinstance(arg, Value) else np.size(arg)
        shape = arg.shape if isinstance(arg, Value) else np.shape(arg)
        numbers.append(jnp.arange(count, count + size, dtype=jnp.int32).reshape(shape))
        count += size
    fill = np.nan
    if name == "gather":
        fill = np.nan if params["fill_value"] is None else float(params["fill_value"])
        params = params | {"fill_value": -1}
    out = primitive.bind(*numbers, **params)
    results = out if primitive.multiple_results else [out]
    return [_gathered(b, [args[k] for k in data], np.asarray(r), fill) for r in results]


def _data(name: str, args: list[Any]) -> list[int]:
    """Which operands hold elements; the others say where they go."""
    if name in ("slice", "rev", "gather", "dynamic_slice", "split", "unstack", "tile"):
        return [0]
    if name == "scatter":
        return [0, 2]
    if name in ("pad", "dynamic_update_slice"):
        return [0, 1]
    return list(range(len(args)))


def _broadcast(value: Value, dimensions: Any, shape: Shape) -> Value:
    wide = [1] * len(shape)
    for axis, size in zip(dimensions, value.shape, strict=True):
        wide[int(axis)] = size
    return value._replace(places=np.broadcast_to(value.places.reshape(wide), shape))


def _gathered(b: Builder, sources: list[Any], numbers: np.ndarray, fill: float) -> Value:
    """Elements by their number, counted through all sources."""
    shape, flat = numbers.shape, numbers.ravel()
    which = np.zeros(flat.size, int)
    cases: list[Any] = []
    start = 0
    for source in sources:
        own = source.places if isinstance(source, Value) else np.asarray(source)
        if not own.size:
            continue
        inside = (flat >= start) & (flat < start + own.size)
        which[inside] = len(cases)
        taken = own.ravel()[np.clip(flat - start, 0, max(own.size - 1, 0))].reshape(shape)
        cases.append(source._replace(places=taken) if isinstance(source, Value) else taken)
        start += own.size
    if (flat < 0).any():
        # What a gather fills in beyond its operand.
        which[flat < 0] = len(cases)
        cases.append(np.full(shape, fill))
    return picked(b, which.reshape(shape), cases, shape)
