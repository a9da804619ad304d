"""report.html: one file that needs nothing else, figures included."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from jaxid.core.wording import label, number, percent
from jaxid.identity.diagnosis import Diagnosis
from jaxid.identity.trial_results import best_of, ratio_of
from jaxid.report.content import is_long, is_number, title_of
from jaxid.report.markdown import TITLE
from jaxid.report.sections import problem_line, sections
from jaxid.report.verdict import verdict_sentences

TEMPLATE = "report.html.j2"


def html(diagnosis: Diagnosis, figures: Mapping[str, Path], captions: Mapping[str, str]) -> str:
    """The whole page. Every text is escaped; PNG figures become data URIs."""
    environment = Environment(
        loader=PackageLoader("jaxid.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"title_of": title_of, "label": label}
    environment.tests |= {"number_column": is_number, "long_column": is_long}
    shown = {
        name: {"data": _data_uri(path), "caption": captions.get(name, ""), "name": label(name)}
        for name, path in figures.items()
    }
    contents = [
        section
        for section in sections(diagnosis, full=True)
        if not section.empty or any(name in shown for name in section.figures)
    ]
    placed = {name for section in contents for name in section.figures}
    return environment.get_template(TEMPLATE).render(
        title=TITLE,
        problem=problem_line(diagnosis),
        verdict=verdict_sentences(diagnosis),
        tiles=tiles(diagnosis),
        sections=contents,
        figures=shown,
        others=[name for name in shown if name not in placed],
    )


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def tiles(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """A few numbers for the top of the page: (number, what it is)."""
    final, dead, budget = diagnosis.final, diagnosis.dead, diagnosis.budget
    found = []
    for loss, words in ((final.train_loss_end, "training loss"), (final.test_loss, "test loss")):
        if loss is not None and loss.mean is not None:
            found.append((number(loss.mean), words))
    if budget is not None and budget.total.mean:
        largest = budget.largest
        found.append((percent(largest.share), f"of it: {label(largest.cause.value)}"))
    if dead is not None:
        words = "outputs dead" if dead.stops_gradient else "outputs never positive"
        found.append((number(dead.outputs_dead_varying.mean), f"of {dead.outputs:,} {words}"))
    best = best_of(diagnosis.trials)
    if best is not None:
        found.append((f"x {number(ratio_of(best), 2)}", f"with {best.name}"))
    return found
