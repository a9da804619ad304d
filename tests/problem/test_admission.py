"""Admission finds what is planted, in one line, and nothing in what is healthy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from admissions import FAULTS, HEALTHY, Layers, made
from flax import nnx

from jaxid.core.errors import InputError
from jaxid.curvature.dense import dense_matrix
from jaxid.curvature.matrices import curvature_product
from jaxid.data import examples
from jaxid.problem.admission import admit, depends_on_batch
from jaxid.training.metrics import make_evaluate

FEW = {"NaN in inputs", "a column of labels", "a broadcast loss", "dropout", "a norm of 0",
       "lookahead"}  # fmt: skip


def marked(names, kept):
    """The others in the long sweep."""
    return [n if n in kept else pytest.param(n, marks=pytest.mark.slow) for n in names]


def test_the_tables_have_forty_each():
    assert len(FAULTS) == len(HEALTHY) == 40


@pytest.mark.parametrize("name", marked(FAULTS, FEW))
def test_a_planted_fault_is_found_in_one_line(name):
    make, words = FAULTS[name]
    with jax.numpy_rank_promotion("allow"), pytest.raises(InputError) as found:
        admit(make())
    assert words in str(found.value) and "\n" not in str(found.value)


@pytest.mark.parametrize("name", marked(HEALTHY, {"one layer", "tokens", "batch norm in training"}))
def test_nothing_is_found_in_what_is_healthy(name):
    with jax.numpy_rank_promotion("allow"):
        admit(HEALTHY[name]())


def normalised():
    """Batch norm in training, more examples than a chunk of `make_evaluate` below."""
    return made(lambda rngs: Layers(rngs, lambda r: nnx.BatchNorm(8, rngs=r)))


def test_what_depends_on_the_batch_takes_one_chunk_whatever_is_asked(monkeypatch):
    problem = normalised()
    assert "mixes" in depends_on_batch(problem)
    params = problem.init(jax.random.key(0))
    data = (jnp.asarray(problem.train[0]), jnp.asarray(problem.train[1]))
    whole = dense_matrix(curvature_product(problem, chunk=40), params, data)
    parts = dense_matrix(curvature_product(problem, chunk=7), params, data)
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-12 * np.abs(whole).max())
    losses = []
    for chunk in (40, 7):
        monkeypatch.setattr(examples, "DEVICE", chunk)
        losses.append(float(make_evaluate(problem)(params, *data).loss))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    with pytest.raises(InputError, match="at once"):
        curvature_product(problem).within(20_000, params, data)


@pytest.mark.parametrize("name", ["two layers", "layer norm", "one's own loss"])
def test_what_does_not_is_cut_and_gives_the_same(name):
    problem = HEALTHY[name]()
    assert depends_on_batch(problem) is None
    params = problem.init(jax.random.key(0))
    data = (jnp.asarray(problem.train[0]), jnp.asarray(problem.train[1]))
    found = [
        dense_matrix(curvature_product(problem, chunk=chunk), params, data)
        for chunk in (1, 3, 17, 40)
    ]
    for one in found[1:]:
        np.testing.assert_allclose(one, found[0], rtol=0, atol=1e-12 * np.abs(one).max())


def test_what_refuses_nothing_is_said():
    with jax.numpy_rank_promotion("allow"):
        assert admit(HEALTHY["two layers"]()) == []
        (line,) = admit(HEALTHY["batch norm in training"]())
        assert "all of them at once" in line
        (line,) = admit(HEALTHY["equal targets"]())
        assert "constant" in line


def test_without_derivatives_a_gradient_may_be_what_it_is():
    problem = FAULTS["a root of 0"][0]()
    assert admit(problem, gradient=False) == []
    with pytest.raises(InputError, match="gradient"):
        admit(problem)


def test_an_optimizer_that_training_can_use_is_not_touched():
    admit(made(optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))))
