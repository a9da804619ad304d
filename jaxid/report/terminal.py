"""The diagnosis on a terminal: the verdict first, then what it rests on."""

from __future__ import annotations

from rich.box import Box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from jaxid.identity.diagnosis import Diagnosis
from jaxid.report.content import Table, Tone, is_long, is_number, title_of
from jaxid.report.sections import problem_line, provenance_line, sections
from jaxid.report.verdict import verdict_sentences

WIDTH = 80
"""Columns where the output is no terminal."""
WIDEST = 110
"""Columns; longer lines read badly."""
ROOM_FOR_LONG = 100
"""Terminals at least as wide show long columns."""
STYLES: dict[Tone, str] = {
    "": "",
    "good": "green",
    "bad": "red",
    "open": "yellow",
    "quiet": "bright_black",
}
# A rule under the heading and nothing else.
_RULE = Box("    \n    \n ── \n    \n    \n    \n    \n    \n")


def render(diagnosis: Diagnosis, console: Console) -> None:
    """Print the diagnosis."""
    width = min(console.width, WIDEST)

    def say(words: str, style: str = "") -> None:
        # Text, not markup: names from a result may hold brackets.
        console.print(Text(words, style=style), width=width)

    first, *rest = verdict_sentences(diagnosis)
    say(first, "bold")
    for sentence in rest:
        say(sentence)
    say(problem_line(diagnosis), "bright_black")
    for section in sections(diagnosis, full=False):
        if section.empty:
            continue
        console.print()
        say(section.title, "bold")
        for words in section.texts:
            say(words)
        for table in section.tables:
            console.print(_table(table, width), width=width)
        for words in section.notes:
            say(words, "bright_black")
    console.print()
    say(provenance_line(diagnosis, full=False), "bright_black")


def _table(table: Table, width: int) -> RichTable:
    shown = [
        place
        for place, column in enumerate(table.columns)
        if not is_long(column) or width >= ROOM_FOR_LONG
    ]
    found = RichTable(box=_RULE, show_edge=False, pad_edge=False, header_style="bright_black")
    last = shown[-1]
    for place in shown:
        column = table.columns[place]
        # Numbers never break; of the texts, only long ones may.
        longest = max((len(row.cells[place]) for row in table.rows if not row.heading), default=0)
        found.add_column(
            title_of(column),
            justify="right" if is_number(column) else "left",
            no_wrap=is_number(column) or longest <= 34,
        )
    for row in table.rows:
        if row.heading:
            found.add_row(Text(row.cells[0], style="italic"))
            continue
        cells = []
        for place in shown:
            content = ("  " if row.level and place == 0 else "") + row.cells[place]
            style = STYLES[row.tone] if place == last else ""
            cells.append(Text(content, style=style or ("bright_black" if row.level else "")))
        found.add_row(*cells)
    return found
