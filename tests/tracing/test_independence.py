"""Which functions are proved to treat the examples of a batch apart and alike."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, case
from flax import linen, nnx
from jax import lax

from jaxid.core.precision import float64
from jaxid.nets.adapters import from_linen, from_nnx
from jaxid.tracing.independence import BATCHES, coupling
from jaxid.tracing.independence_rules import Reason

W = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
TABLE = np.random.default_rng(1).normal(size=(9, 4)).astype(np.float32)


def _module(factory, *shape):
    """A network as a function of its inputs, its state rebuilt inside."""
    model = from_nnx(factory)
    params = model.init(jax.random.key(0), jnp.ones((1, *shape)))
    return functools.partial(model.apply, params)


class Pooled(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(2, 3, (3, 3), rngs=rngs)
        self.out = nnx.Linear(12, 3, rngs=rngs)

    def __call__(self, x):
        x = nnx.max_pool(nnx.relu(self.conv(x)), (2, 2), strides=(2, 2))
        return self.out(nnx.avg_pool(x, (1, 1)).reshape(x.shape[0], -1))


class Statistics(linen.Module):
    @linen.compact
    def __call__(self, x):
        x = linen.BatchNorm(use_running_average=True)(linen.Dense(3)(x))
        return linen.LayerNorm()(linen.gelu(linen.Dense(4)(x)))


def _linen(module, *shape):
    model = from_linen(module)
    params = model.init(jax.random.key(0), jnp.ones((1, *shape)))
    return functools.partial(model.apply, params)


def _centred(x):
    return x - x.mean(axis=0, keepdims=True)


def _kinds(x):
    return jnp.clip(jnp.floor(x), 0, 8).astype(jnp.int32)


def _recurrent(x):
    """Over the features one after the other, from a state of zeros."""

    def step(state, column):
        state = jnp.tanh(state @ jnp.asarray(W) + column[:, None])
        return state, state[:, 0]

    state, columns = lax.scan(step, jnp.zeros((x.shape[0], 4), x.dtype), x.T)
    return state + columns.T


def _layers(x):
    return lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, jnp.stack([W, W, W]))[0]


def _forces(x):
    """A gradient by the input, through maxima in windows."""

    def energy(x):
        pooled = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2), (1, 2), "VALID")
        return jnp.square(pooled).sum(axis=1)

    return jax.vjp(energy, x)[1](jnp.ones(x.shape[0], x.dtype))[0]


def _doubling(row):
    """A loop that takes each example as many steps as it needs."""
    return lax.while_loop(lambda r: r.sum() < 10, lambda r: 2 * r + 1, row)


def _folded(x):
    """Axes merged with the batch's and split off again, in another order of axes."""
    y = jnp.tanh(x.reshape(-1, 2)).reshape(x.shape[0], 2, 2)
    return jnp.transpose(jnp.moveaxis(y, 0, 2)[::-1], (2, 0, 1)).reshape(x.shape)


def _products(x):
    square = x.reshape(-1, 2, 2)
    return jnp.einsum("bij,bjk->bik", square, square)


def _written(x):
    """Entries of each example overwritten, at places it chooses and at fixed ones."""
    rows, best = jnp.arange(x.shape[0]), jnp.argmax(x, axis=1)
    x = x.at[rows, best].add(1.0).at[:, 0].set(2.0).at[:, jnp.array([1, 2])].multiply(3.0)
    spread = jnp.zeros((x.shape[0], 6), x.dtype).at[:, 1:5].set(x)
    return jax.vmap(lambda row: row.at[jnp.argmin(row)].set(0.0))(spread)


def _read(x):
    """Entries of each example read, at places it chooses."""
    rows, best = jnp.arange(x.shape[0]), jnp.argmax(x, axis=1)
    sorted_ = jnp.take_along_axis(x, jnp.argsort(x, axis=1), axis=1)
    dynamic = jax.vmap(lambda row: lax.dynamic_slice(row, (jnp.argmax(row),), (2,)))(x)
    grid = x[rows[:, None], _kinds(x)[:, :2] % 4]
    return jnp.concatenate([x[rows, best][:, None], sorted_, dynamic, grid, x[:, [0, 2]]], axis=1)


