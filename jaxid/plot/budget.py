"""The loss budget as a waterfall: four gaps that add up, each beside its second account."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxid.core.wording import counted, label, number, percent, plus_minus
from jaxid.diagnosis.items import BudgetItem, Item
from jaxid.identity.diagnosis import Diagnosis
from jaxid.plot.causes import CAUSES
from jaxid.plot.style import (
    FAINT,
    GREY,
    INK,
    NORMAL,
    PALE,
    SMALL,
    new_figure,
    plain,
)

IN_WORDS = {
    Item.REPRESENTATION: "is unavoidable: this network cannot do better",
    Item.LOCKED: "is locked: no step of the last layer frees it",
    Item.SLOW_MODES: "lies in slow modes: it needs more steps",
    Item.OPTIMIZER_NOISE: "is noise: the step size never falls",
}

FURTHEST = 1.5
"""In units of the loss: what lies further out is an arrow at the edge."""
KEY = (
    "bar: measured by an intervention, line: its standard error over seeds\n"
    "diamond: where a mechanism computed without that intervention puts the bar's end"
)


def draw(diagnosis: Diagnosis) -> Figure | None:
    """Total, the items stacked up to it, what the second account leaves; None without one."""
    budget = diagnosis.budget
    if budget is None:
        return None
    items, total, error = budget.items, budget.total.mean, budget.total.sem
    rows = len(items) + 2
    figure = new_figure(1.5 + 0.46 * rows, _title(budget.largest, total))
    axes = plain(figure.add_subplot(), "loss (mean squared error, training units)")
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    edges, marks = [0.0, total + (error or 0.0)], []
    _bar(axes, 0, 0.0, total, PALE, error)
    texts = [plus_minus(total, error)]
    start = 0.0
    for row, item in enumerate(items, start=1):
        _bar(axes, row, start, item.loss, CAUSES[item.cause], item.sem)
        marks.append((row, start + item.explained))
        axes.plot([start + item.loss] * 2, [row, row + 1], color=PALE, linewidth=0.8, zorder=0)
        start += item.loss
        edges.append(start)
        texts.append(f"{number(item.loss)}   {percent(item.share)}")
    left = budget.unexplained
    _bar(axes, rows - 1, total - left.loss, left.loss, "white", left.sem)
    texts.append(f"{number(left.loss)}   {percent(left.share)}")
    # A second account that fails altogether must not shrink the first to a line.
    far = [at for _, at in marks] + [total - left.loss]
    edges += [min(max(at, -FURTHEST * total), FURTHEST * total) for at in far]
    low, high = min(edges), max(edges)
    room = 0.04 * (high - low or 1.0)
    axes.set_xlim(low - (room if low < 0 else 0), high + room)
    for row, at in marks:
        _mark(axes, row, at, low, high)
    axes.set_ylim(rows - 0.4, -0.6)
    names = ["loss at the end", *(_name(diagnosis, i.cause) for i in items), "not explained"]
    axes.set_yticks(range(rows), names, fontsize=NORMAL)
    axes.tick_params(axis="y", length=0)
    for row, text in enumerate(texts):
        axes.text(
            1.02,
            row,
            text,
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=NORMAL,
            color=INK,
        )
    figure.supxlabel(KEY, x=0.012, ha="left", fontsize=SMALL, color=GREY)
    return figure


def _bar(
    axes: Axes, row: int, start: float, width: float, colour: str, error: float | None
) -> None:
    axes.barh(
        row,
        width,
        left=start,
        height=0.62,
        color=colour,
        edgecolor=INK if colour == "white" else colour,
        linewidth=0.8,
        hatch="////" if colour == "white" else None,
    )
    if error is not None:
        axes.errorbar(start + width, row, xerr=error, color=INK, capsize=3, linewidth=1.2)


def _mark(axes: Axes, row: int, at: float, low: float, high: float) -> None:
    """The second account's diamond, or an arrow with its number where it lies outside."""
    inside = min(max(at, low), high)
    axes.plot(
        [inside],
        [row],
        marker="D" if inside == at else (">" if at > high else "<"),
        markersize=6,
        color="white",
        markeredgecolor=INK,
        markeredgewidth=1.3,
        linestyle="none",
        zorder=5,
        clip_on=False,
    )
    if inside != at:
        axes.annotate(
            number(at, 2),
            (inside, row),
            (-7 if at > high else 7, 0),
            textcoords="offset points",
            ha="right" if at > high else "left",
            va="center",
            fontsize=SMALL,
            color=INK,
        )


def _name(diagnosis: Diagnosis, cause: Item) -> str:
    if cause is Item.LOCKED and diagnosis.problem.depth > 1:
        return "locked, given the features"
    return label(cause.value)


def _title(largest: BudgetItem, total: float) -> str:
    if not total:
        return "Nothing is lost: the loss is 0"
    return f"{percent(largest.share)} of the loss {IN_WORDS[largest.cause]}"


def caption(diagnosis: Diagnosis) -> str:
    """What to see, with this run's numbers."""
    budget = diagnosis.budget
    assert budget is not None, "there is no such figure"
    left, total = budget.unexplained, budget.total
    return (
        f"The end loss of {number(total.mean)} (mean of {counted(total.seeds, 'seed')}) "
        "taken apart: each bar starts where the one above ends, so they add up by construction. "
        "The check is the diamonds, which come from a second, independent account; "
        f"together they leave {number(left.loss)} ({percent(left.share)}) unexplained."
    )
