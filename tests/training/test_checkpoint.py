"""Trained states go to disk and come back bit for bit."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest

from jaxid.core.errors import InputError
from jaxid.nets.mlp import identity_network
from jaxid.problem.problem import Problem
from jaxid.training.checkpoint import load_state, save_state
from jaxid.training.run import Runner

X = np.random.default_rng(0).integers(0, 17, (11, 3)).astype(np.uint8)


def test_states_come_back_bit_for_bit_and_training_goes_on_as_if_never_stopped(tmp_path):
    problem = Problem(identity_network(3), (X, None), optax.adam(1e-2), batch_size=4, epochs=2)
    run = Runner(problem)
    state = run.train([0, 1]).state
    save_state(state, tmp_path)
    back = load_state(tmp_path, run.init([0, 1]))
    assert jax.tree.structure(back) == jax.tree.structure(state)
    for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(state), strict=True):
        a, b = (jax.random.key_data(v) if v.dtype.name.startswith("key") else v for v in (a, b))
        assert a.dtype == b.dtype and np.array_equal(a, b)
        assert a.sharding == b.sharding, "what was compiled for the one serves the other"
    ends = [run.anneal(one, 1, name="").state.params for one in (state, back)]
    assert jax.tree.all(jax.tree.map(np.array_equal, *ends))


def test_a_folder_without_a_checkpoint_says_so(tmp_path):
    with pytest.raises(InputError, match="holds no state; name a folder"):
        load_state(tmp_path, None)
