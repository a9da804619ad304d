"""Every remedy tried: the loss it leaves, relative to doing nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxid.core.wording import number
from jaxid.identity.diagnosis import Diagnosis
from jaxid.identity.prescriptions import RemedyGroup
from jaxid.identity.trial_results import TrialResult, TrialVerdict, best_of, grouped, ratio_of
from jaxid.plot.style import (
    FAINT,
    GREEN,
    GREY,
    INK,
    NORMAL,
    ORANGE,
    PURPLE,
    RED,
    SMALL,
    new_figure,
    plain,
    plain_numbers,
    readable,
)

GROUPS = {
    RemedyGroup.SINGLE: "one change",
    RemedyGroup.PAIR: "two changes at once",
    RemedyGroup.CONTROL: "random changes, as a control",
}
"""Headings of the groups of remedies."""
VERDICTS = {
    TrialVerdict.HELPS: (GREEN, "o"),
    TrialVerdict.NOTHING: (GREY, "s"),
    TrialVerdict.UNCERTAIN: (ORANGE, "D"),
    TrialVerdict.HARMS: (RED, "X"),
    TrialVerdict.NON_FINITE: (PURPLE, ">"),
}
WILD = 20.0
BAND = 1.1
"""A change of 10 % either way counts as nothing."""


def draw(diagnosis: Diagnosis) -> Figure | None:
    """Ratios with their intervals, sorted within groups; None without trials."""
    trials = diagnosis.trials
    rows = _rows(trials)
    if not rows:
        return None
    figure = new_figure(1.5 + 0.235 * len(rows), _title(trials))
    axes = plain(figure.add_subplot(), "loss with the change / loss without it")
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_xscale("log")
    low, high = _limits(trials)
    axes.set_xlim(low, high)
    axes.axvspan(1 / BAND, BAND, color=FAINT, zorder=0)
    axes.axvline(1.0, color=GREY, linewidth=1.0)
    for place, row in enumerate(rows):
        if isinstance(row, str):
            axes.text(
                -0.01,
                place,
                row,
                transform=axes.get_yaxis_transform(),
                ha="right",
                va="center",
                fontsize=NORMAL,
                fontweight="bold",
                color=INK,
            )
        else:
            _draw_row(axes, place, row, low, high)
    names = [("" if isinstance(row, str) else row.name) for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=SMALL + 0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    plain_numbers(axes.xaxis, (1.0,) if high > 1e3 * low else (1.0, 2.0, 5.0))
    _key(axes, trials)
    return figure


def _rows(trials: Sequence[TrialResult]) -> list[TrialResult | str]:
    """Headings and trials in the order drawn; runs that blew up come last in their group."""
    rows: list[TrialResult | str] = []
    for group, members in grouped(trials):
        rows += [GROUPS[group], *members]
    return rows


def _limits(trials: Sequence[TrialResult]) -> tuple[float, float]:
    """Of ratios, intervals and 0.5 to 2; intervals are cut a factor ``WILD`` beyond ratios.

    A loss of exactly 0 counts as float32's floor, which would stretch the axis to 1e-16.
    """
    trials = [t for t in trials if t.after != 0]
    ratios = [ratio for ratio in map(ratio_of, trials) if ratio]
    least, most = min([0.5, *ratios]), max([2.0, *ratios])
    ends = [end for t in trials for end in t.ci95 or () if end > 0]
    ends = [min(max(end, least / WILD), most * WILD) for end in ends]
    return min([least, *ends]) / 1.4, max([most, *ends]) * 1.4


def _draw_row(axes: Axes, place: int, trial: TrialResult, low: float, high: float) -> None:
    colour, marker = VERDICTS[trial.verdict]
    ratio, interval = ratio_of(trial), trial.ci95
    if interval is not None:
        ends = np.clip(interval, low, high)
        axes.plot(ends, [place] * 2, color=colour, linewidth=1.8, solid_capstyle="butt")
    if trial.predicted:
        axes.plot(
            [max(trial.predicted, low)],
            [place],
            marker="|",
            markersize=10,
            markeredgewidth=1.6,
            color=INK,
            linestyle="none",
            zorder=4,
        )
    if ratio is None:
        text = "blew up" if trial.verdict is TrialVerdict.NON_FINITE else "no ratio"
        axes.plot([high], [place], marker=marker, color=colour, markersize=7, clip_on=False)
    else:
        text = "to 0" if trial.after == 0 else number(ratio, 2)
        # What lies beyond the axis is an arrow at its edge.
        axes.plot(
            [max(ratio, low)],
            [place],
            marker=marker if ratio >= low else "<",
            color=colour,
            markersize=6.5,
            clip_on=False,
            markeredgecolor="white",
            markeredgewidth=0.7,
            zorder=5,
        )
    axes.text(
        1.025,
        place,
        text,
        transform=axes.get_yaxis_transform(),
        va="center",
        fontsize=SMALL,
        color=readable(colour),
    )


def _key(axes: Axes, trials: Sequence[TrialResult]) -> None:
    """The verdicts that occur, under the axis; coloured text needs no box."""
    seen = [v for v in VERDICTS if any(t.verdict is v for t in trials)]
    handles: list[Any] = []
    for verdict in seen:
        colour, marker = VERDICTS[verdict]
        handles += axes.plot(
            [],
            [],
            marker=marker,
            color=colour,
            linestyle="none",
            label=verdict.value.replace("_", "-"),
        )
    if any(t.predicted for t in trials):
        handles += axes.plot(
            [],
            [],
            marker="|",
            markersize=10,
            markeredgewidth=1.6,
            color=INK,
            linestyle="none",
            label="predicted by the budget",
        )
    figure = axes.get_figure()
    assert figure is not None
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=SMALL,
        handletextpad=0.2,
        columnspacing=1.4,
    )


def _title(trials: Sequence[TrialResult]) -> str:
    best = best_of(trials)
    if best is None:
        return "None of the remedies tried is sure to help"
    ratio = ratio_of(best) or 0.0
    if best.after == 0:
        return f"Best remedy: {best.name} leaves no loss at all"
    if ratio > 0.5:
        return f"Best remedy: {best.name}, {number(ratio, 2)} times the loss"
    aside = any(t.verdict is TrialVerdict.HELPS and t.built_in for t in trials)
    if aside and not best.built_in:
        name = best.name[0].upper() + best.name[1:]
        return f"{name} divides the loss by {_round(1 / ratio)}, without building the answer in"
    return f"Best remedy: {best.name} divides the loss by {_round(1 / ratio)}"


def _missed(trial: TrialResult) -> bool:
    """Whether the budget's prediction is off by more than a factor of 3."""
    ratio, predicted = ratio_of(trial), trial.predicted
    return bool(ratio and predicted and not predicted / 3 <= ratio <= 3 * predicted)


def _round(value: float) -> str:
    """Two significant digits, zeros for the rest."""
    return number(float(f"{value:.2g}"), 2)


def caption(diagnosis: Diagnosis) -> str:
    """What to see, with this run's numbers."""
    trials = diagnosis.trials
    tried = [t for t in trials if t.group is not RemedyGroup.CONTROL]
    helping = [t for t in tried if t.verdict is TrialVerdict.HELPS]
    seeds = max(t.seeds for t in trials)
    each = (
        "one seed each, which gives no interval"
        if seeds == 1
        else (f"the same {seeds} seeds; the lines are 95 % intervals")
    )
    text = (
        f"Each remedy was run on {each}. Left of the grey band, which is 10 % either way, it "
        f"helps; {len(helping)} of {len(tried)} surely do."
    )
    if any(_missed(t) for t in trials):
        text += (
            " Where the black tick, what the budget alone predicts, is far from the result, the "
            "causes act on each other."
        )
    if any(t.group is RemedyGroup.CONTROL for t in trials):
        text += " Random changes show what luck alone would find."
    return text
