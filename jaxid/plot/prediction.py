"""The figures of ``jaxid predict``: the loss before and after, and how long each mode takes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxid.core.wording import number
from jaxid.plot.style import (
    BLUE,
    FAINT,
    GREY,
    INK,
    RED,
    new_figure,
    note,
    plain,
    plain_numbers,
    save_figures,
)
from jaxid.prediction.measured import MeasuredRun
from jaxid.prediction.predict import Prediction


def draw_prediction(
    found: Prediction | None, measured: MeasuredRun | None, folder: Path
) -> dict[str, Path]:
    """Save every figure whose data are there as PNG and SVG; name -> the PNG's path."""
    if found is None:
        return {}
    figures = {"predicted_loss": predicted_loss, "deaths": deaths, "time_of_modes": time_of_modes}
    return save_figures(
        {name: partial(function, measured=measured) for name, function in figures.items()},
        found,
        folder,
    )


def predicted_loss(found: Prediction, measured: MeasuredRun | None) -> Figure | None:
    """The predicted loss over the epochs, with what training then did."""
    curve = found.curve
    if curve is None:
        return None
    figure = new_figure(4.0, _title(found, measured))
    axes = plain(figure.add_subplot(), "epoch", "loss on the training set, training units")
    epochs = np.arange(curve.size)
    until = min(float(found.until), float(epochs[-1]))
    if until < epochs[-1]:
        axes.axvspan(until, float(epochs[-1]), facecolor=FAINT, edgecolor=GREY, linewidth=0.6,
                     label="out of the prediction's range")  # fmt: skip
    for values in () if found.by_seed is None else found.by_seed:
        axes.plot(epochs, np.where(np.isfinite(values), values, np.nan), color=BLUE, linewidth=0.7,
                  alpha=0.5)  # fmt: skip
    quiet = None if found.modes is None else found.modes.without_noise
    for values, style, name in (
        (curve, "-", "predicted"),
        (quiet, ":", "predicted without batch noise"),
    ):
        if values is not None:
            shown = np.where(np.isfinite(values) & (values > 0), values, np.nan)
            axes.plot(epochs, shown, color=BLUE, linestyle=style,
                      linewidth=2.0 if style == "-" else 1.2, label=name)  # fmt: skip
    if measured is not None:
        losses = measured.loss_by_seed
        shown = np.where(np.isfinite(losses) & (losses > 0), losses, np.nan)
        label = f"measured, each of {len(losses)} seeds" if len(losses) > 1 else "measured"
        for k, values in enumerate(shown):
            axes.plot(epochs[: values.size], values, color=INK, marker="o", markersize=3.5,
                      linestyle="none", label=label if k == 0 else None)  # fmt: skip
    floor = 0.0 if found.modes is None else found.modes.floor
    if floor:
        axes.axhline(floor, color=GREY, linestyle=(0, (4, 2)), linewidth=1.2,
                     label=f"least loss possible {number(floor)}")  # fmt: skip
    axes.set_yscale("log")
    axes.set_xlim(0, 1.02 * max(float(epochs[-1]), 1.0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain_numbers(axes.yaxis, (1.0, 2.0, 5.0))
    axes.legend(frameon=False, fontsize=8.5)
    return figure


def deaths(found: Prediction, measured: MeasuredRun | None) -> Figure | None:
    """How many outputs are dead over the steps, predicted and measured."""
    told = None if found.moments is None else found.moments.deaths
    if told is None:
        return None
    title = f"{number(round(told.expected, 1))} of {told.varying:,} outputs are predicted to die"
    seen = None if measured is None else measured.dead_by_seed
    if seen is not None:
        title += f"; {number(round(float(seen[:, -1].mean()), 1))} did by then"
    figure = new_figure(3.8, title)
    axes = plain(figure.add_subplot(), "step", "outputs whose target varies")
    axes.plot(told.steps, told.dead, color=BLUE,
              label=f"predicted: active on none of {told.examples:,} examples")  # fmt: skip
    axes.plot(told.steps, told.fading, color=BLUE, linestyle=":", linewidth=1.2,
              label="predicted: active on less than one example of a batch")  # fmt: skip
    if measured is not None and seen is not None:
        for k, values in enumerate(seen):
            axes.plot(measured.dead_steps, values, color=INK, marker="o", markersize=3.5,
                      linestyle="none", label=None if k else "measured, each seed")  # fmt: skip
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, float(told.steps[-1]))
    axes.set_ylim(0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(frameon=False, fontsize=8.5, loc="upper left")
    return figure


def time_of_modes(found: Prediction, measured: MeasuredRun | None) -> Figure | None:
    """How much of the first loss lies in modes that take longer than so many epochs."""
    if found.modes is None or found.curve is None:
        return None
    order = np.argsort(found.modes.epochs)
    epochs, excess = found.modes.epochs[order], found.modes.excess[order]
    finite = np.isfinite(epochs)
    total = float(excess.sum())
    if not finite.any() or total <= 0:
        return None
    after = (total - np.cumsum(excess))[finite] / total
    budget = found.curve.size - 1
    late = float(excess[epochs > budget].sum()) / total
    figure = new_figure(
        3.6,
        f"{100 * late:.2g} % of the first loss lies in the {int((epochs > budget).sum()):,} of "
        f"{epochs.size:,} modes that take more than {budget:,} epochs",
    )
    axes = plain(figure.add_subplot(), "epochs until 1 % of a mode's loss is left", "")
    axes.set_ylabel("share of the first loss in slower modes")
    shown = after > 1e-16
    axes.step(epochs[finite][shown], after[shown], where="post", color=BLUE)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axvline(budget, color=RED, linestyle=(0, (4, 2)), linewidth=1.2)
    note(axes, 0.99, 0.98, f"dashed: the {budget:,} epochs of this run", va="top", ha="right")
    return figure


def _title(found: Prediction, measured: MeasuredRun | None) -> str:
    if found.last is None or not np.isfinite(found.last):
        return "Predicted to diverge"
    predicted = f"Predicted to end at {number(found.last)}"
    if measured is None:
        return predicted
    return f"{predicted}; it ended at {number(float(measured.loss[-1]))}"
