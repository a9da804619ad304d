"""Chains as linear maps, read off their updates, against what the updates do."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxid.core.precision import float64
from jaxid.theory.chains import measured_chain

ONE = jnp.zeros(())
CHAINS = {
    "gradient descent": optax.sgd(0.1),
    "heavy ball": optax.sgd(0.1, momentum=0.9),
    "nesterov": optax.sgd(0.1, momentum=0.8, nesterov=True),
    "averaged gradient": optax.chain(optax.ema(0.7, debias=False), optax.scale(-0.2)),
    "twice": optax.chain(optax.trace(0.5), optax.trace(0.3), optax.scale(-0.05)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_the_map_is_what_the_update_does_on_a_quadratic(name):
    optimizer, h = CHAINS[name], 0.7
    chain, _, why = measured_chain(optimizer, ONE, 100)
    assert why == ""
    x = np.zeros(len(chain.still))
    x[0] = 1.5
    noise = np.random.default_rng(0).normal(size=12)
    found, expected = [], []
    with float64():
        weight = jnp.asarray(1.5)
        state = optimizer.init(weight)
        for each in noise:
            update, state = optimizer.update(h * weight + each, state, weight)
            weight = optax.apply_updates(weight, update)
            expected.append(float(weight))
            x = chain.maps(np.array([h]))[0] @ x + each * chain.slope[:, 0]
            found.append(x[0])
    assert np.allclose(found, expected, rtol=1e-9)


def test_the_factor_of_heavy_ball_at_its_best_momentum():
    # (1 - sqrt(eta h))^2 = b: both roots are sqrt(b) in size.
    chain = measured_chain(optax.sgd(0.25, momentum=0.25), ONE, 10).chain
    assert np.allclose(chain.factors(np.array([1.0])), 0.5, atol=1e-7)


@pytest.mark.parametrize(
    ("optimizer", "why"),
    [
        (optax.adam(0.1), "seen"),
        (optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1)), "weight decay"),
        (
            optax.chain(optax.clip_by_global_norm(1e-6), optax.sgd(0.1)),
            "not linear in the gradient",
        ),
    ],
)
def test_what_is_no_fixed_linear_map_says_why(optimizer, why):
    chain, _, words = measured_chain(optimizer, ONE, 60)
    assert chain is None and why in words


@pytest.mark.parametrize("name", ["heavy ball", "nesterov", "sgd"])
def test_what_is_left_is_what_the_optimizer_leaves(name):
    optimizer = {
        "heavy ball": optax.sgd(0.1, momentum=0.9),
        "nesterov": optax.sgd(0.05, momentum=0.8, nesterov=True),
        "sgd": optax.sgd(0.3),
    }[name]
    curvatures, steps = np.array([0.0, 0.3, 2.5]), np.array([0, 1, 2, 7, 12, 40])
    chain = measured_chain(optimizer, ONE, 50).chain
    with float64():
        weight = jnp.ones(3)
        state, found = optimizer.init(weight), [np.ones(3)]
        for _ in range(40):
            update, state = optimizer.update(jnp.asarray(curvatures) * weight, state, weight)
            weight = optax.apply_updates(weight, update)
            found.append(np.asarray(weight))
    assert np.allclose(chain.left(curvatures, steps), np.array(found)[steps], rtol=1e-9)


def test_what_diverges_stays_a_number():
    chain = measured_chain(optax.sgd(1.0, momentum=0.9), ONE, 50).chain
    left = chain.left(np.array([50.0, 0.1]), np.array([0, 10, 10_000, 10_000_000]))
    assert np.all(np.isfinite(left)) and abs(left[-1, 0]) == 1e150 and abs(left[-1, 1]) < 1e-9
