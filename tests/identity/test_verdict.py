"""Three sentences from real records and from made ones whose story is known."""

from __future__ import annotations

import copy

import pytest

from jaxid.core.wording import SUSPECTS
from jaxid.identity.findings import COUNTERFACTUALS
from jaxid.identity.verdict import ITEMS, compound, verdict_sentences


def item(cause, share, parts=()):
    parts = [{"name": name, "loss": loss} for name, loss in parts]
    return {"cause": cause, "loss": 2 * share, "share": share, "parts": parts}


@pytest.fixture
def record():
    """A depth-1 run at loss 2, half of it in dead outputs."""
    return {
        "problem": {"epochs": 7, "depth": 1, "seeds": 3},
        "representation": {"verdict": "exact"},
        "budget": {
            "total": {"mean": 2.0, "seeds": 3},
            "unexplained": {"share": 0.01},
            "items": [
                item("representation", 0.0),
                item("locked", 0.5, [("dead_outputs", 1.0), ("switched_off_examples", 0.0)]),
                item("slow_modes", 0.2),
                item("optimizer_noise", 0.3),
            ],
        },
        "dead": {
            "outputs": 64,
            "outputs_dead_varying": {"mean": 20.0},
            "stops_gradient": True,
            "death": {"in_first_epoch": 0.75},
        },
        "points": [{"kind": "plateau", "group": "dead", "loss": 1.0}],
        "moments": [{"kappa": {"value": 6.1e6}}],
        "non_finite": [],
        "trials": [],
        "findings": [],
        "prescriptions": [],
    }


def tried(name, ratio, group="single"):
    return {"name": name, "group": group, "before": 2.0, "after": 2.0 * ratio}


def prescription(name, ratio):
    trial = {
        "before": 2.0, "after": 2.0 * ratio, "ratio": ratio, "seeds_lower": 3, "seeds": 3,
    }  # fmt: skip
    return {"name": name, "trial": trial}


def joint(ratio=0.01):
    return {
        "causes": ["locked", "optimizer_noise"],
        "verdict": "cause",
        "evidence": {"alone": {"linear output": 1.4, "decaying rate": 0.97}},
        "counterfactual": {
            "remedy": "linear output + decaying rate", "ratio": ratio, "log_ratio": -4.6,
            "before": 2.0, "after": 2.0 * ratio,
        },
    }  # fmt: skip


def test_every_suspect_and_every_item_has_words():
    assert set(COUNTERFACTUALS.values()) <= set(SUSPECTS)
    assert {"representation", "locked", "slow_modes", "optimizer_noise"} == set(ITEMS)


def test_where_the_loss_sits_is_the_first_sentence(record):
    where, why, _ = verdict_sentences(record)
    assert where == (
        "After 7 epochs the loss is 2, though the network can represent the target exactly: "
        "50 % of it sits in the 20 of 64 outputs that are dead (75 % of them since the first "
        "epoch) and answer 0 to every example."
    )
    assert "20 % is in slow modes" in why and "30 % is noise of the constant step" in why
    assert why.startswith("The gradient of dead outputs is exactly 0") and "ill-posed" not in why


def test_without_deaths_the_largest_item_is_named(record):
    record["budget"]["items"][1] = item("locked", 0.5, [("dead_outputs", 0.1)])
    assert verdict_sentences(record)[0].endswith("50 % of it is locked.")
    record["budget"]["items"][3] = item("optimizer_noise", 0.6)
    assert verdict_sentences(record)[0].endswith("60 % of it is noise of the constant step.")
    # Outputs that can come back are not called dead.
    record["budget"]["items"][1] = item("locked", 0.5, [("dead_outputs", 1.0)])
    record["dead"]["stops_gradient"] = False
    assert "outputs that are dead" not in verdict_sentences(record)[0]


def test_a_mean_over_fewer_seeds_than_were_run_says_so(record):
    assert "taken apart" not in verdict_sentences(record)[0]
    record["problem"]["seeds"] = 10
    assert "(mean of the 3 of 10 seeds that were taken apart)" in verdict_sentences(record)[0]


