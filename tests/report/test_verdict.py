"""Three sentences from a real diagnosis and from made ones whose story is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jaxid.core.statistics import Mean, Summary
from jaxid.core.types import Estimate
from jaxid.diagnosis.dead import BornDead, DeathClock
from jaxid.diagnosis.final import NonFinite
from jaxid.diagnosis.items import Item, NoBudget, Part, PartName, Total
from jaxid.diagnosis.points import Group, PointKind
from jaxid.identity.diagnosis import DeadAnswer
from jaxid.identity.prescriptions import RemedyGroup
from jaxid.identity.suspects import Suspect, Verdict
from jaxid.identity.trial_results import TrialVerdict
from jaxid.identity.well_posed import Answer
from jaxid.report.units import why
from jaxid.report.verdict import ANSWERS, ITEMS, verdict_sentences
from jaxid.report.words import NO_BUDGET, SUSPECTS

PAIR = "linear output + decaying rate"


def item(sample, cause, share, dead=None):
    parts = () if dead is None else (Part(PartName.DEAD_OUTPUTS, dead),)
    return sample.item(cause, 2 * share, 2 * share, 2.0, *parts)


@pytest.fixture
def told(sample):
    """A depth-1 run at loss 2, half of it in dead outputs."""
    full = sample.full()
    budget = replace(
        full.budget,
        total=Total(2.0, 0.1, 3),
        unexplained=replace(full.budget.unexplained, share=0.01),
        items=(
            item(sample, Item.REPRESENTATION, 0.0),
            item(sample, Item.LOCKED, 0.5, 1.0),
            item(sample, Item.SLOW_MODES, 0.2),
            item(sample, Item.OPTIMIZER_NOISE, 0.3),
        ),
    )
    return replace(
        full,
        problem=replace(full.problem, epochs=7, seeds=3),
        budget=budget,
        dead=replace(
            full.dead,
            outputs=64,
            outputs_dead_varying=Mean(20.0, None),
            born_dead=BornDead(Mean(0.0, None), Mean(0.0, None)),
            death=DeathClock(9, 11.0, 0.75),
        ),
        points=(replace(sample.point(Group.DEAD, 20.0, PointKind.PLATEAU), loss=1.0),),
        well_posed=None,
        trials=(),
        findings=(),
        prescriptions=(),
    )


def with_items(told, *items):
    """The same with other items in the place of those of their causes."""
    new = {one.cause: one for one in items}
    changed = tuple(new.get(one.cause, one) for one in told.budget.items)
    return replace(told, budget=replace(told.budget, items=changed))


def tried(sample, name, ratio, group=RemedyGroup.SINGLE, **more):
    return sample.trial(name, group, ratio, TrialVerdict.UNCERTAIN, **more)


def test_everything_has_words():
    assert set(SUSPECTS) == set(Suspect) and set(ITEMS) == set(Item)
    assert set(ANSWERS) == set(DeadAnswer) and set(NO_BUDGET) == set(NoBudget)


@pytest.mark.parametrize("kind", PointKind)
def test_every_kind_of_point_has_a_reason(sample, kind):
    assert len(why(sample.point(Group.LIVE, 3.0, kind))) > 30


def test_where_the_loss_sits_is_the_first_sentence(told):
    where, why, _ = verdict_sentences(told)
    assert where == (
        "After 7 epochs the loss is 2, though the network can represent the target exactly: "
        "50 % of it sits in the 20 of 64 outputs that are dead (75 % of them since the first "
        "epoch) and answer 0 to every example."
    )
    assert "20 % is in slow modes" in why and "30 % is noise of the constant step" in why
    assert why.startswith("The gradient of dead outputs is exactly 0") and "ill-posed" not in why


def test_without_deaths_the_largest_item_is_named(sample, told):
    few = with_items(told, item(sample, Item.LOCKED, 0.5, 0.1))
    assert verdict_sentences(few)[0].endswith("50 % of it is locked.")
    noisy = with_items(few, item(sample, Item.OPTIMIZER_NOISE, 0.6))
    assert verdict_sentences(noisy)[0].endswith("60 % of it is noise of the constant step.")
    # Outputs that can come back are not called dead.
    alive = replace(told, dead=replace(told.dead, stops_gradient=False))
    assert "outputs that are dead" not in verdict_sentences(alive)[0]


def test_a_mean_over_fewer_seeds_than_were_run_says_so(told):
    assert "taken apart" not in verdict_sentences(told)[0]
    more = replace(told, problem=replace(told.problem, seeds=10))
    assert "(mean of the 3 of 10 seeds that were taken apart)" in verdict_sentences(more)[0]


def test_a_dead_output_answers_zero_only_where_zero_is_zero(told):
    assert "answer 0 to every example" in verdict_sentences(told)[0]
    moved = replace(told, problem=replace(told.problem, scaling="standardized"))
    assert "answer the same to every example" in verdict_sentences(moved)[0]
    skipping = replace(told, problem=replace(moved.problem, residual=True))
    assert "what the skip connection carries" in verdict_sentences(skipping)[0]


def test_only_of_one_layer_is_it_said_that_no_gradient_method_can_leave(told):
    assert "no gradient method can leave" in verdict_sentences(told)[1]
    why = verdict_sentences(replace(told, problem=replace(told.problem, depth=4)))[1]
    assert "no gradient method" not in why and "last layer's gradient" in why


def test_an_ill_posed_problem_is_called_so_with_its_reasons(sample, told):
    posed = sample.well_posed()
    posed = replace(
        posed,
        unique=replace(posed.unique, null_dim=56448),
        continuous=replace(posed.continuous, largest_change=138.04),
    )
    moments = (sample.moment("[x, 1]", 6.1e6),)
    told = replace(told, well_posed=posed, moments=moments)
    why = verdict_sentences(told)[1]
    assert "ill-posed (condition number 6.1e6, solutions differ along 56,448 flat" in why
    assert "one grey level in a target can move its weights by 138" in why
    assert "no exact solution" not in why
    no = replace(posed, exists=replace(posed.exists, answer=Answer.NO))
    assert "no exact solution exists" in verdict_sentences(replace(told, well_posed=no))[1]
    # A condition number by itself makes nothing ill-posed.
    yes = {name: replace(part, answer=Answer.YES) for name, part in vars(posed).items()}
    assert "ill-posed" not in verdict_sentences(replace(told, well_posed=type(posed)(**yes)))[1]


def test_without_trials_no_cure_is_claimed(told):
    assert "not proved" in verdict_sentences(told)[2]


def test_where_nothing_helps_that_is_said(sample, told):
    trials = (tried(sample, "Adam", 1.0), tried(sample, "standardize", 1.3))
    said = verdict_sentences(replace(told, trials=trials))[2]
    assert said.startswith("None of the 2 changes tried")


@pytest.fixture
def cured(sample, told):
    """Standardizing leaves a tenth."""
    return replace(
        told,
        trials=(tried(sample, "standardize", 0.1),),
        prescriptions=(sample.prescription("standardize", 0.1, before=2.0),),
    )


def test_the_best_remedy_is_named_with_its_losses_and_seeds(cured):
    assert verdict_sentences(cured)[2] == (
        "What helps most: standardize takes it from 2 to 0.200 on the 3 seeds it was tried on "
        "(3 lower)."
    )


def test_a_confirmed_smaller_rate_names_the_rate_as_too_large(sample, told):
    name = "rate of the data's size"

    def said(verdict):
        finding = sample.single(Suspect.RATE_TOO_LARGE, name, verdict)
        return verdict_sentences(
            replace(
                told,
                trials=(tried(sample, name, 0.1),),
                prescriptions=(sample.prescription(name, 0.1),),
                first_step=Estimate(2500.0, 1.0, True, ""),
                findings=(finding,),
            )
        )[2]

    assert "too large" not in said(Verdict.UNCERTAIN)
    sure = said(Verdict.CAUSE)
    assert sure.startswith("The rate is too large: the first step moves the outputs 2,500 times")
    assert "rate of the data's size takes it" in sure


def test_shares_that_the_second_account_does_not_confirm_carry_a_warning(told):
    def why(share):
        left = replace(told.budget.unexplained, share=share)
        return verdict_sentences(replace(told, budget=replace(told.budget, unexplained=left)))[1]

    assert "second account" not in why(0.01)
    assert "the second account of these shares leaves 25 % open" in why(0.25)
    assert "the second account of these shares fails here" in why(-26027.0)


def test_training_that_was_still_under_way_is_said_to_be(sample, told):
    moving = replace(sample.point(Group.LIVE, 9.0, PointKind.NOT_YET_STATIONARY), loss=1.9)
    why = verdict_sentences(replace(told, points=(moving,)))[1]
    assert "still on its way down" in why and "gradient" not in why
    # Of the loss that annealing leaves, that is: the rest was noise.
    told = replace(told, points=(replace(moving, loss_annealed=0.01),))
    assert "still on its way down" not in verdict_sentences(told)[1]
    falling = replace(told.budget.still_falling, matters=True)
    told = replace(told, budget=replace(told.budget, still_falling=falling))
    assert "still on its way down" in verdict_sentences(told)[1]


def test_better_remedies_with_the_answer_built_in_are_named_as_left_aside(sample, cured):
    def said(ratio):
        other = sample.prescription("identity init", ratio)
        return verdict_sentences(replace(cured, prescriptions=(*cured.prescriptions, other)))[2]

    assert said(0.0).startswith("What helps most, with identity init left aside because")
    assert said(0.5).startswith("What helps most: standardize")


def test_a_few_dead_outputs_do_not_take_the_headline(sample, told):
    told = with_items(told, item(sample, Item.LOCKED, 0.2, 0.4), item(sample, Item.SLOW_MODES, 0.5))
    told = replace(told, points=(replace(told.points[0], loss=0.05),))
    where, why, _ = verdict_sentences(told)
    assert where.endswith("50 % of it is in slow modes.")
    assert why.startswith("Of the loss, 50 % is in slow modes")


def test_a_compound_is_named_as_one_and_no_single_cause_is_blamed(sample, told):
    joint = sample.compound(0.01, before=2.0)
    told = replace(
        told,
        trials=(
            tried(sample, "linear output", 1.4),
            tried(sample, PAIR, 0.01, RemedyGroup.PAIR),
        ),
        prescriptions=(sample.prescription(PAIR, 0.01, RemedyGroup.PAIR),),
        findings=(
            joint,
            sample.single(Suspect.LOCKED, "linear output", Verdict.UNCERTAIN, 0.9),
        ),
    )
    last = verdict_sentences(told)[2]
    assert "a compound of the ReLU output and the constant rate" in last
    assert "linear output alone gives 0.90 times" in last and "both together 0.01" in last
    assert "What helps most" not in last and "best of all" not in last
    assert told.compound is joint

    def beside(name, ratio, group):
        better = sample.prescription(name, ratio, group)
        return verdict_sentences(replace(told, prescriptions=(better, *told.prescriptions)))[2]

    # Where another change does better still, it is named after it, or before it if it is single.
    pair = beside("standardize + Adam", 0.001, RemedyGroup.PAIR)
    assert "best of all, standardize + Adam takes it" in pair
    single = beside("standardize", 0.001, RemedyGroup.SINGLE)
    assert single.startswith("What helps most: standardize") and "; beside it, the cause" in single


def test_of_several_compounds_the_strongest_is_told(sample, told):
    weak, strong = sample.compound(0.5), sample.compound(0.01)
    assert replace(told, findings=(weak, strong)).compound is strong
    assert told.compound is None


def test_seeds_that_blew_up_are_counted_with_the_earliest_step(told):
    told = replace(told, non_finite=(NonFinite(3, 90), NonFinite(5, 12)))
    assert "(2 seeds went non-finite, the first at step 12)" in verdict_sentences(told)[0]


def test_without_a_budget_the_reason_is_given_and_no_cause(sample, told):
    reason = NoBudget.EVERY_SEED_NON_FINITE

    def ended(mean):
        loss = Summary(mean, None, (mean,), None, None)
        final = replace(told.final, train_loss_end=loss)
        return replace(told, budget=None, budget_reason=reason, final=final)

    where, why, _ = verdict_sentences(ended(None))
    assert where.endswith("there is no loss to split: every seed went non-finite.")
    assert why == "Nothing is said of causes without a budget."
    assert "the loss is 7.25; it is not split, because every" in verdict_sentences(ended(7.25))[0]
    trials = (
        tried(sample, "rate / 10", 1.0, before=None),
        tried(sample, "Adam", None, before=None),
    )
    last = verdict_sentences(replace(ended(None), trials=trials))[2]
    assert "no seed does with rate / 10 (1 of the 2 changes tried)" in last


def test_a_loss_of_zero_has_nothing_to_explain(told):
    items = tuple(replace(one, share=None) for one in told.budget.items)
    nothing = replace(told.budget, total=Total(0.0, 0.0, 3), items=items)
    where = verdict_sentences(replace(told, budget=nothing))[0]
    assert where == "After 7 epochs the loss is 0: nothing is left to explain."


def test_a_real_diagnosis_has_three_sentences_that_end(explained):
    sentences = verdict_sentences(explained)
    assert len(sentences) == 3
    assert all(s[0].isupper() and s.endswith(".") and "\n" not in s for s in sentences)
    assert sentences[0].startswith("After 2 epochs the loss is ")
    assert "--trials none" in sentences[2]
