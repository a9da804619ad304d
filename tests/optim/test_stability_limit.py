"""Stability limits read off the update against closed forms and against runs that diverge."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxid.core import trees
from jaxid.core.precision import float64
from jaxid.optim.rates import effective_rates, frozen
from jaxid.optim.stability_limit import stability_limit

B = 0.9
PARAMS = {"w": jnp.zeros((2, 3)), "b": jnp.zeros(3)}
# The rate as written down times the largest curvature, REFERENCE's closed forms.
CLOSED = {
    "gradient descent": (optax.sgd(0.1), 2.0, 1.0),
    "heavy ball": (optax.sgd(0.1, momentum=B), 2 * (1 + B), 1 / (1 - B)),
    "nesterov": (
        optax.sgd(0.1, momentum=B, nesterov=True),
        2 * (1 + B) / (1 + 2 * B),
        1 / (1 - B),
    ),
    "rmsprop": (optax.rmsprop(1e-3, decay=0.9, eps_in_sqrt=False), 2.0, 1.0),
    "rmsprop with momentum": (optax.rmsprop(1e-3, momentum=B), 2 * (1 + B), 1 / (1 - B)),
    "adam": (optax.adam(1e-3, b1=B), 38.0, 1.0),
}


def moved_on(optimizer, steps=20000):
    """A state with second moments, no momentum, and counters so far on that bias corrections
    are 1."""
    state = optimizer.init(PARAMS)
    for seed in range(20):
        noise = trees.random_like(jax.random.key(seed), PARAMS)
        state = optimizer.update(noise, state, PARAMS)[1]

    def later(path, leaf):
        if jnp.issubdtype(leaf.dtype, jnp.integer):
            return leaf + steps
        return leaf if ".nu" in jax.tree_util.keystr(path) else jnp.zeros_like(leaf)

    return jax.tree_util.tree_map_with_path(later, state)


@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms(name):
    optimizer, written, steady = CLOSED[name]
    found = stability_limit(optimizer, moved_on(optimizer), PARAMS)
    assert found.converged
    assert np.isclose(found.value, written * steady, rtol=1e-6)


CHAINS = {
    **{name: row[0] for name, row in CLOSED.items()},
    "schedule": optax.sgd(optax.constant_schedule(0.3), momentum=0.5),
    "weight decay": optax.adamw(1e-2, weight_decay=0.1),
    "lion-like trace": optax.chain(optax.trace(0.7), optax.scale(-0.05)),
    "two rates": optax.multi_transform(
        {"slow": optax.sgd(0.1), "fast": optax.sgd(0.1, momentum=0.8)}, {"w": "slow", "b": "fast"}
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_runs_on_a_quadratic_diverge_just_beyond_and_not_before(name):
    optimizer = CHAINS[name]
    state = moved_on(optimizer)
    limit = stability_limit(optimizer, state, PARAMS).value
    with float64():
        # Tiny, so that the gradient's own square does not move the second moments.
        params = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 1e-20), PARAMS)
        ones = jax.tree.map(
            lambda leaf: (
                jnp.asarray(leaf, jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
            ),
            state,
        )
        rates = effective_rates(optimizer, ones, params)
        start, update = frozen(optimizer, ones, params)

        def run(share):
            def one(carry, _):
                params, state = carry
                gradient = jax.tree.map(lambda w, r: share * limit / r * w, params, rates.tree)
                updates, state = update(gradient, state, params)
                return (optax.apply_updates(params, updates), state), None

            (end, _), _ = jax.lax.scan(one, (params, start), None, length=4000)
            return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(end))

        assert run(0.99) < 1e-18
        assert not run(1.01) < 1e-18


def test_chains_that_are_not_elementwise_or_stand_still_have_no_limit():
    clipped = optax.chain(optax.clip_by_global_norm(1e-6), optax.sgd(0.1))
    assert stability_limit(clipped, clipped.init(PARAMS), PARAMS).value is None
    still = optax.sgd(0.0)
    assert stability_limit(still, still.init(PARAMS), PARAMS).value is None
