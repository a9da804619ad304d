"""What is said before training, against training; and that nothing is run to say it."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.commands.predict import trained
from jaxid.diagnosis.prediction import (
    check_linear,
    predict,
    quadratic_of,
    stable_rate,
    start_squares,
)
from jaxid.errors import InputError
from jaxid.experiment import IdentitySpec, build_problem, build_runner, load_data
from jaxid.nets.adapters import Model
from jaxid.training.progress import SILENT

SEEDS = 4
LINEAR = {"output_activation": "linear", "optimizer": "sgd", "seeds": SEEDS, "epochs": 6}


def made(share=0.3, **choices):
    """(spec, problem, quadratic, limit) of digits at a share of the largest stable rate."""
    spec = IdentitySpec(**(LINEAR | choices))
    dataset = load_data(spec)
    spec = spec.resolved(dataset)
    problem = build_problem(spec, dataset)
    quadratic = quadratic_of(spec, problem)
    limit = stable_rate(quadratic, problem)
    rate = share * limit.value * (1 - spec.momentum)
    spec = dataclasses.replace(spec, learning_rate=rate)
    return spec, build_problem(spec, dataset), quadratic, limit


def predicted(spec, problem, quadratic, limit, wanted=()):
    runner = build_runner(spec, problem)
    squares = start_squares(quadratic, runner.init(spec.seed_list), spec.seeds)
    return predict(problem, quadratic, limit, squares, wanted), runner


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"scaling": "standardized"},
        {"momentum": 0.9},
        {"input_scaling": "centered"},
        {"use_bias": False},
    ],
    ids=str,
)
def test_digits_are_learned_as_predicted(choices):
    spec, problem, quadratic, limit = made(**choices)
    (record, _), runner = predicted(spec, problem, quadratic, limit)
    found = trained(runner, spec.seed_list, SILENT)
    measured, sem = found.mean(axis=0), found.std(axis=0, ddof=1) / SEEDS**0.5
    assert record["stability"]["in_range"]
    # Where one error is shared by all outputs, seeds scatter by their batches' order.
    assert np.all(np.abs(record["curve"] - measured) <= 0.02 * measured + 3 * sem)
    assert np.all(sem[1:] < 0.05 * measured[1:])


def test_nothing_of_the_network_is_evaluated():
    spec, problem, *_ = made()
    calls = []

    def counted(params, x):
        calls.append(x.shape)
        return net.apply(params, x)

    net = problem.net
    watched = dataclasses.replace(problem, model=Model(net.init, counted))
    quadratic = quadratic_of(spec, watched)
    predicted(spec, watched, quadratic, stable_rate(quadratic, watched))
    assert calls == []
    # The counter does count.
    watched.net.apply(problem.init(jax.random.key(0)), jnp.zeros((1, 64)))
    assert calls


def test_beyond_its_range_it_says_so_before_anyone_compares():
    spec, problem, quadratic, limit = made(0.9, scaling="standardized")
    (record, _), _ = predicted(spec, problem, quadratic, limit)
    assert not record["stability"]["in_range"] and "correlated" in record["stability"]["why"]
    spec, problem, quadratic, limit = made(1.5, scaling="standardized")
    (record, _), _ = predicted(spec, problem, quadratic, limit)
    assert "far out" in record["stability"]["why"]
    spec, problem, quadratic, limit = made(1.1)
    (record, _), _ = predicted(spec, problem, quadratic, limit)
    assert "largest curvature" in record["stability"]["why"]


def test_a_loss_that_is_asked_for_and_one_below_the_floor():
    spec, problem, quadratic, limit = made(input_scaling="standardized", use_bias=False)
    (record, _), _ = predicted(spec, problem, quadratic, limit, (1e-3, 1e9))
    below, above = record["reach"]
    assert quadratic.floor > 1e-3 and below["epochs"] is None and above["epochs"] == 0


@pytest.mark.parametrize(
    ("choices", "word"),
    [({"depth": 2}, "--depth"), ({"output_activation": "relu"}, "--output-activation"),
     ({"residual": True}, "--residual")],
)  # fmt: skip
def test_what_has_no_prediction_yet_is_refused_by_its_flag(choices, word):
    with pytest.raises(InputError, match=word):
        check_linear(IdentitySpec(**(LINEAR | choices)))


def test_an_optimizer_that_divides_by_its_gradients_is_refused():
    spec, problem, quadratic, limit = made(optimizer="adam")
    with pytest.raises(InputError, match="divides"):
        predicted(spec, problem, quadratic, limit)
