"""The first step's reach against RMSprop's closed form, and what follows from it."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.core.types import Estimate
from jaxid.diagnosis.first_step import EXAMPLES, first_step
from jaxid.identity.prescriptions import TOO_FAR, rate_remedy
from jaxid.identity.spec import IdentitySpec, build_problem


@pytest.mark.parametrize("rate, rho", [(1e-3, 0.9), (0.1, 0.5)])
@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_rmsprop_moves_every_weight_by_lr_over_root_of_one_minus_rho(
    small, planted, rate, rho, activation
):
    spec = IdentitySpec(learning_rate=rate, rho=rho, output_activation=activation, eps=1e-12)
    # Small positive weights: below every target that varies, so all steps point one way.
    problem = planted(
        build_problem(spec, small._replace(train=np.maximum(small.train, 1))),
        lambda params, key: jax.tree.map(lambda leaf: jnp.full_like(leaf, 1e-6), params),
    )
    x = np.asarray(problem.train[0][:EXAMPLES], float)
    moved = rate / np.sqrt(1 - rho) * (x.sum(axis=1) + 1)
    expected = np.sqrt(np.mean(moved**2) / np.mean(x**2))
    found = first_step(problem, [3, 4])
    assert np.isclose(found.value, expected, rtol=1e-4)
    assert found.error < 1e-4 * expected


def test_sgd_moves_along_the_gradient(small, planted):
    spec = IdentitySpec(optimizer="sgd", learning_rate=1e-4, output_activation="linear")
    problem = build_problem(spec, small)
    problem = planted(problem, lambda params, key: jax.tree.map(jnp.zeros_like, params))
    problem = dataclasses.replace(problem, batch_size=small.train.shape[0])
    x = small.train.astype(float)
    n, d = x.shape
    ones = np.concatenate([x, np.ones((n, 1))], axis=1)
    moved = ones @ (1e-4 * 2 / (n * d) * ones.T @ x)
    expected = np.sqrt(np.mean(moved**2) / np.mean(x**2))
    assert np.isclose(first_step(problem, [0]).value, expected, rtol=1e-4)


def test_a_smaller_rate_is_tried_only_where_the_step_goes_too_far():
    spec = IdentitySpec(learning_rate=10.0)
    assert rate_remedy(Estimate(TOO_FAR, 0.0, True, "")) is None
    assert rate_remedy(Estimate(None, None, False, "")) is None
    for far, rate in ((3.5, 1.0), (9.9, 1.0), (11.0, 0.1), (2500.0, 1e-3)):
        remedy = rate_remedy(Estimate(far, 0.0, True, ""))
        assert np.isclose(remedy.apply(spec).learning_rate, rate)


def test_a_step_that_leaves_the_numbers_has_no_size(small):
    problem = build_problem(IdentitySpec(learning_rate=1e38), small)
    found = first_step(problem, [0])
    assert found.value is None and not found.converged
