"""From a spec to the record and back: the schema, one seed, and runs that blow up."""

from __future__ import annotations

import dataclasses
import os
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.core import interrupt
from jaxid.core.errors import InputError
from jaxid.core.io import encode
from jaxid.core.random import role_key, seed_key
from jaxid.core.statistics import Lack
from jaxid.diagnosis.final import NonFinite
from jaxid.diagnosis.head_curvature import NoSpectra
from jaxid.diagnosis.items import Item, NoBudget, PartName
from jaxid.identity import explaining, trials
from jaxid.identity.diagnosis import Diagnosis
from jaxid.identity.explaining import explain
from jaxid.identity.plan import make_plan
from jaxid.identity.prescriptions import SINGLES, RemedyGroup, controls
from jaxid.identity.spec import IdentitySpec, build_problem, load_data
from jaxid.identity.suspects import Suspect
from jaxid.identity.trial_results import TrialVerdict
from jaxid.report.trials import note
from jaxid.report.verdict import verdict_sentences
from jaxid.training.run import Runner

GAUSSIAN = IdentitySpec(data="gaussian", features=6, examples=200, epochs=3, seeds=2)


def run(spec, data=None, change=None, mode="none", spectra=1):
    plan = make_plan(spec, data or load_data(spec), trials=mode, spectrum_seeds=spectra)
    if change is not None:
        plan = dataclasses.replace(plan, problem=change(plan.problem))
    return explain(spec, plan=plan)


@pytest.fixture(scope="module")
def gaussian(no_floor):
    """Made data with two changes tried, one of them random."""
    with pytest.MonkeyPatch.context() as patch, no_floor():
        chosen = [r for r in SINGLES if r.name == "linear output"]
        patch.setattr(explaining, "remedies", lambda spec, data: [*chosen, controls()[0]])
        return run(GAUSSIAN, mode="short")


TOP = {
    "schema", "problem", "provenance", "final", "budget", "conditioning", "findings",
    "prescriptions", "certificate", "non_finite", "representation", "well_posed", "moments",
    "points", "dead", "mape", "trials", "predicted_seconds", "first_step", "interrupted",
}  # fmt: skip


@pytest.fixture(params=["digits", "gaussian"])
def found(request, explained, gaussian):
    return explained if request.param == "digits" else gaussian


def test_its_json_has_the_schemas_keys(found):
    record, arrays = encode(found)
    assert set(record) >= TOP and record["schema"] == 1
    assert {"train_loss", "train_loss_end", "test_loss", "test_mape"} <= set(record["final"])
    for entry in record["final"].values():
        assert {"mean", "sem", "per_seed"} <= set(entry) and len(entry["per_seed"]) == 2
    assert {"git", "argv", "versions", "device", "dtype", "seeds", "started", "seconds"} <= set(
        record["provenance"]
    )
    assert {"total", "items", "unexplained", "one_at_a_time"} <= set(record["budget"])
    for name in ("at_init", "at_end"):
        row = record["conditioning"][name]
        assert {
            "operator", "seed", "lambda_max", "lambda_min_nonzero", "kappa", "effective_kappa",
            "null_dim", "null_reasons", "threshold",
        } <= set(row)  # fmt: skip
        for key in ("lambda_max", "lambda_min_nonzero", "kappa", "effective_kappa"):
            assert {"value", "error", "converged", "method"} <= set(row[key])
        assert set(row["null_reasons"]) == {
            "dead_unit", "constant_input", "collinear_input", "rarely_active",
        }  # fmt: skip
    assert {"loss/train", "census/dead", "images/output", "floors/solved"} <= set(arrays)
    assert found.non_finite == ()


def test_numbers_that_stand_in_two_places_are_the_same(found):
    total = found.budget.total.mean
    assert np.isclose(total, found.final.train_loss_end.mean, rtol=1e-6)
    assert found.budget.items[0].loss == found.representation.lower.value
    assert sum(point.outputs for point in found.points) == found.dead.outputs
    gap = found.final.test_loss.mean - found.final.train_loss_end.mean
    assert np.isclose(found.final.generalisation_gap.mean, gap, atol=1e-6)
    assert found.predicted_seconds > 0 and found.provenance.seconds > 0