def _each(x):
    scales = jnp.arange(1.0, 4.0)
    return lax.map(lambda row: lax.fori_loop(0, 3, lambda k, r: r * scales[k], row).sum(), x)


def _branches(x):
    kept = lax.cond(jnp.asarray(True), lambda y: y, _centred, x)
    return lax.scan(
        lambda h, k: (lax.switch(k, [jnp.sin, jnp.cos, lambda y: 2 * y], h), None),
        kept,
        jnp.arange(3),
    )[0]


PROVED = {
    "nothing at all": lambda x: x,
    "a constant": lambda x: jnp.ones((x.shape[0], 3)),
    "dense": lambda x: jnp.tanh(x @ W) @ TABLE.T + 1,
    "one number of each": lambda x: x[:, 0],
    "softmax": lambda x: jax.nn.softmax(x, axis=1),
    "normalised": lambda x: (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True),
    "features drawn once": lambda x: x @ jax.random.normal(jax.random.key(7), (4, 2)),
    "draws that are not used": lambda x: (jax.random.normal(jax.random.key(7), x.shape), x)[1],
    "mixing that is not used": lambda x: (x - x.mean(axis=0, keepdims=True), x)[1],
    "embedding": lambda x: jnp.asarray(TABLE)[_kinds(x)].sum(axis=1),
    "taken": lambda x: jnp.take(jnp.asarray(TABLE), _kinds(x)[:, 0], axis=0),
    "one-hot": lambda x: jax.nn.one_hot(_kinds(x), 9) @ TABLE,
    "interpolated": lambda x: jnp.interp(x, jnp.arange(5.0), jnp.sin(jnp.arange(5.0))),
    "searched": lambda x: jnp.searchsorted(jnp.arange(5.0), x, method="compare_all"),
    "flattened": lambda x: (x.reshape(-1) * 2).reshape(x.shape),
    "folded": _folded,
    "transposed": lambda x: (W @ x.T).T,
    "einsum": lambda x: jnp.einsum("bi,ij,bj->bij", x, W, x),
    "products of each": _products,
    "fft": lambda x: jnp.abs(jnp.fft.fft(x, axis=1)),
    "sorted": lambda x: jnp.sort(x, axis=1)[:, ::-1] + lax.top_k(x, 4)[0] + jnp.cumsum(x, axis=1),
    "shaped": lambda x: jnp.concatenate([jnp.tile(x, (1, 2)), jnp.repeat(x, 2, axis=1)], axis=1),
    "padded": lambda x: jnp.pad(jnp.concatenate(jnp.split(x, 2, axis=1), axis=1), ((0, 0), (1, 2))),
    "stacked": lambda x: jnp.stack(jnp.unstack(x, axis=1), axis=0).T,
    "offsets for all": lambda x: x + jnp.tile(jnp.arange(4.0), (x.shape[0], 1)),
    "made by NumPy": lambda x: x + np.ones(x.shape, np.float32) * np.arange(4, dtype=np.float32),
    "updated": lambda x: lax.dynamic_update_slice(x, 2 * x[:, :2], (0, 1)),
    "layers": _layers,
    "recurrent": _recurrent,
    "forces": _forces,
    "loop": jax.vmap(_doubling),
    "branch of each": jax.vmap(lambda r: lax.cond(r[0] > 0, jnp.sin, jnp.cos, r)),
    "branches": _branches,
    "written": _written,
    "read": _read,
    "mapped": _each,
    "rematerialised": jax.checkpoint(jax.jit(lambda x: jax.nn.relu(x @ W))),
    "conv of each": jax.vmap(lambda r: jnp.convolve(r, jnp.ones(3), mode="same")),
    "printed": lambda x: (jax.debug.print("{}", x[0, 0]), x)[1],
    "window": lambda x: lax.reduce_window(x, 1.0, lax.mul, (1, 2), (1, 1), "SAME"),
    "reduced": lambda x: lax.reduce(x, 1.0, lax.mul, (1,)),
    "tree": lambda x: {"a": x, "b": (x.sum(axis=1),)},
}


