"""The report's contents in reading order."""

from __future__ import annotations

from collections.abc import Callable

from jaxid.core.wording import counted, label, number
from jaxid.report.content import Record, Row, Section, Table
from jaxid.report.losses import budget, outcome
from jaxid.report.posedness import conditioning, percentage_error, well_posed, worst_error
from jaxid.report.trials import remedies, suspects
from jaxid.report.units import dead, points

Builder = Callable[[Record, bool], Section]
FULL: tuple[Builder, ...] = (
    outcome,
    budget,
    dead,
    points,
    conditioning,
    well_posed,
    worst_error,
    remedies,
    suspects,
    percentage_error,
)
BRIEF: tuple[Builder, ...] = (
    budget,
    dead,
    conditioning,
    points,
    well_posed,
    worst_error,
    remedies,
    suspects,
    percentage_error,
)
"""For a terminal, where final losses stand in the budget already."""


def sections(record: Record, *, full: bool) -> list[Section]:
    """All sections that have something to say or a figure to show.

    Args:
      record: the diagnosis.
      full: with methods and details (HTML, Markdown), or brief (terminal).
    """
    built = [build(record, full) for build in (FULL if full else BRIEF)]
    if full:
        built.append(_provenance(record))
    elif not record.get("budget"):
        built.insert(0, outcome(record, full))
    return [section for section in built if not section.empty or section.figures]


def headline(record: Record) -> list[str]:
    """The verdict's sentences."""
    return [str(sentence) for sentence in record.get("verdict") or ["No verdict was reached."]]


def problem_line(record: Record) -> str:
    """What was trained, in one line."""
    spec = record.get("problem") or {}
    depth, width = spec.get("depth"), spec.get("width")
    words = [str(spec["data"])] if spec.get("data") else []
    if depth:
        layers = "1 dense layer" if depth == 1 else f"{depth} dense layers"
        words.append(layers + (f" of {width:,} units" if width else ""))
    if spec.get("output_activation"):
        words.append(f"{label(spec['output_activation'])} output")
    if spec.get("scaling"):
        words.append(f"{spec['scaling']} scaling")
    if spec.get("optimizer"):
        words.append(f"{spec['optimizer']} {_rate(spec.get('learning_rate'))}".rstrip())
    if spec.get("batch_size"):
        words.append(f"batch {spec['batch_size']:,}")
    if spec.get("epochs"):
        words.append(counted(spec["epochs"], "epoch"))
    if spec.get("seeds"):
        words.append(counted(spec["seeds"], "seed"))
    return ", ".join(words)


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def provenance_line(record: Record, *, full: bool) -> str:
    """Where the numbers come from, in one line."""
    found = record.get("provenance") or {}
    versions = found.get("versions") or {}
    shown = versions if full else ("jaxid", "jax")
    words = [f"{name} {versions[name]}" for name in shown if versions.get(name)]
    if found.get("git"):
        words.append(f"git {found['git']}")
    keys = ("device", "dtype", "started") if full else ("device",)
    words += [str(found[key]) for key in keys if found.get(key)]
    if found.get("seconds") is not None:
        predicted = record.get("predicted_seconds")
        planned = "" if predicted is None else f" ({number(float(predicted), 2)} s predicted)"
        words.append(f"{number(float(found['seconds']))} s{planned}")
    return ", ".join(words)


def _provenance(record: Record) -> Section:
    found = record.get("provenance") or {}
    section = Section("Where these numbers come from")
    if not found:
        return section
    spec = record.get("problem") or {}
    section.texts.append(provenance_line(record, full=True) + ".")
    if found.get("argv"):
        section.texts.append(f"Command: {' '.join(found['argv'])}")
    rows = [
        Row((label(name), _value(value)))
        for name, value in spec.items()
        if value is not None and not isinstance(value, dict | list)
    ]
    if rows:
        section.tables.append(Table(("setting", "value"), rows))
    return section


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(value)
