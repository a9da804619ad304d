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

ARRAYS = "arrays.npz"


@dataclass(frozen=True)
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
        """Write diagnosis.json, arrays.npz, report.html, report.md and figures/."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / ARRAYS, allow_pickle=False, **self.arrays)
        figures = plot.draw(self.record, self.arrays, folder / "figures")
        captions = plot.captions(self.record, self.arrays, figures)
        report.write(self.record, figures, folder, captions)

    @classmethod
    def load(cls, folder: str | Path) -> Diagnosis:
        """Read back what `save` wrote; a report can be rebuilt without retraining.

        Raises:
          FileNotFoundError: if either file is missing.
        """
        record = report.load_json(folder)
        with np.load(Path(folder) / ARRAYS, allow_pickle=False) as file:
            return cls(record, dict(file))

    def print(self, console: Console) -> None:
        """The findings on a rich console."""
        report.render(self.record, console)

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
