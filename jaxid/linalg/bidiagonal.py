"""Golub-Kahan bidiagonalisation: what a rectangular operator does to one vector.

From u_1 = b / beta_1 the products of J and of its transpose give

  J V_k = U_(k+1) B_k,   J^T U_(k+1) = V_k B_k^T + alpha_(k+1) v_(k+1) e_(k+1)^T,

B_k lower bidiagonal, (k + 1, k): alpha on its diagonal, beta below. So B_k B_k^T is what J J^T
is on the Krylov space of b, and J^T J is never formed: its small eigenvalues, which are squares,
keep twice the digits (Golub and Kahan 1965; Paige and Saunders 1982).

For a function g of J J^T, b^T g b is bounded from both sides where g's derivatives have fixed
signs, by the two quadratures that B gives (Golub and Meurant 2010, chapter 6): Gauss, from the
square B_(k+1), and Gauss-Radau with a node at 0, from B_k.

The right vectors are kept and made orthogonal to one another; the left ones are not kept, and
follow (Simon and Zha 2000). `matfree.decomp.bidiag` keeps both, and is given the number of steps
before the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import interrupt, trees
from jaxid.core.types import Array, Params
from jaxid.linalg.operators import combination, inner_products

BLOCK = 16
"""Right vectors stored together: memory grows by so many, and none is looked at before it is
there."""
ROUNDING = 128
"""A length below this times eps times the largest entry ends the space. A vector of rounding that
is taken for one more direction carries all of b outside the image: with 16, in float64, it did."""
LOST = 0.7
"""A vector that an orthogonalisation leaves shorter than this share of it needs another."""


class Rule(NamedTuple):
    """A quadrature: b^T g(J J^T) b is about sum_j weights_j g(squares_j).

    Attributes:
      squares: eigenvalues of J J^T, float64.
      weights: they sum to |b|^2.
    """

    squares: np.ndarray
    weights: np.ndarray


class Bidiagonal(NamedTuple):
    """What k steps found.

    Attributes:
      alpha: (k + 1,) alpha_1 .. alpha_(k+1), float64; the last is 0 where the space ended.
      beta: (k,) beta_2 .. beta_(k+1), float64.
      length: beta_1 = |b|.
      rows: v_1 .. v_k in blocks of `BLOCK`, the rest of the last one 0.
      ended: whether the Krylov space is whole, so that both rules are exact.
    """

    alpha: np.ndarray
    beta: np.ndarray
    length: float
    rows: tuple[Params, ...]
    ended: bool

    def matrix(self, *, square: bool = False) -> np.ndarray:
        """B, (k + 1, k), or with alpha_(k+1) too, (k + 1, k + 1)."""
        found = np.diag(self.alpha) + np.diag(self.beta, -1)
        return found if square else found[:, :-1]

    @property
    def rules(self) -> tuple[Rule, Rule]:
        """(Gauss, Gauss-Radau with a node at 0), of k + 1 nodes each."""
        return _rule(self.matrix(square=True), self.length), _rule(self.matrix(), self.length)

    @property
    def remainder(self) -> float:
        """The least |J x - b|^2 of x in the Krylov space: the weight of Gauss-Radau's node at 0."""
        return float(self.rules[1].weights[-1])

    def solution(self, g: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """V_k^T x, (..., k), of the x in the Krylov space with J x = g(J J^T) b.

        Args:
          g: (k,) -> (..., k), with g(0) = 0.
        """
        left, values, right = np.linalg.svd(self.matrix(), full_matrices=False)
        along = np.divide(left[0], values, out=np.zeros_like(values), where=values > 0)
        return self.length * (g(values**2) * along) @ right

    def vector(self, coordinates: np.ndarray) -> Params:
        """V_k c, in the structure of v."""
        padded = np.zeros(len(self.rows) * BLOCK)
        padded[: coordinates.size] = coordinates
        parts = [
            _combined(jnp.asarray(c), block)
            for c, block in zip(padded.reshape(-1, BLOCK), self.rows, strict=True)
        ]
        return jax.tree.map(lambda *leaves: sum(leaves[1:], start=leaves[0]), *parts)

    def largest(self) -> tuple[float, float]:
        """(the largest Ritz value of J^T J, its residual: an eigenvalue lies within)."""
        _, values, right = np.linalg.svd(self.matrix(), full_matrices=False)
        residual = self.alpha[-1] * self.beta[-1] * abs(right[0, -1])
        return float(values[0] ** 2), float(residual)


def bidiagonalised(
    forward: Callable[[Params], Params],
    backward: Callable[[Params], Params],
    start: Params,
    steps: int,
) -> Iterator[Bidiagonal]:
    """What is known after each step; stop when it is enough.

    Args:
      forward: v -> J v.
      backward: u -> J^T u.
      start: b, not 0; its dtype is the arithmetic's.
      steps: most; each is one product of either kind.

    Yields:
      Bidiagonal of 1, 2, ... steps. Nothing if J^T b is 0 or anything is not finite.
    """
    length = float(trees.norm(start))
    u = _over(start, length)
    w = backward(u)
    alphas, betas = [float(trees.norm(w))], []
    tiny = ROUNDING * float(np.finfo(jax.tree.leaves(w)[0].dtype).eps)
    if not 0 < alphas[0] < np.inf:
        return
    v = _over(w, alphas[0])
    blocks: list[Params] = []
    for step in range(steps):
        interrupt.check()
        if step % BLOCK == 0:
            blocks.append(jax.tree.map(lambda x: jnp.zeros((BLOCK, *x.shape), x.dtype), v))
        blocks[-1] = _written(blocks[-1], v, step % BLOCK)
        u, beta = _left(forward(v), u, alphas[-1])
        betas.append(float(beta))
        if not np.isfinite(betas[-1]):
            return
        scale = max(*alphas, *betas)
        ended = betas[-1] <= tiny * scale
        if ended:
            betas[-1], alpha = 0.0, 0.0
        else:
            u = _over(u, betas[-1])
            w, alpha = _outside(blocks, trees.add_scaled(backward(u), -betas[-1], v))
            ended = alpha <= tiny * scale
            alpha = 0.0 if ended else alpha
        if not np.isfinite(alpha):
            return
        alphas.append(alpha)
        yield Bidiagonal(np.array(alphas), np.array(betas), length, tuple(blocks), ended)
        if ended:
            return
        v = _over(w, alpha)


def _rule(matrix: np.ndarray, length: float) -> Rule:
    left, values, _ = np.linalg.svd(matrix)
    squares = np.zeros(len(left))
    squares[: values.size] = values**2
    return Rule(squares, length**2 * left[0] ** 2)


@jax.jit
def _over(v: Params, length: float) -> Params:
    return jax.tree.map(lambda x: x / jnp.asarray(length, x.dtype), v)


@partial(jax.jit, donate_argnums=0)
def _left(w: Params, u: Params, alpha: float) -> tuple[Params, Array]:
    """(J v - alpha u, its length)."""
    w = jax.tree.map(lambda x, y: x - jnp.asarray(alpha, x.dtype) * y, w, u)
    return w, trees.norm(w)


@jax.jit
def _written(block: Params, v: Params, place: int) -> Params:
    return jax.tree.map(lambda q, x: jax.lax.dynamic_update_index_in_dim(q, x, place, 0), block, v)


@jax.jit
def _combined(weights: Array, block: Params) -> Params:
    return combination(weights, block)


@jax.jit
def _less(block: Params, v: Params) -> Params:
    return trees.add_scaled(v, -1.0, combination(inner_products(block, v), block))


def _outside(blocks: list[Params], v: Params) -> tuple[Params, float]:
    """(v less its part in the rows, its length), once more where that took most of it away."""
    before = float(trees.norm(v))
    for _ in range(2):
        for block in blocks:
            v = _less(block, v)
        after = float(trees.norm(v))
        if not after < LOST * before:
            break
        before = after
    return v, after
