"""Functions on which a certificate was once false, each a kind of its own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxid.core.errors import InputError
from jaxid.verification import check
from jaxid.verification.bounds import output_bounds
from jaxid.verification.check import Original, points
from jaxid.verification.intervals import Interval
from jaxid.verification.network import network

TABLE = np.array([0.1, 0.2, 0.3, 0.4, 0.48], np.float32)
ROWS = (((1,), (0,)), ((), ()))


def cast(x, kind):
    return x.astype(kind)


def real(x):
    return x.astype(jnp.float32)


HELD = {
    "overflow is not a large number": (
        lambda x: jnp.log(1e-3 + (1 / x) ** 2 @ jnp.ones((2, 1))), 2, -1, 1),
    "logarithm of an overflowing sum": (
        lambda x: jnp.clip(-jax.nn.log_softmax(x)[:, :1], 0, 1e4), 3, -500, 500),
    "sums of bytes wrap": (
        lambda x: real(cast(x[:, :1], jnp.int8) + cast(x[:, 1:], jnp.int8)), 2, 100, 120),
    "differences of unsigned bytes wrap": (
        lambda x: real(cast(x[:, :1], jnp.uint8) - cast(x[:, 1:], jnp.uint8)), 2, 0, 200),
    "products of integers wrap": (
        lambda x: real(jnp.prod(cast(x, jnp.int32), axis=1, keepdims=True)), 4, 900, 1000),
    "a lookup beyond its table": (
        lambda x: jnp.take(TABLE, cast(x, jnp.int32), fill_value=7.0), 1, 3, 9),
    "a lookup that is NaN beyond": (lambda x: jnp.take(TABLE, cast(x, jnp.int32)), 1, 3, 9),
    "a cast to four bits": (lambda x: x - real(cast(x, jnp.int4)), 1, -3, 3),
    "padding that crops": (
        lambda x: lax.reduce_window(
            x, -jnp.inf, lax.max, (1, 2), (1, 1), ((0, 0), (-1, 0))), 3, 1, 3),
    "no value, clipped": (lambda x: jnp.clip(jnp.log(x[:, :1]) + x[:, 1:], -1, 1), 2, -1, 1),
    "offsets that cancel": (
        lambda x: (x[:, :1] + 1e9) + (x[:, 1:] - (1e9 - 64)) - x[:, :1] - x[:, 1:], 2, 0, 1),
    "bytes multiplied into integers": (
        lambda x: real(lax.dot_general(cast(x, jnp.int8), jnp.full((4, 2), 100, jnp.int8), ROWS,
                                       preferred_element_type=jnp.int32)), 4, 2, 3),
    "a loop over constants": (
        lambda x: lax.scan(lambda h, w: (jax.nn.relu(h @ w), None), x, jnp.ones((3, 2, 2)))[0],
        2, -1, 1),
    "a branch that is constant": (
        lambda x: lax.cond(jnp.array(True), jnp.sin, jnp.cos, x), 2, -1, 1),
    "a scan in parallel": (lambda x: lax.associative_scan(jnp.add, x, axis=1), 4, -1, 1),
    "a unit vector": (
        lambda x: x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12), 3, -1, 1),
}  # fmt: skip
REFUSED = {
    "windows in the padding": (
        lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 2), (1, 1), ((0, 0), (2, 2))), 3),
    "a cast from half precision": (
        lambda x: x - real(cast(cast(x, jnp.bfloat16), jnp.int32)), 1),
    "a layer in bfloat16": (
        lambda x: real(cast(x, jnp.bfloat16) @ jnp.ones((3, 2), jnp.bfloat16)), 3),
    "products accumulated in float16": (
        lambda x: real(lax.dot_general(x, jnp.ones((3, 2)), ROWS,
                                       preferred_element_type=jnp.float16)), 3),
    "numbers beyond float64": (lambda x: (1000 * x) ** 103, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", HELD)
def test_no_point_is_beyond_what_is_claimed(name, monkeypatch):
    monkeypatch.setattr(check, "RANDOM", 2000)
    function, inputs, low, high = HELD[name]
    with jax.numpy_rank_promotion("allow"):
        net = network(function, (inputs,), np.float32)
        box = Interval(np.full(inputs, float(low)), np.full(inputs, float(high)))
        bounds = output_bounds(net, box, "crown").output
        x = points(net, box, jax.random.key(0))
        original = Original(function)
        values = [np.asarray(part(x)).reshape(len(x), -1) for part in (original.wide, original.own)]
    for each, slack in zip(values, (1e-9, 2e-6), strict=True):
        room = slack * (1 + np.abs(x).max())
        if "offsets" in name:
            # Evaluating it loses what cancels; the bounds don't.
            room = 1e-6
        known = np.isfinite(bounds.low) & np.isfinite(bounds.high)
        # Where there is no value nothing may be claimed.
        assert np.all(np.isfinite(each) | ~known[None])
        if "offsets" in name and slack > 1e-9:
            continue  # float32 has no room for the offset at all
        inside = (each >= bounds.low[None] - room) & (each <= bounds.high[None] + room)
        assert np.all(inside | ~np.isfinite(each))


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_sound_reading_is_refused_in_one_line(name):
    function, inputs = REFUSED[name]
    with pytest.raises(InputError) as refused, jax.numpy_rank_promotion("allow"):
        network(function, (inputs,), np.float32)
    assert "\n" not in str(refused.value) and "test_found_false.py:" in str(refused.value)
