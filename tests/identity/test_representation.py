"""Bounds in closed form, witnesses that are run, and no parameters below the bound."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy import optimize
from threadpoolctl import threadpool_limits

from jaxid.core.io import encode
from jaxid.core.precision import float64
from jaxid.diagnosis.items import PartName
from jaxid.identity.representation import (
    RANGES,
    Reach,
    _lower_bound,
    network_loss,
    outputs64,
    representability,
)
from jaxid.identity.spec import IdentitySpec, build_problem, load_data
from jaxid.nets.activations import ACTIVATIONS
from jaxid.nets.mlp import layer_params


def found(dataset, **choices):
    spec = IdentitySpec(**choices).resolved(dataset)
    problem = build_problem(spec, dataset)
    return representability(spec, problem)[0], problem


def witness_of(problem, dataset, **choices):
    return representability(IdentitySpec(**choices).resolved(dataset), problem)[1]


def standardized(x):
    x = x.astype(float)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    return np.where(deviation > 0, (x - mean) / np.where(deviation > 0, deviation, 1), 0)


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"depth": 4},
        {"depth": 3, "width": 70},
        {"use_bias": False},
        {"scaling": "unit"},
        {"scaling": "standardized", "output_activation": "linear", "depth": 2},
        {"scaling": "whitened", "output_activation": "linear"},
        {"input_scaling": "standardized", "output_activation": "linear", "depth": 2},
        {"input_scaling": "unit", "depth": 2},
        {"residual": True, "depth": 3, "activation": "tanh", "output_activation": "tanh"},
    ],
)
def test_an_exact_solution_is_written_down_and_run(small, choices):
    bound, problem = found(small, **choices)
    assert bound.verdict is Reach.EXACT and bound.witness
    scale = np.mean(np.asarray(problem.targets(jax.numpy.asarray(small.train), None)) ** 2)
    assert bound.lower.value == 0 and bound.upper.value <= 1e-9 * scale
    # Run in float32 as training would run it, it is as good as rounding allows.
    x = jax.numpy.asarray(small.train)
    params = jax.tree.map(
        lambda leaf: jax.numpy.asarray(leaf, "float32"), witness_of(problem, small, **choices)
    )
    loss, _ = problem.batch_loss(params, x, None, jax.numpy.ones(len(x)))
    assert float(loss) < 1e-7 * scale
    like = problem.init(jax.random.key(0))
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, like)


@pytest.mark.parametrize("scaling", ["standardized", "centered"])
@pytest.mark.parametrize("depth", [1, 3])
def test_negative_targets_under_relu_cost_their_mean_square_and_no_more(small, scaling, depth):
    bound, _ = found(small, scaling=scaling, depth=depth)
    x = small.train.astype(float)
    y = standardized(x) if scaling == "standardized" else x - x.mean(axis=0)
    expected = np.mean(np.minimum(y, 0) ** 2)
    assert bound.verdict is Reach.IMPOSSIBLE
    assert np.isclose(bound.lower.value, expected, rtol=1e-5)
    # The witness meets it.
    assert np.isclose(bound.upper.value, expected, rtol=1e-5)
    assert [part.name for part in bound.parts] == [PartName.NEGATIVE_TARGETS]


@pytest.mark.parametrize("activation", sorted(RANGES))
def test_ranges_are_the_activations_own(activation):
    low, high = RANGES[activation]
    with float64():
        values = np.asarray(ACTIVATIONS[activation](jax.numpy.linspace(-40.0, 40.0, 160001)))
        least = optimize.minimize_scalar(
            lambda z: float(ACTIVATIONS[activation](jax.numpy.asarray(z))), bounds=(-4, 1)
        ).fun
    assert values.min() >= low and values.max() <= high
    if activation in ("gelu", "silu"):
        assert low <= least < low + 1e-5
    else:
        assert values.min() < low + 1e-5
    assert values.max() > min(high, 39) - 1e-5


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "gelu", "softplus", "silu"])
def test_targets_out_of_another_range_cost_their_distance_to_it(small, activation):
    choices = {"scaling": "standardized", "output_activation": activation}
    bound, problem = found(small, **choices)
    low, high = RANGES[activation]
    y = standardized(small.train)
    expected = np.mean((y - np.clip(y, low, high)) ** 2)
    assert np.isclose(bound.lower.value, expected, rtol=1e-5) and bound.verdict is Reach.UNKNOWN
    assert bound.upper is None and witness_of(problem, small, **choices) is None


def pca_tail(y, rank):
    y = y.astype(float)
    singular = np.linalg.svd(y - y.mean(axis=0), compute_uv=False)
    return np.sum(singular[rank:] ** 2) / y.size


@pytest.mark.parametrize("width", [1, 10, 40, 63])
def test_a_bottleneck_costs_the_tail_of_the_principal_components(small, width):
    bound, _ = found(small, depth=2, width=width, output_activation="linear")
    expected = pca_tail(small.train, width)
    assert np.isclose(bound.lower.value, expected, rtol=1e-9, atol=1e-9)
    assert [part.name for part in bound.parts] == [PartName.BOTTLENECK_RANK]
    # The principal components themselves reach it where the hidden layer is linear.
    if width == 10:
        linear = found(small, depth=2, width=10, output_activation="linear", activation="linear")
        x = small.train.astype(float)
        vectors = np.linalg.svd(x - x.mean(axis=0))[2][:10]
        params = {
            "layers": {
                0: {"kernel": vectors.T, "bias": -x.mean(axis=0) @ vectors.T},
                1: {"kernel": vectors, "bias": x.mean(axis=0)},
            }
        }
        reached = network_loss(linear[1], params)
        assert np.isclose(reached, linear[0].lower.value, rtol=1e-6)


@pytest.mark.parametrize(
    "choices",
    [
        {"scaling": "standardized"},
        {"scaling": "standardized", "depth": 2, "output_activation": "sigmoid"},
        {"depth": 2, "width": 5, "output_activation": "linear"},
        {"depth": 3, "width": 5, "output_activation": "linear", "use_bias": False},
    ],
)
def test_no_parameters_have_a_loss_below_the_bound(small, choices):
    bound, problem = found(small, **choices)
    losses = [network_loss(problem, problem.init(jax.random.key(k))) for k in range(4)]
    assert bound.lower.value > 0 and min(losses) >= bound.lower.value


def test_a_bound_that_is_not_known_to_be_reached_is_not_called_impossible(small):
    narrow, _ = found(small, depth=2, width=20)
    assert narrow.verdict is Reach.UNKNOWN and narrow.upper is None and narrow.witness is None
    shifted, _ = found(
        small, input_scaling="standardized", output_activation="linear", use_bias=False
    )
    assert shifted.verdict is Reach.UNKNOWN  # without a bias the targets' mean is out of reach


def test_a_residual_network_of_zero_weights_carries_the_input(small):
    choices = {"residual": True, "depth": 2, "scaling": "standardized"}
    bound, problem = found(small, **choices)
    assert bound.verdict is Reach.EXACT and bound.upper.value == 0
    for kernel, bias in layer_params(witness_of(problem, small, **choices), 2):
        assert not kernel.any() and not bias.any()


def test_outputs_come_in_float64_and_float32_is_the_default_in_between(small):
    _, problem = found(small)
    both = [outputs64(problem, witness_of(problem, small), small.train, chunk=70) for _ in range(2)]
    sizes = []
    for (outputs, targets), (again, _) in zip(*both, strict=True):
        assert outputs.dtype == targets.dtype == np.float64 and np.array_equal(outputs, again)
        assert jax.numpy.zeros(()).dtype == np.float32
        sizes.append(len(outputs))
    assert sizes == [70, 70, 60] and jax.numpy.zeros(()).dtype == np.float32


def test_it_is_json_without_arrays(small):
    values, arrays = encode(found(small)[0])
    assert values["verdict"] == "exact" and values["lower"]["value"] == 0 and arrays == {}
    assert set(values) == {"verdict", "lower", "upper", "witness", "parts", "how"}
    json.dumps(values, allow_nan=False)


def test_made_data_have_a_witness_too():
    data = load_data(IdentitySpec(data="gaussian", features=5, examples=60))
    exact, _ = found(data, data="gaussian", output_activation="linear", depth=3)
    assert exact.verdict is Reach.EXACT
    bound, _ = found(data, data="gaussian")
    expected = np.mean(np.minimum(data.train.astype(float), 0) ** 2)
    assert bound.verdict is Reach.IMPOSSIBLE and np.isclose(bound.lower.value, expected, rtol=1e-6)


@threadpool_limits.wrap(1)
def test_bottlenecks_on_mnist_have_the_published_tails(mnist_dir):
    content = gzip.decompress((Path(mnist_dir) / "train-images-idx3-ubyte.gz").read_bytes())
    pixels = np.frombuffer(content, np.uint8, offset=16).reshape(60000, 784)
    # The bound reads nothing but the covariance: here are fewer rows that have the same one.
    # Sums over 200 rows of products below 2^16 are exact in float32.
    chunks = [part.astype(np.float32) for part in np.split(pixels, 300)]
    second = sum((part.T @ part).astype(np.float64) for part in chunks)
    total = pixels.sum(axis=0, dtype=np.int64).astype(np.float64)
    values, vectors = np.linalg.eigh((60000 * second - np.outer(total, total)) / 60000**2)
    root = np.sqrt(784 * np.maximum(values, 0))[:, None] * vectors.T
    targets = np.concatenate([root, -root])
    for width, loss in ((64, 603.6833), (128, 277.7917), (256, 90.8165), (512, 2.5308)):
        spec = IdentitySpec(data="mnist", depth=2, width=width, output_activation="linear")
        (part,), _ = _lower_bound(spec, targets)
        assert f"{part.loss:.4f}" == f"{loss:.4f}", width
