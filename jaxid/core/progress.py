"""Progress on a terminal or in a notebook; silent anywhere else. Where it is told, an interrupt is
seen."""

from __future__ import annotations

import contextlib
import html
import importlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from jaxid.core import interrupt


class Task(Protocol):
    """One piece of work under way."""

    def advance(self, steps: float = 1, note: str = "") -> None:
        """Report ``steps`` more done, with a short note such as the loss.

        Raises:
          KeyboardInterrupt: if one was asked for: what was reported so far stands.
        """
        ...


class Reporter(Protocol):
    """Opens tasks. `silent` and `terminal` are the two that exist."""

    def task(self, name: str, total: float) -> contextlib.AbstractContextManager[Task]:
        """A task of ``total`` steps for the length of a with block."""
        ...


class _SilentTask:
    def advance(self, steps: float = 1, note: str = "") -> None:
        """Say nothing."""
        del steps, note
        interrupt.check()


class Silent:
    """Reports nothing."""

    @contextlib.contextmanager
    def task(self, name: str, total: float) -> Iterator[Task]:
        """A task that says nothing."""
        del name, total
        interrupt.check()
        yield _SilentTask()


class _BarTask:
    def __init__(self, progress: Progress, name: str, total: float) -> None:
        self._progress = progress
        self._id = progress.add_task(name, total=total, note="")

    def advance(self, steps: float = 1, note: str = "") -> None:
        """Move the bar."""
        self._progress.update(self._id, advance=steps, note=note)
        interrupt.check()


class Bars:
    """One rich bar per task, on stderr: name, bar, count, note (loss), time left."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextlib.contextmanager
    def task(self, name: str, total: float) -> Iterator[Task]:
        """A bar that stays on the screen once full."""
        columns = (
            TextColumn("{task.description:<26}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        interrupt.check()
        with Progress(*columns, console=self._console, transient=False) as progress:
            yield _BarTask(progress, name, total)


class Timed:
    """Another reporter that also keeps how long each task took.

    Attributes:
      seconds: by the task's name up to its first comma, summed, in the order of first use.
      stage: the task under way, or "after" the last one.
    """

    def __init__(self, inner: Reporter) -> None:
        self._inner = inner
        self.seconds: dict[str, float] = {}
        self.stage = ""

    @contextlib.contextmanager
    def task(self, name: str, total: float) -> Iterator[Task]:
        """The inner reporter's task, timed."""
        stage, start = name.split(",")[0], time.perf_counter()
        self.stage = name
        try:
            with self._inner.task(name, total) as task:
                yield task
            self.stage = f"after {name}"
        finally:
            spent = time.perf_counter() - start
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent


class _Line:
    """How far a task is, as a notebook shows it."""

    def __init__(self, name: str, total: float) -> None:
        self.name, self.total, self.done, self.note = name, total, 0.0, ""
        self.began = time.perf_counter()

    def __repr__(self) -> str:
        seconds = time.perf_counter() - self.began
        return f"{self.name}  {self.done:g}/{self.total:g}  {self.note}  {seconds:.0f} s".strip()

    def _repr_html_(self) -> str:
        value = min(1.0, self.done / self.total) if self.total else 1.0
        return f'<progress value="{value:.4f}"></progress> {html.escape(repr(self))}'


class _NotebookTask:
    def __init__(self, line: _Line, update: Callable[[_Line], None]) -> None:
        self._line, self._update, self._shown = line, update, time.perf_counter()

    def advance(self, steps: float = 1, note: str = "") -> None:
        """Change what is shown, four times a second at most."""
        self._line.done += steps
        self._line.note = note
        now = time.perf_counter()
        if now - self._shown > 0.25:
            self._shown = now
            self._update(self._line)
        interrupt.check()


class Notebook:
    """One line per task in a notebook's output; IPython alone is needed, no widgets."""

    @contextlib.contextmanager
    def task(self, name: str, total: float) -> Iterator[Task]:
        """A line that stays in the output once full."""
        interrupt.check()
        shown: Any = importlib.import_module("IPython.display")
        line = _Line(name, total)
        handle = shown.display(line, display_id=True)
        try:
            yield _NotebookTask(line, handle.update)
        finally:
            handle.update(line)


def terminal(console: Console | None = None) -> Reporter:
    """Bars on a terminal, lines in a notebook; silence when stderr is neither."""
    console = console or Console(stderr=True)
    if console.is_jupyter:
        return Notebook()
    return Bars(console) if console.is_terminal else Silent()


SILENT: Reporter = Silent()
