"""What results have in common: they print, save, load and show themselves.

How they do it is known further up, where sentences and figures are made
(`jaxid.presentation`), and comes here by `present`: a result knows no figure and no table.
"""

from __future__ import annotations

import html
import io as text_io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

from rich.console import Console

from jaxid.core import io, presenters
from jaxid.core.errors import InputError
from jaxid.core.folder import Folder, claimed
from jaxid.core.manifest import NAME as MANIFEST
from jaxid.core.manifest import read_manifest

Own = TypeVar("Own", bound="Result")
WIDTH = 110
"""Columns where the output is no terminal."""


class Presenter(NamedTuple):
    """How results of one type are shown.

    Attributes:
      show: prints a result on a console.
      draw: saves a result's figures in a folder; name -> PNG.
      title: a result in a few words.
      pages: writes what else belongs to it into a folder, its figures given; None for nothing.
      html: for a notebook; its text and figures if None.
      width: columns of its text where the output is no terminal.
    """

    show: Callable[[Any, Console], None]
    draw: Callable[[Any, Path], dict[str, Path]]
    title: Callable[[Any], str]
    pages: Callable[[Any, dict[str, Path], Path], None] | None = None
    html: Callable[[Any], str] | None = None
    width: int = WIDTH


def present(kind: type[Result], presenter: Presenter) -> None:
    """Say how results of a type are shown."""
    presenters.add(kind, presenter)


class Result:
    """A typed result: frozen dataclasses with ``repr=False`` inherit from it.

    Attributes:
      STEM: its files are STEM.json and STEM.npz.
      ARRAYS: another name for the second; None for none.
      SCHEMA: version of their form.
    """

    STEM: ClassVar[str]
    ARRAYS: ClassVar[str | None] = None
    SCHEMA: ClassVar[int]

    def save(self, folder: str | Path) -> None:
        """Write STEM.json, STEM.npz and figures/; manifest.json lists what belongs together.

        Raises:
          InputError: one line, if the folder holds other results or can't be written, the disk is
            full, or another process is writing there.
        """
        folder = Path(folder)
        listed = (folder / MANIFEST).exists()
        if listed and f"{self.STEM}.json" not in read_manifest(folder).files:
            raise InputError(f"the folder {folder} holds other results; name another folder")
        with claimed(folder, overwrite=True, name="the folder") as out:
            self.write(out)

    def write(self, out: Folder) -> dict[str, Path]:
        """Write the same into a folder that is claimed already; name -> PNG of each figure."""
        with out.adding(
            f"{self.STEM}.json and {self.ARRAYS or self.STEM}.npz", last=False
        ) as stage:
            io.write(self, stage, self.STEM, self.ARRAYS)
        presenter = self._presenter()
        with out.adding("report and figures" if presenter.pages else "the figures") as stage:
            drawn = presenter.draw(self, stage / "figures")
            if presenter.pages is not None:
                presenter.pages(self, drawn, stage)
            return drawn

    @classmethod
    def load(cls: type[Own], folder: str | Path) -> Own:
        """Read back what `save` wrote.

        Raises:
          InputError: one line, for files that are not those that were written together, another
            schema, or values of other types.
        """
        fix = "name a folder that was finished"
        return io.read(cls, Path(folder), cls.STEM, fix, cls.ARRAYS)

    def print(self, console: Console) -> None:
        """What was found, on a rich console."""
        self._presenter().show(self, console)

    def __str__(self) -> str:
        buffer = text_io.StringIO()
        # Text in notebooks and consoles of any kind.
        console = Console(
            file=buffer, width=self._presenter().width, color_system=None, highlight=False,
            force_terminal=False, force_jupyter=False, legacy_windows=False,
        )  # fmt: skip
        self.print(console)
        return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()).strip("\n")

    def __repr__(self) -> str:
        """On one line; `print` gives what was found."""
        return f"<{type(self).__name__}: {self._presenter().title(self)}>"

    def _repr_html_(self) -> str:
        """The text, and the figures below it, or what its presenter has for notebooks."""
        presenter = self._presenter()
        if presenter.html is not None:
            return presenter.html(self)
        with tempfile.TemporaryDirectory() as folder:
            figures = presenter.draw(self, Path(folder))
            drawn = [path.with_suffix(".svg").read_text("utf-8") for path in figures.values()]
        shown = "".join(f"<div>{svg[svg.index('<svg') :]}</div>" for svg in drawn)
        return f"<pre>{html.escape(str(self))}</pre>{shown}"

    def _presenter(self) -> Presenter:
        found: Presenter = presenters.presenter_of(type(self))
        return found
