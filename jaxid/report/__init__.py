"""A record becomes diagnosis.json, report.html, report.md and terminal text.

Figures come in as files; nothing is drawn or computed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jaxid.report.content import Record
from jaxid.report.html import html
from jaxid.report.json_file import check_record, load_json, write_json
from jaxid.report.markdown import markdown
from jaxid.report.sections import headline, problem_line
from jaxid.report.terminal import render, text


def write_pages(
    record: Record, figures: Mapping[str, Path], folder: Path, captions: Mapping[str, str]
) -> None:
    """Write report.html and report.md.

    Args:
      record: the diagnosis.
      figures: PNG files by name, in reading order.
      folder: is there.
      captions: by the figures' names; one without a caption is shown without.
    """
    (folder / "report.html").write_text(html(record, figures, captions), encoding="utf-8")
    page = markdown(record, figures, captions, folder)
    (folder / "report.md").write_text(page, encoding="utf-8")


def first_line(record: Record) -> str:
    """What was trained and the verdict's first sentence."""
    return f"{problem_line(record)}: {headline(record)[0]}"


__all__ = [
    "check_record",
    "first_line",
    "html",
    "load_json",
    "render",
    "text",
    "write_json",
    "write_pages",
]
