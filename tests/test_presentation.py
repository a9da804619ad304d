"""A Diagnosis saves, loads, prints and shows itself."""

from __future__ import annotations

import dataclasses
import html
import io
import json

import numpy as np
import pytest
from rich import console
from rich.console import Console

from jaxid.core import manifest
from jaxid.core.errors import InputError
from jaxid.core.io import encode
from jaxid.diagnosis.head_curvature import Conditioning
from jaxid.identity.diagnosis import Diagnosis
from jaxid.report.verdict import verdict_sentences


@pytest.fixture
def diagnosis(sample) -> Diagnosis:
    """With data for a few of the figures, which is enough here."""
    full = sample.full()
    few = dataclasses.replace(full.images, shape=None)
    return dataclasses.replace(full, census=None, images=few, conditioning=Conditioning(None, None))


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
    (values, arrays), (again, same) = encode(diagnosis), encode(back)
    assert again == values and same.keys() == arrays.keys()
    for key, value in arrays.items():
        np.testing.assert_array_equal(same[key], value, err_msg=key)
        assert same[key].dtype == value.dtype
    assert back.problem == diagnosis.problem and back.budget == diagnosis.budget


def test_a_report_is_rebuilt_from_what_was_saved(diagnosis, tmp_path):
    diagnosis.save(tmp_path / "a")
    Diagnosis.load(tmp_path / "a").save(tmp_path / "b")
    for name in ("diagnosis.json", "report.html", "report.md", "figures/budget.svg"):
        first, second = ((tmp_path / run / name).read_bytes() for run in "ab")
        assert first == second, name


def test_a_value_of_another_type_is_refused_in_one_line(diagnosis, tmp_path):
    folder = tmp_path / "it"
    diagnosis.save(folder)
    path = folder / "diagnosis.json"
    whole = json.loads(path.read_text())
    for change, words in (
        ({"final": whole["final"] | {"train_loss": "low"}}, r"object.*str.*final\.train_loss"),
        ({"points": [{"kind": "hill"}]}, r"points\[0\]"),
        ({"findings": [whole["findings"][0] | {"verdict": "guilty"}]}, r"guilty.*findings"),
        ({"images": whole["images"] | {"input": {"array": "no"}}}, r"not there.*images\.input"),
    ):
        path.write_text(json.dumps(whole | change))
        listed = {k: v for k, v in manifest.hashes(folder, folder).items() if k != manifest.NAME}
        (folder / manifest.NAME).write_text(manifest.Manifest(listed, True).text())
        with pytest.raises(InputError, match=words) as wrong:
            Diagnosis.load(folder)
        assert "\n" not in str(wrong.value)


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
    assert verdict_sentences(diagnosis)[0][:30] in capsys.readouterr().out
    assert repr(diagnosis).startswith("<Diagnosis: ") and "\n" not in repr(diagnosis)
    assert len(repr(diagnosis)) < 600
