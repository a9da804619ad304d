"""Causes, acquittals and compounds on trials whose log ratios are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jaxid.core.statistics import seeds_to_decide
from jaxid.diagnosis.items import Item
from jaxid.identity.findings import (
    COUNTERFACTUALS,
    build_findings,
    follow_ups,
    interaction_of,
)
from jaxid.identity.prescriptions import FIT_RATE as RATE
from jaxid.identity.prescriptions import PAIRS, SINGLES
from jaxid.identity.spec import IdentitySpec
from jaxid.identity.suspects import Evidence, Remark, Suspect, Verdict
from jaxid.report.trials import remark

HELPS, HARMS = np.log([0.30, 0.33, 0.36]), np.log([3.0, 3.3, 3.6])
NOTHING, UNSURE = np.log([0.99, 1.0, 1.01]), np.array([-1.0, 0.2, -0.3])
JOINT = "linear output + decaying rate"


def by_causes(findings):
    return {tuple(cause.value for cause in f.causes): f for f in findings}


def test_every_counterfactual_is_a_single_change_and_every_pair_is_made_of_two():
    singles = {remedy.name for remedy in SINGLES} | {RATE}
    assert set(COUNTERFACTUALS) <= singles
    assert len(set(COUNTERFACTUALS.values())) == len(COUNTERFACTUALS)
    for pair in PAIRS:
        assert set(pair.parts) <= set(COUNTERFACTUALS)


@pytest.mark.parametrize(
    "ratios, verdict, evidence",
    [
        (HELPS, Verdict.CAUSE, Evidence()),
        (NOTHING, Verdict.NOT_A_CAUSE, Evidence()),
        (UNSURE, Verdict.UNCERTAIN, Evidence(seeds_to_decide=seeds_to_decide(UNSURE))),
        (HARMS, Verdict.UNCERTAIN, Evidence(Remark.HARMS)),
    ],
)
def test_one_suspect_alone(made_trial, ratios, verdict, evidence):
    (found,) = build_findings([made_trial("decaying rate", ratios)], None)
    assert found.causes == (Suspect.OPTIMIZER_NOISE,) and found.verdict is verdict
    assert found.evidence == evidence and found.rank == 1
    counter = found.counterfactual
    assert np.isclose(counter.ratio, np.exp(ratios.mean())) and counter.before == 1.0
    assert np.isclose(counter.after, np.exp(ratios).mean()) and counter.seeds == 3
    assert counter.ci95[0] < counter.ratio < counter.ci95[1]


def shares_of(sample, shares):
    """A budget with those shares."""
    found = sample.budget()
    items = [replace(i, share=shares.get(i.cause)) for i in found.items]
    return replace(found, items=tuple(items))


def test_a_suspects_share_comes_from_the_budget(made_trial, sample):
    budget = shares_of(sample, {Item.OPTIMIZER_NOISE: 0.4})
    trials = [made_trial("decaying rate", HELPS), made_trial("Adam", NOTHING)]
    found = by_causes(build_findings(trials, budget))
    assert found["optimizer_noise",].share == 0.4
    assert found["weak_optimizer",].share is None


def test_two_that_act_only_together_are_one_compound_and_neither_is_blamed_alone(
    made_trial, sample
):
    trials = [
        made_trial("linear output", NOTHING),
        made_trial("decaying rate", NOTHING[::-1]),
        made_trial(JOINT, HELPS),
    ]
    budget = shares_of(sample, {Item.LOCKED: 0.5, Item.OPTIMIZER_NOISE: 0.3})
    found = build_findings(trials, budget)
    compound, *others = found
    assert compound.causes == (Suspect.LOCKED, Suspect.OPTIMIZER_NOISE)
    assert compound.verdict is Verdict.CAUSE
    assert np.isclose(compound.share, 0.8)
    # Seed by seed: the joint ratio minus both single ones.
    expected = HELPS - NOTHING - NOTHING[::-1]
    assert np.isclose(compound.interaction.value, expected.mean())
    assert compound.interaction.ci95[1] < 0
    assert [one.remedy for one in compound.evidence.apart] == ["linear output", "decaying rate"]
    assert set(by_causes(others)) == {("locked",), ("optimizer_noise",)}
    # Neither a cause by itself nor acquitted.
    assert all(f.verdict is Verdict.UNCERTAIN for f in others)
    assert all(f.evidence.remark is Remark.ACTS_IN_A_COMPOUND for f in others)


def test_a_pair_of_which_one_part_does_it_all_is_no_compound(made_trial):
    trials = [
        made_trial("linear output", NOTHING),
        made_trial("decaying rate", HELPS),
        made_trial(JOINT, HELPS + NOTHING),
    ]
    found = by_causes(build_findings(trials, None))
    assert set(found) == {("locked",), ("optimizer_noise",)}
    assert found["optimizer_noise",].verdict is Verdict.CAUSE
    # Its joint effect with the cause, beyond the cause's own, is nothing as well.
    assert found["locked",].verdict is Verdict.NOT_A_CAUSE
    assert found["locked",].evidence.not_tried_with == ()


def test_a_pair_that_only_adds_up_is_no_compound(made_trial):
    trials = [
        made_trial("linear output", np.log([0.93, 0.94, 0.92])),
        made_trial("decaying rate", np.log([0.94, 0.92, 0.93])),
        made_trial(JOINT, np.log([0.87, 0.86, 0.865])),
    ]
    assert all(len(f.causes) == 1 for f in build_findings(trials, None))


@pytest.mark.parametrize(
    "first, second, share",
    [(-0.4, -0.4, 0.2), (-0.2, 0.0, 0.05), (-0.49, -0.49, 0.245), (-0.51, -0.51, None),
     (-2.0, -1.9, None), (0.7, -0.1, 0.0)],
)  # fmt: skip
def test_parts_that_give_a_quarter_of_the_joint_effect_apart_are_no_compound(
    made_trial, first, second, share
):
    wobble = np.array([-0.01, 0.0, 0.01])
    trials = [
        made_trial("linear output", first + wobble),
        made_trial("decaying rate", second + wobble),
        made_trial(JOINT, -4.0 + wobble),
    ]
    found = by_causes(build_findings(trials, None)).get(("locked", "optimizer_noise"))
    assert (found is None) == (share is None)
    if share is not None:
        assert np.isclose(found.evidence.apart_share, share)
        assert np.isclose(found.interaction.value, -4.0 - first - second)


def test_an_acquittal_is_withdrawn_where_the_joint_effect_with_a_cause_is_something(made_trial):
    trials = [
        made_trial("linear output", NOTHING),
        made_trial("decaying rate", HELPS),
        made_trial(JOINT, 3 * HELPS),
    ]
    found = by_causes(build_findings(trials, None))
    assert found["locked",].verdict is Verdict.UNCERTAIN
    assert found["locked",].evidence.remark is Remark.CHANGES_A_CAUSE
    assert found["locked",].evidence.changes == "decaying rate"


def test_nobody_is_acquitted_who_was_not_tried_with_a_confirmed_cause(made_trial):
    trials = [made_trial("4 x batch", NOTHING), made_trial("decaying rate", HELPS)]
    found = by_causes(build_findings(trials, None))
    assert found["batch_noise",].verdict is Verdict.UNCERTAIN
    assert found["batch_noise",].evidence.not_tried_with == ("decaying rate",)
    # Where nothing is confirmed there is nothing to be tried with.
    (alone,) = build_findings([made_trial("4 x batch", NOTHING)], None)
    assert alone.evidence == Evidence()


def test_follow_ups_are_what_an_acquittal_lacks_and_settle_it(made_trial):
    trials = [
        made_trial("4 x batch", NOTHING),
        made_trial("4 x epochs", HARMS),
        made_trial("Adam", NOTHING),
        made_trial("decaying rate", HELPS),
        made_trial("decaying rate + Adam", HELPS + NOTHING),
    ]
    (missing,) = follow_ups(trials)
    assert missing.name == "decaying rate + 4 x batch"
    spec = IdentitySpec(batch_size=8, epochs=1)
    changed = missing.apply(spec)
    assert (changed.batch_size, changed.schedule) == (32, "linear")
    for beyond, verdict in (
        (NOTHING, Verdict.NOT_A_CAUSE),
        (HELPS, Verdict.UNCERTAIN),
        (HARMS, Verdict.UNCERTAIN),
    ):
        more = [*trials, made_trial(missing.name, HELPS + beyond)]
        assert follow_ups(more) == []
        assert by_causes(build_findings(more, None))["batch_noise",].verdict == verdict


def test_a_compound_counts_as_one_confirmed_cause(made_trial):
    trials = [
        made_trial("linear output", NOTHING),
        made_trial("decaying rate", NOTHING[::-1]),
        made_trial(JOINT, HELPS),
        made_trial("4 x batch", NOTHING),
    ]
    (missing,) = follow_ups(trials)
    assert missing.name == f"{JOINT} + 4 x batch"
    assert missing.parts == (JOINT, "4 x batch")


def test_without_a_confirmed_cause_nothing_follows(made_trial):
    assert follow_ups([made_trial("4 x batch", NOTHING)]) == []


def test_findings_are_ranked_causes_first_and_the_strongest_first(made_trial):
    trials = [
        made_trial("Adam", NOTHING),
        made_trial("standardize", HELPS),
        made_trial("4 x batch", UNSURE),
        made_trial("decaying rate", 2 * HELPS),
    ]
    found = build_findings(trials, None)
    assert [f.rank for f in found] == [1, 2, 3, 4]
    assert [f.causes[0].value for f in found] == [
        "optimizer_noise", "conditioning", "batch_noise", "weak_optimizer",
    ]  # fmt: skip


def test_a_change_that_blew_up_convicts_and_acquits_nobody(made_trial):
    blown = made_trial("linear output", [0.0, np.inf, np.nan])
    (alone,) = build_findings([blown], None)
    assert alone.causes == (Suspect.LOCKED,) and alone.verdict is Verdict.UNCERTAIN
    assert alone.evidence.remark is Remark.BLEW_UP and alone.evidence.non_finite == 2
    assert remark(alone).startswith("2 of 3 seeds went non-finite")
    assert alone.counterfactual.ratio is None and alone.counterfactual.before == 1.0
    joint = made_trial(JOINT, HELPS)
    found = build_findings([blown, joint, made_trial("decaying rate", NOTHING)], None)
    assert {f.causes[0].value: f.verdict.value for f in found} == {
        "locked": "uncertain", "optimizer_noise": "not_a_cause",
    }  # fmt: skip


def test_changes_of_one_field_are_not_put_beside_each_other(made_trial):
    # "standardize" and "scale to 0..1" set the same field: the second would undo the first.
    trials = [made_trial("standardize", HELPS), made_trial("scale to 0..1", NOTHING)]
    assert [r.name for r in follow_ups(trials)] == []
    found = by_causes(build_findings(trials, None))
    assert found["input_scale",].verdict is Verdict.NOT_A_CAUSE
    assert found["input_scale",].evidence.not_tried_with == ()
    assert [r.name for r in follow_ups([trials[0], made_trial("Adam", NOTHING)])] == [
        "standardize + Adam"
    ]


def test_without_a_finite_run_to_compare_with_there_is_no_finding(made_trial):
    trial = made_trial("Adam", NOTHING, before=np.full(3, np.nan))
    assert build_findings([trial], None) == ()
    # Where some seeds can be compared, those are.
    part = made_trial("Adam", NOTHING, before=np.array([1.0, np.inf, 1.0]))
    (found,) = build_findings([part], None)
    assert found.counterfactual.seeds == 2 and found.counterfactual.before == 1.0


def test_a_loss_of_exactly_zero_counts_as_the_floor(made_trial):
    trial = made_trial("He initialisation", np.zeros(3), after=np.zeros(3), floor=1e-14)
    assert np.allclose(trial.log_ratio, np.log(1e-14))
    (found,) = build_findings([trial], None)
    assert found.verdict is Verdict.CAUSE and found.counterfactual.after == 0.0
    # Two zeros differ by nothing.
    both = made_trial("He initialisation", np.zeros(3), after=np.zeros(3), before=np.zeros(3))
    assert np.array_equal(both.log_ratio, np.zeros(3))


def test_an_interaction_is_paired_seed_by_seed(made_trial):
    rng = np.random.default_rng(0)
    shared = rng.normal(size=3)  # what a seed does to all alike drops out
    a = made_trial("linear output", shared)
    b = made_trial("decaying rate", -shared)
    pair = made_trial(JOINT, np.full(3, -1.0))
    found = interaction_of(pair, a, b)
    assert np.isclose(found.value, -1.0) and np.allclose(found.ci95, [-1.0, -1.0])


def test_with_one_seed_everything_is_uncertain(made_trial):
    (found,) = build_findings([made_trial("Adam", [-3.0])], None)
    assert found.verdict is Verdict.UNCERTAIN and found.counterfactual.ci95 is None
    assert found.evidence.seeds_to_decide is None