def test_a_report_and_strict_json_come_of_it(found, tmp_path):
    found.save(tmp_path / "out")
    text = (tmp_path / "out" / "diagnosis.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    values, arrays = encode(found)
    again, same = encode(Diagnosis.load(tmp_path / "out"))
    assert again == values and same.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(same[name], array, err_msg=name)
    words = " ".join(str(found).split())
    assert all(sentence in words for sentence in verdict_sentences(found))


def test_prescriptions_are_the_trials_that_help_with_luck_beside_them(gaussian):
    by_name = {trial.name: trial for trial in gaussian.trials}
    assert set(by_name) == {"linear output", "random change 1"}
    helping = {
        name
        for name, trial in by_name.items()
        if trial.verdict is TrialVerdict.HELPS and trial.group is not RemedyGroup.CONTROL
    }
    assert {p.name for p in gaussian.prescriptions} == helping
    for prescription in gaussian.prescriptions:
        trial = by_name[prescription.name]
        assert prescription.trial.ratio == trial.ratio
        assert prescription.change == trial.change
    # What the budget alone predicts: the locked item and what a ReLU can't reach gone.
    representation = gaussian.budget.item(Item.REPRESENTATION)
    assert representation.parts[0].name is PartName.NEGATIVE_TARGETS
    left = 1 - representation.share - gaussian.budget.item(Item.LOCKED).share
    assert np.isclose(by_name["linear output"].predicted, max(0, left), atol=1e-12)
    assert [f.causes for f in gaussian.findings] == [(Suspect.LOCKED,)]


@pytest.mark.slow
def test_where_every_seed_blows_up_the_record_says_so_and_nothing_crashes(tmp_path):
    spec = dataclasses.replace(GAUSSIAN, optimizer="sgd", output_activation="linear",
                               learning_rate=1e3)  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        chosen = [r for r in SINGLES if r.name == "Adam"]
        patch.setattr(explaining, "remedies", lambda spec, data: chosen)
        found = run(spec, mode="short")
    assert found.budget is None and found.budget_reason is NoBudget.EVERY_SEED_NON_FINITE
    assert [row.seed for row in found.non_finite] == [0, 1]
    assert all(0 < row.step <= 21 for row in found.non_finite)
    assert found.dead is None and found.points == () and found.findings == ()
    assert found.conditioning.at_end is None
    assert found.conditioning.reason is NoSpectra.NO_FINITE_SEED
    assert found.final.train_loss_end.mean is None
    assert found.final.train_loss_end.reason is Lack.NO_FINITE_SEED
    by_name = {trial.name: trial for trial in found.trials}
    assert by_name["Adam"].before is None and "went non-finite" in note(by_name["Adam"])
    where, _, cure = verdict_sentences(found)
    assert "every seed went non-finite" in where and "no seed does with Adam" in cure
    found.save(tmp_path / "out")
    assert str(Diagnosis.load(tmp_path / "out")) == str(found)


def test_a_seed_that_blows_up_at_the_last_update_counts_as_blown_up():
    spec = dataclasses.replace(
        GAUSSIAN, examples=30, batch_size=30, epochs=1, optimizer="sgd", learning_rate=1e38
    )
    spec = dataclasses.replace(spec, output_activation="linear")
    history = Runner(build_problem(spec, load_data(spec))).train(spec.seed_list)
    # The one batch loss, before the one update, was finite.
    assert np.isfinite(history.step_loss).all() and history.first_bad.tolist() == [1, 1]


@pytest.mark.slow
def test_where_one_seed_blows_up_the_others_are_explained(small, planted, no_floor, tmp_path):
    def blow_up(params, key):
        mine = jax.random.key_data(key) == jax.random.key_data(role_key(seed_key(6), "init"))
        return jax.tree.map(lambda leaf: leaf + jnp.where(mine.all(), 1e30, 0.0), params)

    spec = IdentitySpec(epochs=1, seeds=3, first_seed=5)
    with no_floor():
        found = run(spec, small, lambda p: planted(p, blow_up), spectra=0)
    assert found.non_finite == (NonFinite(6, 0),)
    assert found.final.train_loss_end.per_seed[1] is None
    assert found.budget.total.seeds == 2
    assert "1 seed went non-finite, the first at step 0" in verdict_sentences(found)[0]
    assert np.isfinite(found.dead.loss_varying.mean)
    assert found.conditioning.at_end is None
    assert found.conditioning.reason is NoSpectra.NOT_ASKED
    assert all(point.kind for point in found.points)
    found.save(tmp_path / "out")
    assert "non_finite_values" not in (tmp_path / "out" / "diagnosis.json").read_text()


@pytest.mark.slow
def test_seeds_that_blow_up_are_passed_over_when_few_are_solved(small, planted, no_floor):
    def blow_up(params, key):
        first = jax.random.key_data(key) == jax.random.key_data(role_key(seed_key(0), "init"))
        return jax.tree.map(lambda leaf: leaf + jnp.where(first.all(), 1e30, 0.0), params)

    plan = make_plan(IdentitySpec(epochs=1, seeds=3), small, trials="none", spectrum_seeds=0)
    plan = dataclasses.replace(
        plan, problem=planted(plan.problem, blow_up), solve_seeds=1, end_seeds=1
    )
    with no_floor():
        found = explain(plan.spec, plan=plan)
    assert found.non_finite == (NonFinite(0, 0),)
    assert found.budget.total.seeds == 1
    assert "(mean of the 1 of 2 seeds that were taken apart)" in verdict_sentences(found)[0]


def test_a_plan_refuses_seeds_that_do_not_fit(small):
    spec = IdentitySpec(seeds=10**8)
    with pytest.raises(InputError, match="--seeds"):
        make_plan(spec, small, trials="none", spectrum_seeds=1)


def test_a_plan_knows_what_will_be_done(small):
    plan = make_plan(IdentitySpec(seeds=3), small, trials="none", spectrum_seeds=50)
    assert plan.spectrum_seeds == 3 and plan.solve_seeds == 3 and plan.spec.epochs == 200
    longer = make_plan(IdentitySpec(seeds=3), small, trials="short", spectrum_seeds=50)
    assert longer.predicted_seconds > plan.predicted_seconds


def test_an_interrupt_keeps_what_is_finished(gaussian, no_floor, monkeypatch, tmp_path):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(explaining, "remedies", lambda spec, data: SINGLES[:4])
    with no_floor(), monkeypatch.context() as patch:
        patch.setattr(explaining, "gather", stop)
        found = run(GAUSSIAN, mode="short")
    assert found.interrupted == "after training" and found.trials == ()
    assert found.budget is None and found.budget_reason is NoBudget.INTERRUPTED
    assert found.final.train_loss.mean > 0 and found.loss.train.shape == (2, 3)
    assert "interrupted" in verdict_sentences(found)[0]
    found.save(tmp_path / "out")
    assert str(Diagnosis.load(tmp_path / "out")) == str(found)

    # During the trials, the second of them by name.
    with no_floor(), monkeypatch.context() as patch:
        patch.setattr(trials, "MOST_TOGETHER", 1)
        real = trials._run_one
        patch.setattr(
            trials,
            "_run_one",
            lambda *args: stop() if args[2] is SINGLES[1] else real(*args),
        )
        found = run(GAUSSIAN, mode="short")
    assert found.interrupted == "remedies"
    assert [t.name for t in found.trials] == [SINGLES[0].name]
    assert found.budget == gaussian.budget and found.budget_reason is None


@pytest.mark.slow
def test_an_interrupt_among_the_remedies_keeps_those_that_are_done(no_floor, monkeypatch):
    real, calls = trials._run_one, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 1:
            return real(*args)
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(600):
            interrupt.check()
            time.sleep(0.05)
        raise AssertionError("no check saw it")

    monkeypatch.setattr(trials, "_run_one", interrupted)
    monkeypatch.setattr(trials, "_together", lambda spec: 1)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with no_floor():
            found = run(GAUSSIAN, mode="short")
    finally:
        signal.signal(signal.SIGINT, before)
    assert found.interrupted == "remedies" and len(found.trials) == 1
    assert len(calls) == 2
