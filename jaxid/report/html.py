"""report.html: one file that needs nothing else, figures included."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from jaxid.core.wording import best_of, label, number, percent, ratio_of
from jaxid.report.content import Record, is_long, is_number, title_of
from jaxid.report.markdown import TITLE
from jaxid.report.sections import headline, problem_line, sections

TEMPLATE = "report.html.j2"


def html(record: Record, figures: Mapping[str, Path], captions: Mapping[str, str]) -> str:
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
        for section in sections(record, full=True)
        if not section.empty or any(name in shown for name in section.figures)
    ]
    placed = {name for section in contents for name in section.figures}
    return environment.get_template(TEMPLATE).render(
        title=TITLE,
        problem=problem_line(record),
        verdict=headline(record),
        tiles=tiles(record),
        sections=contents,
        figures=shown,
        others=[name for name in shown if name not in placed],
    )


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def tiles(record: Record) -> list[tuple[str, str]]:
    """A few numbers for the top of the page: (number, what it is)."""
    final, dead = record.get("final") or {}, record.get("dead")
    found = []
    for name, words in (("train_loss_end", "training loss"), ("test_loss", "test loss")):
        if (final.get(name) or {}).get("mean") is not None:
            found.append((number(final[name]["mean"]), words))
    budget = record.get("budget")
    if budget and budget["items"] and budget["total"]["mean"]:
        largest = max(budget["items"], key=lambda item: item["loss"])
        found.append((percent(largest["share"]), f"of it: {label(largest['cause'])}"))
    if dead:
        count = dead["outputs_dead_varying"]["mean"]
        words = "outputs dead" if dead["stops_gradient"] else "outputs never positive"
        found.append((number(count), f"of {dead['outputs']:,} {words}"))
    best = best_of(record.get("trials") or [])
    if best is not None:
        found.append((f"x {number(ratio_of(best), 2)}", f"with {best['name']}"))
    return found
