"""What a person holds in the end: a Diagnosis that prints, saves and shows itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxid import report


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
        report.build(self.record, self.arrays, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> Diagnosis:
        """Read back what `save` wrote; a report can be rebuilt without retraining."""
        return cls(*report.load(Path(folder)))

    def print(self, console: Console) -> None:
        """The findings on a rich console."""
        report.render(self.record, console)

    def __str__(self) -> str:
        return report.text(self.record)

    def _repr_html_(self) -> str:
        return report.html(self.record, self.arrays)