def test_a_dead_output_answers_zero_only_where_zero_is_zero(record):
    assert "answer 0 to every example" in verdict_sentences(record)[0]
    record["problem"]["scaling"] = "standardized"
    assert "answer the same to every example" in verdict_sentences(record)[0]
    record["problem"]["residual"] = True
    assert "what the skip connection carries" in verdict_sentences(record)[0]


def test_only_of_one_layer_is_it_said_that_no_gradient_method_can_leave(record):
    assert "no gradient method can leave" in verdict_sentences(record)[1]
    record["problem"]["depth"] = 4
    why = verdict_sentences(record)[1]
    assert "no gradient method" not in why and "last layer's gradient" in why


def test_an_ill_posed_problem_is_called_so_with_its_reasons(record):
    record["well_posed"] = {
        "exists": {"answer": "yes"},
        "unique": {"answer": "no", "null_dim": 56448},
        "continuous": {"answer": "no", "largest_change": 138.04},
    }
    why = verdict_sentences(record)[1]
    assert "ill-posed (condition number 6.1e6, solutions differ along 56,448 flat" in why
    assert "by 138" in why and "no exact solution" not in why
    record["well_posed"]["exists"]["answer"] = "no"
    assert "no exact solution exists" in verdict_sentences(record)[1]
    # A condition number by itself makes nothing ill-posed.
    record["well_posed"] = {key: {"answer": "yes"} for key in record["well_posed"]}
    assert "ill-posed" not in verdict_sentences(record)[1]


def test_without_trials_no_cure_is_claimed(record):
    assert "not proved" in verdict_sentences(record)[2]


def test_where_nothing_helps_that_is_said(record):
    record["trials"] = [tried("Adam", 1.0), tried("standardize", 1.3)]
    assert verdict_sentences(record)[2].startswith("None of the 2 changes tried")


def test_the_best_remedy_is_named_with_its_losses_and_seeds(record):
    record["trials"] = [tried("standardize", 0.1)]
    record["prescriptions"] = [prescription("standardize", 0.1)]
    assert verdict_sentences(record)[2] == (
        "What helps most: standardize takes it from 2 to 0.200 on the 3 seeds it was tried on "
        "(3 lower)."
    )


def test_a_confirmed_smaller_rate_names_the_rate_as_too_large(record):
    record["trials"] = [tried("rate of the data's size", 0.1)]
    record["prescriptions"] = [prescription("rate of the data's size", 0.1)]
    record["first_step"] = {"value": 2500.0}
    finding = {"causes": ["rate_too_large"], "verdict": "uncertain"}
    record["findings"] = [finding]
    assert "too large" not in verdict_sentences(record)[2]
    finding["verdict"] = "cause"
    said = verdict_sentences(record)[2]
    assert said.startswith("The rate is too large: the first step moves the outputs 2,500 times")
    assert "rate of the data's size takes it" in said


def test_shares_that_the_second_account_does_not_confirm_carry_a_warning(record):
    assert "second account" not in verdict_sentences(record)[1]
    record["budget"]["unexplained"]["share"] = 0.25
    assert "the second account of these shares leaves 25 % open" in verdict_sentences(record)[1]
    record["budget"]["unexplained"]["share"] = -26027.0
    assert "the second account of these shares fails here" in verdict_sentences(record)[1]


def test_training_that_was_still_under_way_is_said_to_be(record):
    record["points"] = [{"kind": "not_yet_stationary", "group": "live", "loss": 1.9}]
    why = verdict_sentences(record)[1]
    assert "still on its way down" in why and "gradient" not in why
    # Of the loss that annealing leaves, that is: the rest was noise.
    record["points"][0]["loss_annealed"] = 0.01
    assert "still on its way down" not in verdict_sentences(record)[1]
    record["budget"]["still_falling"] = {"matters": True}
    assert "still on its way down" in verdict_sentences(record)[1]


