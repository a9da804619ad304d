"""The curvature of a point, and along training: against dense matrices and honest flags."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from cases import case

from jaxid.core import trees
from jaxid.core.errors import InputError
from jaxid.core.precision import float64
from jaxid.core.random import seed_key
from jaxid.curvature.survey import Effort
from jaxid.identity.spec import IdentitySpec, build_problem, load_data
from jaxid.linalg.lanczos import eigenpairs
from jaxid.report.curvature import notes
from jaxid.spectra.all_eigenvalues import WhyNot
from jaxid.spectra.along_training import follow_training
from jaxid.spectra.following import Following, plan_following
from jaxid.spectra.look import Look
from jaxid.spectra.optimizer_view import Moments, top_mode
from jaxid.spectra.point import examine_point
from jaxid.training.loop import Anneal, Stage, make_loop
from jaxid.training.run import Runner

pytestmark = pytest.mark.slow


def wide(params):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)


@pytest.fixture(scope="module")
def examined():
    spec = IdentitySpec(data="gaussian", features=5, examples=60, depth=2, epochs=3, batch_size=20)
    problem = build_problem(spec, load_data(spec))
    runner = Runner(problem)
    states = runner.init([0])
    states, _ = runner.steps(states, 0, 0, 3, _still())
    state = jax.tree.map(lambda leaf: leaf[0], states)
    data = (runner.x, None)
    point = examine_point(problem, state, data, Stage.END, Look())
    with float64():
        hessian = oracles.dense_hessian(problem, wide(state.params), data)
        gauss = oracles.dense_gauss_newton(problem, wide(state.params), data)
    return point, hessian, gauss


def _still():
    return Anneal(*(jnp.asarray(v, jnp.int32) for v in Anneal()))


def named(point, name):
    return next(m for m in [*point.matrices, *point.layers] if m.name == name)


def test_ends_and_exact_values_are_the_dense_matrix_s(examined):
    point, hessian, gauss = examined
    for name, matrix in (("hessian", hessian), ("gauss_newton", gauss)):
        values = np.linalg.eigvalsh(matrix)
        found = named(point, name)
        slack = 1e-5 * np.abs(values).max()
        for end, truth in (("lambda_max", values[-1]), ("lambda_min", values[0])):
            one, exact = getattr(found, end), getattr(found.exact, end)
            assert abs(one.value - truth) <= one.error + slack
            assert abs(exact.value - truth) <= 1e-9 * np.abs(values).max()
        # Student's t at 16 or 8 probes: 4 standard errors are one in hundreds.
        trace = found.trace_sampled
        room = 4 * trace.error if trace.error is not None else np.inf
        assert abs(trace.value - np.trace(matrix)) <= room + slack
        assert np.isclose(found.trace.value, np.trace(matrix), rtol=1e-9)
        rank = found.participation_rank
        if found.exact.negative:
            assert rank.value is None and "cancel" in rank.method
        else:
            assert np.isclose(rank.value, np.trace(matrix) ** 2 / np.sum(matrix**2))
        np.testing.assert_allclose(found.exact.eigenvalues, values, atol=1e-10 * values[-1])


def test_the_residual_part_is_the_difference(examined):
    point, hessian, gauss = examined
    found = named(point, "residual")
    values = np.linalg.eigvalsh(hessian - gauss)
    assert abs(found.lambda_max.value - values[-1]) <= found.lambda_max.error + 1e-3


def test_null_reasons_sum_to_the_count(examined):
    point, _, _ = examined
    null = point.null
    assert null.reasons.total == null.null_dim
    assert null.null_dim == named(point, "gauss_newton").exact.null_dim


def test_layers_have_their_own_blocks(examined):
    point, hessian, _ = examined
    assert [m.name for m in point.layers] == ["layers/0", "layers/1"]
    tops = [m.lambda_max.value for m in point.layers]
    # A diagonal block's largest eigenvalue is at most the whole matrix's.
    assert max(tops) <= np.linalg.eigvalsh(hessian)[-1] * (1 + 1e-4)
    assert sum(m.order for m in point.layers) == point.parameters


def test_the_optimizer_s_view_has_a_limit(examined):
    point, _, _ = examined
    assert np.isclose(point.optimizer.limit.value, 2.0, rtol=1e-6)
    assert point.optimizer.how is Moments.STATE
    assert named(point, "preconditioned").lambda_max.value > 0


def start(problem, seed=0):
    return jax.jit(make_loop(problem).init)(seed_key(seed))


@pytest.mark.parametrize("name", ["linen"])
def test_any_problem_can_be_looked_at(name):
    problem, _, data = case(name, np.float32)
    effort = Effort(top=2, bottom=1, steps=8, probes=2, trace_probes=4)
    state = start(problem)
    point = examine_point(problem, state, data, Stage.INIT, Look(effort, layers=False))
    assert point.matrices[0].lambda_max.converged
    assert point.null is None
    with float64():
        dense = oracles.dense_hessian(problem, wide(state.params), data)
        gradient = oracles.flat(jax.jit(jax.grad(problem.mean_loss))(wide(state.params), data))
    values, vectors = np.linalg.eigh(dense)
    hessian = point.matrices[0]
    found = hessian.exact
    assert np.isclose(found.lambda_max.value, values[-1], rtol=1e-8)
    # kappa of 99 %: the largest modes that hold it, of those whose eigenvalue is positive.
    kept = values > found.threshold
    win = (vectors.T @ gradient)[kept][::-1] ** 2 / (2 * values[kept][::-1])
    last = np.searchsorted(np.cumsum(win), 0.99 * win.sum())
    expected = values[-1] / values[kept][::-1][last]
    assert np.isclose(hessian.effective_kappa.value, expected, rtol=1e-6)
    assert np.isclose(hessian.excess.total, win.sum(), rtol=1e-6)
    assert hessian.effective_kappa.converged


def test_what_is_too_large_or_has_not_converged_is_said_to_be_everywhere():
    problem, _, data = case("tanh", np.float32)
    effort = Effort(top=2, bottom=2, steps=4, probes=2, restarts=0, trace_probes=2, tolerance=1e-12)
    look = Look(effort, exact_order=10, layers=False)
    point = examine_point(problem, start(problem), data, Stage.INIT, look)
    found = point.matrices[0]
    assert found.kappa.value is None and "rounding" in found.kappa.method
    assert found.exact is None and not point.exact.computed
    assert point.exact.reason is WhyNot.ORDER and point.exact.exact_order == 10
    # The outputs' side knows Gauss-Newton's trace all the same.
    gauss = named(point, "gauss_newton")
    assert "output space" in gauss.trace.method
    assert abs(gauss.trace.value - gauss.trace_sampled.value) <= 20 * (
        gauss.trace_sampled.error or 0.0
    )
    assert point.layers == () and point.null is None
    assert not found.lambda_max.converged and found.lambda_max.error > 0
    assert not any(end.converged for end in [*found.top, *found.bottom])
    text = " ".join(notes(point))
    assert "No condition number" in text and "more than --exact-order 10" in text
    assert "Lanczos has not converged: Hessian" in text and "?: has not converged" in text


@pytest.mark.parametrize("bad", [{"top": 0}, {"steps": 3}, {"trace_probes": 1}, {"tolerance": 0}])
def test_an_effort_that_cannot_be_is_refused(bad):
    with pytest.raises(InputError, match=f"--{next(iter(bad)).replace('_', '-')}"):
        Effort(**bad)


@pytest.fixture(scope="module")
def followed():
    spec = IdentitySpec(
        data="gaussian", features=4, examples=40, depth=2, epochs=4, batch_size=10,
        optimizer="sgd", learning_rate=0.01, output_activation="linear",
    )  # fmt: skip
    problem = build_problem(spec, load_data(spec))
    runner = Runner(problem)
    along, states = follow_training(runner, [0, 1], Following((0, 2, 4), 40, 1.0, exact=True))
    return problem, runner, along, states


def test_looks_change_nothing_in_the_training(followed):
    _, runner, along, states = followed
    plain = runner.train([0, 1], test_curve=False)
    for one, other in zip(
        jax.tree.leaves(states.params), jax.tree.leaves(plain.state.params), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert [p.epoch for p in along.points] == [0, 2, 4]


def test_sharpness_along_training_is_the_dense_hessian_s(followed):
    problem, runner, along, states = followed
    for k in range(2):
        params = jax.tree.map(lambda leaf, k=k: leaf[k], states.params)
        with float64():
            dense = oracles.dense_hessian(problem, wide(params), (runner.x, None))
        values = np.linalg.eigvalsh(dense)
        top = values[-1]
        row = along.points[-1].seeds[k]
        assert row.sharpness.converged
        assert abs(row.sharpness.value - top) <= row.sharpness.error + 1e-4 * top
        # For gradient descent the optimizer sees the rate times the sharpness.
        assert np.isclose(row.preconditioned.value, 0.01 * top, rtol=0.02)
        assert np.isclose(row.limit.value, 2.0)
        positive = values[values > 1e-12 * top]
        assert np.isclose(row.kappa.value, top / positive[0], rtol=1e-3)
        assert np.isclose(row.loss, float(problem.mean_loss(params, (runner.x, None))))
    assert along.points[0].seeds[0].preconditioned.value is None


def test_an_interrupt_keeps_the_looks_that_were_made(followed, monkeypatch):
    _, runner, whole, _ = followed
    taken = runner.steps

    def steps(states, epoch, *rest):
        if epoch == 3:
            raise KeyboardInterrupt
        return taken(states, epoch, *rest)

    monkeypatch.setattr(runner, "steps", steps)
    along, _ = follow_training(runner, [0, 1], Following((0, 2, 4), 40, 1.0))
    assert along.interrupted == 3 and whole.interrupted is None
    assert [p.epoch for p in along.points] == [0, 2]
    monkeypatch.setattr(runner, "init", lambda seeds: steps(None, 3))
    with pytest.raises(KeyboardInterrupt):
        follow_training(runner, [0, 1], Following((0, 2, 4), 40, 1.0))


def test_a_seed_that_blows_up_has_no_values_and_harms_no_other():
    spec = IdentitySpec(
        data="gaussian", features=4, examples=40, epochs=4, batch_size=10, optimizer="sgd",
        learning_rate=1e18, output_activation="linear",
    )  # fmt: skip
    runner = Runner(build_problem(spec, load_data(spec)))
    along, _ = follow_training(runner, [0], Following((0, 4), 40, 1.0))
    last = along.points[-1].seeds[0]
    assert last.loss is None and "no longer finite" in last.sharpness.method


def test_the_plan_keeps_to_its_share():
    spec = IdentitySpec(data="gaussian", examples=4000, epochs=50, batch_size=32)
    problem = build_problem(spec, load_data(spec))
    plan = plan_following(problem)
    assert plan.share <= 0.1 and plan.epochs[0] == 0 and plan.epochs[-1] == 50
    assert plan_following(problem, examples=10).examples == 10
    with pytest.raises(InputError, match="2 or more"):
        plan_following(problem, looks=1)
    assert not plan_following(problem, exact_order=10**6).exact
    dear = plan_following(problem, share=40.0, exact_order=10**6)
    assert dear.exact and dear.share <= 40.0 and dear.examples >= 64
    assert not plan_following(problem, share=40.0, exact_order=10).exact
    short = dataclasses.replace(spec, epochs=1)
    assert plan_following(build_problem(short, load_data(short))).epochs == (0, 1)


def test_a_mode_on_parameters_that_saw_no_gradient_is_known_for_it():
    rates = {"a": jnp.full(8, 0.1), "b": jnp.array([1e4, 0.1])}
    curvature = {"a": jnp.linspace(1.0, 2.0, 8), "b": jnp.array([0.07, 1.0])}

    def scaled(operand, v):
        return jax.tree.map(lambda r, h, x: r * h * x, rates, curvature, v)

    start = trees.random_like(jax.random.key(0), rates)
    ends = eigenpairs(scaled, None, start, top=2)
    found = top_mode(rates, ends)
    assert found.parameters == 1 and np.isclose(found.share, 1.0, atol=1e-3)
    assert np.isclose(found.next, 0.2, atol=0.01)
    even = jax.tree.map(jnp.ones_like, rates)
    assert top_mode(even, ends) is None, "no parameter stands out"
