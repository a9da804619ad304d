"""What a person holds in the end: a Diagnosis that prints, saves and shows itself."""

from __future__ import annotations

import html
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxid import plot, report
from jaxid.core.arrays import read_arrays, write_arrays
from jaxid.core.errors import InputError
from jaxid.core.folder import Folder, claimed
from jaxid.core.manifest import NAME as MANIFEST
from jaxid.core.manifest import read_manifest, verify
from jaxid.report.json_file import NAME

ARRAYS = "arrays.npz"


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """A record (the JSON) and the arrays behind its figures.

    Example:
      >>> diagnosis = Diagnosis.load("runs/explain")
      >>> diagnosis.record["budget"]["items"][1]["cause"]
      'locked'
    """

    record: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def save(self, folder: str | Path) -> None:
        """Write diagnosis.json, arrays.npz, report.html, report.md and figures/.

        Each takes its place when it is whole, what an earlier diagnosis left goes, and
        manifest.json lists what belongs together.

        Raises:
          InputError: one line, if the folder holds other results or can't be written, the disk is
            full, or another process is writing there.
        """
        folder = Path(folder)
        if (folder / MANIFEST).exists() and NAME not in read_manifest(folder).files:
            raise InputError(f"the folder {folder} holds other results; name another folder")
        with claimed(folder, overwrite=True, name="the folder") as out:
            self.write(out)

    def write(self, out: Folder) -> None:
        """Write the same into a folder that is claimed already."""
        with out.adding(f"{NAME} and {ARRAYS}", last=False) as stage:
            write_arrays(self.arrays, stage / ARRAYS)
            report.write_json(self.record, stage)
        with out.adding("report and figures") as stage:
            figures = plot.draw(self.record, self.arrays, stage / "figures")
            captions = plot.captions(self.record, self.arrays, figures)
            report.write_pages(self.record, figures, stage, captions)

    @classmethod
    def load(cls, folder: str | Path) -> Diagnosis:
        """Read back what `save` wrote; a report can be rebuilt without retraining.

        Raises:
          InputError: one line, for files that are not those that were written together, another
            schema, or a record of other types. A report that is missing, where the run was killed
            or the disk was full, is no reason.
        """
        folder = Path(folder)
        verify(folder, [NAME, ARRAYS])
        record = report.load_json(folder)
        report.check_record(record, folder / NAME)
        return cls(record, read_arrays(folder / ARRAYS))

    def print(self, console: Console) -> None:
        """The findings on a rich console."""
        report.render(self.record, console)

    def __repr__(self) -> str:
        """On one line; `print` gives the findings."""
        return f"<Diagnosis: {report.first_line(self.record)}>"

    def __str__(self) -> str:
        return report.text(self.record)

    def _repr_html_(self) -> str:
        """The report in a frame of its own, so that its styles stay out of the notebook's."""
        with tempfile.TemporaryDirectory() as folder:
            figures = plot.draw(self.record, self.arrays, Path(folder))
            captions = plot.captions(self.record, self.arrays, figures)
            page = report.html(self.record, figures, captions)
        style = "width:100%;height:50rem;border:0"
        return f'<iframe srcdoc="{html.escape(page)}" style="{style}"></iframe>'
