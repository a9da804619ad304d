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

from jaxid import report
from jaxid.core import interrupt
from jaxid.core.errors import InputError
from jaxid.core.io import as_json
from jaxid.core.random import role_key, seed_key
from jaxid.identity import explain as explaining
from jaxid.identity import trials
from jaxid.identity.explain import explain, make_plan
from jaxid.identity.prescriptions import SINGLES, controls
from jaxid.identity.spec import IdentitySpec, build_problem, load_data
from jaxid.report.json_file import load_json, write_json
from jaxid.training.run import Runner

GAUSSIAN = IdentitySpec(data="gaussian", features=6, examples=200, epochs=3, seeds=2)


def run(spec, data=None, change=None, mode="none", spectra=1):
    plan = make_plan(spec, data or load_data(spec), trials=mode, spectrum_seeds=spectra)
    if change is not None:
        plan = dataclasses.replace(plan, problem=change(plan.problem))
    return explain(plan)


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
    "points", "dead", "mape", "trials", "verdict", "predicted_seconds",
    "first_step", "interrupted",
}  # fmt: skip


@pytest.fixture(params=["digits", "gaussian"])
def record(request, explained, gaussian):
    return (explained if request.param == "digits" else gaussian)[0]


def test_the_record_has_the_schemas_keys(record):
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
    assert len(record["verdict"]) == 3 and record["non_finite"] == []


def test_numbers_that_stand_in_two_places_are_the_same(record):
    total = record["budget"]["total"]["mean"]
    assert np.isclose(total, record["final"]["train_loss_end"]["mean"], rtol=1e-6)
    floor = record["budget"]["items"][0]["loss"]
    assert floor == record["representation"]["lower"]["value"]
    masses = sum(point["outputs"] for point in record["points"])
    assert masses == record["dead"]["outputs"]
    gap = record["final"]["test_loss"]["mean"] - record["final"]["train_loss_end"]["mean"]
    assert np.isclose(record["final"]["generalisation_gap"]["mean"], gap, atol=1e-6)
    assert record["predicted_seconds"] > 0 and record["provenance"]["seconds"] > 0


def test_a_report_and_strict_json_come_of_it(record, tmp_path):
    path = write_json(record, tmp_path)
    assert "NaN" not in path.read_text() and "Infinity" not in path.read_text()
    assert load_json(tmp_path) == as_json(record)
    text = report.text(record)
    words = " ".join(text.split())
    assert all(sentence in words for sentence in record["verdict"])


def test_prescriptions_are_the_trials_that_help_with_luck_beside_them(gaussian):
    record, _ = gaussian
    by_name = {trial["name"]: trial for trial in record["trials"]}
    assert set(by_name) == {"linear output", "random change 1"}
    names = [p["name"] for p in record["prescriptions"]]
    helping = {n for n, t in by_name.items() if t["verdict"] == "helps" and t["group"] != "control"}
    assert set(names) == helping
    for prescription in record["prescriptions"]:
        trial = by_name[prescription["name"]]
        assert prescription["trial"]["ratio"] == trial["ratio"]
        assert prescription["change"] == trial["change"]
    # What the budget alone predicts: the locked item and what a ReLU can't reach gone.
    representation, locked = record["budget"]["items"][:2]
    assert representation["parts"][0]["name"] == "negative_targets"
    left = 1 - representation["share"] - locked["share"]
    assert np.isclose(by_name["linear output"]["predicted"], max(0, left), atol=1e-12)
    assert [f["causes"] for f in record["findings"]] == [["locked"]]


@pytest.mark.slow
def test_where_every_seed_blows_up_the_record_says_so_and_nothing_crashes(tmp_path):
    spec = dataclasses.replace(GAUSSIAN, optimizer="sgd", output_activation="linear",
                               learning_rate=1e3)  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        chosen = [r for r in SINGLES if r.name == "Adam"]
        patch.setattr(explaining, "remedies", lambda spec, data: chosen)
        record, arrays = run(spec, mode="short")
    assert record["budget"] is None and record["budget_reason"] == "every seed went non-finite"
    assert [row["seed"] for row in record["non_finite"]] == [0, 1]
    assert all(0 < row["step"] <= 21 for row in record["non_finite"])
    assert record["dead"] is None and record["points"] == [] and record["findings"] == []
    assert record["conditioning"]["at_end"] is None and record["conditioning"]["reason"]
    assert record["final"]["train_loss_end"]["mean"] is None
    assert record["final"]["train_loss_end"]["reason"]
    by_name = {trial["name"]: trial for trial in record["trials"]}
    assert by_name["Adam"]["before"] is None and "went non-finite" in by_name["Adam"]["note"]
    assert "every seed went non-finite" in record["verdict"][0]
    assert "no seed does with Adam" in record["verdict"][2]
    write_json(record, tmp_path)
    assert report.text(record) and arrays


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
        record, _ = run(spec, small, lambda p: planted(p, blow_up), spectra=0)
    assert record["non_finite"] == [{"seed": 6, "step": 0}]
    assert record["final"]["train_loss_end"]["per_seed"][1] is None
    assert record["budget"]["total"]["seeds"] == 2
    assert "1 seed went non-finite, the first at step 0" in record["verdict"][0]
    assert np.isfinite(record["dead"]["loss_varying"]["mean"])
    assert record["conditioning"]["at_end"] is None
    assert "--spectrum-seeds" in record["conditioning"]["reason"]
    assert all(point["kind"] for point in record["points"])
    write_json(record, tmp_path)
    assert "non_finite_values" not in (tmp_path / "diagnosis.json").read_text()


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
        record, _ = explain(plan)
    assert record["non_finite"] == [{"seed": 0, "step": 0}]
    assert record["budget"]["total"]["seeds"] == 1
    assert "(mean of the 1 of 2 seeds that were taken apart)" in record["verdict"][0]


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
        record, arrays = run(GAUSSIAN, mode="short")
    assert record["interrupted"] == "after training" and record["trials"] == []
    assert record["budget"] is None and "interrupted" in record["budget_reason"]
    assert record["final"]["train_loss"]["mean"] > 0 and arrays["loss/train"].shape == (2, 3)
    assert "interrupted" in record["verdict"][0] and report.text(record)
    write_json(record, tmp_path)

    # During the trials, the second of them by name.
    with no_floor(), monkeypatch.context() as patch:
        patch.setattr(trials, "MOST_TOGETHER", 1)
        real = trials._run_one
        patch.setattr(
            trials,
            "_run_one",
            lambda *args: stop() if args[2] is SINGLES[1] else real(*args),
        )
        record, _ = run(GAUSSIAN, mode="short")
    assert record["interrupted"] == "remedies"
    assert [t["name"] for t in record["trials"]] == [SINGLES[0].name]
    assert record["budget"] == gaussian[0]["budget"]
    assert "budget_reason" not in record


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
            record, _ = run(GAUSSIAN, mode="short")
    finally:
        signal.signal(signal.SIGINT, before)
    assert record["interrupted"] == "remedies" and len(record["trials"]) == 1
    assert len(calls) == 2
