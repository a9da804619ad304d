"""Golub-Kahan bidiagonalisation against dense NumPy on prescribed singular values."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.core.precision import float64
from jaxid.linalg.bidiagonal import Bidiagonal, bidiagonalised

N, P = 30, 18


def dense(singular, seed=0):
    """(N, P) with those singular values."""
    rng = np.random.default_rng(seed)
    left, _ = np.linalg.qr(rng.normal(size=(N, len(singular))))
    right, _ = np.linalg.qr(rng.normal(size=(P, len(singular))))
    return left @ np.diag(singular) @ right.T, rng.normal(size=N)


def steps(matrix, b, count, dtype=np.float64) -> list[Bidiagonal]:
    """The state after each step; vectors are trees of two leaves on the right side."""
    j = jnp.asarray(matrix, dtype)

    def forward(v):
        return [j @ jnp.concatenate([v["a"].reshape(-1), v["b"]])]

    def backward(u):
        whole = j.T @ u[0]
        return {"a": whole[:6].reshape(2, 3), "b": whole[6:]}

    return list(bidiagonalised(forward, backward, [jnp.asarray(b, dtype)], count))


def rows(found):
    """V, (P, k)."""
    k = found.beta.size
    return np.stack(
        [flat(found.vector(np.eye(k)[i])) for i in range(k)],
        axis=1,
    )


def flat(tree):
    return np.concatenate([np.asarray(tree["a"], np.float64).ravel(), np.asarray(tree["b"])])


def test_the_matrix_is_what_the_operator_is_on_the_krylov_space():
    matrix, b = dense(np.geomspace(1, 1e-3, P))
    with float64():
        found = steps(matrix, b, 17)[-1]  # more than one block of right vectors
        v = rows(found)
    assert np.allclose(v.T @ v, np.eye(17), atol=1e-12)
    u0 = b / np.linalg.norm(b)
    # J V = U B with U orthonormal and u_1 = b / |b|: B's Gram matrix and first row are known.
    small = found.matrix()
    assert np.allclose(small.T @ small, v.T @ matrix.T @ matrix @ v, atol=1e-12)
    assert np.allclose(small[0], u0 @ matrix @ v, atol=1e-12)


def test_the_two_rules_bound_a_falling_function_and_close_in():
    matrix, b = dense(np.geomspace(1, 1e-4, P))
    values, vectors = np.linalg.eigh(matrix @ matrix.T)

    def g(s):
        return (1 - s) ** 400

    true = float((vectors.T @ b) ** 2 @ g(values))
    with float64():
        gaps = []
        for found in steps(matrix, b, 12):
            gauss, radau = (float(g(rule.squares) @ rule.weights) for rule in found.rules)
            assert gauss <= true * (1 + 1e-12) and true <= radau * (1 + 1e-12)
            gaps.append(radau - gauss)
    assert gaps[-1] < 1e-3 * true < gaps[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_sum_to_the_square_of_the_start_and_the_remainder_is_least_squares(dtype):
    matrix, b = dense(np.linspace(1, 0.2, 9))
    with float64():
        found = steps(matrix, b, 30, dtype)[-1]
    assert found.ended and found.beta.size == 9  # nine singular values: no step more
    close = {"rtol": 30 * float(np.finfo(dtype).eps), "atol": 30 * float(np.finfo(dtype).eps)}
    for rule in found.rules:
        assert np.isclose(rule.weights.sum(), b @ b, **close)
    best = np.linalg.lstsq(matrix, b, rcond=1e-10)[0]
    assert np.isclose(found.remainder, np.sum((matrix @ best - b) ** 2), **close)
    with float64():
        solved = found.vector(found.solution(lambda s: (s > 0).astype(float)))
    assert np.allclose(flat(solved), best, **close)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_right_vectors_stay_orthogonal_though_the_spectrum_is_wide(dtype):
    matrix, b = dense(np.geomspace(1, 1e-5, P))
    with float64():
        v = rows(steps(matrix, b, P, dtype)[-1])
    assert np.abs(v.T @ v - np.eye(v.shape[1])).max() < 40 * np.finfo(dtype).eps


def test_the_largest_lies_within_its_residual_of_an_eigenvalue():
    matrix, b = dense(np.linspace(1, 0.1, P))
    with float64():
        for found in steps(matrix, b, 12):
            value, residual = found.largest()
            distance = np.abs(np.linalg.svd(matrix)[1] ** 2 - value).min()
            assert distance <= residual + 1e-13
    assert residual < 1e-2


def test_a_start_without_image_and_one_that_is_not_finite_give_nothing():
    matrix, b = dense(np.ones(3))
    with float64():
        assert steps(0 * matrix, b, 4) == []
        assert steps(np.where(matrix > 0, np.inf, matrix), b, 4) == []
