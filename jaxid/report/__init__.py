"""Results become report.html, report.md and terminal text; those of a diagnosis are listed here.

Figures come in as files; nothing is drawn or computed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jaxid.identity.diagnosis import Diagnosis
from jaxid.report.html import html
from jaxid.report.markdown import markdown
from jaxid.report.sections import first_line
from jaxid.report.terminal import WIDTH, render


def write_pages(
    diagnosis: Diagnosis, figures: Mapping[str, Path], folder: Path, captions: Mapping[str, str]
) -> None:
    """Write report.html and report.md.

    Args:
      diagnosis: what they tell.
      figures: PNG files by name, in reading order.
      folder: is there.
      captions: by the figures' names; one without a caption is shown without.
    """
    (folder / "report.html").write_text(html(diagnosis, figures, captions), encoding="utf-8")
    page = markdown(diagnosis, figures, captions, folder)
    (folder / "report.md").write_text(page, encoding="utf-8")


__all__ = ["WIDTH", "first_line", "html", "render", "write_pages"]
