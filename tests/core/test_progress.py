"""Progress: silent anywhere but on a terminal and in a notebook."""

from __future__ import annotations

import sys
import time
import types
from io import StringIO

from rich.console import Console

from jaxid.core import progress
from jaxid.core.progress import SILENT, Bars, Silent, terminal


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


class _Cell:
    """What a notebook's output shows, by IPython's own interface."""

    def __init__(self):
        self.shown = []

    def display(self, line, *, display_id):
        assert display_id is True
        self.update(line)
        return self

    def update(self, line):
        self.shown.append((repr(line), line._repr_html_()))


def test_a_notebook_shows_one_line_a_task(monkeypatch):
    cell = _Cell()
    module = types.ModuleType("IPython.display")
    module.display = cell.display
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    reporter = progress.terminal(Console(force_jupyter=True))
    with reporter.task("a <b>", 4) as task:
        task.advance(1, "loss 3")
        monkeypatch.setattr(progress.time, "perf_counter", lambda: time.monotonic() + 1e6)
        task.advance(1, "loss 2")
    first, *_, last = cell.shown
    assert first[0].startswith("a <b>  0/4") and last[0].startswith("a <b>  2/4  loss 2")
    assert 'value="0.5000"' in last[1] and "<b>" not in last[1]
