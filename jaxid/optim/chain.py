"""What kind of map an Optax chain is: proved from its update on the real parameter tree.

The program of `optimizer.update` is walked (`jaxid.optim.walk`) with the state's leaves in the
least class that explains how they move, found as a fixed point:

  fixed        moves by the step count alone (counters, schedules, keys);
  linear       a linear form of the gradients seen (momentum);
  accumulator  anything else (second moments under whatever name, maxima, signs).

Then the update is what its form says: linear in gradients and states or not, element by element
or not, alike for all leaves or not, with or without decay of the parameters, of the loss value, of
random numbers. The walk covers every gradient and every step; nothing is measured here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxid.core import interrupt
from jaxid.core.types import Params
from jaxid.optim.forms import ANY, Form, Outside, Reason, Source, fixed, leaf, opaque
from jaxid.optim.walk import walk

SQUARED = 2
"""Roles of linear leaves that are tried to stand still, at most."""


@dataclass(frozen=True)
class Program:
    """An update as a jaxpr, its arguments in groups.

    Attributes:
      closed: (gradients, state, parameters, loss value) -> (updates, state).
      shapes: (shape, dtype) of every parameter's leaf.
      states: the same of the state's leaves.
      paths: names of the parameters' leaves.
      roles: for each leaf of the state a number that leaves of one kind share: one tree over the
        parameters.
    """

    closed: Any
    shapes: tuple[tuple[tuple[int, ...], Any], ...]
    states: tuple[tuple[tuple[int, ...], Any], ...]
    paths: tuple[str, ...]
    roles: tuple[int, ...]


class Walked(NamedTuple):
    """Forms of one update.

    Attributes:
      updates: of every parameter's leaf.
      states: of every leaf of the new state.
    """

    updates: tuple[Form, ...]
    states: tuple[Form, ...]


def _shaped(shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]


def _like(x: Any) -> jax.ShapeDtypeStruct:
    dtype = x.dtype if hasattr(x, "dtype") else jnp.asarray(x).dtype
    return _shaped(tuple(np.shape(x)), dtype)


StateKind: TypeAlias = Literal["fixed", "outside", "linear", "accumulator"]
ORDER: tuple[StateKind, ...] = ("fixed", "outside", "linear", "accumulator")


@dataclass(frozen=True)
class StateLeaf:
    """How a leaf of an optimizer's state moves.

    Attributes:
      kind: by the step count alone, by what no state holds, as a linear form of gradients, or
        by anything else.
      outside: what it depends on that no state holds.
      reasons: operations that make it an accumulator.
    """

    kind: StateKind
    outside: frozenset[Outside] = frozenset()
    reasons: frozenset[Reason] = frozenset()

    def joined(self, form: Form) -> StateLeaf:
        """The least that explains its next value too."""
        kind: StateKind = "accumulator"
        if form.linear:
            kind = "linear" if form.sources else "outside" if form.outside else "fixed"
        return StateLeaf(
            max(self.kind, kind, key=ORDER.index),
            self.outside | form.outside,
            self.reasons | form.reasons,
        )


@dataclass(frozen=True)
class ChainClass:
    """What is proved of a chain.

    Attributes:
      program: its update.
      leaves: what each leaf of the state is.
      linear: whether updates and linear states are linear in gradients, states and parameters.
      elementwise: whether, besides, no element sees another one.
      frozen: whether updates are linear and elementwise while accumulators stand still.
      outside: what else updates depend on.
      reasons: operations that bend what is not linear.
      unknown: operations without a rule: nothing is claimed.
      standing: what each leaf is while accumulators stand still: momentum over divided gradients
        is linear then.
      starts: for each leaf of the state whether it starts from the parameters.
      forms, held: of one update, without their numbers; ``held`` with accumulators standing still.
    """

    program: Program
    leaves: tuple[StateLeaf, ...]
    linear: bool
    elementwise: bool
    frozen: bool
    outside: frozenset[Outside]
    reasons: tuple[Reason, ...]
    unknown: tuple[Reason, ...]
    standing: tuple[StateLeaf, ...]
    starts: tuple[bool, ...]
    forms: Walked
    held: Walked


def program_of(optimizer: optax.GradientTransformation, params: Params, state: Any) -> Program:
    """Trace one update of a parameter tree.

    Args:
      optimizer: any Optax chain; it is given the loss value as training gives it.
      params, state: its own, or their shapes.
    """
    extra = optax.with_extra_args_support(optimizer)
    leaves, tree = jax.tree.flatten(params)
    states, structure = jax.tree.flatten(state)
    whole = jax.tree.unflatten

    def update(gradients: Any, states: Any, leaves: Any, value: Any) -> Any:
        moves, new = extra.update(
            whole(tree, gradients), whole(structure, states), whole(tree, leaves), value=value
        )
        kept = jax.tree.leaves(new)
        return jax.tree.leaves(moves), kept

    given = [_like(x) for x in leaves], [_like(x) for x in states]
    number = _shaped((), given[0][0].dtype if given[0] else jnp.float32)
    with jax.numpy_rank_promotion("allow"):
        closed = jax.make_jaxpr(update)(given[0], given[1], given[0], number)
    if len(closed.jaxpr.outvars) != len(leaves) + len(states):
        raise ValueError("the update's results are not of the tree that it was given")
    names = tuple(
        jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)
    )
    return Program(
        closed,
        tuple((tuple(x.shape), x.dtype) for x in given[0]),
        tuple((tuple(x.shape), x.dtype) for x in given[1]),
        names,
        _roles(state, names),
    )


def _roles(state: Any, names: tuple[str, ...]) -> tuple[int, ...]:
    """By paths in the state, less the path of a parameter at their end."""
    known: dict[str, int] = {}
    found = []
    for path, _ in jax.tree_util.tree_leaves_with_path(state):
        whole = jax.tree_util.keystr(path)
        ends = [name for name in names if name and whole.endswith(name)]
        role = whole.removesuffix(max(ends, key=len)) if ends else whole
        found.append(known.setdefault(role, len(known)))
    return tuple(found)


def walked(
    program: Program,
    leaves: Sequence[StateLeaf],
    values: list[Any],
    *,
    frozen: bool = False,
    numbers: bool = True,
) -> Walked:
    """Forms of an update, the state's leaves taken as of given kinds.

    Args:
      program: of the update.
      leaves: what the state's are taken for.
      values: of the state's leaves; used of fixed ones, and of accumulators if ``frozen``.
      frozen: whether accumulators stand still, at ``values`` before and after the update.
      numbers: whether coefficients are wanted.
    """
    n = len(program.shapes)
    gradients = [
        leaf(Source("gradient", k), *at, numbers=numbers) for k, at in enumerate(program.shapes)
    ]
    parameters = [
        leaf(Source("parameter", k), *at, numbers=numbers) for k, at in enumerate(program.shapes)
    ]
    states, cuts = [], {}
    outvars = program.closed.jaxpr.outvars[n:]
    for k, (own, at) in enumerate(zip(leaves, program.states, strict=True)):
        interrupt.check()
        if own.kind == "linear":
            own_leaf = leaf(Source("state", k), *at, numbers=numbers)
            states.append(replace(own_leaf, outside=own.outside))
        elif own.kind == "outside":
            states.append(Form(*at, outside=own.outside))
        elif own.kind == "fixed" or frozen:
            states.append(fixed(values[k]) if numbers else Form(*at, offset=ANY))
            if own.kind == "accumulator" and not hasattr(outvars[k], "val"):
                cuts[outvars[k]] = states[-1]
        else:
            held = opaque(Source("accumulator", k), *at, own.reasons)
            states.append(replace(held, outside=own.outside))
    number = Form((), jnp.float32, outside=frozenset({"loss value"}))
    args = [*gradients, *states, *parameters, number]
    with jax.numpy_rank_promotion("allow"):
        found = walk(program.closed.jaxpr, list(program.closed.consts), args, cuts, numbers=numbers)
    return Walked(tuple(found[:n]), tuple(found[n:]))


def classified(optimizer: optax.GradientTransformation, params: Params, state: Any) -> ChainClass:
    """The class of a chain on a parameter tree, in no time: nothing is computed.

    Args:
      optimizer: any Optax chain.
      params, state: its own, or their shapes.
    """
    shapes = jax.tree.map(_like, (params, state))
    leaves, structure = jax.tree.flatten(shapes)
    key = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
    try:
        return _classified(optimizer, structure, key, bool(jnp.zeros(()).dtype == jnp.float64))
    except TypeError as wrong:
        if "unhashable" not in str(wrong):
            raise
    return _classify(optimizer, *shapes)


@lru_cache(maxsize=64)
def _classified(optimizer: Any, structure: Any, leaves: Any, wide: bool) -> ChainClass:
    """The same chain on the same shapes is looked through once."""
    return _classify(optimizer, *jax.tree.unflatten(structure, [_shaped(*one) for one in leaves]))


def _classify(optimizer: optax.GradientTransformation, params: Params, state: Any) -> ChainClass:
    program = program_of(optimizer, params, state)
    first = _first(optimizer, params)
    leaves = [StateLeaf("fixed").joined(form) for form in first]
    while True:
        interrupt.check()
        found = walked(program, leaves, [], numbers=False)
        risen = [own.joined(form) for own, form in zip(leaves, found.states, strict=True)]
        # Kinds only rise, so that this ends.
        if risen == leaves:
            break
        leaves = risen
    forms = [*found.updates, *_read_by(found, leaves)]
    standing, held = _standing(program, leaves)
    held_forms = [*held.updates, *_read_by(held, standing)]
    bent = frozenset().union(*(form.reasons for form in forms)) if forms else frozenset()
    linear = all(form.linear for form in forms)
    outside = frozenset().union(*(form.outside for form in found.updates))
    return ChainClass(
        program=program,
        leaves=tuple(leaves),
        linear=linear,
        elementwise=linear and all(form.elementwise for form in forms),
        # What stands still may multiply the gradient, not take its place.
        frozen=all(form.elementwise and form.rests for form in held_forms),
        outside=outside,
        reasons=tuple(sorted(r for r in bent if r.known)),
        unknown=tuple(sorted(r for r in bent if not r.known)),
        standing=tuple(standing),
        starts=tuple(bool(form.sources) for form in first),
        forms=found,
        held=held,
    )


def _read_by(found: Walked, leaves: Sequence[StateLeaf]) -> list[Form]:
    """The linear states that updates are computed from, in steps to come too: a mean that is only
    kept for show does not count."""
    reached: set[int] = set()
    more = {s.leaf for form in found.updates for s in form.sources if s.kind == "state"}
    while more - reached:
        reached |= more
        more = {s.leaf for k in reached for s in found.states[k].sources if s.kind == "state"}
    return [found.states[k] for k in sorted(reached) if leaves[k].kind == "linear"]


def _standing(program: Program, leaves: list[StateLeaf]) -> tuple[list[StateLeaf], Walked]:
    """Which leaves must stand still for the others to move linearly, and the forms then.

    Momentum over divided gradients is no linear form of gradients, but it is while what divides
    them stands still; a mean of gradients that is squared, in a centred second moment, stands
    still as well. Leaves of one role are tried together, which is a matter of time only: what is
    claimed in the end is read off the forms of every leaf.
    """
    moving = _roles_of(program, leaves, "linear")
    best: tuple[int, list[StateLeaf], Walked] | None = None
    for count in range(min(len(moving), SQUARED) + 1):
        for roles in itertools.combinations(moving, count):
            taken = list(leaves)
            for role in roles:
                taken = _with_role(program, taken, role, "accumulator")
            taken, found = _followed(program, taken, roles)
            good = sum(form.elementwise and form.rests for form in found.updates)
            if best is None or good > best[0]:
                best = good, taken, found
            if good == len(found.updates):
                return taken, found
    assert best is not None
    return best[1], best[2]


def _followed(
    program: Program, leaves: list[StateLeaf], held: tuple[int, ...]
) -> tuple[list[StateLeaf], Walked]:
    """The same with those accumulators as linear, but for the roles ``held``, that are so while
    the others stand still."""

    def forms(taken: list[StateLeaf]) -> Walked:
        return walked(program, taken, [], frozen=True, numbers=False)

    def linear(found: Walked, role: int) -> bool:
        own = [found.states[k] for k, r in enumerate(program.roles) if r == role]
        return all(form.linear for form in own)

    gathering = _roles_of(program, leaves, "accumulator")
    own = {k for k, leaf in enumerate(leaves) if leaf.kind == "accumulator"}
    first = [
        role
        for role in gathering
        if role not in held and linear(forms(_with_role(program, leaves, role, "linear")), role)
    ]
    taken = list(leaves)
    for role in first:
        taken = _with_role(program, taken, role, "linear")
    while True:
        interrupt.check()
        found = forms(taken)
        bent = [role for role in first if not linear(found, role)]
        if not bent:
            return taken, found
        first = [role for role in first if role not in bent]
        for k in own:
            if program.roles[k] in bent:
                taken[k] = leaves[k]


def _roles_of(program: Program, leaves: list[StateLeaf], kind: StateKind) -> list[int]:
    return sorted({r for r, own in zip(program.roles, leaves, strict=True) if own.kind == kind})


def _with_role(
    program: Program, leaves: list[StateLeaf], role: int, kind: StateKind
) -> list[StateLeaf]:
    own = StateLeaf(kind)
    return [own if r == role else one for r, one in zip(program.roles, leaves, strict=True)]


def _first(optimizer: optax.GradientTransformation, params: Params) -> list[Form]:
    """Forms of the state's leaves at the start: some hold the parameters."""
    leaves, tree = jax.tree.flatten(params)
    shapes = [_like(x) for x in leaves]

    def start(leaves: Any) -> Any:
        return jax.tree.leaves(optimizer.init(jax.tree.unflatten(tree, leaves)))

    with jax.numpy_rank_promotion("allow"):
        closed = jax.make_jaxpr(start)(shapes)
    sources = [
        leaf(Source("parameter", k), tuple(x.shape), x.dtype, numbers=False)
        for k, x in enumerate(shapes)
    ]
    return walk(closed.jaxpr, list(closed.consts), sources, numbers=False)


