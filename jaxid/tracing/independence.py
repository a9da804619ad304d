"""Proof that a function treats the examples of a batch apart and alike, by its structure.

The function is traced at two batch sizes and both programs are walked together, equation by
equation. An axis belongs to the batch where, and only where, its sizes in the two traces are
in the ratio of the batch sizes; so an axis that happens to be as long as the batch is never
taken for it. By induction every value is, for each example, the same function of that example
alone: each primitive keeps this, by its rule in `jaxid.tracing.independence_rules`, or the
value is marked with the reason why not, and so is all that is computed from it. What the
output doesn't need does not count.

No input is tried out, so nothing can hide far out, or in rare draws. Constants are computed
only to follow the branch that they choose.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.tracing.independence_rules import (
    RANDOM,
    SCATTERS,
    SIZES,
    Operand,
    Place,
    Reason,
    created,
    rule_of,
)

BATCHES = (11, 13)
"""The batch sizes of the two traces."""

CALLS = {"jit", "pjit", "closed_call", "core_call", "call", "remat", "remat2", "checkpoint",
         "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"}  # fmt: skip
"""Primitives that only call a function."""
UNCHANGED = {"device_put", "optimization_barrier"}
"""Primitives that return all their operands as they are."""
LAID_OUT = {"broadcast_in_dim", "convert_element_type", "copy", "reshape", "squeeze", "transpose"}
"""Primitives that leave whole numbers what they are, wherever they go."""


class Coupling(NamedTuple):
    """Where and why the proof fails.

    Attributes:
      reason: why; ``UNKNOWN`` if the function may well treat examples apart and alike.
      primitive: the name of the JAX primitive; empty where it isn't one.
      equation: its equation, for the line of the source it comes from, or None.
    """

    reason: Reason
    primitive: str
    equation: Any


def coupling(
    function: Callable[[Any], Any], shape: tuple[int, ...], dtype: Any = np.float32
) -> Coupling | None:
    """None if every output is proved to depend on its own example only, and alike for all.

    Proved is: row i of each output is g(row i of the input), with one g for every place in
    the batch and every batch size. Assumed is that JAX's primitives do what they say, and
    that tracing at other batch sizes, 1 too, gives the same program as at the two sizes traced
    here. Python code that looks at the batch size (``if len(x) > 100``) can break that unseen;
    so can an array that such code makes with NumPy. Rounding is not looked at: XLA may round
    one and the same function differently in another batch.

    Args:
      function: traceable, (batch, *shape) -> (batch, ...), or a tree of such outputs.
      shape: of one example.
      dtype: of the examples.

    Returns:
      The worst reason found otherwise, worst first as in `Reason`. What can't be followed
      is never proved, so functions with a Coupling may still be fine.

    Example:
      >>> coupling(lambda x: x / x.sum(axis=1, keepdims=True), (3,))
      >>> coupling(lambda x: x / x.sum(axis=0, keepdims=True), (3,)).reason
      <Reason.MIXED: 'an operation mixes the examples of the batch or moves them along it'>
    """
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    spec: Any = jax.ShapeDtypeStruct
    first, second = (jax.make_jaxpr(function)(spec((size, *shape), dtype)) for size in BATCHES)
    found = _run(first, second, [_Value(Place(0, 1))])
    failures = [value.broken for value in found if value.broken]
    if failures:
        return _worst(failures)
    for value, out in zip(found, first.jaxpr.outvars, strict=True):
        if value.place != Place(0, 1) or value.counting:
            made = next((e for e in first.jaxpr.eqns if out in e.outvars), None)
            reason = Reason.PLACE if value.counting else Reason.UNKNOWN
            return Coupling(reason, made.primitive.name if made else "", made)
    return None


@dataclasses.dataclass(frozen=True, eq=False)
class _Value:
    """A pair of variables, one in each trace, by what is known of both.

    Without ``broken`` it is for every example the same function of that example alone; and
    without a place, of nothing but constants (inside a loop over the batch: the example).

    Attributes:
      place: where the examples are; None if no axis belongs to the batch.
      broken: why the above does not hold, None if it does.
      counts: each of its entries is instead the number of the example.
      columns: only those at these positions along the last axis are.
      number: gives the value in the first trace, where it is a constant.
    """

    place: Place | None = None
    broken: Coupling | None = None
    counts: bool = False
    columns: frozenset[int] = frozenset()
    number: Callable[[], Any] | None = None

    @property
    def counting(self) -> bool:
        """Whether it holds examples' numbers."""
        return self.counts or bool(self.columns)


