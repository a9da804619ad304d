"""A Diagnosis saves, loads, prints and shows itself."""

from __future__ import annotations

import html
import io
import runpy
from pathlib import Path

import numpy as np
import pytest
from rich import console
from rich.console import Console

from jaxid.core.errors import InputError
from jaxid.presentation.diagnosis import Diagnosis

SAMPLE = runpy.run_path(str(Path(__file__).resolve().with_name("sample.py")))


@pytest.fixture
def diagnosis() -> Diagnosis:
    """With arrays for a few of the figures, which is enough here."""
    names = ("loss/", "posed/", "images/maximum")
    arrays = {k: v for k, v in SAMPLE["arrays"]().items() if k.startswith(names)}
    return Diagnosis(SAMPLE["record"](), arrays)


def test_saving_and_loading_gives_the_same(diagnosis, tmp_path):
    folder = tmp_path / "new" / "folder"
    diagnosis.save(folder)
    assert {path.name for path in folder.iterdir()} == {
        "diagnosis.json",
        "arrays.npz",
        "report.html",
        "report.md",
        "figures",
        "manifest.json",
    }
    back = Diagnosis.load(str(folder))
    assert back.record == diagnosis.record
    assert back.arrays.keys() == diagnosis.arrays.keys()
    for key, value in diagnosis.arrays.items():
        np.testing.assert_array_equal(back.arrays[key], value, err_msg=key)
        assert back.arrays[key].dtype == value.dtype


def test_a_report_is_rebuilt_from_what_was_saved(diagnosis, tmp_path):
    diagnosis.save(tmp_path / "a")
    Diagnosis.load(tmp_path / "a").save(tmp_path / "b")
    for name in ("diagnosis.json", "report.html", "report.md", "figures/budget.svg"):
        first, second = ((tmp_path / run / name).read_bytes() for run in "ab")
        assert first == second, name


def test_loading_from_nowhere_says_so(tmp_path):
    with pytest.raises(InputError, match=r"holds no manifest\.json; .*run it again"):
        Diagnosis.load(tmp_path)


def test_text_and_console_say_the_same(diagnosis):
    stream = io.StringIO()
    diagnosis.print(Console(file=stream, width=80, color_system=None))
    lines = [line.rstrip() for line in stream.getvalue().strip().splitlines()]
    assert lines == str(diagnosis).strip().splitlines()


def test_a_notebook_shows_the_page_in_a_frame(diagnosis):
    shown = diagnosis._repr_html_()
    assert shown.startswith("<iframe srcdoc=") and shown.count("<") == 2
    assert "<figure" in html.unescape(shown)


def test_in_a_notebook_print_gives_text_and_repr_one_line(diagnosis, monkeypatch, capsys):
    monkeypatch.setattr(console, "_is_jupyter", lambda: True)
    print(diagnosis)
    assert diagnosis.record["verdict"][0][:30] in capsys.readouterr().out
    assert repr(diagnosis).startswith("<Diagnosis: ") and "\n" not in repr(diagnosis)
    assert len(repr(diagnosis)) < 600