def why_not_linear(found: ChainClass) -> str:
    """Why updates are no elementwise linear map of the gradients seen; "" if they are.

    The first that holds: what is said of a chain must be true of it, not only of a part.
    """
    if found.unknown:
        return f"the optimizer computes {_where(found.unknown)}, which has no rule here"
    if "loss value" in found.outside:
        return "the optimizer's steps depend on the loss value"
    if "random" in found.outside:
        return "the optimizer draws random numbers"
    gathered = [own for own in found.leaves if own.kind == "accumulator"]
    if not found.linear and gathered and found.frozen:
        return (
            "the optimizer's steps depend on what it has seen of the gradient, of which its state "
            f"is no linear function ({_where(gathered[0].reasons)})"
        )
    if not found.linear:
        return f"the optimizer's update is not linear in the gradient: {_where(found.reasons)}"
    if not found.elementwise:
        return "the optimizer mixes elements of the gradient with others"
    return ""


def why_not_frozen(found: ChainClass) -> str:
    """Why updates are no elementwise linear map even while accumulators stand still; "" if they
    are."""
    if found.unknown:
        return f"the optimizer computes {_where(found.unknown)}, which has no rule here"
    if "loss value" in found.outside:
        return "the optimizer's steps depend on the loss value"
    if found.frozen:
        return ""
    moving = [k for k, own in enumerate(found.standing) if own.kind == "linear"]
    forms = [*found.held.updates, *(found.held.states[k] for k in moving)]
    bent = frozenset[Reason]().union(*(form.reasons for form in forms))
    if bent:
        return f"the optimizer's update is not linear in the gradient: {_where(bent)}"
    if "random" in found.outside:
        return "the optimizer draws random numbers"
    if all(form.elementwise for form in forms):
        return "the optimizer's steps are not the gradient times what it has gathered"
    return "the optimizer is not diagonal: it mixes elements of the gradient with others"


def _where(reasons: Iterable[Reason]) -> str:
    """Operations and the functions that they stand in."""
    kept = sorted(reasons)
    if not kept:
        return "by what it is multiplied with"
    named = [reason for reason in kept if reason.place] or kept
    place = named[0].place
    own = [reason.operation for reason in named if reason.place == place]
    return f"{', '.join(own)}{f' in {place}' if place else ''}"
