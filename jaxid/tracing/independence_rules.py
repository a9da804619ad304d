"""What each JAX primitive does to the batch axis of its operands.

A value's place is the axis along which its examples lie, and how many entries each example
owns there: an axis of size batch * inner, one example after the other. A rule is given the
places and shapes of an equation's operands and outputs, at least one operand having a place,
and answers with the place that the outputs have if every example is treated apart and alike,
or with the reason why they are not.

A primitive without a rule is one that can't be followed; a missing rule refuses, never proves.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class Reason(enum.Enum):
    """Why a function is not proved to treat the examples of a batch apart and alike."""

    MIXED = "an operation mixes the examples of the batch or moves them along it"
    RANDOM = "random numbers are drawn for every place in the batch, or from the input"
    PLACE = "what happens to an example depends on its place in the batch"
    SIZE = "what happens to an example depends on the size of the batch"
    UNKNOWN = "an operation can't be followed"


class Place(NamedTuple):
    """Where examples lie in an array: example i owns entries i * inner to (i + 1) * inner."""

    axis: int
    inner: int


class Operand(NamedTuple):
    """An equation's operand or output, at one batch size.

    Attributes:
      shape: at that batch size.
      place: of its examples; None if it has no axis along the batch.
      columns: positions along the last axis at which every example has its own number, as
        in the indices of ``x[jnp.arange(len(x)), labels]``.
    """

    shape: tuple[int, ...]
    place: Place | None
    columns: frozenset[int] = frozenset()


Params = Mapping[str, Any]
Operands = Sequence[Operand]
Rule = Callable[[Params, Operands, Operands], Place | Reason]

SIZES = {"shape", "new_sizes", "limit_indices", "slice_sizes", "reps"}
"""Parameters that only repeat the output's shape, which is compared itself."""

ELEMENTWISE = {"abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2",
               "atanh", "bessel_i0e", "bessel_i1e", "bitcast_convert_type", "cbrt", "ceil", "clamp",
               "clz", "complex", "conj", "convert_element_type", "copy", "copy_p", "cos", "cosh",
               "digamma", "div", "eq", "eq_to", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1",
               "floor", "ge", "gt", "igamma", "igamma_grad_a", "igammac", "imag", "integer_pow",
               "is_finite", "le", "le_to", "lgamma", "log", "log1p", "logistic", "lt", "lt_to",
               "max", "min", "mul", "mulhi", "name", "ne", "neg", "nextafter", "not", "or",
               "polygamma", "population_count", "pow", "real", "reduce_precision",
               "regularized_incomplete_beta", "rem", "round", "rsqrt", "select_n", "shift_left",
               "shift_right_arithmetic", "shift_right_logical", "sign", "sin", "sinh", "sqrt",
               "square", "stop_gradient", "sub", "tan", "tanh", "xor", "zeta"}  # fmt: skip

RANDOM = {"random_bits", "random_clone", "random_fold_in", "random_gamma", "random_seed",
          "random_split", "random_unwrap", "random_wrap", "rng_bit_generator", "rng_uniform",
          "threefry2x32", "threefry4x32", "philox2x32", "philox4x32"}  # fmt: skip
"""Primitives that draw random numbers or make the keys for it."""

ALONG: dict[str, Callable[[Params, int], Sequence[int]]] = {
    "concatenate": lambda p, _: (p["dimension"],),
    "cumlogsumexp": lambda p, _: (p["axis"],),
    "cummax": lambda p, _: (p["axis"],),
    "cummin": lambda p, _: (p["axis"],),
    "cumprod": lambda p, _: (p["axis"],),
    "cumsum": lambda p, _: (p["axis"],),
    "fft": lambda p, rank: range(rank - len(p["fft_lengths"]), rank),
    "rev": lambda p, _: p["dimensions"],
    "sort": lambda p, _: (p["dimension"],),
    "split": lambda p, _: (p["axis"],),
    "top_k": lambda p, rank: (p.get("axis", rank - 1),),
}
"""The axes, of so many, along which a primitive works that keeps all axes."""

REMOVED = {
    **dict.fromkeys(("argmax", "argmin", "reduce_and", "reduce_max", "reduce_min", "reduce_or",
                     "reduce_prod", "reduce_sum", "reduce_xor"), "axes"),
    "reduce": "dimensions",
    "squeeze": "dimensions",
    "unstack": "axis",
}  # fmt: skip
"""The parameter that names the axes which a primitive takes away."""

WINDOWED = ("reduce_window", "reduce_window_max", "reduce_window_min", "reduce_window_sum",
            "select_and_gather_add", "select_and_scatter_add")  # fmt: skip
SCATTERS = ("scatter", "scatter-add", "scatter-max", "scatter-min", "scatter-mul", "scatter-sub")


