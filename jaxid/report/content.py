"""What a report consists of, before it is terminal text, Markdown or HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple, TypeAlias

from jaxid.identity.suspects import Verdict
from jaxid.identity.trial_results import TrialVerdict
from jaxid.identity.well_posed import Answer

Tone: TypeAlias = Literal["", "good", "bad", "open", "quiet"]
"""How a cell or row is coloured: never the only bearer of meaning."""

TONES: Mapping[Enum, Tone] = {
    TrialVerdict.HELPS: "good",
    Answer.YES: "good",
    TrialVerdict.HARMS: "bad",
    Answer.NO: "bad",
    TrialVerdict.NON_FINITE: "bad",
    Verdict.CAUSE: "bad",
    TrialVerdict.UNCERTAIN: "open",
    Verdict.UNCERTAIN: "open",
    Answer.UNKNOWN: "open",
    TrialVerdict.NOTHING: "quiet",
    Verdict.NOT_A_CAUSE: "quiet",
}
"""The tone of a verdict or an answer."""


class Row(NamedTuple):
    """One line of a table.

    Attributes:
      cells: texts, one per column; a heading has one.
      level: 1 for a part of the row above.
      tone: of its last cell.
      heading: whether it names the rows below it.
    """

    cells: tuple[str, ...]
    level: int = 0
    tone: Tone = ""
    heading: bool = False


class Table(NamedTuple):
    """Columns and rows.

    Attributes:
      columns: headings; one that starts with ">" is a column of numbers, set to the right,
        one that starts with "+" holds long text, which narrow terminals leave out.
      rows: its lines.
    """

    columns: tuple[str, ...]
    rows: list[Row]


@dataclass
class Section:
    """A question and its answer.

    Attributes:
      title: plain words.
      texts: paragraphs, before the tables.
      tables: any number.
      figures: names of the figures that belong here, in order.
      notes: small print, after the tables.
    """

    title: str
    texts: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figures: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Nothing is said (a figure may still be shown)."""
        return not (self.texts or self.tables or self.notes)


def title_of(column: str) -> str:
    """A column's heading without its mark."""
    return column.lstrip(">+")


def is_number(column: str) -> bool:
    """Whether a column is set to the right."""
    return column.startswith(">")


def is_long(column: str) -> bool:
    """Whether a column holds long text."""
    return column.startswith("+")
