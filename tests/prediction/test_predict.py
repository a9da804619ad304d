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
from jaxid.core import io
from jaxid.core.errors import InputError
from jaxid.core.progress import SILENT
from jaxid.identity.foreseen import foreseen
from jaxid.identity.spec import IdentitySpec, build_problem, build_runner, load_data
from jaxid.identity.stable_share import at_share
from jaxid.prediction import measured
from jaxid.prediction.optimizer_facts import optimizer_facts
from jaxid.prediction.predict import Method, method_of, predict_from
from jaxid.prediction.reasons import Reason
from jaxid.prediction.words import because
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
    spec, _, dataset = resolved(**(LINEAR | choices))
    rated = at_share(share, spec, dataset, SILENT)
    return rated.spec, rated.runner.problem, rated.moments


def told(spec, problem, moments=None, wanted=()):
    """(Prediction, runner)."""
    runner = build_runner(spec, problem)
    states = runner.init(spec.seed_list)
    found = predict_from(problem, states, spec.seed_list, wanted, SILENT, moments=moments)
    return found, runner


def trained(runner, seeds):
    """What training does."""
    return measured.trained(runner, seeds, SILENT)[0]


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
    found, runner = told(spec, problem, moments)
    came = trained(runner, spec.seed_list)
    assert found.method is Method.MODES and found.in_range
    # Where one error is shared by all outputs, seeds scatter by their batches' order.
    assert np.all(np.abs(found.curve - came.loss) <= 0.02 * came.loss + 3 * came.sem)
    assert np.all(came.sem[1:] < 0.05 * came.loss[1:])


@pytest.mark.slow
def test_the_questions_network_learns_digits_as_predicted_and_loses_outputs_so():
    spec, problem, _ = resolved(**RELU)
    found, runner = told(spec, problem)
    came = trained(runner, spec.seed_list)
    assert found.method is Method.MOMENTS and found.in_range
    assert np.all(np.abs(found.curve - came.loss) <= 0.06 * came.loss + 3 * came.sem)
    deaths = found.moments.deaths
    assert deaths.varying == 61 and deaths.steps.tolist() == came.dead_steps.tolist()
    # Dead at birth is seen at once; those on the way are more than are dead by then.
    assert abs(deaths.dead[0] - came.dead_by_seed[:, 0].mean()) < 1
    assert came.dead_by_seed[:, -1].mean() < deaths.expected == deaths.fading[-1]
    # RMSprop's steps do not grow with the gradient.
    assert found.optimizer.degree.value == pytest.approx(0, abs=1e-6)
    assert found.optimizer.first_steps[0] == pytest.approx(1e-3 / 0.1**0.5, rel=1e-3)


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
    found, _ = told(spec, watched)
    assert calls == [] and found.method.value == which
    # The counter does count.
    watched.net.apply(problem.init(jax.random.key(0)), jnp.zeros((1, 64)))
    jax.effects_barrier()
    assert calls


@pytest.mark.slow
def test_beyond_its_range_it_says_so_before_anyone_compares():
    cases = [
        ({"scaling": "standardized"}, 0.9, Reason.CLOSURE, "uncorrelated"),
        ({"scaling": "standardized"}, 1.5, Reason.FAR_OUT, "far out"),
        ({}, 1.1, Reason.DIVERGES, "largest curvature"),
    ]
    for choices, share, reason, word in cases:
        found, _ = told(*made(share, **choices))
        assert not found.in_range and found.until == 0
        assert found.why.reason is reason and word in because(found.why)
    tailed = {"scaling": "standardized", "output_activation": "linear", "epochs": 1}
    spec, problem, _ = resolved(**tailed)
    found, _ = told(spec, problem)
    assert found.method is Method.MOMENTS and not found.in_range
    assert found.why.reason is Reason.HEAVY_TAILS and "far-out" in because(found.why)


def test_a_loss_that_is_asked_for_and_one_below_the_floor():
    spec, problem, moments = made(input_scaling="standardized", use_bias=False)
    found, _ = told(spec, problem, moments, (1e-3, 1e9))
    below, above = found.reach
    assert moments[0].floor > 1e-3 and (below.epochs, below.within) == (None, None)
    assert (above.epochs, above.within) == (0, problem.epochs)


def test_where_nothing_is_predicted_the_reason_is_told_and_the_first_steps_are():
    spec, problem, _ = resolved(depth=3, epochs=1, seeds=1)
    found, _ = told(spec, problem)
    assert found.curve is None and found.why.reason is Reason.OPTIMIZER
    assert "seen" in because(found.why)
    assert found.optimizer.half_step_gradient.value == pytest.approx(1e-7, rel=0.01)
    # Mean squares of pre-activations halve from layer to layer: glorot, ReLU, equal widths.
    forward = found.signal.forward
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
    found = predict_from(problem, runner.init([0, 1]), [0, 1], (), SILENT)
    came = trained(runner, [0, 1])
    assert found.method is Method.LINEARISED and found.in_range and came.dead is None
    assert np.allclose(found.curve, came.loss, rtol=0.03)
    assert found.by_seed.shape == (2, 5) and found.sem.shape == (5,)
    assert 0 < found.linearised.share_of_stable.value < 1


@pytest.mark.parametrize(
    ("choices", "reason", "word"),
    [({"optimizer": optax.adam(1e-3)}, Reason.OPTIMIZER, "seen"),
     ({"loss": lambda f, y: jnp.abs(f - y).mean(axis=1)}, Reason.LOSS, "mse"),
     ({"optimizer": optax.chain(optax.clip(1.0), optax.sgd(0.1))}, Reason.OPTIMIZER, "not linear")],
)  # fmt: skip
def test_problems_without_a_prediction_say_why(choices, reason, word):
    method, why = method_of(mine(**choices))
    assert method is None and why.reason is reason and word in because(why)


def test_explain_tells_it_where_that_is_quick():
    spec, problem, _ = resolved(seeds=1, epochs=2)
    runner = build_runner(spec, problem)
    history = runner.train(spec.seed_list, census=True)
    found = foreseen(spec, runner, history.census, SILENT)
    assert found.epochs == 2 and len(found.curve) == 3 and found.method is Method.MOMENTS
    assert found.measured == pytest.approx(float(history.train_end.loss[0]))
    assert abs(found.predicted / found.measured - 1) < 0.1
    # A diagnosis holds its values, the curve as a list.
    assert io.encode(found)[0]["curve"] == list(found.curve)
    wide = dataclasses.replace(problem, train=(np.zeros((40, 784), np.uint8), None), test=None)
    found = foreseen(spec, Runner(wide), None, SILENT)
    assert found.curve is None and "minutes with 784" in because(found.why)


def test_a_share_is_of_a_layer_that_has_one():
    spec, _, dataset = resolved(seeds=1, epochs=1)
    for named in (spec, None):
        with pytest.raises(InputError, match="--output-activation linear"):
            at_share(0.3, named, dataset, SILENT)


@pytest.mark.parametrize(
    ("optimizer", "forgets"),
    [(optax.rmsprop(1e-3, decay=0.9, eps=1e-7, eps_in_sqrt=False), True),
     (optax.adam(1e-3), False), (optax.sgd(0.1), False)],
    ids=["rmsprop", "adam", "sgd"],
)  # fmt: skip
def test_which_optimizers_forget_how_large_gradients_were(optimizer, forgets):
    found = optimizer_facts(mine(optimizer=optimizer))
    assert found.forgets is forgets and found.rescaled_both is None
