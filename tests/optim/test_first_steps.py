"""First steps, degrees and eps read off updates, against each optimizer's own formula."""

from __future__ import annotations

import numpy as np
import optax
import pytest

from jaxid.optim.first_steps import (
    LARGE,
    degree,
    first_steps,
    half_step,
    settled_step,
    share_of_full_step,
)


def rmsprop(eps, inside=False, rho=0.9):
    return optax.rmsprop(1e-3, decay=rho, eps=eps, eps_in_sqrt=inside)


@pytest.mark.parametrize("gradient", [-3.0, 1e-4, 1e4])
def test_rmsprop_starts_with_rate_over_root_of_one_minus_rho(gradient):
    found = first_steps(rmsprop(0.0), gradient, 12)
    expected = 1e-3 / np.sqrt(1 - 0.9 ** np.arange(1, 13))
    np.testing.assert_allclose(found.sizes, expected, rtol=1e-9)
    assert found.settled.converged and np.isclose(found.settled.value, 1e-3, rtol=1e-9)


@pytest.mark.parametrize(
    ("optimizer", "sizes", "settled"),
    [
        (optax.sgd(0.1), [0.2, 0.2, 0.2], 0.2),
        (optax.sgd(0.1, momentum=0.5), [0.2, 0.3, 0.35], 0.4),
        (optax.adam(1e-3, eps=0.0), [1e-3] * 3, 1e-3),
        # Uncorrected moments: (1 - b1^t) / sqrt(1 - b2^t).
        (
            optax.chain(
                optax.ema(0.9, debias=False), optax.scale_by_rms(0.99, eps=0.0), optax.scale(-1e-3)
            ),
            None,
            1e-3,
        ),
    ],
    ids=["sgd", "heavy ball", "adam", "a chain of one's own"],
)
def test_other_chains_start_as_their_formulas_say(optimizer, sizes, settled):
    found = first_steps(optimizer, 2.0, 3)
    if sizes is None:
        average = 1 - 0.9 ** np.arange(1, 4)
        second = np.array([sum(0.01 * 0.99 ** (t - k) * average[k] ** 2 for k in range(t + 1))
                           for t in range(3)])  # fmt: skip
        sizes = 1e-3 * average / np.sqrt(second)
    np.testing.assert_allclose(found.sizes, sizes, rtol=1e-9)
    assert np.isclose(found.settled.value, settled, rtol=1e-6)


def test_a_schedule_never_settles():
    optimizer = optax.sgd(optax.linear_schedule(0.1, 0.0, 50_000))
    assert not settled_step(optimizer, 1.0).converged


@pytest.mark.parametrize(
    ("optimizer", "alpha"),
    [
        (optax.sgd(0.1), 1.0),
        (optax.sgd(0.1, momentum=0.9, nesterov=True), 1.0),
        (rmsprop(0.0), 0.0),
        (optax.adam(1e-3, eps=0.0), 0.0),
        (optax.sign_sgd(1e-3), 0.0),
        (optax.chain(optax.scale_by_rss(0.0, 0.0), optax.sgd(0.1)), 0.0),
    ],
    ids=["sgd", "nesterov", "rmsprop", "adam", "sign", "adagrad"],
)
def test_the_degree_of_homogeneous_chains(optimizer, alpha):
    found = degree(optimizer)
    assert found.converged and found.error < 1e-9 and abs(found.value - alpha) < 1e-9


def test_eps_breaks_the_degree_near_its_size_and_not_far_above():
    near, far = (degree(rmsprop(1e-3), scale) for scale in (1e-3, LARGE))
    assert not near.converged and near.error > 0.1
    assert far.converged and abs(far.value) < 1e-9


@pytest.mark.parametrize(
    ("optimizer", "why"),
    [
        (optax.adamw(1e-3, weight_decay=0.1), "weight decay"),
        (optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)), "elementwise"),
    ],
)
def test_chains_without_a_degree_say_why(optimizer, why):
    found = degree(optimizer)
    assert found.value is None and why in found.method


def test_a_clipped_chain_has_one_degree_below_and_another_above():
    found = degree(optax.chain(optax.clip(1.0), optax.sgd(0.1)))
    assert not found.converged and found.error > 0.5


@pytest.mark.parametrize("eps", [1e-7, 1e-2])
def test_eps_takes_half_of_the_step_at_its_size_or_its_roots(eps):
    outside, inside = half_step(rmsprop(eps)), half_step(rmsprop(eps, inside=True))
    assert outside.converged and np.isclose(outside.value, eps, rtol=1e-6)
    assert inside.converged and np.isclose(inside.value, np.sqrt(eps / 3), rtol=1e-6)
    assert np.isclose(half_step(optax.adam(1e-3, eps=eps)).value, eps, rtol=1e-4)


def test_no_eps_and_no_full_step_are_told_apart():
    none = half_step(rmsprop(0.0))
    assert none.value == 0.0 and none.converged
    linear = half_step(optax.sgd(0.1))
    assert linear.value is None and "grows with the gradient" in linear.method
    assert share_of_full_step(optax.sgd(0.1), np.array([1.0])) is None


def test_the_share_of_the_step_is_the_formula_of_eps():
    gradients, eps = np.geomspace(1e-8, 1e2, 11), 1e-4
    outside = share_of_full_step(rmsprop(eps), gradients)
    np.testing.assert_allclose(outside, gradients / (gradients + eps), rtol=1e-6)
    inside = share_of_full_step(rmsprop(eps, inside=True), gradients)
    np.testing.assert_allclose(inside, gradients / np.sqrt(gradients**2 + eps), rtol=1e-6)
