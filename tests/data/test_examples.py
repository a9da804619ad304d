"""The stream over examples: every example once, sums that do not depend on the cut."""

from __future__ import annotations

import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxid.core import interrupt
from jaxid.core.precision import float64
from jaxid.data import examples
from jaxid.data.examples import host, mean, placed, slices, total


@given(st.integers(0, 50), st.integers(1, 60), st.booleans())
def test_every_example_comes_once_and_in_order(count, most, whole):
    parts = list(slices(count, most=most, whole=whole))
    assert [k for part in parts for k in range(count)[part]] == list(range(count))
    assert all(0 < part.stop - part.start <= (count if whole else most) for part in parts)
    assert len(parts) == (min(count, 1) if whole else -(-count // most))


def test_copies_on_the_host_are_of_the_type_that_is_asked_for(monkeypatch):
    monkeypatch.setattr(examples, "HOST", 4)
    x, y = np.arange(10, dtype=np.uint8)[:, None], np.arange(10)
    found = list(host(x, y))
    assert all(a.dtype == b.dtype == np.float64 for a, b in found)
    assert len(found) == 3 and np.array_equal(np.concatenate([a for a, _ in found]), x)


def test_what_is_placed_is_as_it_is_stored(monkeypatch):
    monkeypatch.setattr(examples, "DEVICE", 4)
    x = np.arange(10, dtype=np.uint8)[:, None]
    found = list(placed(x))
    assert [part[1].dtype for part in found] == [jnp.uint8] * 3
    assert all(np.array_equal(x[rows], at) and y is None for rows, at, y in found)
    ((rows, at, y),) = placed(x, x, whole=True)
    assert at.shape == y.shape == (10, 1) and rows == slice(0, 10)


@pytest.mark.parametrize("count", [1, 3, 4, 7, 8, 9])
@pytest.mark.parametrize("whole", [False, True])
def test_totals_do_not_depend_on_the_cut(count, whole, monkeypatch):
    monkeypatch.setattr(examples, "DEVICE", 4)
    x = np.random.default_rng(count).normal(size=(count, 3))
    with float64():
        data = jnp.asarray(x)

        def part(rows, valid):
            kept = jnp.where(valid[:, None], data[rows], 0.0)
            return {"sum": kept.sum(axis=0), "count": valid.sum(dtype=jnp.int32)}

        found = jax.jit(lambda: total(part, count, whole=whole))()
    assert np.allclose(found["sum"], x.sum(axis=0), rtol=1e-13) and found["count"] == count


@pytest.mark.parametrize("chunk", [1, 2, 5, 9, 10, 30])
def test_means_do_not_depend_on_the_cut(chunk):
    x = np.random.default_rng(0).normal(size=(10, 3))
    with float64():
        data = {"x": jnp.asarray(x), "w": jnp.arange(10.0)}
        found = jax.jit(
            lambda data: mean(
                lambda b: (b["x"] * b["w"][:, None]).mean(axis=0), data, chunk, jnp.zeros(3)
            )
        )(data)
    assert np.allclose(found, (x * np.arange(10.0)[:, None]).mean(axis=0), rtol=1e-12)


def test_an_interrupt_comes_between_two_chunks():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    done = []
    try:
        with interrupt.listening(), pytest.raises(KeyboardInterrupt):
            for part in slices(9, most=3):
                done.append(part)
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(done) == 1
