"""Every code block of the README works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from jaxid.cli.explain import ExplainOptions
from jaxid.cli.parsing import parse

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = [
    shlex.split(line, comments=True)
    for language, code in BLOCKS
    if language == "sh"
    for line in code.splitlines()
]


@pytest.mark.slow
@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_blocks_run(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out


@pytest.mark.parametrize("words", [w for w in SHELL if w[0] == "make"], ids=" ".join)
def test_make_targets_exist(words):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(words[1:]) <= set(targets)


EXPLAIN = [words for words in SHELL if "/jaxid" in words[0] and words[1] == "explain"]


@pytest.mark.parametrize("words", EXPLAIN, ids=" ".join)
def test_flags_parse(words):
    assert parse(ExplainOptions, words[2:], "jaxid explain", "").out


def test_the_readme_names_every_script():
    names = {path.name for path in (ROOT / "scripts").glob("*.py")} - {"common.py"}
    text = (ROOT / "README.md").read_text()
    assert names and all(name in text for name in names)
