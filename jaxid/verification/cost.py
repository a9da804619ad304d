"""How long bounds and attacks will take, from their floating-point operations and a product of
matrices timed now."""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp

from jaxid.core.precision import float64
from jaxid.verification.attack import RESTARTS, SIDES
from jaxid.verification.attack import STEPS as ASCENT
from jaxid.verification.bounds import METHODS, MethodName, wanted
from jaxid.verification.curves import CELLS
from jaxid.verification.network import AffineStep, CurveStep, Network, Structure

COMPILE: dict[str, float] = {"intervals": 0.5, "crown": 1.2, "alpha": 3.0, "attack": 2.0}
"""Seconds to compile, for each node that a method bounds; for the attack, once."""
GRADIENT = 3.0
"""Value and gradient over the value alone."""


def weights_before(structure: Structure, at: int) -> float:
    """Entries of the weights on the way to a node, as if all were dense; a function of one
    variable counts its cells for each element."""
    total = 0.0
    for index, step in enumerate(structure.steps[:at], start=1):
        if isinstance(step, AffineStep):
            total += sum(structure.sizes[index] * structure.sizes[p] for p in step.parents)
        else:
            cells = CELLS * len(step.program) if isinstance(step, CurveStep) else 1
            total += cells * structure.sizes[index]
    return total


def bound_flops(net: Network, method: MethodName, steps: int) -> float:
    """Floating-point operations of `jaxid.verification.bounds.output_bounds`, cheaper methods
    included: both sides of n components are 2 n rows through all weights before them."""
    structure = net.structure
    if method == "intervals":
        return 6.0 * weights_before(structure, structure.last)
    once = sum(
        4.0 * structure.sizes[at] * weights_before(structure, at) for at in wanted(structure)
    )
    return once * (1.0 if method == "crown" else 2.0 + GRADIENT * steps)


def attack_flops(net: Network, restarts: int = RESTARTS) -> float:
    """Floating-point operations of `jaxid.verification.attack.worst_found`."""
    passes = SIDES * restarts * ASCENT * GRADIENT
    return 2.0 * passes * weights_before(net.structure, net.structure.last)


def compile_seconds(net: Network, method: MethodName) -> float:
    """Compiling the methods up to ``method``, and the attack."""
    nodes = len(wanted(net.structure))
    methods = METHODS[: METHODS.index(method) + 1]
    return COMPILE["attack"] + sum(COMPILE[name] * nodes for name in methods)


def rate64(order: int = 784) -> float:
    """Floating-point operations a second of a float64 product on the default device."""
    with float64():
        a = jnp.ones((order, order))
        product = jax.jit(jnp.matmul)
        product(a, a).block_until_ready()
        start = time.perf_counter()
        for _ in range(3):
            product(a, a).block_until_ready()
        return 3 * 2.0 * order**3 / (time.perf_counter() - start)
