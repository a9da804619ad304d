"""What has no value somewhere has no bound there, whatever identities of real arithmetic say."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.core.errors import Fault
from jaxid.tracing import expressions as one
from jaxid.tracing import validity, values
from jaxid.verification import check
from jaxid.verification.bounds import output_bounds
from jaxid.verification.intervals import Interval
from jaxid.verification.network import network

W = np.array([[1.0, -0.5], [0.5, 1.0]], np.float32)
F = np.float32
MASK = np.array([[1.0, 0.0]], np.float32)


def logs(x):
    """Logarithms of what may be negative, mixed."""
    return jnp.log(x) @ W


FORGETFUL = {
    "NaN chosen against": lambda x: jnp.where(jnp.isnan(jnp.log(x)), 1.0, 0.0),
    "infinity chosen against": lambda x: jnp.where(jnp.isinf(1 / x), 1.0, 5.0),
    "below infinity": lambda x: jnp.where(1 / x < jnp.inf, 1.0, 5.0),
    "zero times": lambda x: 0.0 * jnp.log(x),
    "a truth value times": lambda x: (x > 0) * jnp.log(x),
    "itself taken off": lambda x: jnp.log(x) - jnp.log(x),
    "taken off again": lambda x: (jnp.log(x) + x) - jnp.log(x),
    "a power of zero": lambda x: jnp.log(x) ** 0,
    "its sign": lambda x: jnp.sign(jnp.log(x)),
    "cut off": lambda x: jnp.log(x).astype(jnp.int32) * 1.0,
    "nodes: zero times": lambda x: 0.0 * logs(x),
    "nodes: zeros times": lambda x: MASK * logs(x),
    "nodes: zeros in a matrix": lambda x: logs(x) @ np.array([[0.0], [0.0]], np.float32) + x[:, :1],
    "nodes: a test for NaN": lambda x: jnp.where(jnp.isnan(logs(x)), 1.0, 2.0),
    "nodes: two tests": lambda x: jnp.where(
        jnp.isnan(logs(x)) | jnp.isnan(jnp.sqrt(x) @ W), 1.0, 2.0
    ),
    "nodes: a finite number": lambda x: jnp.where(jnp.isfinite(logs(x)), 1.0, 2.0),
    "nodes: NaN made a number": lambda x: jnp.nan_to_num(logs(x)),
}


def bounded(function, low, high):
    """Bounds that the function was compared with."""
    with jax.numpy_rank_promotion("allow"):
        net = network(function, (2,), np.float32)
        box = Interval(np.full(2, low), np.full(2, high))
        bounds = output_bounds(net, box, "intervals").output
        check.check(
            net, check.Original(function), box, bounds.low, bounds.high, np.full((1, 2), high),
            jax.random.key(0),
        )  # fmt: skip
    return bounds


@pytest.mark.parametrize("name", FORGETFUL)
def test_no_bound_where_there_may_be_no_value(name):
    wide, narrow = bounded(FORGETFUL[name], -1.0, 1.0), bounded(FORGETFUL[name], 0.5, 2.0)
    assert np.isinf(wide.low).any() and np.isinf(wide.high).any()
    assert np.isfinite(narrow.low).all() and np.isfinite(narrow.high).all()


def normalised(x):
    """Divided by its root mean square: what float arithmetic might make NaN of, and doesn't."""
    return (x / jnp.sqrt(0.01 + jnp.mean(jnp.square(x), 1, keepdims=True))) @ W


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jax.nn.softplus(normalised(x)),
        lambda x: jnp.logaddexp(normalised(x)[:, :1], normalised(x)[:, 1:]),
        lambda x: jnp.interp(normalised(x), jnp.array([-2.0, 0, 2]), jnp.array([0.0, 1, -1])),
        lambda x: jax.nn.softplus((x / (1 + jnp.abs(x))) @ W),
        lambda x: jnp.where(x > 0.1, jnp.log(jnp.where(x > 0.1, x, 1.0)), 0.0),
    ],
)
def test_tests_for_nan_inside_of_library_functions_are_read(function):
    found = bounded(function, -1.0, 1.0)
    assert np.isfinite(found.low).all() and np.isfinite(found.high).all()


def test_an_operation_that_forgets_is_caught_by_the_net(monkeypatch):
    monkeypatch.setattr(values.Builder, "guard", lambda self, value: None)
    with pytest.raises(Fault, match="no value"):
        bounded(FORGETFUL["itself taken off"], -1.0, 1.0)


def test_what_plainly_has_a_value_is_not_doubted():
    z = one.Z
    near = one.function("sqrt", one.plus(one.power(z, 2), one.number(1e-8)))
    assert not validity.partial(near)
    assert not validity.partial(one.reciprocal(one.plus(near, one.number(1))))
    assert not validity.partial(one.reciprocal(near))
    assert validity.partial(one.reciprocal(z)) and validity.partial(one.function("log", z))
    # 1 / sqrt(z) asks for more than sqrt(z).
    root = one.function("sqrt", z)
    assert validity.forgotten(one.reciprocal(root), [root]) == []
    assert validity.forgotten(one.power(root, 2), [one.reciprocal(root)]) != []


def sometimes(x):
    """A logarithm that is chosen where it may have no value."""
    return jnp.where(x > -0.5, jnp.log(x), 0.0)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: 0.0 * sometimes(x),
        lambda x: sometimes(x) - sometimes(x),
        lambda x: (sometimes(x) + x) - sometimes(x),
        lambda x: 0.0 * (sometimes(x) @ W),
        lambda x: jnp.exp(sometimes(x)) * jnp.exp(-sometimes(x)),
        lambda x: jnp.log(jnp.exp(sometimes(x))) - sometimes(x),
        lambda x: jnp.where(jnp.isnan(sometimes(x)), 7.0, 1.0),
        lambda x: jnp.where(jnp.isnan(sometimes(x) @ W), 7.0, 1.0),
        lambda x: jnp.where(sometimes(x) >= sometimes(x), 1.0, 5.0),
        lambda x: jax.nn.softmax(jnp.log(x[:, :1]) + x @ np.array([[0.0, 0.0], [1, -1]], F)),
        lambda x: jax.nn.log_softmax(jnp.log(x[:, :1]) + x @ np.array([[0.0, 0.0], [1, -1]], F)),
    ],
)
def test_what_a_branch_that_is_taken_has_not_counts(function):
    found = bounded(function, -1.0, 1.0)
    assert np.isinf(found.low).any() and np.isinf(found.high).any()
    fine = bounded(function, 0.5, 2.0)
    assert np.isfinite(fine.low).all() and np.isfinite(fine.high).all()


def test_a_branch_that_is_not_taken_does_not_count():
    def function(x):
        return jnp.where(x > 0.1, jnp.log(jnp.maximum(x, 0.1)), 0.0) * 0.0

    found = bounded(function, -1.0, 1.0)
    np.testing.assert_allclose([*found.low, *found.high], 0.0, atol=1e-200)


def test_elements_that_are_read_by_columns_first_stay_what_they_are():
    grid = lambda x: x.reshape(-1, 1, 2) + np.array([[[0.0, 1], [2, 3]]], F)  # noqa: E731
    found = bounded(lambda x: jax.lax.reshape(grid(x), (x.shape[0], 4), (0, 2, 1)), 0.0, 0.1)
    np.testing.assert_allclose(found.low, [0, 2, 1, 3], atol=1e-9)
