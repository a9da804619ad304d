"""The report's contents in reading order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from jaxid.core.wording import counted, label, number
from jaxid.identity.diagnosis import Diagnosis
from jaxid.report.content import Row, Section, Table
from jaxid.report.last_layer import conditioning
from jaxid.report.losses import budget, outcome
from jaxid.report.percentages import percentage_error
from jaxid.report.posedness import well_posed
from jaxid.report.trials import remedies, suspects
from jaxid.report.units import dead, points
from jaxid.report.verdict import verdict_sentences
from jaxid.report.worst_error import worst_error

Builder = Callable[[Diagnosis, bool], Section]
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


def sections(diagnosis: Diagnosis, *, full: bool) -> list[Section]:
    """All sections that have something to say or a figure to show.

    Args:
      diagnosis: what is told.
      full: with methods and details (HTML, Markdown), or brief (terminal).
    """
    built = [build(diagnosis, full) for build in (FULL if full else BRIEF)]
    if full:
        built.append(_provenance(diagnosis))
    elif diagnosis.budget is None:
        built.insert(0, outcome(diagnosis, full))
    return [section for section in built if not section.empty or section.figures]


def first_line(diagnosis: Diagnosis) -> str:
    """What was trained and the verdict's first sentence."""
    return f"{problem_line(diagnosis)}: {verdict_sentences(diagnosis)[0]}"


def problem_line(diagnosis: Diagnosis) -> str:
    """What was trained, in one line."""
    spec = diagnosis.problem
    layers = "1 dense layer" if spec.depth == 1 else f"{spec.depth} dense layers"
    words = [
        spec.data,
        layers + (f" of {spec.width:,} units" if spec.width else ""),
        f"{label(spec.output_activation)} output",
        f"{spec.scaling} scaling",
        f"{spec.optimizer} {spec.learning_rate:g}",
        f"batch {spec.batch_size or 0:,}",
        counted(spec.epochs or 0, "epoch"),
        counted(spec.seeds, "seed"),
    ]
    return ", ".join(words)


def provenance_line(diagnosis: Diagnosis, *, full: bool) -> str:
    """Where the numbers come from, in one line."""
    found = diagnosis.provenance
    versions = vars(found.versions)
    shown = versions if full else ("jaxid", "jax")
    words = [f"{name} {versions[name]}" for name in shown if versions[name]]
    if found.git:
        words.append(f"git {found.git}")
    words += [found.device, found.dtype, found.started] if full else [found.device]
    planned = f" ({number(float(diagnosis.predicted_seconds), 2)} s predicted)"
    words.append(f"{number(float(found.seconds))} s{planned}")
    return ", ".join(words)


def _provenance(diagnosis: Diagnosis) -> Section:
    section = Section("Where these numbers come from")
    section.texts.append(provenance_line(diagnosis, full=True) + ".")
    section.texts.append(f"Command: {' '.join(diagnosis.provenance.argv)}")
    spec = diagnosis.problem
    settings = [(field.name, getattr(spec, field.name)) for field in dataclasses.fields(spec)]
    rows = [Row((label(name), _value(value))) for name, value in settings if value is not None]
    section.tables.append(Table(("setting", "value"), rows))
    return section


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(value)