@pytest.mark.parametrize("name", PROVED)
def test_what_treats_examples_apart_is_proved(name):
    assert coupling(PROVED[name], (4,)) is None


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_proved(name):
    problem, params, data = case(name, np.float32)
    x = data[0]
    assert coupling(functools.partial(problem.net.apply, params), x.shape[1:], x.dtype) is None


@pytest.mark.parametrize("name", ["relu", "attention", "linen"])
def test_cases_are_proved_in_double_precision(name):
    with float64():
        problem, params, data = case(name)
        apply = functools.partial(problem.net.apply, params)
        assert coupling(apply, data[0].shape[1:], np.float64) is None


MODULES = {
    "pooled": (Pooled, (4, 4, 2)),
    "layer norm": (lambda rngs: nnx.LayerNorm(4, rngs=rngs), (4,)),
    "rms norm": (lambda rngs: nnx.RMSNorm(4, rngs=rngs), (4,)),
    "group norm": (lambda rngs: nnx.GroupNorm(4, num_groups=2, rngs=rngs), (4,)),
    "frozen": (lambda rngs: nnx.BatchNorm(4, use_running_average=True, rngs=rngs), (4,)),
    "attention": (lambda rngs: nnx.MultiHeadAttention(2, 4, decode=False, rngs=rngs), (3, 4)),
    "no dropout": (lambda rngs: nnx.Dropout(0.5, deterministic=True, rngs=rngs), (4,)),
    "lstm": (lambda rngs: nnx.RNN(nnx.LSTMCell(4, 3, rngs=rngs)), (5, 4)),
    "grouped": (lambda rngs: nnx.Conv(4, 4, (3,), feature_group_count=2, rngs=rngs), (5, 4)),
    "upwards": (lambda rngs: nnx.ConvTranspose(4, 2, (3,), strides=2, rngs=rngs), (5, 4)),
}


@pytest.mark.parametrize("name", MODULES)
def test_flax_layers_are_proved(name):
    factory, shape = MODULES[name]
    assert coupling(_module(factory, *shape), shape) is None


def test_a_linen_network_is_proved():
    assert coupling(_linen(Statistics(), 4), (4,)) is None


def _far_out(x):
    mean = x.mean(axis=0, keepdims=True)
    return x - jnp.where(mean > 1e6, mean, 0)


def _noise_of_the_input(x):
    return x + jax.random.normal(jax.random.key(x[0, 0].astype(int)), (1, 4))


def _own_noise(row):
    return row + jax.random.normal(jax.random.key(row[0].astype(int)), (4,))


def _carried(x):
    """What one example leaves is what the next one starts from."""
    return lax.scan(lambda total, row: (total + row, total), jnp.zeros(4), x)[1]


def _longest(x):
    """A loop that goes on for all as long as one example needs it."""
    return lax.while_loop(lambda y: y.sum() < 10, lambda y: 2 * y + 1, x)


def _late(x):
    """Only in large batches is there a place that this changes."""
    return x + (jnp.arange(x.shape[0]) >= 100).astype(x.dtype)[:, None]


def _rare(x):
    """So rare a draw that all examples see the same at the sizes tried."""
    return jnp.where(jax.random.uniform(jax.random.key(0), x.shape) < 1e-12, 0, x)


def _steps(x):
    return lax.fori_loop(0, x.shape[0], lambda _, y: 1.1 * y, x)


