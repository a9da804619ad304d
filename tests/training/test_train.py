"""`jaxid.train`: the runner's history, and a folder that says what it was."""

from __future__ import annotations

import json

import numpy as np
import optax
import pytest

import jaxid
from jaxid.core import io
from jaxid.core.errors import InputError
from jaxid.nets.mlp import identity_network
from jaxid.problem.problem import Problem
from jaxid.training.checkpoint import load_state
from jaxid.training.run import Runner
from jaxid.training.train import Interruption, RunRecord

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)


def problem(**changes):
    given = {"train": (X, None), "test": (X[:5], None), "optimizer": optax.sgd(0.01), "epochs": 2}
    return Problem(model=identity_network(3), batch_size=4, **(given | changes))


def test_it_is_the_runners_history_seed_by_seed():
    found = jaxid.train(problem(), seeds=[4, 1])
    wanted = Runner(problem()).train([4, 1])
    assert np.array_equal(found.train, wanted.train) and found.interrupted is None
    assert np.array_equal(jaxid.train(problem(), 2).train[1], wanted.train[1])


@pytest.mark.parametrize("test", [(X[:5], None), None])
def test_a_folder_holds_the_losses_and_the_parameters(tmp_path, test):
    asked = problem(test=test)
    found = jaxid.train(asked, 2, out=tmp_path / "run")
    values = io.read_values(tmp_path / "run" / "run.json", "", "")
    record = io.decode(RunRecord, values, {})
    assert [row.seed for row in record.seeds] == [0, 1] and record.interrupted is None
    for k, row in enumerate(record.seeds):
        assert row.train_loss == tuple(map(float, found.train[k]))
        assert len(row.test_loss) == (0 if test is None else 2)
        assert (row.test_mape is None) == (test is None)
    state = load_state(tmp_path / "run", Runner(asked).init([0, 1]))
    assert np.array_equal(state.step, found.state.step)


def test_losses_that_are_not_finite_are_null_on_disk_and_themselves_when_read(tmp_path):
    jaxid.train(problem(optimizer=optax.sgd(1e38)), out=tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    assert json.loads(path.read_text())["seeds"][0]["train_loss_end"] is None
    (row,) = io.decode(RunRecord, io.read_values(path, "", ""), {}).seeds
    assert not np.isfinite(row.train_loss_end) and row.first_non_finite_step is not None


def test_what_it_is_told_of_an_interrupt():
    assert str(Interruption(3, 20)) == "after epoch 3 of 20"


@pytest.mark.parametrize("seeds", [0, -1, [], [-2]])
def test_no_seeds_are_refused(seeds):
    with pytest.raises(InputError, match="seeds"):
        jaxid.train(problem(), seeds)


def test_a_folder_that_is_full_is_kept_and_a_problem_that_cannot_be_trained_refused(tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        jaxid.train(problem(), out=tmp_path)
    with pytest.raises(InputError, match="not finite"):
        jaxid.train(problem(train=(np.where(X > 1, np.nan, X), None)), out=tmp_path / "b")
    assert not (tmp_path / "b").exists()
