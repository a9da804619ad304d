"""The Runner: layouts, traces, seeds that diverge, censuses, annealing."""

from __future__ import annotations

import functools
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxid.core.random import role_key, seed_key
from jaxid.nets.mlp import identity_network
from jaxid.nets.model import Model
from jaxid.optim.by_name import make_optimizer
from jaxid.problem.problem import Problem
from jaxid.training.metrics import make_evaluate
from jaxid.training.run import Runner, census_steps

D, N, BATCH, EPOCHS = 6, 31, 4, 3
PER_EPOCH = 8
DRAW = np.random.default_rng(0)
X = DRAW.integers(0, 17, (N, D)).astype(np.uint8)
X[:, 0] = 0
TEST = DRAW.integers(0, 17, (9, D)).astype(np.uint8)
LAYOUTS = ("sequential", "vmap")


def problem(**choices):
    given = {
        "model": identity_network(D, depth=2),
        "train": (X, None),
        "test": (TEST, None),
        "optimizer": make_optimizer("rmsprop", 1e-2),
        "batch_size": BATCH,
        "epochs": EPOCHS,
        **choices,
    }
    return Problem(**given)


@functools.cache
def runner(layout):
    return Runner(problem(), layout)


@functools.cache
def trained():
    return runner("sequential").train([0, 1, 5], census=True)


def same(a, b):
    return jax.tree.all(jax.tree.map(lambda x, y: np.array_equal(x, y), a, b))


def test_layouts_start_from_the_same_bits():
    first, second = (runner(layout).init([0, 1, 5]) for layout in LAYOUTS)
    assert same(first.params, second.params)
    alone = runner("sequential").init([5])
    assert same(
        jax.tree.map(lambda leaf: leaf[0], alone.params),
        jax.tree.map(lambda leaf: leaf[2], first.params),
    )
    direct = problem().init(role_key(seed_key(5), "init"))
    assert same(jax.tree.map(lambda leaf: leaf[2], first.params), direct)


@functools.cache
def revealing(layout):
    """Example i has the loss 2^i whatever the parameters: a batch's loss names its rows."""
    powers = (2.0 ** np.arange(24)).astype(np.float32)[:, None]
    p = problem(
        model=Model(lambda key, x: jnp.zeros(()), lambda w, x: x + 0 * w),
        loss=lambda f, y: f[:, 0],
        train=(powers, None),
        test=None,
        optimizer=optax.sgd(0.0),
    )
    return Runner(p, layout)


def test_layouts_see_the_same_batches_bit_for_bit():
    losses = [revealing(layout).losses([0, 1], name="")[0] for layout in LAYOUTS]
    assert losses[0].shape == (2, EPOCHS * 6)
    assert np.array_equal(*losses)
    assert not np.array_equal(losses[0][0], losses[0][1]), "seeds have orders of their own"


def test_layouts_agree_on_the_first_ten_losses():
    first, second = (runner(layout).losses([0, 1, 5], name="")[0] for layout in LAYOUTS)
    assert np.allclose(first[:, :10], second[:, :10], rtol=1e-5)


def test_a_seed_is_the_same_alone_and_among_others():
    alone, _ = runner("sequential").losses([5], name="")
    assert np.array_equal(alone[0], trained().step_loss[2])


def test_records_have_their_shapes_and_agree_with_each_other():
    h = trained()
    assert h.step_loss.shape == h.step_original.shape == (3, EPOCHS * PER_EPOCH)
    assert h.train.shape == h.test.shape == (3, EPOCHS)
    sizes = np.array([4] * 7 + [3]) / N
    assert np.allclose(h.train, h.step_loss.reshape(3, EPOCHS, PER_EPOCH) @ sizes, rtol=1e-5)
    assert np.allclose(h.test[:, -1], h.test_end.loss, rtol=1e-6)
    assert h.state.step.tolist() == [EPOCHS * PER_EPOCH] * 3
    assert h.first_bad.tolist() == [-1] * 3
    evaluate = make_evaluate(problem())
    params = jax.tree.map(lambda leaf: leaf[1], h.state.params)
    assert np.isclose(h.train_end.loss[1], evaluate(params, jnp.asarray(X), None).loss, rtol=1e-5)


