"""Walks the program of an optimizer's update and says of every quantity what form it has.

Each primitive has its rule: arithmetic and movement of elements keep a form linear, with its
coefficients as long as element stays by element; choices by what is fixed (the step count) choose
between forms; everything else of what depends on gradients bends it, and is remembered by its
name and the function of the optimizer's code that it stands in. A primitive without a rule means
that nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxid.optim.forms import ANY, Form, Reason, added, bent, chosen, fixed, joined, scaled
from jaxid.tracing.read import CALLS, DRAWS, called, inside

OWN = str(Path(__file__).resolve().parents[1])
SAME = {"copy", "copy_p", "optimization_barrier", "reduce_precision", "stop_gradient",
        "sharding_constraint"}  # fmt: skip
"""What leaves numbers as they are, to rounding."""
LINEAR = {"reduce_sum", "cumsum", "transpose", "rev", "pad", "slice", "dynamic_slice", "gather",
          "scatter-add", "scatter", "concatenate", "dynamic_update_slice", "dot_general",
          "conv_general_dilated", "real", "imag", "conj", "complex", "fft", "split",
          "broadcast_in_dim", "reshape", "squeeze", "expand_dims", "tie"}  # fmt: skip
"""Linear in what is not fixed of their operands, where one of them is; of many elements."""
BENDING = {
    "max", "min", "abs", "sign", "sqrt", "rsqrt", "cbrt", "square", "integer_pow", "pow", "exp",
    "exp2", "log", "log1p", "expm1", "tanh", "logistic", "erf", "sin", "cos", "floor", "ceil",
    "round", "clamp", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or",
    "argmax", "argmin", "sort", "top_k", "is_finite", "eq", "ne", "lt", "le", "gt", "ge", "and",
    "or", "not", "xor", "rem", "svd", "qr", "eigh", "cholesky", "triangular_solve", "while",
    "scan", "cond", "select_n", "mul", "div", "dot_general", "nextafter", "population_count",
    "cummax", "cummin", "cumprod", "cumlogsumexp", "atan2", "square_p", "lu", "householder_product",
    "conv_general_dilated", "scatter", "scatter-add", "gather", "dynamic_slice",
    "dynamic_update_slice", "shift_right_logical", "bitcast_convert_type", "convert_element_type",
    "le_to", "lt_to", "eq_to", "custom_linear_solve", "approx_top_k", "reduce_precision",
}  # fmt: skip
"""What is known to be no linear function of what it takes, where no rule above says more."""


def walk(
    jaxpr: Any,
    consts: list[Any],
    args: list[Form],
    cuts: Mapping[Any, Form] | None = None,
    place: str = "",
    *,
    numbers: bool = True,
) -> list[Form]:
    """The forms of a program's results.

    Args:
      jaxpr: open; its equations may call others.
      consts: values of its constants.
      args: forms of its arguments.
      cuts: variables whose form is given, whatever computes them.
      place: where it is called from.
      numbers: whether coefficients are wanted; else only forms are, in no time.
    """
    cuts = dict(cuts or {})
    found: dict[Any, Form] = {
        var: fixed(c, numbers=numbers) for var, c in zip(jaxpr.constvars, consts, strict=True)
    }
    found |= dict(zip(jaxpr.invars, args, strict=True))

    def read(atom: Any) -> Form:
        return found[atom] if not hasattr(atom, "val") else fixed(atom.val, numbers=numbers)

    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        results = _equation(equation, operands, cuts, place_of(equation) or place, numbers)
        for var, form in zip(equation.outvars, results, strict=True):
            found[var] = cuts.get(var, form)
    return [cuts.get(v, read(v)) if not hasattr(v, "val") else read(v) for v in jaxpr.outvars]


def _equation(
    equation: Any, operands: list[Form], cuts: Mapping[Any, Form], place: str, numbers: bool
) -> list[Form]:
    name = str(equation.primitive)
    outs = [(tuple(var.aval.shape), var.aval.dtype) for var in equation.outvars]
    if name in CALLS:
        inner, consts = called(equation.params)
        passed = {
            own: cuts[var]
            for own, var in zip(inner.outvars, equation.outvars, strict=True)
            if var in cuts and not hasattr(own, "val")
        }
        return walk(inner, consts, operands, passed, place, numbers=numbers)
    if name in DRAWS:
        return [Form(*out, outside=frozenset({"random"})) for out in outs]
    if "callback" in name or _draws(equation):
        # What Python does, or numbers drawn inside of a loop.
        if "callback" in name:
            return [bent(operands, *out, Reason(name, place, False)) for out in outs]
        return [replace(joined(operands, *out), outside=frozenset({"random"})) for out in outs]
    if all(form.fixed for form in operands):
        return _evaluated(equation, operands) if numbers else _shaped(equation, operands)
    narrow = [dtype for _, dtype in outs if rounds(dtype)]
    if narrow:
        # What is below the last bit is lost, and a slow average stands still short of its end.
        rounding = Reason(f"rounding to {jnp.dtype(narrow[0]).name}", place)
        return [bent([f for f in operands if not f.fixed], *out, rounding) for out in outs]
    if name == "cond":
        return _branches(equation, operands, outs, cuts, place, numbers)
    if name in RULES:
        made = RULES[name](equation.params, operands, outs)
        if made is not None:
            return made
    moving = [form for form in operands if not form.fixed]
    if all(not form.sources for form in moving):
        # Of what lies outside only: any function of it is that.
        return [joined(moving, *out) for out in outs]
    if name in LINEAR and _linear(name, operands, moving):
        return [joined(moving, *out) for out in outs]
    reason = Reason(name, place, name in BENDING)
    return [bent(moving, *out, reason) for out in outs]


def rounds(dtype: Any) -> bool:
    """Whether it is a floating-point type of fewer bits than float32."""
    return bool(jnp.issubdtype(dtype, jnp.floating)) and jnp.dtype(dtype).itemsize < 4


def _draws(equation: Any) -> bool:
    """Whether a loop or a branch draws random numbers inside."""
    return any(
        str(one.primitive) in DRAWS or _draws(one)
        for jaxpr in inside(equation)
        for one in jaxpr.eqns
    )


def _linear(name: str, operands: list[Form], moving: list[Form]) -> bool:
    if name in ("gather", "dynamic_slice"):
        return all(form.fixed for form in operands[1:])
    if name in ("scatter", "scatter-add"):
        return operands[1].fixed
    if name == "dynamic_update_slice":
        return all(form.fixed for form in operands[2:])
    if name in ("dot_general", "conv_general_dilated"):
        return len(moving) == 1
    return True


def full(form: Form) -> Any:
    """The array itself, of a fixed form."""
    value = form.offset
    if value is None:
        raise ValueError("the value is not fixed")
    if np.ndim(value) == 0:
        return jnp.broadcast_to(value, form.shape) if form.shape else value
    return value.reshape(form.shape)


UNIFORM = {"broadcast_in_dim", "reshape", "squeeze", "expand_dims", "transpose", "rev", "slice"}
"""Movements of one number repeated, which stays that."""
KEEPING = {"neg", "copy", "convert_element_type"}
"""Of zeros they make zeros."""
ELEMENTWISE = {
    "add", "sub", "mul", "div", "neg", "max", "min", "abs", "sign", "sqrt", "rsqrt", "square",
    "integer_pow", "pow", "exp", "log", "log1p", "expm1", "tanh", "logistic", "sin", "cos", "floor",
    "ceil", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "rem", "select_n", "add_any",
    "convert_element_type", "clamp", "copy", "is_finite", "erf", "xor", "round", "cbrt", "exp2",
}  # fmt: skip


def _evaluated(equation: Any, operands: list[Form]) -> list[Form]:
    """Values, of operands that are fixed; one number repeated is computed once."""
    name = str(equation.primitive)
    single = [form.offset is not None and form.offset.ndim == 0 for form in operands]
    params = dict(equation.params)
    if all(single) and len(equation.outvars) == 1:
        out = equation.outvars[0].aval
        if name in UNIFORM:
            return [replace(operands[0], shape=tuple(out.shape), dtype=out.dtype)]
        if name in ELEMENTWISE:
            if "sharding" in params:
                params["sharding"] = None
            value = equation.primitive.bind(
                *(jnp.asarray(form.offset, form.dtype) for form in operands), **params
            )
            rests = name in KEEPING and operands[0].rests
            return [Form(tuple(out.shape), out.dtype, offset=value, rests=rests)]
    values = equation.primitive.bind(*(full(form) for form in operands), **params)
    many = values if equation.primitive.multiple_results else [values]
    return [fixed(value) for value in many]


def _shaped(equation: Any, operands: list[Form]) -> list[Form]:
    """Of operands that are fixed, without their values."""
    keeps = str(equation.primitive) in UNIFORM | KEEPING and operands[0].rests
    return [
        Form(tuple(var.aval.shape), var.aval.dtype, offset=ANY, rests=keeps)
        for var in equation.outvars
    ]


def _branches(
    equation: Any,
    operands: list[Form],
    outs: list[Any],
    cuts: Mapping[Any, Form],
    place: str,
    numbers: bool,
) -> list[Form]:
    """A choice between programs: by what is fixed, between their forms."""
    index, args = operands[0], operands[1:]
    made = []
    for branch in equation.params["branches"]:
        passed = {
            own: cuts[var]
            for own, var in zip(branch.jaxpr.outvars, equation.outvars, strict=True)
            # Where a branch hands an argument through, nothing computes it.
            if var in cuts and own not in branch.jaxpr.invars and not hasattr(own, "val")
        }
        made.append(walk(branch.jaxpr, list(branch.consts), args, passed, place, numbers=numbers))
    columns = list(zip(*made, strict=True))
    if index.fixed:
        which = index.offset if not numbers else jnp.asarray(index.offset, jnp.int32)
        return [chosen(which, list(forms), *out) for forms, out in zip(columns, outs, strict=True)]
    reason = Reason("cond", place)
    return [
        bent([index, *forms], out[0], out[1], reason)
        for forms, out in zip(columns, outs, strict=True)
    ]


def _sum(sign: float) -> Any:
    def rule(params: Any, operands: list[Form], outs: list[Any]) -> list[Form] | None:
        return [added([(1.0, operands[0]), (sign, operands[1])], *outs[0])]

    return rule


def _negated(params: Any, operands: list[Form], outs: list[Any]) -> list[Form] | None:
    return [added([(-1.0, operands[0])], *outs[0])]


def _times(params: Any, operands: list[Form], outs: list[Any]) -> list[Form] | None:
    (a, b), (shape, dtype) = operands, outs[0]
    if b.fixed:
        return [scaled(a, b, shape, dtype)]
    return [scaled(b, a, shape, dtype)] if a.fixed else None


def _over(params: Any, operands: list[Form], outs: list[Any]) -> list[Form] | None:
    (a, b), (shape, dtype) = operands, outs[0]
    return [scaled(a, b, shape, dtype, divide=True)] if b.fixed else None


def _select(params: Any, operands: list[Form], outs: list[Any]) -> list[Form] | None:
    which = operands[0]
    if not which.fixed or which.offset is None:
        return None
    index = which.offset if isinstance(which.offset, float) else which.offset.astype(jnp.int32)
    return [chosen(index, operands[1:], *outs[0])]


def _power(params: Any, operands: list[Form], outs: list[Any]) -> list[Form] | None:
    """Of the first power nothing is changed."""
    return _same(params, operands, outs) if params["y"] == 1 else None


def _same(params: Any, operands: list[Form], outs: list[Any]) -> list[Form] | None:
    return [replace(form, shape=s, dtype=d) for form, (s, d) in zip(operands, outs, strict=True)]


def _cast(params: Any, operands: list[Form], outs: list[Any]) -> list[Form] | None:
    shape, dtype = outs[0]
    inexact = jnp.issubdtype(dtype, jnp.inexact)
    if not (inexact and jnp.issubdtype(operands[0].dtype, jnp.inexact)):
        return None
    return [replace(operands[0], shape=shape, dtype=dtype)]


def _reshaped(params: Any, operands: list[Form], outs: list[Any]) -> list[Form] | None:
    """Elements in the same order; not where one is repeated."""
    shape, dtype = outs[0]
    if not all(form.fixed for form in operands[1:]) or int(np.prod(shape)) != operands[0].size:
        return None
    # A transposition, or a reshape that reads by columns first.
    order = params.get("permutation", params.get("dimensions") if "new_sizes" in params else None)
    if order is not None and _moved(order, operands[0].shape):
        return None
    return [replace(operands[0], shape=shape, dtype=dtype)]


def _moved(permutation: Any, shape: tuple[int, ...]) -> bool:
    order = [axis for axis in permutation if shape[axis] != 1]
    return order != sorted(order)


def _broadcast(params: Any, operands: list[Form], outs: list[Any]) -> list[Form] | None:
    dimensions = list(params["broadcast_dimensions"])
    return _reshaped({}, operands, outs) if dimensions == sorted(dimensions) else None


RULES: dict[str, Any] = {
    "add": _sum(1.0), "add_any": _sum(1.0), "sub": _sum(-1.0), "neg": _negated, "mul": _times,
    "div": _over, "select_n": _select, "convert_element_type": _cast, "reshape": _reshaped,
    "squeeze": _reshaped, "expand_dims": _reshaped, "transpose": _reshaped,
    "broadcast_in_dim": _broadcast, "integer_pow": _power, **dict.fromkeys(SAME, _same),
}  # fmt: skip
"""(params, operands, [(shape, dtype)]) -> forms, or None where the general rules decide."""


def place_of(equation: Any) -> str:
    """The function of the optimizer's code that an equation stands in."""
    traceback = getattr(equation.source_info, "traceback", None)
    first = ""
    for frame in getattr(traceback, "frames", ()):
        path = Path(frame.file_name).parts
        if "jax" in path or "jaxlib" in path or frame.file_name.startswith(OWN):
            continue
        # A transformation's update is defined inside of the function that makes it.
        maker, inside, _ = frame.function_name.partition(".<locals>")
        if inside and "<lambda>" not in maker:
            return maker
        first = first or frame.function_name
    return first
