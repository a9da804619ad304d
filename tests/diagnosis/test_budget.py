"""Four gaps that sum to the loss, and planted problems whose budget is known in closed form."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from jaxid.data.gaussian import GaussianSpec, sample
from jaxid.data.sources import Dataset
from jaxid.diagnosis.budget import build_budget, measure_gaps
from jaxid.diagnosis.items import Item, Part, PartName
from jaxid.identity.representation import representability
from jaxid.identity.spec import IdentitySpec

LOCKED, SLOW, NOISE = Item.LOCKED, Item.SLOW_MODES, Item.OPTIMIZER_NOISE


def budget(run):
    bound, _ = representability(run.spec, run.problem)
    return build_budget(run.evidence, bound, depth=run.spec.depth)


def items(found):
    return {item.cause: item for item in found.items}


def check_sums(found):
    """The identities that hold whatever the problem."""
    assert [item.cause for item in found.items] == list(Item)
    total = found.total.mean
    assert np.isclose(sum(item.loss for item in found.items), total, rtol=1e-12)
    explained = sum(item.explained for item in found.items)
    assert np.isclose(found.unexplained.loss, total - explained, rtol=1e-9, atol=1e-12)
    assert np.isclose(sum(item.share for item in found.items), 1.0)
    assert np.isclose(found.unexplained.share, found.unexplained.loss / total)
    for item in found.items:
        assert np.isclose(item.share, item.loss / total)
        if item.parts and item.cause is not Item.REPRESENTATION:
            parts = sum(part.loss for part in item.parts)
            assert np.isclose(parts, item.explained, rtol=1e-9, atol=1e-12)


def test_the_gaps_sum_to_the_loss_at_the_end(digits_run):
    found = budget(digits_run)
    check_sums(found)
    end = digits_run.history.train_end.loss
    assert np.isclose(found.total.mean, end.astype(float).mean(), rtol=1e-12)
    assert found.total.seeds == 2 and found.total.sem > 0
    gaps = measure_gaps(digits_run.evidence, 0.0)
    by_hand = {
        LOCKED: gaps.solved,
        SLOW: gaps.annealed - gaps.solved,
        NOISE: gaps.total - gaps.annealed,
    }
    for cause, values in by_hand.items():
        item = items(found)[cause]
        assert np.isclose(item.loss, values.mean())
        assert np.isclose(item.sem, values.std(ddof=1) / np.sqrt(2))
    assert found.solver.converged and found.solver.seeds == 2
    # Two epochs: the slope is their difference, kept up over the annealing at half the rate.
    train, falling = digits_run.history.train.astype(float), found.still_falling
    assert train.shape == (2, 2)
    fall = (train[:, 0] - train[:, 1]) * digits_run.evidence.anneal_epochs / 2
    assert np.isclose(falling.progress, fall.mean())
    assert np.isclose(falling.share_of_noise, fall.mean() / items(found)[NOISE].loss)
    # After two epochs of digits training is far from over.
    assert falling.matters
    effects = {row.cause: row.effect for row in found.one_at_a_time}
    assert np.isclose(effects[NOISE], by_hand[NOISE].mean())
    assert set(effects) == {LOCKED, SLOW, NOISE}


@pytest.fixture(scope="module")
def slow_run(run_of):
    """Full-batch descent on a linear layer, eigenvalues 1 and 1e-4, rate 1 / lambda_max."""
    eigenvalues = (1.0, 1.0, 1.0, 1e-4, 1e-4, 1e-4)
    made = sample(GaussianSpec(features=6, examples=60, eigenvalues=eigenvalues, exact=True))
    data = Dataset("gaussian", made.train, made.test, None, 1.0, {"batch_size": 60, "epochs": 30})
    spec = IdentitySpec(
        data="gaussian",
        output_activation="linear",
        optimizer="sgd",
        learning_rate=6 / 2,  # the Hessian of the mean over 6 outputs is (2 / 6) E[x~ x~^T]
        seeds=2,
    )
    return run_of(spec, data)


def test_a_linear_problem_stopped_early_is_all_slow_modes(slow_run):
    found = budget(slow_run)
    check_sums(found)
    slow = items(found)[SLOW]
    # A slow mode loses 2e-4 of its excess a step, two epochs of annealing one step's worth.
    assert 0.999 < slow.share <= 1.0
    assert np.isclose(slow.explained, slow.loss, rtol=1e-5)
    assert abs(items(found)[LOCKED].loss) < 1e-6 * found.total.mean
    assert items(found)[Item.REPRESENTATION].loss == 0
    assert abs(found.unexplained.share) < 1e-3
    assert found.solver.converged


def test_and_its_loss_is_the_one_that_the_eigenvalues_predict(slow_run):
    problem = slow_run.problem
    x = np.asarray(problem.train[0], float)
    x = np.concatenate([x, np.ones((60, 1))], axis=1)
    values, vectors = np.linalg.eigh(x.T @ x / 60)
    left = 1 - 3.0 * (2 / 6) * values
    for k, seed in enumerate(slow_run.spec.seed_list):
        initial = slow_run.runner.init([seed]).params["layers"][0]
        w = np.concatenate([initial["kernel"][0], initial["bias"]]).astype(float)
        error = vectors.T @ (w - np.eye(7, 6))
        predicted = np.sum(values[:, None] * (left[:, None] ** 30 * error) ** 2) / 6
        assert np.isclose(slow_run.history.train_end.loss[k], predicted, rtol=1e-3)


DEAD = np.array([20, 21, 27, 36, 43])


@pytest.fixture(scope="module")
def exact_but_dead(small, run_of, with_dead_outputs):
    """The identity written into the weights, but five outputs of it dead."""
    spec = IdentitySpec(initializer="identity", epochs=2, seeds=2)
    return run_of(spec, small, lambda p: with_dead_outputs(p, DEAD))


def test_outputs_planted_dead_are_all_of_the_locked_loss_and_nothing_else(small, exact_but_dead):
    found = budget(exact_but_dead)
    check_sums(found)
    squares = np.sum(np.mean(small.train[:, DEAD].astype(float) ** 2, axis=0)) / 64
    assert np.isclose(found.total.mean, squares, rtol=1e-6)
    locked = items(found)[LOCKED]
    assert np.isclose(locked.loss, squares, rtol=1e-6)
    parts = {part.name: part.loss for part in locked.parts}
    assert np.isclose(parts[PartName.DEAD_OUTPUTS], squares, rtol=1e-6)
    assert parts[PartName.SWITCHED_OFF_EXAMPLES] == 0
    for cause in (Item.REPRESENTATION, SLOW, NOISE):
        assert abs(items(found)[cause].loss) < 1e-6 * squares, cause
    assert abs(found.unexplained.share) < 1e-6
    effects = {row.cause: row.effect for row in found.one_at_a_time}
    assert np.isclose(effects[LOCKED], squares, rtol=1e-6)
    assert abs(effects[SLOW]) < 1e-6 * squares


def test_outputs_that_die_beside_learning_ones_cost_exactly_their_targets_mean_square(
    small, dying_run
):
    run, outputs = dying_run
    found = budget(run)
    check_sums(found)
    parts = {part.name: part.loss for part in items(found)[LOCKED].parts}
    gone = np.asarray(run.evidence.annealed.train_end.fires[-1])[[0, 2]] == 0
    assert gone[:, outputs].all()
    squares = np.mean(small.train.astype(float) ** 2, axis=0)
    expected = [squares[mask].sum() / 64 for mask in gone]
    assert np.isclose(parts[PartName.DEAD_OUTPUTS], np.mean(expected), rtol=1e-5)


def test_a_seed_that_blew_up_is_not_in_the_budget(dying_run):
    run, _ = dying_run
    assert run.history.first_bad.tolist() == [-1, 0, -1]
    found = budget(run)
    assert found.total.seeds == 2
    finite = run.history.train_end.loss[[0, 2]].astype(float)
    assert np.isclose(found.total.mean, finite.mean(), rtol=1e-12)
    assert np.isfinite(found.annealing_uncertainty.change)
    assert found.annealing_uncertainty.seeds == 2


def test_standardized_targets_under_relu_cannot_be_represented(small, run_of):
    spec = IdentitySpec(scaling="standardized", epochs=2, seeds=2)
    run = run_of(spec, small)
    found = budget(run)
    check_sums(found)
    x = small.train.astype(float)
    deviation = x.std(axis=0)
    y = np.where(deviation > 0, (x - x.mean(axis=0)) / np.where(deviation > 0, deviation, 1), 0)
    bound = np.mean(np.minimum(y, 0) ** 2)
    item = items(found)[Item.REPRESENTATION]
    assert np.isclose(item.loss, bound, rtol=1e-5)
    assert item.loss == item.explained and item.sem == 0
    assert item.parts == (Part(PartName.NEGATIVE_TARGETS, item.loss),)
    # What is dead or switched off counts above that bound only: an output that answers 0
    # to a negative target does the best it can.
    gaps = measure_gaps(run.evidence, bound)
    gone = np.asarray(run.evidence.annealed.train_end.fires[-1]) == 0
    for k, mask in enumerate(gone):
        positive = np.mean(np.maximum(y[:, mask], 0) ** 2, axis=0).sum() / 64
        assert np.isclose(gaps.dead[k], positive, rtol=1e-4, atol=1e-6)
    # Where a unit is on, a negative target costs its square at least; so the parts that are
    # off and the bound together are no more than the solved loss.
    solved = np.array([seed.solution.loss for seed in run.evidence.seeds])
    assert (gaps.dead + gaps.stopped + bound <= solved + 1e-6).all()
    assert gaps.stopped.min() > 0


def test_depth_above_one_is_locked_given_the_features(deep_run):
    found = budget(deep_run)
    check_sums(found)
    locked = items(found)[LOCKED]
    assert "given the features" in locked.how
    assert [p.name for p in locked.parts] == [
        PartName.DEAD_OUTPUTS,
        PartName.LOCKED_GIVEN_FEATURES,
    ]


def test_a_loss_of_exactly_zero_has_no_shares(small, run_of):
    run = run_of(IdentitySpec(initializer="identity", epochs=1, seeds=2), small)
    found = budget(run)
    assert found.total.mean == 0
    assert all(item.loss == 0 and item.share is None for item in found.items)
    assert found.unexplained.share is None and found.solver.converged


def test_fewer_solved_seeds_are_said_to_be_fewer(digits_run):
    whole = digits_run.evidence
    first = dataclasses.replace(whole.seeds[0], solved_from_end=None)
    evidence = dataclasses.replace(whole, seeds=(first,))
    bound, _ = representability(digits_run.spec, digits_run.problem)
    found = build_budget(evidence, bound, depth=1)
    check_sums(found)
    assert found.total.seeds == 1 and found.total.sem is None
    assert {row.cause for row in found.one_at_a_time} == {LOCKED, NOISE}
    assert np.isclose(found.total.mean, float(digits_run.history.train_end.loss[0]))
