"""Progress on a terminal, by rich; silent anywhere else. Where it is told, an interrupt is seen."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Protocol

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


def terminal(console: Console | None = None) -> Reporter:
    """Bars on a terminal; silence when stderr is not one."""
    console = console or Console(stderr=True)
    return Bars(console) if console.is_terminal else Silent()


SILENT: Reporter = Silent()
