"""Text of a made-up certificate."""

from __future__ import annotations

import dataclasses

import certificate_sample as sample

from jaxid.certification.certified import Compared
from jaxid.certification.family import FamilyKind, FamilyVerdict
from jaxid.training.loop import Stage
from jaxid.verification.endless import Endless, NoBound


def test_the_text_has_the_verdict_both_ends_and_the_rounding():
    made = sample.certification()
    text = str(made)
    assert "Exact: copies." in text and "inputs from 0 to 16" in text
    assert "every feature in range" in text and "12" in text and "How it was." in text
    assert "25 %" in text and "13,000 inputs" in text
    assert "at least 1.50 (a floor), and 2.50 is reached." in text
    assert "Could this family" not in str(dataclasses.replace(made, family=None))


def test_a_family_without_a_verdict_and_one_that_reaches_0():
    made = sample.certification()
    least = dataclasses.replace(made.family.mean_square, verdict=FamilyKind.EXACT)
    nothing = FamilyVerdict(None, "whitening mixes features", least)
    text = str(dataclasses.replace(made, family=nothing))
    assert "Could this family do it? Whitening mixes features." in text
    assert "0 is reached (the identity)." in text


def test_reasons_without_a_bound_are_said_once_each_and_two_at_most():
    function = Endless(NoBound.FUNCTION, -1.0, 2.5, "mine.py, line 3")
    rows = (
        sample.row("range", 3.0, None, endless=function),
        sample.row("ball_1", 2.0, None, endless=function),
        sample.row("ball_2", 2.0, None),
        sample.row("ball_3", 2.0, None, endless=Endless(NoBound.NO_NUMBERS)),
    )
    text = " ".join(str(sample.certification(*rows)).split())
    assert (
        "No bound for every feature in range and 1 more: a function at mine.py, line 3 may be "
        "infinite or undefined where its argument lies between -1 and 2.5, as bounds have it."
    ) in text
    assert "No bound for every feature in ball_2: numbers on the way may be larger than" in text
    assert "And 1 more regions likewise." in text and "no numbers" not in text
    assert "How it was." not in text, "there is no bound for it to hold of"


def test_what_overflows_and_what_was_trained_is_said():
    row = dataclasses.replace(sample.row("range", 3.0, 4.0), check=Compared(9, 3.0, 1.0, 7, 2))
    made = dataclasses.replace(sample.certification(row), stage=Stage.INIT)
    text = " ".join(str(made).split())
    assert "Worst error of this network, before training, in one output" in text
    assert "At up to 7 of these inputs the float32 program overflows" in text
    assert "At up to 2 of them float64 gives no finite number either" in text
