"""What is said before training, against training; and that nothing is run to say it."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxid import Problem
from jaxid.cli.predict import trained
from jaxid.core.progress import SILENT
from jaxid.identity.foreseen import foreseen
from jaxid.identity.spec import IdentitySpec, build_problem, build_runner, load_data
from jaxid.prediction.modes import quadratic_of, stable_rate
from jaxid.prediction.optimizer_facts import optimizer_facts
from jaxid.prediction.predict import method_of, predict
from jaxid.training.run import Runner

SEEDS = 4
LINEAR = {"output_activation": "linear", "optimizer": "sgd", "seeds": SEEDS, "epochs": 6}
RELU = {"seeds": SEEDS, "epochs": 4}


def resolved(**choices):
    spec = IdentitySpec(**choices)
    dataset = load_data(spec)
    spec = spec.resolved(dataset)
    return spec, build_problem(spec, dataset), dataset


def made(share=0.3, **choices):
    """(spec, problem, moments) of a linear layer at a share of the largest stable rate."""
    spec, problem, dataset = resolved(**(LINEAR | choices))
    quadratic = quadratic_of(problem)
    limit = stable_rate(quadratic, problem)
    rate = share * limit.value * (1 - spec.momentum)
    spec = dataclasses.replace(spec, learning_rate=rate)
    return spec, build_problem(spec, dataset), (quadratic, limit)


def told(spec, problem, moments=None, wanted=()):
    """(record, runner)."""
    runner = build_runner(spec, problem)
    states = runner.init(spec.seed_list)
    record, _ = predict(problem, states, spec.seed_list, wanted, SILENT, moments=moments)
    return record, runner


@pytest.mark.parametrize(
    "choices",
    [
        {},
        *(
            pytest.param(choices, marks=pytest.mark.slow)
            for choices in (
                {"momentum": 0.9},
                {"scaling": "standardized"},
                {"input_scaling": "centered"},
                {"use_bias": False},
            )
        ),
    ],
    ids=str,
)
def test_a_linear_layer_learns_digits_as_predicted(choices):
    spec, problem, moments = made(**choices)
    record, runner = told(spec, problem, moments)
    found = trained(runner, spec.seed_list, SILENT).loss
    measured, sem = found.mean(axis=0), found.std(axis=0, ddof=1) / SEEDS**0.5
    assert record["method"] == "modes" and record["in_range"]
    # Where one error is shared by all outputs, seeds scatter by their batches' order.
    assert np.all(np.abs(record["curve"] - measured) <= 0.02 * measured + 3 * sem)
    assert np.all(sem[1:] < 0.05 * measured[1:])


@pytest.mark.slow
def test_the_questions_network_learns_digits_as_predicted_and_loses_outputs_so():
    spec, problem, _ = resolved(**RELU)
    record, runner = told(spec, problem)
    found = trained(runner, spec.seed_list, SILENT)
    assert record["method"] == "moments" and record["in_range"]
    measured, sem = found.loss.mean(axis=0), found.loss.std(axis=0, ddof=1) / SEEDS**0.5
    assert np.all(np.abs(record["curve"] - measured) <= 0.06 * measured + 3 * sem)
    deaths = record["deaths"]
    assert deaths["varying"] == 61 and deaths["steps"] == found.steps.tolist()
    # Dead at birth is seen at once; those on the way are more than are dead by then.
    assert abs(deaths["dead"][0] - found.dead[:, 0].mean()) < 1
    assert found.dead[:, -1].mean() < deaths["expected"] == deaths["fading"][-1]
    # RMSprop's steps do not grow with the gradient.
    assert record["optimizer"]["degree"]["value"] == pytest.approx(0, abs=1e-6)
    assert record["optimizer"]["first_steps"][0] == pytest.approx(1e-3 / 0.1**0.5, rel=1e-3)


@pytest.mark.parametrize("which", ["modes", "moments"])
def test_nothing_of_the_network_is_evaluated(which):
    spec, problem, _ = made() if which == "modes" else resolved(**(RELU | {"epochs": 1}))
    calls = []

    def counted(params, x):
        # When it runs: being traced, to see what it depends on, evaluates nothing.
        jax.debug.callback(lambda: calls.append(x.shape))
        return net.apply(params, x)

    net = problem.net
    watched = dataclasses.replace(problem, model=net._replace(apply=counted))
    record, _ = told(spec, watched)
    assert calls == [] and record["method"] == which
    # The counter does count.
    watched.net.apply(problem.init(jax.random.key(0)), jnp.zeros((1, 64)))
    jax.effects_barrier()
    assert calls


@pytest.mark.slow
def test_beyond_its_range_it_says_so_before_anyone_compares():
    cases = [
        ({"scaling": "standardized"}, 0.9, "correlated"),
        ({"scaling": "standardized"}, 1.5, "far out"),
        ({}, 1.1, "largest curvature"),
    ]
    for choices, share, word in cases:
        record, _ = told(*made(share, **choices))
        assert not record["in_range"] and word in record["why"] and record["until"] == 0
    tailed = {"scaling": "standardized", "output_activation": "linear", "epochs": 1}
    spec, problem, _ = resolved(**tailed)
    record, _ = told(spec, problem)
    assert record["method"] == "moments" and not record["in_range"] and "far-out" in record["why"]


def test_a_loss_that_is_asked_for_and_one_below_the_floor():
    spec, problem, moments = made(input_scaling="standardized", use_bias=False)
    record, _ = told(spec, problem, moments, (1e-3, 1e9))
    below, above = record["reach"]
    assert moments[0].floor > 1e-3 and below["epochs"] is None and above["epochs"] == 0


def test_where_nothing_is_predicted_the_reason_is_told_and_the_first_steps_are():
    spec, problem, _ = resolved(depth=3, epochs=1, seeds=1)
    record, _ = told(spec, problem)
    assert record["curve"] is None and "seen" in record["why"]
    assert record["optimizer"]["half_step_gradient"]["value"] == pytest.approx(1e-7, rel=0.01)
    # Mean squares of pre-activations halve from layer to layer: glorot, ReLU, equal widths.
    forward = record["signal"]["forward"]
    assert np.allclose(np.divide(forward[1:], forward[:-1]), 0.5)


def mine(**choices):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5)).astype(np.float32)
    settings = {"optimizer": optax.sgd(0.02), "batch_size": 50, "epochs": 4} | choices
    return Problem(
        model=lambda rngs: nnx.Sequential(
            nnx.Linear(5, 300, rngs=rngs), jnp.tanh, nnx.Linear(300, 2, rngs=rngs)
        ),
        train=(x, x[:, :2] * x[:, 2:4]),
        **settings,
    )


def test_a_problem_of_ones_own_is_predicted_by_its_linearisation():
    problem = mine()
    runner = Runner(problem)
    record, _ = predict(problem, runner.init([0, 1]), [0, 1], (), SILENT)
    found = trained(runner, [0, 1], SILENT)
    assert record["method"] == "linearised" and record["in_range"] and found.dead is None
    assert np.allclose(record["curve"], found.loss.mean(axis=0), rtol=0.03)
    assert 0 < record["share_of_stable"]["value"] < 1


@pytest.mark.parametrize(
    ("choices", "word"),
    [({"optimizer": optax.adam(1e-3)}, "seen"),
     ({"loss": lambda f, y: jnp.abs(f - y).mean(axis=1)}, "mse"),
     ({"optimizer": optax.chain(optax.clip(1.0), optax.sgd(0.1))}, "not linear")],
)  # fmt: skip
def test_problems_without_a_prediction_say_why(choices, word):
    method, why = method_of(mine(**choices))
    assert method is None and word in why


def test_explain_tells_it_where_that_is_quick():
    spec, problem, _ = resolved(seeds=1, epochs=2)
    runner = build_runner(spec, problem)
    history = runner.train(spec.seed_list, census=True)
    record, arrays = foreseen(spec, runner, history.census, SILENT)
    assert record["epochs"] == 2 and arrays["loss/predicted"].shape == (3,)
    assert record["measured"] == pytest.approx(float(history.train_end.loss[0]))
    assert abs(record["predicted"] / record["measured"] - 1) < 0.1
    wide = dataclasses.replace(problem, train=(np.zeros((40, 784), np.uint8), None), test=None)
    record, arrays = foreseen(spec, Runner(wide), None, SILENT)
    assert record["curve"] is None and "minutes" in record["why"] and arrays == {}


@pytest.mark.parametrize(
    ("optimizer", "forgets"),
    [(optax.rmsprop(1e-3, decay=0.9, eps=1e-7, eps_in_sqrt=False), True),
     (optax.adam(1e-3), False), (optax.sgd(0.1), False)],
    ids=["rmsprop", "adam", "sgd"],
)  # fmt: skip
def test_which_optimizers_forget_how_large_gradients_were(optimizer, forgets):
    found = optimizer_facts(mine(optimizer=optimizer))
    assert found["forgets"] is forgets and found["rescaled_both"] is None