class _Crossed(Exception):
    """Sizes of an array are no example's times the batch size."""


def _worst(failures: Sequence[Coupling]) -> Coupling:
    return min(failures, key=lambda failure: list(Reason).index(failure.reason))


def _place(first: Any, second: Any) -> Place | None:
    """Where the examples of an array are that has these shapes in the two traces."""
    differing = [k for k, (m, n) in enumerate(zip(first, second, strict=True)) if m != n]
    if not differing:
        return None
    axis, *others = differing
    inner, rest = divmod(first[axis], BATCHES[0])
    if others or rest or second[axis] != inner * BATCHES[1]:
        raise _Crossed
    return Place(axis, inner)


def _constant(first: Any, second: Any) -> _Value:
    """What the two traces hold at the same place of the program."""
    if _equal(first, second):
        return _Value(number=lambda: first)
    unlike = _Value(broken=Coupling(Reason.SIZE, "", None))
    if np.ndim(first) != np.ndim(second) or np.shape(first) == np.shape(second):
        return unlike
    try:
        place = _place(np.shape(first), np.shape(second))
    except _Crossed:
        return unlike
    assert place is not None
    # Made by Python code for this batch size, where only its numbers can be compared.
    examples = [_examples(array, place) for array in (first, second)]
    if all(_equal(row, examples[0][0]) for rows in examples for row in rows):
        return _Value(place)
    return _Value(broken=Coupling(Reason.PLACE, "", None))


def _examples(array: Any, place: Place) -> np.ndarray:
    rows = np.moveaxis(np.asarray(array), place.axis, 0)
    return rows.reshape(-1, place.inner, *rows.shape[1:])


def _equal(first: Any, second: Any) -> bool:
    """Whether two arrays are the same, to the bit: NaNs too are themselves."""
    if first is second:
        return True
    if isinstance(first, jax.Array) and jnp.issubdtype(first.dtype, jax.dtypes.prng_key):
        return first.dtype == second.dtype and _equal(*map(jax.random.key_data, (first, second)))
    one, two = np.asarray(first), np.asarray(second)
    return (one.dtype, one.shape) == (two.dtype, two.shape) and one.tobytes() == two.tobytes()


