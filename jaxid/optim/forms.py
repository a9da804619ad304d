"""What a quantity of an optimizer's update is known to be: a linear form, and of what.

Every array of the update's program is, element by element,

  v_e = sum_k c_k,e u_k,e + o_e     (k over gradients, parameters, states),

c and o functions of the step count alone, as long as only linear primitives with fixed
coefficients have been met. A mean over elements leaves it linear, but of many elements; a square,
a norm, a sign or a choice by the gradient makes it nonlinear, and the operation is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core.types import Array

Kind = Literal["gradient", "parameter", "state", "accumulator"]
Outside = Literal["random", "loss value"]


class Source(NamedTuple):
    """A leaf that an update is computed from: which kind, and its index among all leaves of it."""

    kind: Kind
    leaf: int


class Reason(NamedTuple):
    """Why a quantity is no linear form.

    Attributes:
      operation: the primitive.
      place: the function of the optimizer's code that calls it.
      known: whether the primitive has a rule; without one nothing is claimed.
    """

    operation: str
    place: str
    known: bool = True


@dataclass(frozen=True)
class Form:
    """A quantity's form.

    Attributes:
      shape: of the array.
      dtype: its.
      sources: leaves that it depends on.
      outside: what else it depends on that no state holds.
      linear: whether it is a linear form of the sources with fixed coefficients.
      coefficients: c_k, each () where it is the same for all elements or (elements,); None where
        an element depends on others than its own, or where it is not linear.
      offset: o, () or (elements,); None where it is not known: of ``outside``.
      rests: whether o is 0 by what it is made of, whatever the values.
      reasons: of what is not linear.
    """

    shape: tuple[int, ...]
    dtype: Any
    sources: frozenset[Source] = frozenset()
    outside: frozenset[Outside] = frozenset()
    linear: bool = True
    coefficients: dict[Source, Any] | None = field(default_factory=dict)
    offset: Any = None
    rests: bool = False
    reasons: frozenset[Reason] = frozenset()

    @property
    def fixed(self) -> bool:
        """Whether it depends on the step count alone."""
        return not self.sources and not self.outside and self.linear

    @property
    def elementwise(self) -> bool:
        """Whether each element is a linear form of the same element of its sources."""
        return self.linear and self.coefficients is not None

    @property
    def size(self) -> int:
        """Elements."""
        return int(np.prod(self.shape, dtype=int))


ANY = 1.0
"""Stands for every number where forms alone are asked for: a Python number costs nothing."""


def fixed(value: Any, *, numbers: bool = True) -> Form:
    """A known array; one number is not repeated.

    Args:
      value: the array.
      numbers: whether it matters what it is; without, `ANY` stands for it.
    """
    if hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jax.dtypes.extended):
        # Keys.
        return Form(value.shape, value.dtype, offset=value if numbers else ANY)
    plain = not isinstance(value, jax.core.Tracer) and bool(np.all(np.asarray(value) == 0))
    if not numbers:
        dtype = value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype
        return Form(tuple(np.shape(value)), dtype, offset=ANY, rests=plain)
    value = jnp.asarray(value)
    flat = value.reshape(() if value.size == 1 else -1)
    return Form(value.shape, value.dtype, offset=flat, rests=plain)


def leaf(source: Source, shape: tuple[int, ...], dtype: Any, *, numbers: bool = True) -> Form:
    """A leaf itself."""
    one, zero = (jnp.ones((), dtype), jnp.zeros((), dtype)) if numbers else (ANY, ANY)
    return Form(shape, dtype, frozenset({source}), coefficients={source: one}, offset=zero,
                rests=True)  # fmt: skip


def opaque(source: Source, shape: tuple[int, ...], dtype: Any, reasons: frozenset[Reason]) -> Form:
    """A state that is no linear function of the gradients seen."""
    return Form(shape, dtype, frozenset({source}), linear=False, coefficients=None,
                reasons=reasons)  # fmt: skip


def joined(parts: list[Form], shape: tuple[int, ...], dtype: Any) -> Form:
    """Of all these together, nothing being said of how: linear if they are, of many elements."""
    sources = frozenset[Source]().union(*(p.sources for p in parts))
    return Form(
        shape,
        dtype,
        sources,
        frozenset[Outside]().union(*(p.outside for p in parts)),
        all(p.linear for p in parts),
        # What lies outside has no coefficients, and no offset that is known.
        None if sources else {},
        None,
        False,
        frozenset[Reason]().union(*(p.reasons for p in parts)),
    )


def bent(parts: list[Form], shape: tuple[int, ...], dtype: Any, reason: Reason) -> Form:
    """No linear function of these any more, for that reason."""
    whole = joined(parts, shape, dtype)
    return replace(whole, linear=False, reasons=whole.reasons | {reason})


def scaled(
    form: Form, factor: Form, shape: tuple[int, ...], dtype: Any, *, divide: bool = False
) -> Form:
    """form times, or over, what is fixed."""
    if factor.offset is None or form.coefficients is None:
        return joined([form], shape, dtype)

    def times(c: Any) -> Any:
        if c is None or c is ANY:
            return c
        with_type = jnp.asarray(factor.offset, dtype)
        return c / with_type if divide else c * with_type

    coefficients = {k: c for k, c in ((k, times(c)) for k, c in form.coefficients.items())
                    if c is not None}  # fmt: skip
    return replace(
        form,
        shape=shape,
        dtype=dtype,
        coefficients=coefficients,
        offset=times(form.offset),
        rests=form.rests or (factor.rests and not divide),
    )


def _numberless(whole: Form, parts: list[Form]) -> Form:
    """A linear, elementwise form of these, of whatever numbers."""
    return replace(
        whole,
        coefficients=dict.fromkeys(whole.sources, ANY),
        offset=None if any(part.offset is None for part in parts) else ANY,
        rests=all(part.rests for part in parts),
    )


def added(parts: list[tuple[float, Form]], shape: tuple[int, ...], dtype: Any) -> Form:
    """sum of sign times form."""
    forms = [form for _, form in parts]
    whole = joined(forms, shape, dtype)
    if not whole.linear or any(form.coefficients is None for form in forms):
        return whole
    if any(isinstance(form.offset, float) for form in forms):
        return _numberless(whole, forms)
    coefficients: dict[Source, Any] = {}
    offset: Any = jnp.zeros((), dtype)
    for sign, form in parts:
        for source, c in (form.coefficients or {}).items():
            coefficients[source] = coefficients.get(source, jnp.zeros((), dtype)) + sign * c
        offset = None if offset is None or form.offset is None else offset + sign * form.offset
    rests = all(form.rests for form in forms)
    return replace(whole, coefficients=coefficients, offset=offset, rests=rests)


def chosen(which: Any, cases: list[Form], shape: tuple[int, ...], dtype: Any) -> Form:
    """cases[which], which () or (elements,) and fixed."""
    whole = joined(cases, shape, dtype)
    if not whole.linear or any(case.coefficients is None for case in cases):
        return whole
    if isinstance(which, float):
        return _numberless(whole, cases)
    zero = jnp.zeros((), dtype)

    def pick(values: list[Array]) -> Array:
        found = jnp.asarray(values[-1], dtype)
        for k in range(len(values) - 2, -1, -1):
            found = jnp.where(which == k, values[k], found)
        return found

    coefficients = {
        source: pick([(case.coefficients or {}).get(source, zero) for case in cases])
        for source in whole.sources
    }
    if any(case.offset is None for case in cases):
        return replace(whole, coefficients=coefficients)
    return replace(
        whole,
        coefficients=coefficients,
        rests=all(case.rests for case in cases),
        offset=pick([case.offset for case in cases if case.offset is not None]),
    )
