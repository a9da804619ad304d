"""A diagnosis prints, draws its figures, writes its report, and shows it in notebooks."""

from __future__ import annotations

import html
import tempfile
from pathlib import Path

from jaxid import plot, report
from jaxid.core.result import Presenter, present
from jaxid.identity.diagnosis import Diagnosis


def _pages(diagnosis: Diagnosis, figures: dict[str, Path], folder: Path) -> None:
    """report.html and report.md beside the figures."""
    report.write_pages(diagnosis, figures, folder, plot.captions(diagnosis, figures))


def _html(diagnosis: Diagnosis) -> str:
    """The report in a frame of its own, so that its styles stay out of the notebook's."""
    with tempfile.TemporaryDirectory() as folder:
        figures = plot.draw(diagnosis, Path(folder))
        page = report.html(diagnosis, figures, plot.captions(diagnosis, figures))
    style = "width:100%;height:50rem;border:0"
    return f'<iframe srcdoc="{html.escape(page)}" style="{style}"></iframe>'


present(
    Diagnosis,
    Presenter(report.render, plot.draw, report.first_line, _pages, _html, report.WIDTH),
)
