"""A linear optimizer's maps, step by step: what a run of it is on a quadratic.

Where a chain is linear and elementwise (`jaxid.optim.chain`), an element's parameter and momenta
z = (w, s_1, ..., s_k) move by

  z' = A_t z + g B_t,

A_t and B_t functions of the step count alone. They are read off the forms of the update, exactly,
for every step of a run: schedules with spikes and cycles, updates every few steps, decay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core.types import Array
from jaxid.optim.chain import ChainClass, Walked, walked
from jaxid.optim.forms import Form, Source
from jaxid.optim.walk import full

SAME = 1e-9
"""Relative difference up to which coefficients are equal: rounding of schedules in float64."""


@dataclass(frozen=True, eq=False)
class LinearRun:
    """A parameter leaf's maps over a run.

    Attributes:
      still: (steps, k, k) A_t; the first component is the parameter.
      slope: (steps, k) B_t.
      even: whether they are the same for all elements of the leaf.
      at_rest: whether nothing moves at gradient, parameter and momenta 0.
    """

    still: np.ndarray
    slope: np.ndarray
    even: bool
    at_rest: bool

    @property
    def unmoved(self) -> bool:
        """Whether the parameter never moves."""
        one = np.zeros(self.still.shape[1])
        one[0] = 1.0
        return bool(np.all(self.still[:, 0] == one) and np.all(self.slope[:, 0] == 0))

    @property
    def free(self) -> bool:
        """Whether nothing depends on where the parameter is: no decay."""
        one = np.zeros(self.still.shape[1])
        one[0] = 1.0
        return bool(np.all(self.still[:, :, 0] == one))

    def normalised(self) -> LinearRun:
        """The same run, momenta in units in which a gradient moves them as it moves the
        parameter: two rates then differ by one factor of all slopes."""
        units = np.ones(self.still.shape[1])
        for k in range(1, units.size):
            both = np.flatnonzero((self.slope[:, 0] != 0) & (self.slope[:, k] != 0))
            if both.size:
                units[k] = self.slope[both[0], k] / self.slope[both[0], 0]
        still = self.still * units[None, None, :] / units[None, :, None]
        return replace(self, still=still, slope=self.slope / units[None])


def rates_beside(run: LinearRun, reference: LinearRun) -> float | None:
    """The factor of a leaf's rate over a reference's, at every step; None if they differ in more.

    0 for a leaf that never moves.
    """
    if run.unmoved:
        return 0.0
    if run.still.shape == reference.still.shape and all(
        np.allclose(one, other, rtol=SAME, atol=0.0)
        for one, other in ((run.still, reference.still), (run.slope, reference.slope))
    ):
        return 1.0
    a, b = run.normalised(), reference.normalised()
    if a.still.shape != b.still.shape or not np.allclose(a.still, b.still, rtol=SAME, atol=0.0):
        return None
    moves = np.flatnonzero(b.slope[:, 0])
    if not moves.size:
        return None
    factor = float(a.slope[moves[0], 0] / b.slope[moves[0], 0])
    return factor if np.allclose(a.slope, factor * b.slope, rtol=SAME, atol=0.0) else None


def components(found: ChainClass, forms: Walked) -> list[list[Source]] | None:
    """For each parameter leaf, itself and the states that go with it; None where a state goes
    with two leaves, or a leaf with another one's gradient.

    Args:
      found: a chain.
      forms: ``forms`` of it, or ``held``.
    """
    n = len(found.program.shapes)
    owner: dict[Source, int] = {Source("gradient", k): k for k in range(n)}
    owner |= {Source("parameter", k): k for k in range(n)}
    updates, states = forms
    reached = {k: set(updates[k].sources) for k in range(n)}
    for _ in range(len(found.leaves) + 1):
        for sources in reached.values():
            for source in list(sources):
                if source.kind == "state":
                    sources |= states[source.leaf].sources
    for k, sources in reached.items():
        for source in sources:
            if owner.setdefault(source, k) != k:
                return None
    return [
        [Source("parameter", k), *sorted(s for s in reached[k] if s.kind == "state")]
        for k in range(n)
    ]


def linear_runs(found: ChainClass, state: Any, steps: int) -> list[LinearRun] | None:
    """Every parameter leaf's maps at each of so many steps; None where leaves depend on others.

    Args:
      found: a linear, elementwise chain.
      state: from which it starts; its fixed leaves are looked at only.
      steps: of the run.
    """
    groups = components(found, found.forms)
    if groups is None:
        return None
    values = [jnp.asarray(x) if not _key(x) else x for x in jax.tree.leaves(state)]
    moving = [k for k, own in enumerate(found.leaves) if own.kind == "fixed"]
    start = [values[k] for k in moving]
    step = partial(_step, found, groups, values, moving)
    _, maps = jax.jit(lambda s: jax.lax.scan(step, s, None, length=steps))(start)
    return [
        LinearRun(np.asarray(still), np.asarray(slope), bool(np.all(even)), bool(np.all(rest)))
        for still, slope, even, rest in maps
    ]


def _step(
    found: ChainClass,
    groups: list[list[Source]],
    values: list[Any],
    moving: list[int],
    at: list[Any],
    _: None,
) -> tuple[list[Any], list[tuple[Array, Array, Array, Array]]]:
    """The fixed leaves after a step, and every parameter leaf's maps in it."""
    given = list(values)
    for k, value in zip(moving, at, strict=True):
        given[k] = value
    forms = walked(found.program, found.leaves, given)
    after = []
    for k, value in zip(moving, at, strict=True):
        new = full(forms.states[k])
        after.append(new if _key(new) else jnp.asarray(new).astype(value.dtype))
    return after, [_maps(forms.updates[k], forms.states, group) for k, group in enumerate(groups)]


def _maps(
    update: Form, states: tuple[Form, ...], group: list[Source]
) -> tuple[Array, Array, Array, Array]:
    gradient = Source("gradient", group[0].leaf)
    rows: list[list[Array]] = []
    slopes, even, rest = [], [], []  # type: list[Array], list[Array], list[Array]
    for k, own in enumerate(group):
        form = update if k == 0 else states[own.leaf]
        known = form.coefficients or {}
        rows.append([_one(known.get(source), even) + (k == 0 and source == own)
                     for source in group])  # fmt: skip
        slopes.append(_one(known.get(gradient), even))
        rest.append(jnp.all(form.offset == 0) if form.offset is not None else jnp.array(False))
    return (
        jnp.stack([jnp.stack(row) for row in rows]),
        jnp.stack(slopes),
        jnp.all(jnp.stack(even)),
        jnp.all(jnp.stack(rest)),
    )


def _one(coefficient: Array | None, even: list[Array]) -> Array:
    """A coefficient of a whole leaf; whether all elements have it is noted."""
    kind = jnp.promote_types(jnp.float32, jnp.zeros(()).dtype)
    if coefficient is None:
        even.append(jnp.array(True))
        return jnp.zeros((), kind)
    flat = jnp.ravel(coefficient)
    even.append(jnp.all(flat == flat[0]))
    return flat[0].astype(kind)


def _key(x: Any) -> bool:
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jax.dtypes.extended)
