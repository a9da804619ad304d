"""The last layer's problem, its quadratic form and its stopped examples, against autodiff."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.core.precision import float64
from jaxid.core.progress import SILENT
from jaxid.core.types import Estimate
from jaxid.curvature.last_layer.head import HeadData, examine_head, head_data
from jaxid.diagnosis.evidence import constant_targets, seed_params
from jaxid.identity.spec import IdentitySpec, build_problem
from jaxid.nets.activations import ACTIVATIONS

NONE = Estimate(None, None, False, "not asked for")


def examine(data, end=None):
    return examine_head(0, data, noise=NONE, end=end, reporter=SILENT, name="")


def made(activation, bias=True, seed=0, n=60, p=4, m=3):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, p))
    targets = 0.3 + 0.4 * np.tanh(features @ rng.normal(size=(p, m)))
    kernel = rng.normal(size=(p, m))
    return HeadData(features, targets, kernel, rng.normal(size=m) if bias else None, activation)


def unit_loss(data, j):
    """w -> mean squared error of output j, (q,) -> scalar, for use in float64."""
    x = data.features
    if data.bias is not None:
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    return lambda w: jnp.mean((ACTIVATIONS[data.activation](x @ w) - data.targets[:, j]) ** 2)


def stacked(kernel, bias):
    return kernel if bias is None else np.concatenate([kernel, bias[None, :]])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["relu", "linear", "tanh", "gelu"])
def test_the_quadratic_form_is_the_hessians_along_the_way_to_the_solution(activation, bias):
    data = made(activation, bias)
    found = examine(data)
    here = stacked(data.kernel, data.bias)
    way = here - stacked(found.solution.kernel, found.solution.bias)
    for j in range(3):
        loss = unit_loss(data, j)
        with float64():
            hessian = np.asarray(jax.hessian(loss)(jnp.asarray(here[:, j])))
            gradient = np.asarray(jax.grad(loss)(jnp.asarray(here[:, j])))
        assert np.isclose(found.quadratic[j], way[:, j] @ hessian @ way[:, j] / 2, rtol=1e-9)
        # The loss is the mean over outputs of theirs.
        assert np.isclose(found.gradient[j], np.linalg.norm(gradient) / 3, rtol=1e-9)


def test_for_a_linear_output_the_quadratic_form_is_the_whole_gap():
    found = examine(made("linear"))
    gap = found.solution.start_loss - found.solution.output_loss
    assert np.allclose(found.quadratic, gap, rtol=1e-10)
    assert (found.stopped == 0).all()


def test_stopped_examples_are_those_on_which_a_solved_unit_is_off():
    data = made("relu", seed=2)
    bias = data.bias.copy()
    bias[0] = -1e3  # dead on all examples: counted as a dead output instead
    data = HeadData(data.features, data.targets, data.kernel, bias, "relu")
    found = examine(data)
    slow, below = np.zeros(3), np.zeros(3)
    for j in range(3):
        for x, y in zip(data.features, data.targets, strict=True):
            z = x @ found.solution.kernel[:, j] + found.solution.bias[j]
            slow[j] += 0.0 if z > 0 or j == 0 else y[j] ** 2 / len(data.features)
            below[j] += y[j] ** 2 / len(data.features) if z <= 0 and y[j] < 0 else 0.0
    assert np.allclose(found.stopped, slow) and found.stopped[0] == 0 and slow.max() > 0
    assert np.allclose(found.below_zero, below) and below[0] > 0
    assert found.gradient[0] == 0 and found.quadratic[0] == 0


def test_the_end_state_is_solved_as_well_where_it_is_given():
    data = made("linear")
    other = HeadData(data.features, data.targets, 7 * data.kernel, data.bias, "linear")
    found = examine(data, end=other)
    # Least squares does not mind where it starts.
    assert np.isclose(found.solved_from_end, found.solution.loss, rtol=1e-9)
    assert examine(data).solved_from_end is None


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"depth": 3, "width": 9},
        {"scaling": "standardized", "output_activation": "tanh"},
        {"input_scaling": "unit", "use_bias": False},
        {"depth": 2, "residual": True},
        {"depth": 1, "residual": True, "output_activation": "linear"},
    ],
)
def test_the_heads_problem_has_the_networks_own_loss(small, choices):
    problem = build_problem(IdentitySpec(**choices), small)
    params = problem.init(jax.random.key(3))
    data = head_data(problem, params)
    z = data.preactivations()
    with float64():
        outputs = np.asarray(ACTIVATIONS[data.activation](jnp.asarray(z)))
    x = jnp.asarray(small.train)
    loss, _ = problem.batch_loss(params, x, None, jnp.ones(len(x)))
    assert np.isclose(np.mean((outputs - data.targets) ** 2), float(loss), rtol=1e-5)
    assert data.features.shape == (200, choices.get("width", 64))
    assert (data.bias is None) == (not choices.get("use_bias", True))


def test_raw_pixels_stay_integers_where_they_are_the_features(small):
    problem = build_problem(IdentitySpec(), small)
    data = head_data(problem, problem.init(jax.random.key(0)))
    assert data.features.dtype == data.targets.dtype == np.uint8


def test_a_model_whose_head_is_unknown_is_refused(small):
    problem = build_problem(IdentitySpec(), small)
    net = problem.net._replace(layers=())
    with pytest.raises(ValueError, match="not known"):
        head_data(type(problem)(net, problem.train, problem.optimizer), None)


def test_constant_targets_are_those_of_one_value(small):
    problem = build_problem(IdentitySpec(), small)
    slow = [len(set(column.tolist())) == 1 for column in small.train.T]
    assert constant_targets(problem).tolist() == slow and any(slow)


def test_evidence_compares_the_states_that_it_names(digits_run):
    found, problem = digits_run.evidence, digits_run.problem
    x = problem.inputs(jnp.asarray(problem.train[0]))
    for s in range(2):
        before, after = (
            np.asarray(problem.net.apply(seed_params(h.state, s), x), float)
            for h in (found.history, found.annealed)
        )
        shift = before - after
        assert np.allclose(found.coherent[s], shift.mean(axis=0) ** 2, rtol=1e-3, atol=1e-5)
        assert np.allclose(found.incoherent[s], shift.var(axis=0), rtol=1e-3, atol=1e-4)
    # Half an epoch would be too short: two at least.
    assert found.anneal_epochs == 2
    steps = problem.steps_per_epoch
    assert (np.asarray(found.annealed.state.step) == (2 + 2) * steps).all()
    assert (np.asarray(found.annealed_twice.state.step) == (2 + 4) * steps).all()
    assert [seed.index for seed in found.seeds] == [0, 1]
    for seed in found.seeds:
        start = float(seed.solution.start_loss.mean())
        assert np.isclose(start, found.annealed.train_end.loss[seed.index], rtol=1e-5)
