"""The loss over the epochs, with the levels that the budget is made of."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxid.core.wording import number
from jaxid.diagnosis.items import Floors, Item
from jaxid.identity.diagnosis import Diagnosis
from jaxid.identity.pictures import LossCurves
from jaxid.plot.causes import CAUSES
from jaxid.plot.style import (
    BLUE,
    INK,
    PURPLE,
    End,
    finite_mean,
    label_ends,
    new_figure,
    note,
    plain,
    plain_numbers,
)

DEEPEST = 1e-4
"""Levels below this share of the least loss seen are written under the axis, not drawn."""
LONG = 40
"""Runs of more epochs have a logarithmic time axis."""


def draw(diagnosis: Diagnosis) -> Figure | None:
    """Train and test loss of all seeds; None without one finite loss."""
    loss = diagnosis.loss
    epoch, train, test = loss.epoch, loss.train, loss.test
    positive = train[np.isfinite(train) & (train > 0)]
    if positive.size == 0:
        return None
    figure = new_figure(4.3, _title(diagnosis))
    axes = plain(figure.add_subplot(), "epoch", "loss (mean squared error, training units)")
    axes.set_yscale("log")
    if epoch.size > LONG:
        axes.set_xscale("log")
    ends: list[End] = []
    for values, name, colour in ((train, "train", INK), (test, "test", PURPLE)):
        if values is None or not np.isfinite(values).any():
            continue
        shown = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        axes.plot(epoch, shown.T, color=colour, linewidth=0.9, alpha=0.45)
        middle = finite_mean(shown)
        axes.plot(epoch, middle, color=colour, linewidth=2.0)
        last = middle[np.isfinite(middle)]
        if last.size:
            ends.append(End(float(last[-1]), f"{name} {number(float(last[-1]))}", colour))
    _predicted(axes, loss, ends)
    _levels(axes, diagnosis.floors, ends, float(positive.min()))
    axes.set_xlim(epoch[0] if epoch.size > 1 else 0.5, epoch[-1] if epoch.size > 1 else 1.5)
    plain_numbers(axes.yaxis, (1.0, 2.0, 5.0) if _decades(axes.get_ylim()) < 2 else (1.0,))
    if epoch.size > LONG:
        plain_numbers(axes.xaxis)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    label_ends(axes, ends)
    if train.shape[0] > 1:
        note(
            axes,
            0.99,
            0.98,
            f"thin: each of {train.shape[0]} seeds\nthick: their mean",
            va="top",
            ha="right",
        )
    return figure


def _predicted(axes: Axes, loss: LossCurves, ends: list[End]) -> None:
    """What was foreseen of the first seed, at the ends of epochs; its label stays with it where
    it ends before the run does."""
    curve, epoch = loss.predicted, loss.epoch
    if curve is None:
        return
    shown = np.where(np.isfinite(curve) & (curve > 0), curve, np.nan)[1:]
    at = np.arange(1, shown.size + 1)
    if not np.isfinite(shown).any():
        return
    axes.plot(at, shown, color=BLUE, linewidth=1.6, linestyle=(0, (1, 1.2)))
    last = int(np.flatnonzero(np.isfinite(shown))[-1])
    if at[last] >= epoch[-1]:
        ends.append(End(float(shown[last]), f"predicted {number(float(shown[last]))}", BLUE))
    else:
        note(axes, float(at[last]), float(shown[last]), " predicted", BLUE,
             coordinates="data", va="bottom")  # fmt: skip


def _decades(limits: tuple[float, float]) -> float:
    return float(np.log10(limits[1] / limits[0]))


def _levels(axes: Axes, floors: Floors | None, ends: list[End], least: float) -> None:
    if floors is None:
        return
    levels = (
        (floors.annealed, "with the rate let down to 0", Item.OPTIMIZER_NOISE),
        (floors.solved, "with the last layer solved", Item.SLOW_MODES),
        (floors.representation, "least loss possible", Item.REPRESENTATION),
    )
    below = []
    for found, name, item in levels:
        value, colour = float(np.mean(np.asarray(found, float))), CAUSES[item]
        if not np.isfinite(value):
            continue
        if value < DEEPEST * least:
            below.append((f"{name} {number(value)}", colour))
            continue
        axes.axhline(value, color=colour, linewidth=1.2, linestyle=(0, (4, 2)))
        ends.append(End(value, f"{name} {number(value)}", colour))
    low, high = axes.get_ylim()
    # Room at the foot for what lies further down.
    axes.set_ylim(low / (high / low) ** (0.06 * bool(below)), high)
    ends += [End(0.0, f"{text} (far below)", colour) for text, colour in below]


def _title(diagnosis: Diagnosis) -> str:
    budget, train, test = diagnosis.budget, diagnosis.loss.train, diagnosis.loss.test
    if len(diagnosis.non_finite) == train.shape[0]:
        return "Training blew up: every seed went non-finite"
    if budget is None:
        which, last = ("train", train[:, -1]) if test is None else ("test", test[:, -1])
        finite = last[np.isfinite(last)]
        return f"Training ends at a {which} loss of {number(float(finite.mean()))}"
    total, representation = budget.total.mean, budget.item(Item.REPRESENTATION).loss
    if total and representation < 0.5 * total:
        return (
            f"Training stops at {number(total)}, although "
            f"{'0' if representation == 0 else number(representation)} is possible"
        )
    return f"Training stops at {number(total)}"


def caption(diagnosis: Diagnosis) -> str:
    """What to see, with this run's numbers."""
    text = (
        "Loss after each epoch on a logarithmic axis: a straight fall is steady progress, a flat "
        "line is none."
    )
    if diagnosis.loss.predicted is not None:
        text += (
            " Dotted: what the first seed was predicted to do before its first step, on the whole "
            "training set at the end of each epoch; the run's train loss is the mean over the "
            "epoch's batches, and so lags."
        )
    if diagnosis.budget is None:
        return text
    text += (
        " The dashed levels are what the same run reaches when its step size is let down to 0 "
        "and when its last layer is then solved exactly; the distance from one level to the next "
        "is one item of the loss budget."
    )
    return text
