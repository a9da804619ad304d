"""Units that stop firing: when they die, and how much of the loss they hold."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxid.core.wording import number, percent
from jaxid.diagnosis.dead import CensusCurves
from jaxid.identity.diagnosis import Diagnosis
from jaxid.plot.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE,
    PURPLE,
    RED,
    SKY,
    End,
    finite_mean,
    label_ends,
    new_figure,
    plain,
)

HIDDEN = (BLUE, GREEN, PURPLE, ORANGE, SKY)


def draw(diagnosis: Diagnosis) -> Figure | None:
    """Counts above, loss below, over steps; None without a census."""
    census = diagnosis.census
    if census is None:
        return None
    step = np.asarray(census.step, float)
    figure = new_figure(5.6, _title(diagnosis))
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _counts(plain(top, "", "units that never fire"), step, census)
    _losses(plain(bottom, "training step (logarithmic)", "loss"), step, census)
    first = step[step > 0].min(initial=np.inf)
    if np.isfinite(first):
        bottom.set_xscale("symlog", linthresh=first, linscale=0.35)
    bottom.set_xlim(step.min(), max(step.max(), step.min() + 1))
    _first_epoch((top, bottom), step, census)
    # Labels need the final limits of both axes.
    for axes, ends in ((top, _count_ends(census)), (bottom, _loss_ends(census))):
        label_ends(axes, ends)
    return figure


def _layers(census: CensusCurves) -> list[tuple[str, str, np.ndarray]]:
    """(name, colour, (S, C) counts) of each layer; of the output also without constant
    targets, where that differs."""
    dead = np.asarray(census.dead, float)
    last = dead.shape[1] - 1
    found = [(f"layer {i + 1}", HIDDEN[i % len(HIDDEN)], dead[:, i]) for i in range(last)]
    if np.array_equal(census.dead_varying, dead[:, last]):
        return [*found, ("outputs", RED, dead[:, last])]
    return [
        *found,
        ("all outputs", PALE, dead[:, last]),
        ("outputs that matter", RED, np.asarray(census.dead_varying, float)),
    ]


def _counts(axes: Axes, step: np.ndarray, census: CensusCurves) -> None:
    for _, colour, counts in _layers(census):
        if counts.shape[0] > 1:
            axes.fill_between(
                step, counts.min(axis=0), counts.max(axis=0), color=colour, alpha=0.18, linewidth=0
            )
        axes.plot(step, counts.mean(axis=0), color=colour, linewidth=2.0)
    axes.set_ylim(bottom=0)
    if axes.get_ylim()[1] < 1:
        axes.set_ylim(0, 1)


def _count_ends(census: CensusCurves) -> list[End]:
    ends = []
    for name, colour, counts in _layers(census):
        value = float(counts[:, -1].mean())
        shade = GREY if colour == PALE else colour
        ends.append(End(value, f"{name}: {number(value)}", shade))
    return ends


def _losses(axes: Axes, step: np.ndarray, census: CensusCurves) -> None:
    axes.set_yscale("log")
    loss, dead = finite_mean(census.loss), finite_mean(census.dead_loss)
    for values, colour in ((loss, BLUE), (dead, RED)):
        axes.plot(step, np.where(values > 0, values, np.nan), color=colour, linewidth=2.0)
    positive = np.concatenate([loss[loss > 0], dead[dead > 0]])
    if positive.size:
        floor = max(float(positive.min()), float(loss[loss > 0].min(initial=np.inf)) * 1e-4)
        axes.set_ylim(floor / 2, float(positive.max()) * 2)


def _loss_ends(census: CensusCurves) -> list[End]:
    loss, dead = finite_mean(census.loss)[-1], finite_mean(census.dead_loss)[-1]
    ends = [End(float(loss), f"whole loss: {number(float(loss))}", BLUE)]
    if dead > 0:
        ends.append(End(float(dead), f"in dead outputs: {number(float(dead))}", RED))
    return [end for end in ends if np.isfinite(end.y) and end.y > 0]


def _first_epoch(both: tuple[Axes, Axes], step: np.ndarray, census: CensusCurves) -> None:
    epoch = np.asarray(census.epoch, float)
    inside = np.flatnonzero(epoch >= 1)
    if inside.size == 0 or step[inside[0]] >= step[-1]:
        return
    end = step[inside[0]]
    for axes in both:
        axes.axvline(end, color=GREY, linewidth=0.9, linestyle=":")
    both[0].annotate(
        "first epoch ends",
        (end, 1),
        (-4, -2),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        fontsize=8.5,
        color=GREY,
        ha="right",
        va="top",
    )


def _title(diagnosis: Diagnosis) -> str:
    dead = diagnosis.dead
    if dead is None:
        return "Units that never fire on any training example"
    count, outputs = dead.outputs_dead_varying.mean, dead.outputs
    if not count:
        return "No output that matters is dead"
    share = dead.share_of_loss
    if not dead.stops_gradient:
        return f"{number(count)} of {outputs} outputs are never positive, but still learn"
    held = "" if share is None else f" and hold {percent(share)} of the loss"
    return f"{number(count)} of {outputs} outputs end up dead{held}"


def caption(diagnosis: Diagnosis) -> str:
    """What to see, with this run's numbers."""
    dead = diagnosis.dead
    text = (
        "A unit is dead when it is at or below zero on every training example. Lines are means "
        "over seeds, bands their range"
    )
    if dead is None:
        return text + "."
    if dead.stops_gradient:
        deep = diagnosis.problem.depth > 1
        text += "; no gradient reaches the weights of a dead ReLU output" + (
            ", only the layers below could revive it" if deep else ", so its loss stays"
        )
    clock = dead.death
    if clock.count:
        text += (
            f". Half of the deaths happen by step {number(clock.median_step)}, "
            f"{percent(clock.in_first_epoch)} of them in the first epoch"
        )
    constant = dead.constant_targets
    if constant:
        text += (
            f". {number(constant)} targets never vary, so an output that is dead there "
            "loses nothing"
        )
    return text + "."
