"""The terminal's text: verdict first, 80 columns, everything that is known and no more."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from jaxid import report


def rendered(record, width):
    stream = io.StringIO()
    report.render(record, Console(file=stream, width=width, color_system=None))
    return stream.getvalue()


def test_no_line_is_longer_than_80_columns(case):
    _, record, _ = case
    long = [line for line in report.text(record).splitlines() if len(line) > 80]
    assert not long


@pytest.mark.parametrize("width", [60, 80, 120, 300])
def test_any_width_of_terminal_is_kept(sample, width):
    assert max(map(len, rendered(sample.record(), width).splitlines())) <= width


def test_the_verdict_comes_first(case):
    _, record, _ = case
    expected = (record.get("verdict") or ["No verdict was reached."])[0]
    assert " ".join(report.text(record).split()).startswith(expected)


def test_numbers_of_the_full_record_are_there(sample):
    text = report.text(sample.record())
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
    text = report.text(sample.record()).partition("Remedies tried")[2]
    order = ["one change", "decaying rate ", "two changes at once", "random changes, as a control"]
    assert sorted(order, key=text.index) == order


def test_what_is_missing_is_said_with_its_reason(sample):
    bad, _ = sample.minimal()
    text = report.text(bad)
    assert "no loss budget: every seed went non-finite" in text
    assert "seed 0 at step 17" in text
    assert "None were run" in text
    assert "Dead units" not in text and "well posed" not in text


def test_deep_networks_call_it_locked_given_the_features(sample):
    deep, _ = sample.deep()
    text = report.text(deep)
    assert "locked, given the features" in text
    assert "negative curvature" in text
    assert "seed 2 at step 400" in report.html(deep, {}, {})


def test_an_answer_is_not_said_twice(sample):
    record = sample.record()
    record["well_posed"]["unique"]["text"] = "No: 2 inputs never vary."
    text = report.text(record)
    assert "Is it the only one? No: 2 inputs" in text


def test_markup_in_names_is_text(sample):
    record = sample.record()
    record["trials"][0]["name"] = "[red]x[/red]"
    record["verdict"][0] = "[bold]all[/bold] is lost [link=x]"
    text = report.text(record)
    assert "[red]x[/red]" in text and "[bold]all[/bold] is lost [link=x]" in text
