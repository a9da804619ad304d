"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest

from jaxid.core.wording import (
    best_of,
    estimate,
    joined,
    label,
    number,
    percent,
    plus_minus,
    ranked,
    ratio_of,
)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "-"),
        (0.0, "0"),
        (3, "3"),
        (615440, "615,440"),
        (0.83456, "0.835"),
        (1.0, "1"),
        (12.345, "12.3"),
        (999.6, "1,000"),
        (4373.017, "4,373"),
        (4.72e10, "4.72e10"),
        (6.07e6, "6.07e6"),
        (8.1e-5, "8.10e-5"),
        (-0.02, "-0.0200"),
        (9.9996, "10.0"),
        (math.inf, "infinite"),
        (math.nan, "not a number"),
    ],
)
def test_number(value, words):
    assert number(value) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (None, "-"),
        (0.0, "0 %"),
        (0.91, "91 %"),
        (0.0153, "1.5 %"),
        (0.0004, "< 0.1 %"),
        (0.9994, "99.9 %"),
        (0.99999, "> 99.9 %"),
        (1.0, "100 %"),
        (-0.2, "-20 %"),
    ],
)
def test_percent(share, words):
    assert percent(share) == words


def test_estimates_show_only_errors_that_matter_and_say_when_unconverged():
    found = {"value": 2.5, "error": 1e-9, "converged": True, "method": "exact"}
    assert estimate(found) == "2.50"
    assert estimate(found | {"error": 0.3}) == "2.50 ± 0.30"
    assert estimate(found | {"converged": False}) == "2.50 (not converged)"
    assert estimate(found | {"value": None}) == "-"
    assert estimate(None) == "-"


def test_a_ratio_is_that_of_the_interval_or_unknown():
    assert ratio_of({"before": 2.0, "after": 0.0, "ratio": 1e-16}) == 1e-16
    assert ratio_of({"before": 0.0, "after": 0.0, "ratio": math.nan}) is None
    assert ratio_of({"before": 2.0, "after": None, "ratio": None}) is None
    assert ratio_of({"before": 2.0, "after": 1.0, "ratio": 0.49}) == 0.49


def test_the_best_is_what_helps_most_without_the_answer_built_in():
    def trial(name, ratio, verdict="helps", group="single", built_in=False):
        return {"name": name, "after": ratio, "ratio": ratio, "verdict": verdict, "group": group,
                "built_in": built_in}  # fmt: skip

    trials = [
        trial("identity", 1e-16, built_in=True),
        trial("small", 0.5),
        trial("harmful", 3.0, "harms"),
        trial("large", 0.1),
        trial("luck", 0.01, group="control"),
        trial("residual", 1e-3, built_in=True),
    ]
    order = [t["name"] for t in ranked(trials)]
    assert order == ["large", "small", "identity", "residual"]
    assert best_of(trials)["name"] == "large" and best_of(trials[:1])["name"] == "identity"
    assert best_of(trials[2:3]) is None


def test_words():
    assert label("slow_modes") == "slow modes"
    assert plus_minus(2.0, None) == "2"
    assert joined(["a"]) == "a"
    assert joined(["a", "b", "c"]) == "a, b and c"
