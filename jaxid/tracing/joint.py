"""Primitives of several traced quantities at once: maxima over many, products of two, lookups."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.tracing import expressions as one
from jaxid.tracing.elementwise import RULES, several
from jaxid.tracing.expressions import Expression
from jaxid.tracing.graph import Affine, Straight, Table
from jaxid.tracing.pieces import HALF, mapped
from jaxid.tracing.source import unreadable
from jaxid.tracing.values import Builder, Shape, Value

PRODUCTS = 4 * 10**6
"""Products that a contraction may have."""
EXTREMES = {
    "reduce_max": "max", "reduce_min": "min", "reduce_or": "or", "reduce_and": "and",
    "reduce_prod": "mul", "cummax": "max", "cummin": "min",
    "reduce_window_max": "max", "reduce_window_min": "min",
}  # fmt: skip
"""What is done to two elements, where it is done to many."""


def folded(b: Builder, name: str, params: dict[str, Any], value: Value) -> Value:
    """The largest, least, product, ... over axes or windows, two at a time."""
    lists = _windows(name, params, value.places, b.place)
    rule = EXTREMES[name]
    if rule == "mul":
        parts = [value._replace(places=places) for places in lists]
        while len(parts) > 1:
            made = [_two(b, rule, x, y) for x, y in zip(parts[::2], parts[1::2], strict=False)]
            parts = made + ([parts[-1]] if len(parts) % 2 else [])
        return parts[0]
    # All pairs at once, in halves: as few nodes as there are halvings.
    stacked = value._replace(places=np.stack(lists))
    while len(stacked.places) > 1:
        places = stacked.places
        if len(places) % 2:
            # Once more counts as once.
            places = np.concatenate([places, places[-1:]])
        half = len(places) // 2
        first, second = (stacked._replace(places=p) for p in (places[:half], places[half:]))
        stacked = _two(b, rule, first, second)
    return stacked._replace(places=stacked.places[0])


def _two(b: Builder, rule: str, x: Value, y: Value) -> Value:
    if x.aligned(y):
        made = x._replace(expression=RULES[rule](x.expression, y.expression))
        b.remember(made, [x, y])
        return made
    return several(b, rule, [x, y], x.shape)


def _windows(name: str, params: dict[str, Any], places: np.ndarray, place: str) -> list[np.ndarray]:
    """Places of the first, second, ... element of every window."""
    if name.startswith("reduce_window"):
        return _windowed(name, params, places, place)
    if name.startswith("cum"):
        axis, n = params["axis"], places.shape[params["axis"]]
        along = np.arange(n)
        if params["reverse"]:
            lists = [np.take(places, np.maximum(along, k), axis) for k in range(n)]
        else:
            lists = [np.take(places, np.minimum(along, k), axis) for k in range(n)]
        return lists
    axes = tuple(int(axis) for axis in params["axes"])
    last = np.moveaxis(places, axes, range(-len(axes), 0))
    kept = last.shape[: last.ndim - len(axes)]
    columns = last.reshape(*kept, -1)
    return [columns[..., k] for k in range(columns.shape[-1])]


def _windowed(
    name: str, params: dict[str, Any], places: np.ndarray, place: str
) -> list[np.ndarray]:
    if any(d != 1 for d in params["base_dilation"]):
        raise unreadable(name, place, "with a dilated base")
    edges = [(int(low), int(high)) for low, high in params["padding"]]
    cut = tuple(
        slice(max(-low, 0), size - max(-high, 0))
        for (low, high), size in zip(edges, places.shape, strict=True)
    )
    wide = [(max(low, 0), max(high, 0)) for low, high in edges]
    padded = np.pad(places[cut], wide, constant_values=-1)
    window, strides = params["window_dimensions"], params["window_strides"]
    dilation = params["window_dilation"]
    counts = [
        (size - (w - 1) * d - 1) // s + 1
        for size, w, d, s in zip(padded.shape, window, dilation, strides, strict=True)
    ]
    found = []
    for offset in np.ndindex(*window):
        cut = tuple(
            slice(o * d, o * d + (c - 1) * s + 1, s)
            for o, d, c, s in zip(offset, dilation, counts, strides, strict=True)
        )
        found.append(padded[cut])
    stacked = np.stack(found)
    # What lies beyond the edge is no element: another of the same window stands in.
    some = stacked.max(axis=0)
    if some.min() < 0:
        raise unreadable(name, place, "over windows without any element")
    return list(np.where(stacked < 0, some[None], stacked))


def contracted(b: Builder, params: dict[str, Any], x: Value, y: Value, shape: Shape) -> Value:
    """A product of two matrices that both depend on the input: products, and their sums."""
    (left, right), (batch_x, batch_y) = params["dimension_numbers"]
    px, py = x.places, y.places
    free_x = [k for k in range(px.ndim) if k not in (*left, *batch_x)]
    free_y = [k for k in range(py.ndim) if k not in (*right, *batch_y)]
    nb, nx, ny = len(batch_x), len(free_x), len(free_y)
    px = np.transpose(px, (*batch_x, *free_x, *left))
    py = np.transpose(py, (*batch_y, *free_y, *right))
    px = px.reshape(*px.shape[: nb + nx], *([1] * ny), *px.shape[nb + nx :])
    py = py.reshape(*py.shape[:nb], *([1] * nx), *py.shape[nb:])
    full = np.broadcast_shapes(px.shape, py.shape)
    if np.prod(full) > PRODUCTS:
        raise unreadable("dot_general", b.place, "of two quantities, too many products")
    a, c = (v._replace(places=np.broadcast_to(p, full)) for v, p in ((x, px), (y, py)))
    terms = _two(b, "mul", a, c)
    return summed_last(b, terms, int(np.prod(full[nb + nx + ny :])), shape)


def summed_last(b: Builder, value: Value, count: int, shape: Shape) -> Value:
    """The sums of every ``count`` elements in turn."""
    node = b.settled(value)
    size = b.sizes[node]
    if count == 1:
        return b.itself(node, shape)
    if size * (size // count) > PRODUCTS * 50:
        raise unreadable("dot_general", b.place, "of two quantities, too many products")
    weight = np.kron(np.eye(size // count), np.ones((count, 1)))
    return b.itself(b.add(Affine((node,), (weight,), np.zeros(size // count))), shape)


def looked_up(b: Builder, primitive: Any, params: dict[str, Any], operand: Any, indices: Value,
              shape: Shape) -> Value:  # fmt: skip
    """Entries of a constant array by one index that depends on the input."""
    numbers = params["dimension_numbers"]
    axes = tuple(numbers.start_index_map)
    array = np.asarray(operand, np.float64)
    whole = all(
        size == (1 if axis in axes else array.shape[axis])
        for axis, size in enumerate(params["slice_sizes"])
    )
    if len(axes) != 1 or not whole or indices.shape[-1:] != (1,) or not np.isfinite(array).all():
        raise unreadable("gather", b.place, "by several indices that depend on the input")
    (axis,) = axes
    count = array.shape[axis]
    filled = params["mode"] == jax.lax.GatherScatterMode.FILL_OR_DROP
    fill = _fill(params["fill_value"], np.asarray(operand).dtype)
    params = params | {"fill_value": None, "mode": jax.lax.GatherScatterMode.CLIP}
    flat = indices.places.size
    # Which index each element of the result takes: the operand holds its own positions.
    where = np.arange(flat, dtype=np.int32).reshape([-1 if k == axis else 1
                                                    for k in range(array.ndim)])  # fmt: skip
    where = np.broadcast_to(where, [flat if k == axis else n for k, n in enumerate(array.shape)])
    each = np.arange(flat, dtype=np.int32).reshape(indices.shape)
    source = np.asarray(primitive.bind(jnp.asarray(where), jnp.asarray(each), **params)).ravel()
    rows = []
    for k in range(count):
        own = np.full(indices.shape, k, np.int32)
        rows.append(_taken(primitive, params, array, own, axis, k))
    entries = np.stack(rows)
    taken = indices._replace(places=indices.places.ravel()[source].reshape(shape))
    guard = None
    if filled:
        # Beyond the array stands the fill: an entry more on either side, or, if it is NaN,
        # something that has no value there.
        index = taken.expression
        if fill is None:
            # Between the integers, where no rounding reaches.
            after = one.plus(index, one.number(HALF))
            before = one.minus(one.number(count - HALF), index)
            inside = one.times(one.natural(after), one.natural(before))
            guard = taken._replace(expression=one.minus(one.reciprocal(inside), one.number(1)))
        else:
            ends = np.full((1, entries.shape[1]), fill)
            entries = np.concatenate([ends, entries, ends])
            limited = one.smaller(one.larger(index, one.number(-1)), one.number(count))
            taken = taken._replace(expression=one.plus(limited, one.number(1)))
            count += 2
    e = taken.expression
    if not e.terms and e.straight.stepped and np.all(entries == entries[:, :1]):
        column = entries[:, 0]

        def entry(index: Fraction) -> Fraction:
            return Fraction(float(column[min(max(int(index), 0), count - 1)]))

        found = taken._replace(expression=Expression(mapped(e.straight, entry)))
    else:
        found = _steps(b, taken, entries, shape)
    if guard is None or guard.expression.constant == 0:
        return found
    return several(b, "add", [found, guard], shape)


def _fill(value: Any, kind: np.dtype) -> float | None:
    """What a gather fills in beyond its operand; None for NaN."""
    if value is None and not jnp.issubdtype(kind, jnp.inexact):
        if kind.kind == "b":
            return 1.0
        info = jnp.iinfo(kind)  # type: ignore[no-untyped-call]
        return float(info.min if jnp.issubdtype(kind, jnp.signedinteger) else info.max)
    return None if value is None or not np.isfinite(value) else float(value)


def _taken(primitive: Any, params: dict[str, Any], array: np.ndarray, own: np.ndarray, axis: int,
           k: int) -> np.ndarray:  # fmt: skip
    """The result if every index were k, in double precision."""
    places = np.arange(array.size, dtype=np.int32).reshape(array.shape)
    found = primitive.bind(jnp.asarray(places), jnp.asarray(own), **params)
    return array.ravel()[np.asarray(found).ravel()]


def _steps(b: Builder, index: Value, entries: np.ndarray, shape: Shape) -> Value:
    """entries[index], as straight pieces that change halfway between integers."""
    parent = b.settled(index)
    count, size = entries.shape
    places = np.repeat(np.arange(count - 1)[:, None] + 0.5, size, axis=1)
    nothing = np.zeros_like(places)
    own = Table(places, nothing, np.zeros_like(entries), entries, entries[:-1])
    return b.itself(b.add(Straight(parent, own)), shape)