def _alike(first: Any, second: Any) -> bool:
    """Whether two parameters of equations are the same; of two programs, their constants too."""
    if first is second:
        return True
    if type(first) is not type(second):
        return isinstance(first, (int, np.integer)) and bool(first == second)
    if isinstance(first, (tuple, list)):
        return len(first) == len(second) and all(map(_alike, first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_alike(first[k], second[k]) for k in first)
    if hasattr(first, "consts"):
        parts = zip(first.consts, second.consts, strict=False)
        return _alike(first.jaxpr, second.jaxpr) and all(_equal(*part) for part in parts)
    if hasattr(first, "eqns"):
        inside = [[equation.params for equation in part.eqns] for part in (first, second)]
        return str(first) == str(second) and _alike(*inside)
    if isinstance(first, (np.ndarray, np.generic, jax.Array)):
        return _equal(first, second)
    return bool(first == second) or bool(first != first and second != second)


def _run(first: Any, second: Any, args: Sequence[_Value]) -> list[_Value]:
    """The outputs of two programs, walked together."""
    one, two = getattr(first, "jaxpr", first), getattr(second, "jaxpr", second)
    values = [*map(_constant, getattr(first, "consts", ()), getattr(second, "consts", ())), *args]
    known: dict[Any, _Value] = {}
    for part in (one, two):
        known |= dict(zip((*part.constvars, *part.invars), values, strict=True))

    def read(atom: Any, other: Any) -> _Value:
        literals = [hasattr(each, "val") for each in (atom, other)]
        if all(literals):
            return _constant(*(np.asarray(each.val, each.aval.dtype) for each in (atom, other)))
        if any(literals) or known[atom] is not known[other]:
            return _Value(broken=Coupling(Reason.UNKNOWN, "", None))
        return known[atom]

    for equation, other in itertools.zip_longest(one.eqns, two.eqns):
        if equation is None or other is None or _signature(equation) != _signature(other):
            odd = equation or other
            failure = Coupling(Reason.UNKNOWN, odd.primitive.name, odd)
            return [_Value(broken=failure) for _ in one.outvars]
        inputs = [
            _named(read(*atoms), equation)
            for atoms in zip(equation.invars, other.invars, strict=True)
        ]
        outputs = _equation(equation, other, inputs)
        for each in (equation, other):
            known |= dict(zip(each.outvars, outputs, strict=True))
    return [read(*atoms) for atoms in zip(one.outvars, two.outvars, strict=True)]


def _signature(equation: Any) -> tuple[str, int, int]:
    return equation.primitive.name, len(equation.invars), len(equation.outvars)


def _named(value: _Value, equation: Any) -> _Value:
    """A constant's failure is told by the equation that uses it."""
    if value.broken is None or value.broken.primitive:
        return value
    return _Value(broken=Coupling(value.broken.reason, equation.primitive.name, equation))


def _equation(equation: Any, other: Any, inputs: list[_Value]) -> list[_Value]:
    """The outputs of one equation."""
    name = equation.primitive.name
    if name in CALLS:
        return _run(_called(equation.params), _called(other.params), inputs)
    if name in _CONTROL:
        return _CONTROL[name](equation, other, inputs)
    if name in UNCHANGED:
        return inputs
    chosen = _chosen(equation, inputs)
    if chosen is not None:
        return [chosen]
    if name in RANDOM and any(value.broken or value.place for value in inputs):
        return _failed(equation, Reason.RANDOM)
    failures = [value.broken for value in inputs if value.broken]
    if failures:
        return [_Value(broken=_worst(failures)) for _ in equation.outvars]
    found = _followed(equation, other, inputs)
    return _failed(equation, found) if isinstance(found, Reason) else found


def _failed(equation: Any, reason: Reason) -> list[_Value]:
    failure = Coupling(reason, equation.primitive.name, equation)
    return [_Value(broken=failure) for _ in equation.outvars]


def _called(params: dict[str, Any]) -> Any:
    return next(params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in params)


def _chosen(equation: Any, inputs: list[_Value]) -> _Value | None:
    """The outcome of a comparison or choice that is the same for every example, if it must be
    known: JAX counts negative indices from the end, and examples' numbers are not negative.
    """
    name = equation.primitive.name
    if name not in ("lt", "select_n"):
        return None
    which, *cases = inputs
    if name == "lt" and which.counts and cases[0].number is not None:
        bound = np.asarray(cases[0].number())
        below = functools.partial(np.zeros, equation.outvars[0].aval.shape, bool)
        return _Value(which.place, number=below) if (bound <= 0).all() else None
    if name == "lt" or which.broken or which.number is None:
        return None
    if not any(case.broken or case.counting for case in cases):
        return None
    choices = np.unique(np.asarray(which.number()))
    return cases[int(choices[0])] if choices.size == 1 else None


def _followed(equation: Any, other: Any, inputs: list[_Value]) -> list[_Value] | Reason:
    """The outputs of an equation of a primitive that is no loop, branch or call."""
    name, params = equation.primitive.name, equation.params
    avals = [atom.aval for atom in (*equation.invars, *equation.outvars)]
    if equation.effects or any(hasattr(aval, "inner_aval") for aval in avals):
        # It reads or writes something that isn't among its operands.
        return Reason.UNKNOWN
    placed = any(value.place for value in inputs)
    rule = rule_of(name)
    if placed and rule is None:
        return Reason.UNKNOWN
    try:
        places = [
            _place(one.aval.shape, two.aval.shape)
            for one, two in zip(equation.outvars, other.outvars, strict=True)
        ]
    except _Crossed:
        if name in RANDOM:
            return Reason.RANDOM
        return Reason.MIXED if placed else Reason.PLACE if name == "iota" else Reason.SIZE
    if name in RANDOM and any(places):
        return Reason.RANDOM
    if name == "iota" and places[0] == Place(params["dimension"], 1):
        return [_Value(places[0], counts=True)] if _whole(equation.outvars[0]) else Reason.PLACE
    counts, columns = _numbered(equation, inputs)
    if any(value.counting for value in inputs) and not counts and columns is None:
        return Reason.PLACE
    for part in (equation, other):
        outs = [
            Operand(out.aval.shape, place) for out, place in zip(part.outvars, places, strict=True)
        ]
        ins = [
            Operand(atom.aval.shape, value.place, _columns(value, atom))
            for atom, value in zip(part.invars, inputs, strict=True)
        ]
        if placed and rule is not None:
            found = rule(part.params, ins, outs)
            if isinstance(found, Reason):
                return found
            if any(place != found for place in places):
                return Reason.UNKNOWN
        elif not all(out.place is None or created(name, part.params, ins, out) for out in outs):
            return Reason.PLACE
    own = [{k: v for k, v in part.params.items() if k not in SIZES} for part in (equation, other)]
    if not _alike(*own):
        return Reason.SIZE
    return [
        _Value(place, None, counts, columns or frozenset(), _computed(equation, inputs, k))
        for k, place in enumerate(places)
    ]


def _numbered(equation: Any, inputs: list[_Value]) -> tuple[bool, frozenset[int] | None]:
    """Whether an output holds examples' numbers, or in which columns; (False, None) if this
    isn't followed, (False, no columns) if they are used to look something up.
    """
    name, (out, *_) = equation.primitive.name, equation.outvars
    if not any(value.counting for value in inputs):
        return False, frozenset()
    if name in LAID_OUT:
        return inputs[0].counts and _whole(out), None
    if name == "gather" or name in SCATTERS:
        others = [value for k, value in enumerate(inputs) if k != 1]
        return False, None if any(value.counting for value in others) else frozenset()
    last = len(out.aval.shape) - 1
    if name != "concatenate" or equation.params["dimension"] != last:
        return False, None
    widths = [atom.aval.shape[last] for atom in equation.invars]
    columns = {
        start + column
        for start, atom, value in zip(
            itertools.accumulate(widths, initial=0), equation.invars, inputs, strict=False
        )
        for column in _columns(value, atom)
    }
    return False, frozenset(columns)


def _columns(value: _Value, atom: Any) -> frozenset[int]:
    return frozenset(range(atom.aval.shape[-1])) if value.counts else value.columns


def _whole(atom: Any) -> bool:
    """Whether its type holds every example's number in any batch."""
    return jnp.issubdtype(atom.aval.dtype, jnp.integer) and atom.aval.dtype.itemsize >= 4


def _computed(equation: Any, inputs: list[_Value], output: int) -> Callable[[], Any] | None:
    """How to compute a constant in the first trace, where all it is made of is known."""
    numbers = [value.number for value in inputs]
    known = [number for number in numbers if number is not None]
    if len(known) < len(inputs) or equation.primitive.name == "platform_index":
        return None

    @functools.cache
    def number() -> Any:
        results = equation.primitive.bind(*(each() for each in known), **equation.params)
        return results[output] if equation.primitive.multiple_results else results

    return number


def _plain(value: _Value, equation: Any) -> _Value:
    """What a value is through a loop or branch, whatever its number."""
    if value.counting:
        return _failed(equation, Reason.PLACE)[0]
    return _Value(value.place, value.broken)


def _settled(
    step: Callable[[list[_Value]], list[_Value]], carry: list[_Value]
) -> tuple[list[_Value], list[_Value]]:
    """What is carried around a loop, broken where an iteration breaks it; and all results."""
    while True:
        results = step(carry)
        after = [
            new if new.broken and not old.broken else old
            for old, new in zip(carry, results, strict=False)
        ]
        if all(map(lambda old, new: old is new, carry, after)):
            return carry, results
        carry = after


def _scan(equation: Any, other: Any, inputs: list[_Value]) -> list[_Value]:
    params = equation.params
    fixed, carried = params["num_consts"], params["num_carry"]
    consts = inputs[:fixed]
    carry, scanned = (
        [_plain(value, equation) for value in part]
        for part in (inputs[fixed : fixed + carried], inputs[fixed + carried :])
    )
    over_batch = any(value.place and value.place.axis == 0 for value in scanned)
    if over_batch and (carried or any(value.place for value in consts)):
        return _failed(equation, Reason.MIXED)
    kept = ("num_consts", "num_carry", "reverse", *(() if over_batch else ("length",)))
    if any(params[key] != other.params[key] for key in kept):
        return _failed(equation, Reason.SIZE)
    rows = [
        _Value(
            value.place._replace(axis=value.place.axis - 1)
            if value.place and value.place.axis
            else None,
            value.broken,
        )
        for value in scanned
    ]

    def step(carry: list[_Value]) -> list[_Value]:
        results = _run(params["jaxpr"], other.params["jaxpr"], [*consts, *carry, *rows])
        return [_plain(value, equation) for value in results]

    carry, results = _settled(step, carry)
    if over_batch and any(value.place for value in results):
        return _failed(equation, Reason.MIXED)
    stacked = [
        value if value.broken else _Value(_place(one.aval.shape, two.aval.shape))
        for value, one, two in zip(
            results[carried:], equation.outvars[carried:], other.outvars[carried:], strict=True
        )
    ]
    return [*carry, *stacked]


def _while(equation: Any, other: Any, inputs: list[_Value]) -> list[_Value]:
    params = equation.params
    first, second = params["cond_nconsts"], params["body_nconsts"]
    if (first, second) != (other.params["cond_nconsts"], other.params["body_nconsts"]):
        return _failed(equation, Reason.UNKNOWN)
    asked, used = inputs[:first], inputs[first : first + second]

    def step(carry: list[_Value]) -> list[_Value]:
        results = _run(params["body_jaxpr"], other.params["body_jaxpr"], [*used, *carry])
        return [_plain(value, equation) for value in results]

    carry = [_plain(value, equation) for value in inputs[first + second :]]
    carry, _ = _settled(step, carry)
    (running,) = _run(params["cond_jaxpr"], other.params["cond_jaxpr"], [*asked, *carry])
    if running.broken:
        return [running for _ in carry]
    # A predicate for every example, as vmap makes it, stops each when it is done.
    if running.place and any(v.place != running.place for v in carry if not v.broken):
        return _failed(equation, Reason.UNKNOWN)
    return carry


def _cond(equation: Any, other: Any, inputs: list[_Value]) -> list[_Value]:
    index, *args = inputs
    pairs = list(zip(equation.params["branches"], other.params["branches"], strict=False))
    if index.broken:
        return [_Value(broken=index.broken) for _ in equation.outvars]
    if len(equation.params["branches"]) != len(other.params["branches"]):
        return _failed(equation, Reason.UNKNOWN)
    if index.number is not None:
        return _run(*pairs[min(max(int(index.number()), 0), len(pairs) - 1)], args)
    outcomes = zip(*(_run(*pair, args) for pair in pairs), strict=True)
    return [_joined([_plain(value, equation) for value in values]) for values in outcomes]


def _joined(values: list[_Value]) -> _Value:
    failures = [value.broken for value in values if value.broken]
    return _Value(broken=_worst(failures)) if failures else values[0]


_CONTROL: dict[str, Callable[[Any, Any, list[_Value]], list[_Value]]] = {
    "cond": _cond,
    "scan": _scan,
    "while": _while,
}
"""Loops and branches."""