def test_losses_alone_are_those_of_a_whole_run():
    original, first_bad = runner("sequential").losses([0, 1, 5], name="")
    assert np.array_equal(original, trained().step_original)
    assert first_bad.tolist() == [-1] * 3


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_trace_serves_all_seeds_and_epochs(layout):
    net, calls = identity_network(D), {"n": 0}

    def counted(function):
        def call(params, x):
            calls["n"] += 1
            return function(params, x)

        return call

    model = net._replace(apply=counted(net.apply), inspect=counted(net.inspect))
    run = Runner(problem(model=model), layout)
    first = run.train([0, 1], epochs=1, census=True)
    once = calls["n"]
    assert once > 0
    run.train([7, 8], epochs=3, census=True)
    run.losses([3, 4], name="")
    run.anneal(first.state, 2, name="")
    assert calls["n"] == once


# One weight, loss w^2 and a rate of 2: w is multiplied by -3 at each step, whatever the data.
# From 1.8e12 w^2 leaves float32 at the step at which a batch's sum 4 w^2 does.
START, FACTOR = 1.8e12, 3.0
OVERFLOW, NAN = 1, 2


def diverging():
    """Seed 1 starts far out, seed 2 from NaN, all others from 1."""
    marks = [jax.random.key_data(role_key(seed_key(s), "init")) for s in (OVERFLOW, NAN)]

    def init(key, x):
        far, bad = (jnp.all(jax.random.key_data(key) == mark) for mark in marks)
        return jnp.where(far, START, jnp.where(bad, jnp.nan, 1.0))

    return problem(
        model=Model(init, lambda w, x: x[:, :1] * 0 + w),
        loss=lambda f, y: jnp.square(f[:, 0]),
        test=None,
        optimizer=optax.sgd(2.0),
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_seeds_that_diverge_are_reported_with_their_step_and_harm_no_other(layout):
    run = Runner(diverging(), layout)
    h = run.train([0, OVERFLOW, NAN, 3])
    w = START * FACTOR ** np.arange(EPOCHS * PER_EPOCH)
    largest = float(np.finfo(np.float32).max)
    step = int(np.argmax(w**2 > largest))
    assert 0 < step < w.size and BATCH * w[step - 1] ** 2 < largest
    assert h.first_bad.tolist() == [-1, step, 0, -1]
    assert np.allclose(h.step_loss[1, :step], w[:step] ** 2, rtol=1e-4)
    assert not np.isfinite(h.step_loss[1, step:]).any()
    assert np.isfinite(h.step_loss[[0, 3]]).all() and np.isfinite(h.train_end.loss[[0, 3]]).all()
    healthy = run.train([0, 4, 5, 3])
    assert np.array_equal(h.step_loss[[0, 3]], healthy.step_loss[[0, 3]])
    assert run.losses([0, OVERFLOW, NAN, 3], name="")[1].tolist() == [-1, step, 0, -1]
    assert h.test.shape == (4, 0) and h.test_end is None and h.census is None


def test_census_steps_are_spread_over_the_first_epoch():
    assert census_steps(1) == [0] and census_steps(2) == [0, 1]
    for per_epoch in (3, 47, 469):
        steps = census_steps(per_epoch)
        assert steps[0] == 0 and steps[-1] == per_epoch - 1 and len(steps) <= 21
        assert steps == sorted(set(steps))
    # Log-spaced: as many in 1..21 as in 21..468.
    assert abs(sum(s < 21.6 for s in census_steps(469)[1:]) - 10) <= 3


def test_a_census_counts_units_that_never_fire():
    h = trained()
    census = h.census
    expected = census_steps(PER_EPOCH) + [PER_EPOCH * (e + 1) for e in range(EPOCHS)]
    assert census.step.tolist() == expected
    assert np.allclose(census.epoch, np.array(expected) / PER_EPOCH)
    assert [layer.shape for layer in census.dead] == [(3, len(expected), D)] * 2
    p = problem()
    ends = {0: runner("sequential").init([0, 1, 5]).params, -1: h.state.params}
    for at, stacked in ends.items():
        for seed in range(3):
            params = jax.tree.map(lambda leaf, s=seed: leaf[s], stacked)
            seen = p.net.inspect(params, jnp.asarray(X, jnp.float32))
            for layer, z in zip(census.dead, seen.preactivations, strict=True):
                assert np.array_equal(layer[seed, at], ~(np.asarray(z) > 0).any(axis=0))
            loss = np.mean((np.asarray(seen.outputs) - X) ** 2, axis=0)
            assert np.allclose(census.output_loss[seed, at], loss, rtol=1e-4)
            assert np.isclose(census.loss[seed, at], loss.mean(), rtol=1e-4)


def test_counting_changes_no_number():
    plain = runner("sequential").train([0, 1, 5])
    assert np.array_equal(plain.step_loss, trained().step_loss)
    assert same(plain.state.params, trained().state.params)


def test_annealing_sees_the_batches_of_the_epochs_that_would_follow():
    run = revealing("sequential")
    longer = run.train([0, 1], epochs=EPOCHS + 2)
    annealed = run.anneal(run.train([0, 1]).state, 2, name="")
    assert np.array_equal(annealed.step_loss, longer.step_loss[:, EPOCHS * 6 :])
    assert not np.array_equal(annealed.step_loss, longer.step_loss[:, : 2 * 6])


def test_annealing_leaves_the_trained_states_alone():
    run, h = runner("sequential"), trained()
    before = jax.tree.map(np.array, h.state.params)
    short, long = (run.anneal(h.state, epochs, name="") for epochs in (2, 4))
    assert same(before, h.state.params)
    assert short.train.shape == (3, 2) and long.train.shape == (3, 4)
    assert short.state.step.tolist() == [(EPOCHS + 2) * PER_EPOCH] * 3
    # Same start and same first batch; after it the longer ramp is steeper by a little.
    assert np.array_equal(short.step_loss[:, 0], long.step_loss[:, 0])
    assert not np.array_equal(short.step_loss[:, 1], long.step_loss[:, 1])


def test_the_update_falls_to_nothing_while_annealing():
    """The gradient is 1 throughout: w falls by the rate times the sum of the factors."""
    p = problem(
        model=Model(lambda key, x: jnp.zeros(()), lambda w, x: x[:, :1] * 0 + w),
        loss=lambda f, y: f[:, 0],
        test=None,
        optimizer=optax.sgd(0.1),
    )
    run = Runner(p)
    h = run.train([0, 1])
    annealed = run.anneal(h.state, 2, name="")
    length = 2 * PER_EPOCH
    factors = 1 - (np.arange(length) + 0.5) / length
    assert np.allclose(h.state.params, -0.1 * EPOCHS * PER_EPOCH, rtol=1e-5)
    path = np.asarray(h.state.params)[0] - 0.1 * np.concatenate([[0], np.cumsum(factors)])
    assert np.allclose(annealed.step_loss[0], path[:-1], rtol=1e-5)
    assert np.allclose(annealed.state.params, path[-1], rtol=1e-5)


class Recorder:
    """A reporter that writes down what it is told."""

    def __init__(self):
        self.tasks, self.done, self.notes = [], 0, []

    @contextmanager
    def task(self, name, total):
        self.tasks.append((name, total))
        yield self

    def advance(self, steps=1, note=""):
        self.done += steps
        self.notes.append(note)


def test_progress_is_reported_to_the_end():
    told = Recorder()
    runner("sequential").train([0, 1, 5], name="training", reporter=told)
    assert told.tasks == [("training", EPOCHS * 3)] and told.done == EPOCHS * 3
    assert told.notes[0] == f"epoch 1/{EPOCHS}" and "loss" in told.notes[-1]
