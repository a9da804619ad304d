"""Symmetric operators made from others: shifted, scaled, deflated.

An operator is called with (operand, v), operand being what it depends on, so that one trace
serves all operands. Many have work that does not depend on v (a forward pass, say); those
have a method ``at`` that does it once and returns v -> A v, which is what Krylov methods
call (`fixed`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from jaxid import trees
from jaxid.types import Array, MatVec, Params

Linear: TypeAlias = Callable[[Params], Params]
"""v -> A v."""


def fixed(matvec: MatVec, operand: Any) -> Linear:
    """v -> A(operand) v, with what does not depend on v done once where the operator can."""
    at = getattr(matvec, "at", None)
    return partial(matvec, operand) if at is None else at(operand)


@dataclass(frozen=True)
class Shifted:
    """((operand, sigma), v) -> A v + sigma v."""

    inner: MatVec

    def at(self, operand: tuple[Any, Array | float]) -> Linear:
        """v -> A v + sigma v."""
        inner, sigma = operand
        product = fixed(self.inner, inner)
        return lambda v: trees.add_scaled(product(v), sigma, v)

    def __call__(self, operand: tuple[Any, Array | float], v: Params) -> Params:
        """One product."""
        return self.at(operand)(v)


@dataclass(frozen=True)
class Scaled:
    """((operand, d), v) -> D^(1/2) A D^(1/2) v, d >= 0 in the structure of v.

    With the rates that an optimizer takes it is the curvature that it sees; with d of 0 and
    1 it is A restricted to some entries, each of the others adding an eigenvalue 0.
    """

    inner: MatVec

    def at(self, operand: tuple[Any, Params]) -> Linear:
        """v -> D^(1/2) A D^(1/2) v."""
        inner, d = operand
        root = jax.tree.map(jnp.sqrt, d)
        product = fixed(self.inner, inner)

        def scaled(v: Params) -> Params:
            inside = product(jax.tree.map(jnp.multiply, root, v))
            return jax.tree.map(jnp.multiply, root, inside)

        return scaled

    def __call__(self, operand: tuple[Any, Params], v: Params) -> Params:
        """One product."""
        return self.at(operand)(v)


@dataclass(frozen=True)
class Deflated:
    """((operand, Q), v) -> (I - Q Q^T) A (I - Q Q^T) v.

    Q's rows, stacked along a leading axis of every leaf, are orthonormal. With eigenvectors
    of A their eigenvalues become 0 and the others stay, copies of the same ones included:
    that is how multiple eigenvalues, of which a Krylov space sees one copy, are found.
    """

    inner: MatVec

    def at(self, operand: tuple[Any, Params]) -> Linear:
        """v -> (I - Q Q^T) A (I - Q Q^T) v."""
        inner, rows = operand
        product = fixed(self.inner, inner)

        def outside(v: Params) -> Params:
            return trees.add_scaled(v, -1.0, combination(inner_products(rows, v), rows))

        return lambda v: outside(product(outside(v)))

    def __call__(self, operand: tuple[Any, Params], v: Params) -> Params:
        """One product."""
        return self.at(operand)(v)


def inner_products(rows: Params, v: Params) -> Array:
    """(k,) the inner products of the k stacked rows with v."""
    parts = jax.tree.map(lambda q, x: q.reshape(q.shape[0], -1) @ x.reshape(-1), rows, v)
    return jax.tree.reduce(jnp.add, parts)


def combination(weights: Array, rows: Params) -> Params:
    """sum_i weights_i rows_i, of the structure and shape of one row."""
    return jax.tree.map(
        lambda q: (weights.astype(q.dtype) @ q.reshape(q.shape[0], -1)).reshape(q.shape[1:]), rows
    )
