"""Each update rule against its formula, written out for two or three steps."""

from __future__ import annotations

from typing import get_args

import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.optim.by_name import OptimizerName, ScheduleName, make_optimizer, make_schedule

RATE = 0.5
GRADIENTS = np.array([[0.3, -2.0, 1e-4, 0.0], [0.1, 1.0, 2e-4, 0.0], [-0.2, 0.5, -1e-4, 0.0]])


def updates(optimizer):
    """The optimizer's own updates for the gradients above, (3, 4)."""
    state, found = optimizer.init(jnp.zeros(4)), []
    for gradient in GRADIENTS:
        update, state = optimizer.update(jnp.asarray(gradient, jnp.float32), state, jnp.zeros(4))
        found.append(update)
    return np.stack(found)


def rmsprop(rho, eps, inside):
    v, out = np.zeros(4), []
    for g in GRADIENTS:
        v = rho * v + (1 - rho) * g**2
        out.append(-RATE * g / (np.sqrt(v + eps) if inside else np.sqrt(v) + eps))
    return np.stack(out)


def momentum(steps, mu, nesterov):
    """m <- mu m + step; the update is m, or Nesterov's mu m + step."""
    m, out = np.zeros(4), []
    for step in steps:
        m = mu * m + step
        out.append(mu * m + step if nesterov else m)
    return np.stack(out)


def adam(beta1, beta2, eps, inside):
    m, v, out = np.zeros(4), np.zeros(4), []
    for t, g in enumerate(GRADIENTS, start=1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        mean, square = m / (1 - beta1**t), v / (1 - beta2**t)
        out.append(-RATE * mean / (np.sqrt(square + eps) if inside else np.sqrt(square) + eps))
    return np.stack(out)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("eps", [1e-7, 1e-3])
def test_rmsprop_has_eps_where_it_says(eps, inside):
    found = updates(make_optimizer("rmsprop", RATE, rho=0.8, eps=eps, eps_in_sqrt=inside))
    assert np.allclose(found, rmsprop(0.8, eps, inside), rtol=1e-5)
    assert not np.allclose(found, rmsprop(0.8, eps, not inside), rtol=1e-5)


def test_defaults_are_those_of_keras_2_2():
    found = updates(make_optimizer("rmsprop", RATE))
    assert np.allclose(found, rmsprop(0.9, 1e-7, False), rtol=1e-5)
    # From v = 0 the first step is eta / sqrt(1 - rho) against the gradient's sign.
    assert np.allclose(found[0, :2], -RATE / np.sqrt(0.1) * np.sign(GRADIENTS[0, :2]), rtol=1e-4)


@pytest.mark.parametrize("inside", [False, True])
def test_adam_has_eps_where_it_says(inside):
    found = updates(
        make_optimizer("adam", RATE, beta1=0.8, beta2=0.9, eps=1e-3, eps_in_sqrt=inside)
    )
    assert np.allclose(found, adam(0.8, 0.9, 1e-3, inside), rtol=1e-4)
    assert not np.allclose(found, adam(0.8, 0.9, 1e-3, not inside), rtol=1e-4)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_of_sgd(nesterov):
    found = updates(make_optimizer("sgd", RATE, momentum=0.9, nesterov=nesterov))
    assert np.allclose(found, momentum(-RATE * GRADIENTS, 0.9, nesterov), rtol=1e-5)
    assert not np.allclose(found, momentum(-RATE * GRADIENTS, 0.9, not nesterov), rtol=1e-5)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_of_rmsprop_is_of_its_scaled_steps(nesterov):
    found = updates(make_optimizer("rmsprop", RATE, momentum=0.9, nesterov=nesterov))
    assert np.allclose(found, momentum(rmsprop(0.9, 1e-7, False), 0.9, nesterov), rtol=1e-5)


def test_sgd_without_momentum_is_the_gradient():
    assert np.allclose(updates(make_optimizer("sgd", RATE)), -RATE * GRADIENTS, rtol=1e-6)


def test_momentum_is_none_unless_asked_for():
    for name in get_args(OptimizerName):
        again = updates(make_optimizer(name, RATE, momentum=0.0))
        assert np.array_equal(updates(make_optimizer(name, RATE)), again)


def test_a_schedule_is_followed_step_by_step():
    optimizer = make_optimizer("sgd", make_schedule("linear", RATE, 4))
    rates = RATE * (1 - np.arange(3) / 4)
    assert np.allclose(updates(optimizer), -rates[:, None] * GRADIENTS, rtol=1e-6)


def rate(schedule, step):
    return float(schedule(step)) if callable(schedule) else schedule


@pytest.mark.parametrize("name", get_args(ScheduleName))
@pytest.mark.parametrize("warmup", [0, 5])
def test_schedules_begin_rise_and_end_where_they_say(name, warmup):
    steps, eta = 25, 0.2
    schedule = make_schedule(name, eta, steps, warmup)
    for t in range(warmup):
        assert rate(schedule, t) == pytest.approx(eta * t / warmup, abs=1e-7)
    assert rate(schedule, warmup) == pytest.approx(eta)
    rest = steps - warmup
    shapes = {
        "constant": lambda s: 1.0,
        "linear": lambda s: 1 - s,
        "cosine": lambda s: (1 + np.cos(np.pi * s)) / 2,
    }
    for t in range(rest + 1):
        assert rate(schedule, warmup + t) == pytest.approx(eta * shapes[name](t / rest), abs=1e-6)
    end = rate(schedule, steps)
    assert end == pytest.approx(eta if name == "constant" else 0, abs=1e-6)
    assert rate(schedule, steps + 10) == pytest.approx(end, abs=1e-6)


def test_a_warm_up_longer_than_the_run_is_only_a_warm_up():
    schedule = make_schedule("cosine", 1.0, 4, 10)
    assert [rate(schedule, t) for t in range(5)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