def test_better_remedies_with_the_answer_built_in_are_named_as_left_aside(record):
    record["trials"] = [tried("standardize", 0.1)]
    record["prescriptions"] = [prescription("standardize", 0.1), prescription("identity init", 0.0)]
    said = verdict_sentences(record)[2]
    assert said.startswith("What helps most, with identity init left aside because")
    record["prescriptions"][1]["trial"]["ratio"] = 0.5
    assert verdict_sentences(record)[2].startswith("What helps most: standardize")


def test_a_few_dead_outputs_do_not_take_the_headline(record):
    record["budget"]["items"][1] = item("locked", 0.2, [("dead_outputs", 0.4)])
    record["budget"]["items"][2] = item("slow_modes", 0.5)
    record["points"][0]["loss"] = 0.05
    where, why, _ = verdict_sentences(record)
    assert where.endswith("50 % of it is in slow modes.")
    assert why.startswith("Of the loss, 50 % is in slow modes")


def test_a_compound_is_named_as_one_and_no_single_cause_is_blamed(record):
    pair = "linear output + decaying rate"
    record["trials"] = [tried("linear output", 1.4), tried(pair, 0.01, "pair")]
    record["prescriptions"] = [prescription(pair, 0.01)]
    record["findings"] = [joint(), {"causes": ["locked"], "verdict": "uncertain",
                                    "counterfactual": {"log_ratio": -0.1}}]  # fmt: skip
    last = verdict_sentences(record)[2]
    assert "a compound of the ReLU output and the constant rate" in last
    assert "linear output alone gives 1.4 times" in last and "both together 0.01" in last
    assert "What helps most" not in last and "best of all" not in last
    assert compound(record) is record["findings"][0]
    # Where another change does better still, it is named after it.
    record["prescriptions"].insert(0, prescription("standardize + Adam", 0.001))
    assert "best of all, standardize + Adam takes it" in verdict_sentences(record)[2]


def test_of_several_compounds_the_strongest_is_told(record):
    weak = copy.deepcopy(joint(0.5))
    weak["counterfactual"]["log_ratio"] = -0.7
    record["findings"] = [weak, joint()]
    assert compound(record) is record["findings"][1]
    record["findings"] = []
    assert compound(record) is None


def test_seeds_that_blew_up_are_counted_with_the_earliest_step(record):
    record["non_finite"] = [{"seed": 3, "step": 90}, {"seed": 5, "step": 12}]
    assert "(2 seeds went non-finite, the first at step 12)" in verdict_sentences(record)[0]


def test_without_a_budget_the_reason_is_given_and_no_cause(record):
    record |= {"budget": None, "budget_reason": "every seed went non-finite"}
    record["final"] = {"train_loss_end": {"mean": None}}
    where, why, _ = verdict_sentences(record)
    assert where.endswith("there is no loss to split: every seed went non-finite.")
    assert why == "Nothing is said of causes without a budget."
    record["final"]["train_loss_end"]["mean"] = 7.25
    assert "the loss is 7.25; it is not split, because every" in verdict_sentences(record)[0]
    rescue = tried("rate / 10", 1.0) | {"before": None}
    record["trials"] = [rescue, tried("Adam", 1.0) | {"before": None, "after": None}]
    last = verdict_sentences(record)[2]
    assert "no seed does with rate / 10 (1 of the 2 changes tried)" in last


def test_a_loss_of_zero_has_nothing_to_explain(record):
    record["budget"]["total"]["mean"] = 0.0
    for entry in record["budget"]["items"]:
        entry["share"] = None
    assert (
        verdict_sentences(record)[0] == "After 7 epochs the loss is 0: nothing is left to explain."
    )


def test_a_real_record_has_three_sentences_that_end(explained):
    record, _ = explained
    sentences = record["verdict"]
    assert sentences == verdict_sentences(record) and len(sentences) == 3
    assert all(s[0].isupper() and s.endswith(".") and "\n" not in s for s in sentences)
    assert sentences[0].startswith("After 2 epochs the loss is ")
    assert "--trials none" in sentences[2]
