"""report.md: the same contents, figures linked beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from jaxid.core.wording import label
from jaxid.identity.diagnosis import Diagnosis
from jaxid.report.content import Table, is_number, title_of
from jaxid.report.sections import problem_line, sections
from jaxid.report.verdict import verdict_sentences

TITLE = "Why the loss stopped where it did"


def markdown(
    diagnosis: Diagnosis, figures: Mapping[str, Path], captions: Mapping[str, str], folder: Path
) -> str:
    """The report as Markdown with pipe tables; links are relative to ``folder``."""
    lines = [f"# {TITLE}", "", escape(problem_line(diagnosis)), ""]
    lines += [f"- {escape(sentence)}" for sentence in verdict_sentences(diagnosis)]
    left = dict(figures)

    def place(name: str) -> None:
        path = left.pop(name, None)
        if path is not None:
            link = Path(os.path.relpath(path, folder)).as_posix()
            lines.extend(["", f"![{escape(label(name))}]({quote(link)})", ""])
            if captions.get(name):
                lines.append(f"*{escape(captions[name])}*")

    for section in sections(diagnosis, full=True):
        if section.empty and not any(name in left for name in section.figures):
            continue
        lines += ["", f"## {escape(section.title)}"]
        for words in section.texts:
            lines += ["", escape(words)]
        for table in section.tables:
            lines += ["", *_table(table)]
        for name in section.figures:
            place(name)
        for words in section.notes:
            lines += ["", f"<small>{escape(words)}</small>"]
    for name in list(left):
        place(name)
    return "\n".join(lines).strip() + "\n"


def _table(table: Table) -> list[str]:
    lines = [
        "| " + " | ".join(escape(title_of(column)) for column in table.columns) + " |",
        "|"
        + "|".join(" ---: " if is_number(column) else " --- " for column in table.columns)
        + "|",
    ]
    for row in table.rows:
        cells = [escape(cell) for cell in row.cells]
        if row.heading:
            cells = [f"**{cells[0]}**", *[""] * (len(table.columns) - 1)]
        elif row.level:
            cells[0] = f"- {cells[0]}"
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def escape(words: str) -> str:
    """So that names from a result stay names: no markup, no HTML, no new cell or line."""
    words = " ".join(words.split())
    # Entities too: &lt;script&gt; is text in a result and would be a tag's text in the page.
    return re.sub(r"([\\`*_\[\]<>|#&~!])", r"\\\1", words)
