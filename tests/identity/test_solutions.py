"""Two solutions that no training example can tell apart."""

from __future__ import annotations

import json

import numpy as np
import pytest

from jaxid.core.io import encode
from jaxid.identity.representation import network_loss, representability
from jaxid.identity.solutions import off_data_inputs, two_solutions
from jaxid.identity.spec import IdentitySpec, build_problem, load_data


def pair(dataset, **choices):
    spec = IdentitySpec(**choices).resolved(dataset)
    problem = build_problem(spec, dataset)
    _, witness = representability(spec, problem)
    return two_solutions(problem, dataset, witness), problem, witness


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"depth": 2},
        {"scaling": "unit"},
        {"scaling": "standardized", "output_activation": "linear"},
        {"use_bias": False},
    ],
)
def test_they_agree_on_the_training_set_and_part_off_it(small, choices):
    found, problem, witness = pair(small, **choices)
    x = small.train.astype(float)
    if choices.get("use_bias", True):
        x = np.concatenate([x, np.ones((200, 1))], axis=1)
    singular = np.linalg.svd(x, compute_uv=False)
    rank = np.sum(singular > singular[0] * 1e-10)
    assert found.directions == x.shape[1] - rank
    # Apart by as much as the witness's own first layer is long.
    assert np.isclose(found.distance, found.norm) and found.distance > 1
    assert found.train_difference < 1e-4
    assert found.off_difference > 1e3 * max(found.train_difference, 1e-9)
    assert np.isclose(found.loss_a, network_loss(problem, witness), atol=1e-12)
    assert abs(found.loss_b - found.loss_a) < 1e-8 and found.loss_a < 1e-8


def test_where_the_inputs_span_everything_there_is_no_second_solution():
    data = load_data(IdentitySpec(data="gaussian", features=6, examples=80))
    found, _, _ = pair(data, data="gaussian", output_activation="linear")
    assert found is None


def test_with_fewer_examples_than_features_there_is():
    data = load_data(IdentitySpec(data="gaussian", features=6, examples=4))
    found, _, _ = pair(data, data="gaussian", output_activation="linear")
    assert found.directions == 7 - 4 and found.train_difference < 1e-5 < found.off_difference
    assert found.names == ("noise", "other noise") and found.inputs.shape == (2, 6)


def test_inputs_off_the_data_are_images_of_the_same_kind(small):
    rows, names = off_data_inputs(small, np.random.default_rng(0))
    assert rows.dtype == small.train.dtype and rows.shape == (3, 64) and len(names) == 3
    assert rows.max() == 16 and np.array_equal(rows[0], 16 - small.test[0])
    assert not any((small.train == row).all(axis=1).any() for row in rows)


def test_the_same_seed_gives_the_same_pair_which_is_json_and_arrays(small):
    (first, arrays), (second, others) = (encode(pair(small)[0]) for _ in range(2))
    assert first == second and np.array_equal(arrays["b"], others["b"])
    json.dumps(first, allow_nan=False)
    assert arrays["a"].shape == arrays["b"].shape == (3, 64) and first["shape"] == [8, 8]