REFUSED = {
    "centred": (_centred, Reason.MIXED),
    "far out": (_far_out, Reason.MIXED),
    "the first for all": (lambda x: jnp.broadcast_to(x[:1], x.shape), Reason.MIXED),
    "reversed": (lambda x: jnp.flip(x, 0), Reason.MIXED),
    "against the reverse": (lambda x: x - x[::-1], Reason.MIXED),
    "rolled": (lambda x: jnp.roll(x, 1, axis=0), Reason.MIXED),
    "summed up": (lambda x: jnp.cumsum(x, axis=0), Reason.MIXED),
    "sorted": (lambda x: jnp.sort(x, axis=0), Reason.MIXED),
    "similarities": (lambda x: x @ x.T @ x, Reason.MIXED),
    "covariance": (lambda x: x @ (x.T @ x), Reason.MIXED),
    "distances": (lambda x: jnp.abs(x[:, None] - x[None]).sum(axis=1), Reason.MIXED),
    "attention among examples": (lambda x: jax.nn.softmax(x @ x.T) @ x, Reason.MIXED),
    "fft": (lambda x: jnp.abs(jnp.fft.fft(x, axis=0)), Reason.MIXED),
    "one total": (lambda x: x.sum(), Reason.MIXED),
    "flat": (lambda x: x - x.reshape(-1).max(), Reason.MIXED),
    "picked": (lambda x: x[jnp.zeros(x.shape[0], jnp.int32)], Reason.MIXED),
    "carried": (_carried, Reason.MIXED),
    "longest": (_longest, Reason.MIXED),
    "looked up in others": (
        lambda x: x.at[jnp.argmax(x, axis=1)].get(wrap_negative_indices=False),
        Reason.MIXED,
    ),
    "counted": (lambda x: jnp.zeros(9).at[_kinds(x)].add(1.0)[_kinds(x)], Reason.MIXED),
    "mapped against all": (
        lambda x: lax.map(lambda row: (row * x).sum(axis=0), x[:, None]),
        Reason.MIXED,
    ),
    "window": (
        lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 1), (1, 1), "SAME"),
        Reason.MIXED,
    ),
    "numbered": (lambda x: x + jnp.arange(x.shape[0])[:, None], Reason.PLACE),
    "late": (_late, Reason.PLACE),
    "numbered by NumPy": (lambda x: x + np.arange(float(len(x)))[:, None], Reason.PLACE),
    "numbers alone": (lambda x: jnp.arange(x.shape[0]), Reason.PLACE),
    "one number an example": (
        lambda x: x + jnp.linspace(0, 1, x.shape[0])[:, None],
        Reason.PLACE,
    ),
    "positions": (lambda x: x + jnp.asarray(np.ones((20, 4)))[: x.shape[0]], Reason.PLACE),
    "embedded places": (lambda x: x + jnp.asarray(TABLE)[jnp.arange(len(x))], Reason.PLACE),
    "the first changed": (lambda x: x.at[0].set(0.0), Reason.PLACE),
    "the first overwritten": (
        lambda x: lax.dynamic_update_slice(x, jnp.zeros((1, 4)), (0, 0)),
        Reason.PLACE,
    ),
    "over the size": (lambda x: x / x.shape[0], Reason.SIZE),
    "to the size": (lambda x: x ** x.shape[0], Reason.SIZE),
    "as many steps": (_steps, Reason.SIZE),
    "as many features": (lambda x: x @ jnp.ones((4, x.shape[0])), Reason.MIXED),
    "as many constants": (lambda x: x + np.float32(1 / len(x)) * np.ones((1, 4)), Reason.SIZE),
    "noise": (lambda x: x + jax.random.normal(jax.random.key(0), x.shape), Reason.RANDOM),
    "rare": (_rare, Reason.RANDOM),
    "keys": (
        lambda x: jax.vmap(jax.random.normal)(jax.random.split(jax.random.key(0), x.shape[0])),
        Reason.RANDOM,
    ),
    "shuffled": (lambda x: jax.random.permutation(jax.random.key(0), x), Reason.RANDOM),
    "noise of the input": (_noise_of_the_input, Reason.RANDOM),
    "noise of each": (jax.vmap(_own_noise), Reason.RANDOM),
    "unrolled": (lambda x: jnp.stack(list(x)), Reason.UNKNOWN),
    "solved": (jax.vmap(lambda row: jnp.linalg.solve(W + 9, row)), Reason.UNKNOWN),
    "last axis": (lambda x: x.T, Reason.UNKNOWN),
    "called back": (
        lambda x: jax.pure_callback(lambda y: y, jax.ShapeDtypeStruct(x.shape, x.dtype), x),
        Reason.UNKNOWN,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_couples_examples_is_refused_with_its_reason(name):
    function, reason = REFUSED[name]
    found = coupling(function, (4,))
    assert found is not None
    assert found.reason is reason, found


@pytest.mark.parametrize(
    "factory, reason",
    [
        (lambda rngs: nnx.BatchNorm(4, use_running_average=False, rngs=rngs), Reason.MIXED),
        (lambda rngs: nnx.Dropout(0.5, deterministic=False, rngs=rngs), Reason.RANDOM),
    ],
)
def test_layers_in_training_mode_are_refused(factory, reason):
    found = coupling(_module(factory, 4), (4,))
    assert found is not None
    assert found.reason is reason, found


def test_the_primitive_and_its_equation_are_named():
    found = coupling(_centred, (4,))
    assert found is not None
    assert (found.primitive, found.equation.primitive.name) == ("reduce_sum", "reduce_sum")


@pytest.mark.parametrize("size", BATCHES)
def test_sizes_that_are_the_batchs_by_coincidence_prove_and_refuse_nothing(size):
    square = np.random.default_rng(2).normal(size=(size, size)).astype(np.float32)
    assert coupling(lambda x: jnp.tanh(x @ square).reshape(-1).reshape(x.shape), (size,)) is None
    assert coupling(lambda x: jax.nn.softmax(x, axis=1)[:, ::-1] + square[:1], (size,)) is None
    found = coupling(lambda x: x.reshape(size, -1).T.reshape(x.shape), (size,))
    assert found is not None
    found = coupling(lambda x: jnp.tanh(x.T).reshape(x.shape), (size,))
    assert found is not None


APART = {
    "dense": lambda x: jnp.tanh(x @ W),
    "softmax": lambda x: 4 * jax.nn.softmax(x, axis=1),
    "centred": lambda x: x - x.mean(axis=1, keepdims=True),
    "sorted": lambda x: jnp.sort(x, axis=1),
    "folded": _folded,
    "recurrent": _recurrent,
    "layers": _layers,
    "embedding": lambda x: jnp.asarray(TABLE)[_kinds(x)].sum(axis=1),
    "read": lambda x: _read(x)[:, :4],
    "written": lambda x: _written(x)[:, :4],
    "outer": lambda x: jnp.einsum("bi,bj,ij->bj", x, x, W),
    "transposed": lambda x: (W @ x.T).T,
    "branches": _branches,
    "each": jax.vmap(lambda row: jnp.where(row[0] > 0, row, -row)),
}
"""(batch, 4) -> (batch, 4), each example by itself."""

TOGETHER = {
    "mean": _centred,
    "far out": _far_out,
    "reversed": lambda x: x + jnp.flip(x, 0),
    "similarities": lambda x: x @ x.T @ x,
    "first": lambda x: x * x[:1],
    "carried": _carried,
    "numbered": lambda x: x + jnp.arange(x.shape[0])[:, None],
    "late": _late,
    "size": lambda x: x / x.shape[0],
    "noise": lambda x: x + jax.random.normal(jax.random.key(0), x.shape),
    "largest": lambda x: jnp.where(x == x.reshape(-1).max(), 0, x),
    "scrambled": lambda x: x.T.reshape(x.shape),
}
"""(batch, 4) -> (batch, 4), coupled."""


def _chain(parts):
    return lambda x: functools.reduce(lambda y, part: part(y), parts, x)


@pytest.mark.parametrize("seed", range(60))
def test_any_chain_is_proved_and_one_coupling_inside_is_found(seed):
    draw = np.random.default_rng(seed)
    names = [str(name) for name in draw.choice(list(APART), draw.integers(2, 7))]
    parts = [APART[name] for name in names]
    assert coupling(_chain(parts), (4,)) is None, names
    name, depth = str(draw.choice(list(TOGETHER))), int(draw.integers(0, len(parts) + 1))
    broken = [*parts[:depth], TOGETHER[name], *parts[depth:]]
    assert coupling(_chain(broken), (4,)) is not None, (names, name, depth)
