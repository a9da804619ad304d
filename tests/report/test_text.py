"""The terminal's text: verdict first, 80 columns, everything that is known and no more."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from jaxid import report
from jaxid.identity.prescriptions import RemedyGroup
from jaxid.identity.suspects import Evidence, Remark
from jaxid.identity.trial_results import TrialVerdict
from jaxid.report.trials import remark
from jaxid.report.verdict import verdict_sentences


def rendered(diagnosis, width):
    stream = io.StringIO()
    report.render(diagnosis, Console(file=stream, width=width, color_system=None))
    return stream.getvalue()


def test_no_line_is_longer_than_80_columns(case):
    _, diagnosis = case
    long = [line for line in str(diagnosis).splitlines() if len(line) > 80]
    assert not long


@pytest.mark.parametrize("width", [60, 80, 120, 300])
def test_any_width_of_terminal_is_kept(sample, width):
    assert max(map(len, rendered(sample.full(), width).splitlines())) <= width


def test_the_verdict_comes_first(case):
    _, diagnosis = case
    expected = " ".join(verdict_sentences(diagnosis))
    assert " ".join(str(diagnosis).split()).startswith(expected)


def test_numbers_of_the_full_diagnosis_are_there(sample):
    text = str(sample.full())
    for words in (
        "locked",
        "91 %",
        "dead outputs",
        "0.880",
        "4.30 ± 0.10",
        "4.03e6",
        "of dead units",
        "plateau",
        "noise ball",
        "linear output + decaying rate",
        "0.0160 to 0.0250",
        "helps",
        "non-finite",
        "random change 1",
        "4.20e8 %",
        "jaxid 0.1.0",
    ):
        assert words in text, words
    assert "…" not in text, "a cell was cut"


def test_group_headings_stand_before_their_remedies(sample):
    text = str(sample.full()).partition("Remedies tried")[2]
    order = ["one change", "decaying rate ", "two changes at once", "random changes, as a control"]
    assert sorted(order, key=text.index) == order


def test_what_is_missing_is_said_with_its_reason(sample):
    text = str(sample.minimal())
    assert "no loss budget: every seed went non-finite" in text
    assert "seed 0 at step 17" in text
    assert "None were run" in text
    assert "Dead units" not in text and "well posed" not in text


def test_deep_networks_call_it_locked_given_the_features(sample):
    deep = sample.deep()
    text = str(deep)
    assert "locked, given the features" in text
    assert "negative curvature" in text
    assert "seed 2 at step 400" in report.html(deep, {}, {})


def test_an_answer_is_not_said_twice(sample):
    text = " ".join(str(sample.full()).split())
    assert "Is it the only one? No: 3 directions" in text
    assert "Does a solution exist? Yes. An exact solution exists" in text


def test_markup_in_names_is_text(sample):
    full = sample.full()
    first, *others = full.trials
    (best,) = full.prescriptions
    told = replace(
        full,
        trials=(replace(first, name="[red]x[/red]"), *others),
        prescriptions=(replace(best, name="[bold]all[/bold] is lost [link=x]"),),
    )
    text = " ".join(str(told).split())
    assert "[red]x[/red]" in text and "[bold]all[/bold] is lost [link=x]" in text


def test_what_is_particular_about_a_trial_is_said_in_the_full_report(sample):
    full = sample.full()
    bad = sample.trial("a", RemedyGroup.SINGLE, None, TrialVerdict.NON_FINITE, non_finite=2)
    lost = sample.trial("b", RemedyGroup.SINGLE, 0.5, TrialVerdict.HELPS, not_compared=1)
    noted = sample.trial("c", RemedyGroup.SINGLE, 0.5, TrialVerdict.HELPS, note="of inputs")
    text = report.html(replace(full, trials=(bad, lost, noted)), {}, {})
    assert "a: 2 of 3 seeds went non-finite in original units." in text
    assert "b: the run itself went non-finite on 1 of 3 seeds" in text and "c: of inputs." in text


@pytest.mark.parametrize("kind", Remark)
def test_every_remark_has_words(sample, kind):
    evidence = Evidence(kind, 5, 2, apart_share=0.1, not_tried_with=("Adam",), changes="Adam")
    said = remark(replace(sample.compound(), evidence=evidence))
    assert said.endswith("; 5 seeds would decide; not tried with Adam") and len(said) > 60
