"""Counterfactual runs: paired seeds, read at the same epoch, honest where something blew up."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from jaxid.core.io import encode
from jaxid.core.progress import SILENT
from jaxid.identity import trials
from jaxid.identity.prescriptions import Remedy, RemedyGroup
from jaxid.identity.spec import IdentitySpec, build_problem, load_data
from jaxid.identity.trial_results import TrialVerdict, trial_result
from jaxid.identity.trials import rounding_floor, run_trials, tail_mean, trial_plan
from jaxid.report.trials import note
from jaxid.training.run import Runner

SPEC = IdentitySpec(data="gaussian", features=5, examples=60, mean=2.0, epochs=4, seeds=4)
CHOSEN = [
    Remedy("nothing at all", {"epochs": lambda s: s.epochs}, "none"),
    Remedy("identity init", {"initializer": "identity"}, "initialisation"),
    Remedy("rate x 1e30", {"learning_rate": 1e30}, "constant rate"),
    Remedy("2 x epochs", {"epochs": lambda s: 2 * s.epochs}, "too few steps"),
]


@pytest.fixture(scope="module")
def ran():
    """(trials by name, the run's batch losses) of a short run: 3 of 4 seeds, 2 of 4 epochs."""
    # Positive data, so that the identity is a solution under ReLU to begin with.
    data = load_data(SPEC)
    data = data._replace(train=np.abs(data.train), test=np.abs(data.test))
    spec = SPEC.resolved(data)
    problem = build_problem(spec, data)
    reference = Runner(problem).train(spec.seed_list, test_curve=False).step_original
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(trials.SHORT_EPOCHS, "gaussian", 2)
        found = []
        run_trials(
            found,
            spec,
            data,
            reference,
            problem.steps_per_epoch,
            "short",
            SILENT,
            chosen=CHOSEN,
        )
    return {trial.remedy.name: trial for trial in found}, reference


def test_the_reference_is_read_at_the_same_epoch_and_for_the_same_seeds(ran):
    found, reference = ran
    steps = 2 * 2  # of 32 examples, two epochs
    expected = reference[:3, :steps][:, -1:].mean(axis=1, dtype=np.float64)
    for trial in found.values():
        assert np.array_equal(trial.before, expected)
        assert trial.after.shape == (3,) and trial.reference_epochs == 2
    assert found["2 x epochs"].epochs == 4


def test_changing_nothing_has_a_log_ratio_of_exactly_zero(ran):
    trial = ran[0]["nothing at all"]
    assert np.array_equal(trial.log_ratio, np.zeros(3))
    result = trial_result(trial, None)
    assert result.ratio == 1.0 and result.ci95 == (1.0, 1.0)
    assert result.verdict is TrialVerdict.NOTHING and result.seeds_lower == 0


def test_twice_the_epochs_is_the_reference_run_itself_two_epochs_later(ran):
    found, reference = ran
    assert np.allclose(found["2 x epochs"].after, tail_mean(reference[:3, :8]), rtol=1e-5)


def test_a_solution_written_down_at_the_start_is_said_to_be_one(ran):
    found = ran[0]
    trial = found["identity init"]
    assert trial.solved_at_start and not found["nothing at all"].solved_at_start
    result = trial_result(trial, None)
    assert result.solved_at_start and result.below_floor == 3
    assert result.after == 0 and np.isfinite(result.log_ratio)
    assert np.allclose(trial.log_ratio, np.log(trial.floor) - np.log(trial.before))


def test_a_change_that_blows_up_has_no_ratio_and_names_the_step(ran):
    trial = ran[0]["rate x 1e30"]
    result = trial_result(trial, None)
    assert result.verdict is TrialVerdict.NON_FINITE and result.after is None
    assert result.ratio is result.log_ratio is result.ci95 is None
    assert "3 of 3 seeds went non-finite" in note(result)
    assert f"step {trial.first_bad.min()}" in note(result)


def test_results_are_strict_json(ran, made_trial):
    rows = [*ran[0].values(), made_trial("Adam", [np.nan, 0.1, 0.2])]
    rows.append(made_trial("Adam", [0.1, 0.2], before=np.array([np.nan, np.inf])))
    for trial in rows:
        json.dumps(encode(trial_result(trial, 0.5))[0], allow_nan=False)


def test_a_run_that_blew_up_itself_cannot_be_compared_with(made_trial):
    lost = made_trial("Adam", [0.1, 0.2, 0.3], before=np.full(3, np.nan))
    result = trial_result(lost, None)
    assert result.before is None and result.ratio is None
    assert result.verdict is TrialVerdict.UNCERTAIN and result.seeds == 0
    assert np.isclose(result.after, np.exp([0.1, 0.2, 0.3]).mean())
    assert "3 of 3" in note(result)
    part = made_trial("Adam", [-2.0, -2.1, -2.2, 9.0], before=np.array([1, 1, 1, np.inf]))
    result = trial_result(part, None)
    assert result.seeds == result.seeds_lower == 3 and result.verdict is TrialVerdict.HELPS
    assert np.isclose(result.log_ratio, -2.1) and "1 of 4" in note(result)


def test_the_verdict_and_the_seeds_that_would_decide_are_the_statistics(made_trial):
    for ratios, verdict in (
        ([-1.0, -1.1, -0.9], "helps"),
        ([1.0, 1.1, 0.9], "harms"),
        ([0.0, 0.01, -0.01], "nothing"),
        ([-1.0, 0.3, 0.1], "uncertain"),
    ):
        result = trial_result(made_trial("Adam", ratios), None)
        assert result.verdict.value == verdict
        assert (result.seeds_to_decide is not None) == (verdict == "uncertain")
        assert result.seeds_lower == sum(r < 0 for r in ratios)


def test_a_tail_is_the_last_tenth_and_one_step_at_least():
    losses = np.arange(60, dtype=np.float32).reshape(2, 30)
    assert np.array_equal(tail_mean(losses), [28.0, 58.0])
    assert np.array_equal(tail_mean(losses[:, :5]), [4.0, 34.0])
    # Summed in float64: losses near float32's end are still finite.
    assert np.isfinite(tail_mean(np.full((1, 40), 3e38, np.float32))).all()


def test_a_short_trial_is_short_and_a_full_one_is_the_run():
    resolved = dataclasses.replace(SPEC, epochs=20, seeds=10, batch_size=32, width=5)
    mnist = IdentitySpec(data="mnist", epochs=20, batch_size=32, width=5)
    assert trial_plan(mnist, "short") == (3, 5) and trial_plan(mnist, "full") == (10, 20)
    assert trial_plan(resolved, "short") == (3, 20)
    assert trial_plan(dataclasses.replace(mnist, epochs=2, seeds=2), "short") == (2, 2)


def test_no_trials_where_none_are_asked_for():
    done = []
    run_trials(done, SPEC, None, np.zeros((1, 1)), 1, "none", SILENT, chosen=CHOSEN)
    assert done == []


def test_the_floor_is_the_loss_of_rounding_the_targets_to_float32(small):
    rng = np.random.default_rng(0)
    data = small._replace(train=rng.normal(size=(500, 64)))
    rounding = np.mean((data.train.astype(np.float32) - data.train) ** 2)
    assert 0.01 * rounding_floor(data) < rounding < rounding_floor(data)


def test_under_a_schedule_a_shorter_trial_is_compared_with_a_shorter_run(monkeypatch):
    """A linear rate of 4 epochs is at half its value where one of 2 epochs has ended."""
    spec = dataclasses.replace(SPEC, schedule="linear")
    data = load_data(spec)
    spec = spec.resolved(data)
    problem = build_problem(spec, data)
    reference = Runner(problem).train(spec.seed_list, test_curve=False).step_original
    monkeypatch.setitem(trials.SHORT_EPOCHS, "gaussian", 2)
    found = []
    same = Remedy("same", {}, "luck", RemedyGroup.CONTROL)
    steps = problem.steps_per_epoch
    run_trials(found, spec, data, reference, steps, "short", SILENT, chosen=[same])
    assert np.array_equal(found[0].before, found[0].after)
    assert not np.allclose(found[0].before, tail_mean(reference[:3, : 2 * steps]))
