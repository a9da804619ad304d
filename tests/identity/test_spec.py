"""From a spec to a Problem: what is refused, what is mapped, what is recorded."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.core import trees
from jaxid.core.errors import InputError
from jaxid.core.provenance import origin, without_folders
from jaxid.data import scaling, sources
from jaxid.identity.spec import (
    DataName,
    IdentitySpec,
    ScalingName,
    build_problem,
    load_data,
)
from jaxid.nets.mlp import layer_params
from jaxid.training.memory import check_memory, training_bytes

INF = float("inf")


@pytest.fixture(scope="module")
def digits():
    return load_data(IdentitySpec())


@pytest.mark.parametrize(
    "choices, says",
    [
        ({"depth": 0}, "--depth is 0; it must be 1 or more"),
        ({"seeds": 0}, "--seeds is 0"),
        ({"epochs": 0}, "--epochs is 0"),
        ({"batch_size": 0}, "--batch-size is 0"),
        ({"width": 0}, "--width is 0"),
        ({"features": 0}, "--features is 0"),
        ({"examples": 0}, "--examples is 0"),
        ({"warmup_steps": -1}, "--warmup-steps is -1"),
        ({"first_seed": -1}, "--first-seed is -1"),
        ({"learning_rate": 0.0}, "--learning-rate is 0.0"),
        ({"learning_rate": -1e-3}, "--learning-rate is -0.001"),
        ({"learning_rate": float("nan")}, "--learning-rate is nan"),
        ({"learning_rate": INF}, "--learning-rate is inf"),
        ({"eps": -1.0}, "--eps is -1.0"),
        ({"eps": float("nan")}, "--eps is nan"),
        ({"rho": 1.0}, "--rho is 1.0"),
        ({"beta1": -0.1}, "--beta1 is -0.1"),
        ({"beta2": 1.0}, "--beta2 is 1.0"),
        ({"momentum": 2.0}, "--momentum is 2.0"),
        ({"degrees_of_freedom": 2.0}, "--degrees-of-freedom is 2.0"),
        ({"degrees_of_freedom": float("nan")}, "--degrees-of-freedom is nan"),
        ({"kappa": 0.5}, "--kappa is 0.5"),
        ({"kappa": INF}, "--kappa is inf"),
        ({"mean": float("nan")}, "--mean is nan"),
    ],
)
def test_impossible_values_are_refused_by_their_flags_names(choices, says):
    with pytest.raises(InputError, match=says) as refused:
        IdentitySpec(**choices)
    assert "\n" not in str(refused.value)


def test_names_of_the_spec_are_those_of_the_floors_below():
    assert set(get_args(ScalingName)) == set(scaling.NAMES)
    assert set(get_args(DataName)) == set(sources.NAMES)


def test_defaults_of_the_data_fill_in_what_was_not_said(digits):
    spec = IdentitySpec().resolved(digits)
    assert (spec.batch_size, spec.epochs, spec.width) == (32, 200, 64)
    said = IdentitySpec(depth=2, batch_size=7, epochs=3, width=9).resolved(digits)
    assert (said.batch_size, said.epochs, said.width) == (7, 3, 9)
    assert IdentitySpec(seeds=3, first_seed=4).seed_list == [4, 5, 6]


def test_gaussian_data_follow_their_fields():
    made = load_data(IdentitySpec(data="gaussian", features=5, examples=40, mean=3.0, kappa=10.0))
    assert made.train.shape == (40, 5) and made.train.dtype == np.float32
    assert abs(made.train.mean() - 3) < 0.5


def maps(digits, **choices):
    """(inputs, targets) that the model sees and should give, in training units."""
    problem = build_problem(IdentitySpec(**choices), digits)
    x = jnp.asarray(digits.train)
    return np.asarray(problem.inputs(x)), np.asarray(problem.targets(x, None)), problem


def standardized(x):
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    return np.where(deviation > 0, (x - mean) / np.where(deviation > 0, deviation, 1), 0)


def test_raw_data_are_not_mapped(digits):
    inputs, targets, problem = maps(digits)
    assert problem.input_map is None and problem.target_map is None
    assert np.array_equal(inputs, digits.train) and np.array_equal(targets, digits.train)


def test_a_scaling_maps_inputs_and_targets_alike(digits):
    inputs, targets, _ = maps(digits, scaling="unit")
    assert np.allclose(inputs, digits.train / 16) and np.array_equal(inputs, targets)
    inputs, targets, _ = maps(digits, scaling="standardized")
    assert np.allclose(inputs, standardized(digits.train), atol=1e-5)
    assert np.array_equal(inputs, targets)


def test_an_input_scaling_maps_the_inputs_alone(digits):
    inputs, targets, problem = maps(digits, input_scaling="unit")
    assert np.allclose(inputs, digits.train / 16) and np.array_equal(targets, digits.train)
    inputs, targets, _ = maps(digits, scaling="unit", input_scaling="standardized")
    assert np.allclose(inputs, standardized(digits.train), atol=1e-5)
    assert np.allclose(targets, digits.train / 16)
    inputs, targets, problem = maps(digits, scaling="unit", input_scaling="raw")
    assert problem.input_map is None
    assert np.array_equal(inputs, digits.train) and np.allclose(targets, digits.train / 16)


def test_the_network_is_the_one_that_was_asked_for(digits):
    spec = IdentitySpec(depth=3, width=10, use_bias=False, output_activation="linear")
    problem = build_problem(spec, digits)
    layers = layer_params(problem.init(jax.random.key(0)), 3)
    assert [kernel.shape for kernel, _ in layers] == [(64, 10), (10, 10), (10, 64)]
    assert all(bias is None for _, bias in layers)
    assert problem.net.activations == ("relu", "relu", "linear")
    assert problem.batch_size == 32 and problem.epochs == 200 and problem.is_identity
    assert problem.test[0].shape == (297, 64)


def test_the_schedule_ends_with_the_last_step(digits):
    spec = IdentitySpec(optimizer="sgd", learning_rate=1.0, schedule="linear", epochs=2)
    optimizer = build_problem(spec, digits).optimizer
    state, sizes = optimizer.init(jnp.zeros(())), []
    for _ in range(2 * 47):  # ceil(1500 / 32) steps an epoch
        update, state = optimizer.update(jnp.ones(()), state)
        sizes.append(-float(update))
    assert np.allclose(sizes, 1 - np.arange(94) / 94, atol=1e-6)


def test_too_many_seeds_are_refused_with_the_number_that_fits(digits):
    problem = build_problem(IdentitySpec(), digits)
    available = training_bytes(problem, 5) + 1
    for seeds in (1, 5):
        check_memory(problem, seeds, available)
    with pytest.raises(InputError, match="use --seeds 5 or fewer") as refused:
        check_memory(problem, 6, available)
    assert "\n" not in str(refused.value) and "6 seeds need" in str(refused.value)
    exactly = training_bytes(problem, 5)
    check_memory(problem, 5, exactly)
    with pytest.raises(InputError, match="use --seeds 4 or fewer"):
        check_memory(problem, 6, exactly - 1)
    with pytest.raises(InputError, match="use a smaller --width"):
        check_memory(problem, 1, training_bytes(problem, 1) - 1)


def test_each_seed_needs_its_parameters_gradient_and_moments(digits):
    problem = build_problem(IdentitySpec(), digits)
    params = problem.init(jax.random.key(0))
    per_seed = training_bytes(problem, 2) - training_bytes(problem, 1)
    assert per_seed >= 3 * trees.nbytes(params)
    wide = build_problem(IdentitySpec(depth=2, width=10_000), digits)
    assert training_bytes(wide, 1) > training_bytes(problem, 1) + 3 * 4 * 2 * 64 * 10_000


def test_the_machine_itself_has_room_for_ten_small_seeds(digits):
    check_memory(build_problem(IdentitySpec(), digits), 10)


def test_the_record_of_a_spec_is_json():
    spec = IdentitySpec(mnist_dir=Path("somewhere/private/mnist"), depth=4)
    values = json.loads(json.dumps(spec.as_json(), allow_nan=False))
    assert set(values) == {field.name for field in dataclasses.fields(IdentitySpec)}
    assert values["depth"] == 4 and values["mnist_dir"] == "mnist"
    assert values["degrees_of_freedom"] is None
    heavy = IdentitySpec(data="gaussian", degrees_of_freedom=5.0)
    assert heavy.as_json()["degrees_of_freedom"] == 5.0


def test_what_would_be_ignored_is_refused(digits):
    with pytest.raises(InputError, match=r"--width is 9.*--depth 2"):
        IdentitySpec(width=9).resolved(digits)
    with pytest.raises(InputError, match="--features is for --data gaussian"):
        IdentitySpec(features=9)
    with pytest.raises(InputError, match="--degrees-of-freedom is for --data gaussian"):
        IdentitySpec(degrees_of_freedom=5.0, data="mnist")


def test_a_batch_larger_than_the_data_is_all_of_it(digits):
    assert IdentitySpec(batch_size=10**6).resolved(digits).batch_size == digits.train.shape[0]


def test_a_recorded_command_names_no_folder_of_the_machine():
    typed = ["/usr/bin/jaxid", "explain", "--out", "/a/b/mine", "--mnist-dir=/x/mnist", "--out"]
    assert without_folders([*typed, "runs/mine"]) == [
        "jaxid", "explain", "--out", "mine", "--mnist-dir=mnist", "--out", "runs/mine",
    ]  # fmt: skip


def test_provenance_says_where_a_result_comes_from():
    started = datetime.datetime(2025, 1, 2, 3, 4, 5)
    record = json.loads(
        json.dumps(dataclasses.asdict(origin([0, 1], started, 1.5)), allow_nan=False)
    )
    wanted = {"git", "argv", "versions", "device", "dtype", "seeds", "started", "seconds"}
    assert wanted <= set(record)
    assert record["versions"]["jax"] == jax.__version__
    assert record["started"] == "2025-01-02T03:04:05" and record["seeds"] == [0, 1]
    assert record["device"].startswith(jax.default_backend())