def rule_of(primitive: str) -> Rule | None:
    """The primitive's rule, None if there is none."""
    if primitive in ALONG:
        return lambda params, ins, outs: _along(ALONG[primitive], params, ins)
    if primitive in REMOVED:
        return lambda params, ins, outs: _removed(params[REMOVED[primitive]], ins)
    return _RULES.get(primitive)


def created(primitive: str, params: Params, ins: Operands, out: Operand) -> bool:
    """Whether a value made of operands without examples is the same for every example."""
    assert out.place is not None
    if primitive == "tile" and len(ins[0].shape) == len(out.shape):
        return out.place.inner % ins[0].shape[out.place.axis] == 0
    if primitive == "iota":
        return bool(params["dimension"] != out.place.axis)
    # The axis is new, or repeats an axis of size 1: no other is of the same size in both traces.
    return primitive == "broadcast_in_dim"


def _shared(ins: Operands) -> Place | None:
    """The one place that all operands with examples have."""
    places = {operand.place for operand in ins if operand.place is not None}
    return places.pop() if len(places) == 1 else None


def _elementwise(params: Params, ins: Operands, outs: Operands) -> Place | Reason:
    return _shared(ins) or Reason.UNKNOWN


def _along(
    axes: Callable[[Params, int], Sequence[int]], params: Params, ins: Operands
) -> Place | Reason:
    place = _shared(ins)
    if place is None:
        return Reason.UNKNOWN
    return Reason.MIXED if place.axis in axes(params, len(ins[0].shape)) else place


def _removed(axes: Any, ins: Operands) -> Place | Reason:
    place = _shared(ins)
    axes = axes if isinstance(axes, (tuple, list)) else (axes,)
    if place is None:
        return Reason.UNKNOWN
    if place.axis in axes:
        return Reason.MIXED
    return place._replace(axis=place.axis - sum(axis < place.axis for axis in axes))


def _stack(params: Params, ins: Operands, outs: Operands) -> Place | Reason:
    place = _shared(ins)
    if place is None:
        return Reason.UNKNOWN
    return place._replace(axis=place.axis + (params["axis"] <= place.axis))


def _broadcast_in_dim(params: Params, ins: Operands, outs: Operands) -> Place | Reason:
    place = ins[0].place
    if place is None:
        return Reason.UNKNOWN
    return place._replace(axis=int(params["broadcast_dimensions"][place.axis]))


def _reshape(params: Params, ins: Operands, outs: Operands) -> Place | Reason:
    """Row-major: with as many entries before the axis as before, examples stay whole."""
    (value, *sizes), (out,) = ins, outs
    if value.place is None or out.place is None or sizes or params.get("dimensions") is not None:
        return Reason.UNKNOWN
    before = _product(value.shape[: value.place.axis])
    return out.place if before == _product(out.shape[: out.place.axis]) else Reason.UNKNOWN


