"""report.html needs nothing but itself; report.md links its figures; both escape names."""

from __future__ import annotations

import base64
import html.parser
import re
from dataclasses import replace

import pytest

from jaxid import report
from jaxid.report.verdict import verdict_sentences

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(html.parser.HTMLParser):
    """Collects what the page refers to, its texts, and tags left open."""

    def __init__(self, text):
        super().__init__()
        self.links, self.images, self.texts, self.open, self.tags = [], [], [], [], set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                (self.images if tag == "img" else self.links).append(value)
            assert not name.startswith("on"), f"{tag} runs a script by {name}"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def saved(sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    sample.full().save(folder)
    return folder


def test_the_page_holds_every_figure_and_refers_to_nothing(saved):
    text = (saved / "report.html").read_text()
    page = Page(text)
    assert page.links == [] and page.open == []
    assert not {"script", "link", "iframe", "object"} & page.tags
    assert "@import" not in text and "url(" not in text and "http" not in text
    inside = [
        base64.b64decode(image.removeprefix("data:image/png;base64,"), validate=True)
        for image in page.images
    ]
    files = sorted(path.read_bytes() for path in (saved / "figures").glob("*.png"))
    assert sorted(inside) == files and files


def test_the_page_is_ready_for_phones_and_dark_rooms(saved):
    text = (saved / "report.html").read_text()
    assert 'name="viewport"' in text and "prefers-color-scheme: dark" in text


def test_every_kind_of_diagnosis_makes_a_whole_page(case, tmp_path):
    _, diagnosis = case
    report.write_pages(diagnosis, {}, tmp_path, {})
    page = Page((tmp_path / "report.html").read_text())
    assert page.open == []
    words = " ".join(page.texts)
    assert verdict_sentences(diagnosis)[0] in words
    assert "None" not in re.sub(r"None were run|None of the", "", words)
    assert (tmp_path / "report.md").read_text().startswith("# ")


def named(diagnosis, name):
    """With another name for the trial, and for the remedy that helps, which the verdict says."""
    first, *others = diagnosis.trials
    (best,) = diagnosis.prescriptions
    return replace(
        diagnosis,
        trials=(replace(first, name=name), *others),
        prescriptions=(replace(best, name=name),),
    )


def test_names_are_escaped(sample):
    evil = "<script>alert(1)</script>"
    told = named(sample.full(), evil)
    told = replace(told, problem=replace(told.problem, data=evil))
    text = report.html(told, {}, {})
    assert evil in verdict_sentences(told)[2]
    assert "<script" not in text and "&lt;script&gt;" in text
    assert "script" not in Page(text).tags


def test_captions_and_figures_in_no_section_are_shown(sample, saved):
    path = saved / "figures" / "budget.png"
    text = report.html(sample.full(), {"extra": path}, {"extra": "a <b> & c"})
    assert 'id="extra"' in text and "a &lt;b&gt; &amp; c" in text


def test_markdown_links_exist_and_tables_are_rectangular(saved):
    text = (saved / "report.md").read_text()
    links = re.findall(r"!\[[^]]*\]\(([^)]*)\)", text)
    assert sorted(links) == sorted(f"figures/{p.name}" for p in (saved / "figures").glob("*.png"))
    assert all((saved / link).is_file() for link in links)
    tables = re.findall(r"(?:^\|.*\|$\n?)+", text, re.M)
    assert len(tables) >= 6
    for table in tables:
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(counts) == 1, table


def test_markdown_escapes_what_would_be_markup(sample, tmp_path):
    report.write_pages(named(sample.full(), "a|b <i>*c*</i>"), {}, tmp_path, {})
    assert r"a\|b \<i\>\*c\*\</i\>" in (tmp_path / "report.md").read_text()
