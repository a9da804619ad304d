"""The rates measured from `optimizer.update` against each optimizer's own formula."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxid.optim.rates import effective_rates

PARAMS = {"a": jnp.ones((3,)), "b": jnp.full((2, 2), -2.0)}


def trained(optimizer, steps=2000, seed=0):
    """A state after many random gradients, coordinates of different size."""
    sizes = jax.tree.map(lambda leaf: jnp.logspace(-3, 1, leaf.size).reshape(leaf.shape), PARAMS)
    state = optimizer.init(PARAMS)
    draw = np.random.default_rng(seed)

    @jax.jit
    def step(state, noise):
        gradient = jax.tree.map(jnp.multiply, sizes, noise)
        return optimizer.update(gradient, state, PARAMS)[1]

    for _ in range(steps):
        noise = jax.tree.map(lambda s: jnp.asarray(draw.normal(size=s.shape), jnp.float32), sizes)
        state = step(state, noise)
    return state


def second_moment(state):
    is_moment = lambda node: hasattr(node, "nu")  # noqa: E731
    return next(n.nu for n in jax.tree.leaves(state, is_leaf=is_moment) if is_moment(n))


CASES = {
    "sgd": (optax.sgd(0.1), lambda v: 0.1 * np.ones_like(v)),
    "heavy ball": (optax.sgd(0.1, momentum=0.9), lambda v: np.ones_like(v)),
    "nesterov": (optax.sgd(0.1, momentum=0.9, nesterov=True), lambda v: np.ones_like(v)),
    "rmsprop, eps outside": (
        optax.rmsprop(1e-3, decay=0.9, eps=1e-2, eps_in_sqrt=False),
        lambda v: 1e-3 / (np.sqrt(v) + 1e-2),
    ),
    "rmsprop, eps inside": (
        optax.rmsprop(1e-3, decay=0.9, eps=1e-2, eps_in_sqrt=True),
        lambda v: 1e-3 / np.sqrt(v + 1e-2),
    ),
    # After 2000 steps the bias correction of v is 1 - 0.999^2001.
    "adam": (
        optax.adam(1e-3, eps=1e-3),
        lambda v: 1e-3 / (np.sqrt(v / (1 - 0.999**2001)) + 1e-3),
    ),
    "adamw": (
        optax.adamw(1e-3, eps=1e-3, weight_decay=0.1),
        lambda v: 1e-3 / (np.sqrt(v / (1 - 0.999**2001)) + 1e-3),
    ),
    "a chain with a mask of scales": (
        optax.chain(optax.scale(0.5), optax.sgd(0.2)),
        lambda v: 0.1 * np.ones_like(v),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_rates_equal_the_update_rules_own_formula(name):
    optimizer, formula = CASES[name]
    state = trained(optimizer)
    found = effective_rates(optimizer, state, PARAMS)
    assert found.elementwise
    for leaf in PARAMS:
        moments = np.ones(PARAMS[leaf].shape)
        if "adam" in name or "rms" in name:
            moments = np.asarray(second_moment(state)[leaf])
        np.testing.assert_allclose(found.tree[leaf], formula(moments), rtol=2e-4)


def test_a_schedule_is_read_at_the_states_own_step():
    optimizer = optax.sgd(optax.linear_schedule(1.0, 0.0, 4000))
    found = effective_rates(optimizer, trained(optimizer), PARAMS)
    np.testing.assert_allclose(found.tree["a"], 0.5, rtol=1e-3)


def test_parameters_without_gradient_get_the_rate_that_eps_allows():
    optimizer = optax.rmsprop(1e-3, decay=0.9, eps=1e-7, eps_in_sqrt=False)
    found = effective_rates(optimizer, optimizer.init(PARAMS), PARAMS)
    assert found.elementwise
    np.testing.assert_allclose(found.tree["b"], 1e-3 / 1e-7, rtol=1e-3)


def test_a_chain_that_mixes_parameters_is_said_not_to_be_elementwise():
    optimizer = optax.chain(optax.clip_by_global_norm(1e-6), optax.sgd(0.1))
    assert not effective_rates(optimizer, trained(optimizer, 3), PARAMS).elementwise


def test_the_state_is_only_read():
    optimizer = optax.rmsprop(1e-3)
    state = trained(optimizer, 5)
    before = jax.tree.map(np.array, state)
    effective_rates(optimizer, state, PARAMS)
    jax.tree.map(np.testing.assert_array_equal, before, state)
