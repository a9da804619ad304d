"""Symmetric operators made from others: scaled, deflated.

An operator is called with (operand, v), operand being what it depends on, so that one trace
serves all operands. Many have work that does not depend on v, a forward pass say. Those have
a method ``prepare`` that does it once: (operand) -> product, product(v) = A v, where product
is a pytree and so can be handed from one jitted program to the next.

Krylov methods make their products with `applied`, one compiled program for each kind of
product. What they do with the vectors beside it knows no operator and is compiled once for
each shape. Compiling a product into every method's own loop costs more than most products
do: 16 s against 4 s for all that is asked of a small network's six matrices. A step then
takes two dispatches, which do not wait for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from jaxid.core import trees
from jaxid.core.types import Array, MatVec, Params

Product: TypeAlias = Callable[[Params], Params]
"""v -> A v at a fixed operand; a pytree whose leaves are all that it needs."""


def bound(function: Callable[..., Params], *args: Any) -> Product:
    """v -> function(*args, v), a pytree with the arguments as leaves. Equal functions and
    equal structures share compiled programs."""
    partial: Any = Partial
    return partial(function, *args)


def prepare(matvec: MatVec, operand: Any) -> Product:
    """The operator at an operand, with what does not depend on v done once where it can."""
    method = getattr(matvec, "prepare", None)
    return bound(matvec, operand) if method is None else method(operand)


@jax.jit
def applied(product: Product, v: Params) -> Params:
    """A v. As an operator whose operand is the product, for several methods to share one."""
    return product(v)


def prepared(matvec: MatVec, operand: Any) -> Product:
    """`prepare` as one compiled program; a product that is `applied` stays as it is."""
    return operand if matvec is applied else _prepared(matvec, operand)


@partial(jax.jit, static_argnums=0)
def _prepared(matvec: MatVec, operand: Any) -> Product:
    return prepare(matvec, operand)


@dataclass(frozen=True)
class Scaled:
    """((operand, d), v) -> D^(1/2) A D^(1/2) v, d >= 0 in the structure of v.

    With the rates that an optimizer takes it is the curvature that it sees; with d of 0 and
    1 it is A restricted to some entries, each of the others adding an eigenvalue 0.
    """

    inner: MatVec

    def prepare(self, operand: tuple[Any, Params]) -> Product:
        """v -> D^(1/2) A D^(1/2) v."""
        inner, d = operand
        return bound(_scaled, prepare(self.inner, inner), jax.tree.map(jnp.sqrt, d))

    def __call__(self, operand: tuple[Any, Params], v: Params) -> Params:
        """One product."""
        inner, d = operand
        return _scaled(bound(self.inner, inner), jax.tree.map(jnp.sqrt, d), v)


@dataclass(frozen=True)
class Deflated:
    """((operand, Q), v) -> (I - Q Q^T) A (I - Q Q^T) v.

    Q's rows, stacked along a leading axis of every leaf, are orthonormal. With eigenvectors
    of A their eigenvalues become 0 and the others stay, copies of the same ones included:
    that is how multiple eigenvalues, of which a Krylov space sees one copy, are found.
    """

    inner: MatVec

    def prepare(self, operand: tuple[Any, Params]) -> Product:
        """v -> (I - Q Q^T) A (I - Q Q^T) v."""
        inner, rows = operand
        return bound(_deflated, prepare(self.inner, inner), rows)

    def __call__(self, operand: tuple[Any, Params], v: Params) -> Params:
        """One product."""
        inner, rows = operand
        return _deflated(bound(self.inner, inner), rows, v)


def _scaled(product: Product, root: Params, v: Params) -> Params:
    inside = product(jax.tree.map(jnp.multiply, root, v))
    return jax.tree.map(jnp.multiply, root, inside)


def _deflated(product: Product, rows: Params, v: Params) -> Params:
    return _outside(rows, product(_outside(rows, v)))


def _outside(rows: Params, v: Params) -> Params:
    return trees.add_scaled(v, -1.0, combination(inner_products(rows, v), rows))


def inner_products(rows: Params, v: Params) -> Array:
    """(k,) the inner products of the k stacked rows with v."""
    parts = jax.tree.map(lambda q, x: q.reshape(q.shape[0], -1) @ x.reshape(-1), rows, v)
    return jax.tree.reduce(jnp.add, parts)


def combination(weights: Array, rows: Params) -> Params:
    """sum_i weights_i rows_i, of the structure and shape of one row."""
    return jax.tree.map(
        lambda q: (weights.astype(q.dtype) @ q.reshape(q.shape[0], -1)).reshape(q.shape[1:]), rows
    )