def _product(sizes: Sequence[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total


def _transpose(params: Params, ins: Operands, outs: Operands) -> Place | Reason:
    place = ins[0].place
    if place is None:
        return Reason.UNKNOWN
    return place._replace(axis=list(params["permutation"]).index(place.axis))


def _tile(params: Params, ins: Operands, outs: Operands) -> Place | Reason:
    place = ins[0].place
    if place is None or len(params["reps"]) != len(ins[0].shape):
        return Reason.UNKNOWN
    return place if params["reps"][place.axis] == 1 else Reason.MIXED


def _slice(params: Params, ins: Operands, outs: Operands) -> Place | Reason:
    place = ins[0].place
    if place is None:
        return Reason.UNKNOWN
    # A slice as long as the axis is the axis.
    if ins[0].shape[place.axis] == outs[0].shape[place.axis]:
        return place
    return Reason.MIXED if place.inner == 1 else Reason.UNKNOWN


def _dynamic_update_slice(params: Params, ins: Operands, outs: Operands) -> Place | Reason:
    operand, update, *starts = ins
    if operand.place is None or any(start.place for start in starts):
        return Reason.UNKNOWN
    return operand.place if update.place == operand.place else Reason.PLACE


def _pad(params: Params, ins: Operands, outs: Operands) -> Place | Reason:
    place = ins[0].place
    if place is None:
        return Reason.UNKNOWN
    return place if tuple(params["padding_config"][place.axis]) == (0, 0, 0) else Reason.MIXED


def _windowed(params: Params, ins: Operands, outs: Operands) -> Place | Reason:
    place = _shared(ins)
    if place is None:
        return Reason.UNKNOWN
    names = ("window_dimensions", "window_strides", "base_dilation", "window_dilation")
    alone = all(params[name][place.axis] == 1 for name in names if name in params)
    return place if alone and tuple(params["padding"][place.axis]) == (0, 0) else Reason.MIXED


def _dot_general(params: Params, ins: Operands, outs: Operands) -> Place | Reason:
    contracted, paired = params["dimension_numbers"]
    shared, free = len(paired[0]), 0
    axes: list[int | None] = []
    for side, operand in enumerate(ins):
        others = [
            axis
            for axis in range(len(operand.shape))
            if axis not in contracted[side] and axis not in paired[side]
        ]
        if operand.place is None:
            axes.append(None)
        elif operand.place.axis in contracted[side]:
            return Reason.MIXED
        elif operand.place.axis in paired[side]:
            axes.append(list(paired[side]).index(operand.place.axis))
        else:
            axes.append(shared + free + others.index(operand.place.axis))
        free += len(others)
    places = {
        operand.place._replace(axis=axis)
        for operand, axis in zip(ins, axes, strict=True)
        if operand.place is not None and axis is not None
    }
    # Two places: every example of one operand meets every example of the other.
    return places.pop() if len(places) == 1 else Reason.MIXED


def _convolution(params: Params, ins: Operands, outs: Operands) -> Place | Reason:
    (value, kernel), numbers = ins, params["dimension_numbers"]
    if value.place is None or kernel.place is not None or params["batch_group_count"] != 1:
        return Reason.UNKNOWN
    if value.place.axis == numbers.lhs_spec[0]:
        return value.place._replace(axis=numbers.out_spec[0])
    return Reason.MIXED if params["feature_group_count"] == 1 else Reason.UNKNOWN


class _Lookup(NamedTuple):
    """The dimension numbers of a gather, and of a scatter with its updates as the result."""

    window: Sequence[int]
    """Of the result: the operand's axes that are neither dropped nor paired."""
    dropped: Sequence[int]
    mapped: Sequence[int]
    """The operand's axes that the indices' columns count along."""
    paired: Sequence[int]
    """The operand's axes that go along with the indices' axes ``partners``."""
    partners: Sequence[int]

    def result(self, operand: Operand, indices: Operand, rank: int) -> Place | Reason:
        """Where the result of so many axes has its examples."""
        outer = [k for k in range(rank) if k not in self.window]
        if indices.place is not None and indices.place.axis == len(indices.shape) - 1:
            return Reason.UNKNOWN
        if indices.columns:
            return self._own(operand, indices, outer)
        if indices.place is None:
            return Reason.UNKNOWN if operand.place is None else self._whole(operand, operand.place)
        row = indices.place.axis
        if operand.place is not None:
            axis = operand.place.axis
            if axis not in self.paired or self.partners[list(self.paired).index(axis)] != row:
                return Reason.MIXED if axis in self.mapped else Reason.UNKNOWN
        return indices.place._replace(axis=outer[row])

    def _whole(self, operand: Operand, place: Place) -> Place | Reason:
        """The same entries of every example, looked up by constants."""
        used = [*self.dropped, *self.paired]
        if place.axis in used or place.axis in self.mapped:
            return Reason.MIXED
        kept = [axis for axis in range(len(operand.shape)) if axis not in used]
        return place._replace(axis=self.window[kept.index(place.axis)])

    def _own(self, operand: Operand, indices: Operand, outer: list[int]) -> Place | Reason:
        """Every example looks into itself, by its own number."""
        if operand.place is None or indices.place is None or len(indices.columns) != 1:
            return Reason.PLACE
        (column,) = indices.columns
        axis = operand.place.axis
        if self.mapped[column] != axis or axis not in self.dropped or operand.place.inner != 1:
            return Reason.PLACE
        return indices.place._replace(axis=outer[indices.place.axis])


def _gather(params: Params, ins: Operands, outs: Operands) -> Place | Reason:
    numbers = params["dimension_numbers"]
    lookup = _Lookup(
        numbers.offset_dims,
        numbers.collapsed_slice_dims,
        numbers.start_index_map,
        numbers.operand_batching_dims,
        numbers.start_indices_batching_dims,
    )
    return lookup.result(ins[0], ins[1], len(outs[0].shape))


def _scatter(params: Params, ins: Operands, outs: Operands) -> Place | Reason:
    (operand, indices, updates), numbers = ins, params["dimension_numbers"]
    if operand.place is None:
        return Reason.MIXED
    if updates.place is None:
        return Reason.PLACE
    lookup = _Lookup(
        numbers.update_window_dims,
        numbers.inserted_window_dims,
        numbers.scatter_dims_to_operand_dims,
        numbers.operand_batching_dims,
        numbers.scatter_indices_batching_dims,
    )
    found = lookup.result(operand, indices, len(updates.shape))
    if isinstance(found, Reason):
        return found
    return operand.place if found == updates.place else Reason.UNKNOWN


_RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(WINDOWED, _windowed),
    **dict.fromkeys(SCATTERS, _scatter),
    "broadcast_in_dim": _broadcast_in_dim,
    "conv_general_dilated": _convolution,
    "dot_general": _dot_general,
    "dynamic_slice": _slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "gather": _gather,
    "pad": _pad,
    "reshape": _reshape,
    "slice": _slice,
    "stack": _stack,
    "tile": _tile,
    "transpose": _transpose,
}
