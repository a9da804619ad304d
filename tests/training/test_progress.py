"""Progress: silent anywhere but on a terminal."""

from __future__ import annotations

import sys
from io import StringIO

from rich.console import Console

from jaxid.training.progress import SILENT, Bars, Silent, terminal


def work(reporter):
    with reporter.task("training digits", 4) as task:
        for index in range(4):
            task.advance(1, f"loss {index}")


def test_nothing_is_written_where_there_is_no_terminal(capsys):
    out = StringIO()
    reporter = terminal(Console(file=out, force_terminal=False))
    assert isinstance(reporter, Silent)
    work(reporter)
    work(SILENT)
    shown = capsys.readouterr()
    assert out.getvalue() == shown.out == shown.err == ""


def test_bars_are_shown_on_a_terminal():
    out = StringIO()
    reporter = terminal(Console(file=out, force_terminal=True, width=120))
    assert isinstance(reporter, Bars)
    work(reporter)
    shown = out.getvalue()
    assert "training digits" in shown and "4/4" in shown and "loss 3" in shown


def test_a_task_that_fails_leaves_its_bar_and_passes_the_error_on():
    out = StringIO()
    reporter = terminal(Console(file=out, force_terminal=True, width=120))
    try:
        with reporter.task("training", 4) as task:
            task.advance(1)
            raise RuntimeError("stop")
    except RuntimeError as error:
        assert str(error) == "stop"
    else:
        raise AssertionError("the error was swallowed")
    assert "1/4" in out.getvalue()


def test_the_default_console_is_stderr(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    work(terminal())
    shown = capsys.readouterr()
    assert shown.out == shown.err == ""
