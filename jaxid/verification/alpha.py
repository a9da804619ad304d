"""Optimised linear bounds, alpha-CROWN (Xu et al. 2021, section 3.2), for any activation.

The slope of every line is a free number, one for each combination that is bounded: the lines
stay valid whatever it is (`jaxid.verification.lines`), so the bound can be climbed by its
gradient, and any stop on the way is a bound too. The best one seen is kept, and evaluated once
more with its rounding.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxid.core.types import Array
from jaxid.verification.crown import Drawn, Linear, below, outline, start_lines, with_slopes
from jaxid.verification.intervals import Interval
from jaxid.verification.lines import Lines, Slopes, free_slopes
from jaxid.verification.network import (
    AffineStep,
    Numbers,
    PointwiseStep,
    ProductStep,
    Step,
    StraightStep,
    Structure,
    UnaryStep,
)
from jaxid.verification.outlines import outline_slopes

KINKED, SMOOTH, FALL = 0.1, 0.03, 0.3
"""Adam's first rates, over the range of slopes, and the share to which they fall: a ReLU's lower
line starts at an end of its range, a smooth function's lines of least area are nearly right."""

PLACES = 4
"""Where straight pieces meet, up to which their slopes are optimised."""


class Climb(NamedTuple):
    """Where an optimisation stands: slopes, the optimizer's state, the best so far."""

    slopes: dict[int, Slopes]
    state: Any
    best: Array
    kept: dict[int, Slopes]


def optimised(
    structure: Structure,
    numbers: Numbers,
    at: int,
    spec: Array,
    known: list[Interval],
    steps: int,
) -> Linear:
    """A lower bound on C h_at with the best slopes that ``steps`` of Adam find.

    Args:
      structure, numbers, at, spec, known: as in `jaxid.verification.crown.below`.
      steps: 0 gives the lines of least area.
    """
    fixed: dict[int, Drawn] = {}
    parents: dict[int, tuple[UnaryStep, Any, Interval]] = {}
    for index, step in enumerate(structure.steps[:at], start=1):
        if isinstance(step, AffineStep):
            continue
        if _free(step):
            assert not isinstance(step, ProductStep)
            parents[index] = (step, numbers[index - 1], known[step.parent])
        else:
            fixed[index] = start_lines(index, structure, numbers, known)
    ranges = {i: _ranges(*each) for i, each in parents.items()}
    shape = (spec.shape[0], 1)
    first: dict[int, Slopes] = {}
    for i in parents:
        drawn = start_lines(i, structure, numbers, known)
        assert isinstance(drawn, Lines)
        first[i] = Slopes(*(jnp.tile(s, shape) for s in drawn.slopes))

    def bound(slopes: dict[int, Slopes]) -> Linear:
        drawn = {i: with_slopes(s, own, slopes[i], p) for i, (s, own, p) in parents.items()}
        return below(structure, numbers, at, spec, known, {**fixed, **drawn})

    if steps == 0 or not parents:
        return bound(first)
    adam = optax.chain(
        optax.scale_by_adam(b1=0.9, b2=0.99),
        optax.scale_by_schedule(optax.exponential_decay(1.0, steps, FALL)),
    )
    rates = {i: SMOOTH if _smooth(step) else KINKED for i, (step, _, _) in parents.items()}

    def total(slopes: dict[int, Slopes]) -> tuple[Array, Array]:
        least = bound(slopes).least
        return least.sum(), least

    def climb(at: Climb, _: None) -> tuple[Climb, None]:
        (_, least), gradient = jax.value_and_grad(total, has_aux=True)(at.slopes)
        better = (least > at.best)[:, None]
        kept = jax.tree.map(lambda new, old: jnp.where(better, new, old), at.slopes, at.kept)
        moves, state = adam.update(gradient, at.state)

        def moved(index: int) -> Slopes:
            new = [
                jnp.clip(s + rates[index] * (high - low) * m, low, high)
                for s, m, (low, high) in zip(
                    at.slopes[index], moves[index], ranges[index], strict=True
                )
            ]
            return Slopes(*new)

        slopes = {index: moved(index) for index in at.slopes}
        return Climb(slopes, state, jnp.maximum(at.best, least), kept), None

    # Slopes are measured in the width of their range.
    start = Climb(first, adam.init(first), jnp.full(spec.shape[0], -jnp.inf), first)
    # One climb more than moves: it judges the last slopes, in the program that is there.
    end, _ = jax.lax.scan(climb, start, None, length=steps + 1)
    return bound(end.kept)


def _free(step: Step) -> bool:
    """Whether its slopes are optimised: named functions, and straight pieces if they are few."""
    if isinstance(step, StraightStep):
        return step.places <= PLACES
    return isinstance(step, PointwiseStep)


def _smooth(step: UnaryStep) -> bool:
    return isinstance(step, PointwiseStep) and not step.function.kink


def _ranges(step: UnaryStep, own: Any, parent: Interval) -> tuple[Slopes, Slopes]:
    """((least, largest) slope below, the same above) that may serve."""
    if isinstance(step, PointwiseStep):
        return free_slopes(step.function, parent.low[None, :], parent.high[None, :])
    assert isinstance(step, StraightStep)
    shape = (1, parent.low.shape[0])
    least = jnp.broadcast_to(own.slopes.min(axis=0)[None], shape)
    most = jnp.broadcast_to(own.slopes.max(axis=0)[None], shape)
    start = outline_slopes(outline(step, own, parent), *parent)
    ends = Slopes(jnp.minimum(least, jnp.minimum(*start)), jnp.maximum(most, jnp.maximum(*start)))
    return ends, ends


@partial(jax.jit, static_argnums=(0, 2, 5))
def optimised_interval(
    structure: Structure,
    numbers: Numbers,
    at: int,
    spec: Array,
    known: list[Interval],
    steps: int,
) -> Interval:
    """The same for C = spec and -spec: bounds on spec h_at from both sides."""
    both = jnp.concatenate([spec, -spec])
    least = optimised(structure, numbers, at, both, known, steps).least
    count = spec.shape[0]
    return Interval(least[:count], -least[count:])
