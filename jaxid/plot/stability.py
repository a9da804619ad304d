"""Hadamard's third question: how far parameters move when the targets barely do."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from jaxid.core.wording import number
from jaxid.plot.style import BLUE, GREY, RED, Arrays, Record, new_figure, note, plain


def draw(record: Record, arrays: Arrays) -> Figure | None:
    """Measured and predicted change over the mode's eigenvalue; None without it."""
    if "posed/measured" not in arrays or arrays["posed/measured"].size == 0:
        return None
    values = np.asarray(arrays["posed/eigenvalues"], float)
    predicted = np.asarray(arrays["posed/predicted"], float)
    measured = np.asarray(arrays["posed/measured"], float)
    worst, best = float(measured.max()), float(measured.min())
    unit = _unit(arrays).capitalize()
    title = f"{unit} in the targets moves the parameters by up to {number(worst)}"
    figure = new_figure(4.0, title)
    axes = plain(
        figure.add_subplot(),
        "eigenvalue of the inputs along which the targets move",
        "change of one output's parameters (norm)",
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    order = np.argsort(-values)
    axes.plot(values[order], predicted[order], color=BLUE, linewidth=1.6)
    axes.plot(
        values,
        measured,
        marker="o",
        color=RED,
        linestyle="none",
        markersize=7,
        markeredgecolor="white",
    )
    axes.set_xlim(values.max() * 2.5, values.min() / 2.5)
    axes.set_ylim(min(best, predicted.min()) / 3, max(worst, predicted.max()) * 3)
    note(axes, 0.03, 0.95, "dots: measured, by solving again with moved targets", RED, va="top")
    note(axes, 0.03, 0.88, "line: predicted, 1 / sqrt(eigenvalue)", BLUE, va="top")
    note(axes, 0.99, 0.03, "directions that the data hardly show", GREY, ha="right", va="bottom")
    note(axes, 0.06, 0.03, "directions that the data show well", GREY, va="bottom")
    return figure


def _unit(arrays: Arrays) -> str:
    return "one grey level" if "images/shape" in arrays else "one unit"


def caption(record: Record, arrays: Arrays) -> str:
    """What to see, with this run's numbers."""
    measured = np.asarray(arrays["posed/measured"], float)
    ratio = float(measured.max() / measured.min()) if measured.min() > 0 else None
    text = (
        f"The targets of one output are moved by {_unit(arrays)}, once along each of "
        f"{measured.size} directions, and the least squares problem of a linear layer on the "
        "inputs is solved again. A well-posed problem "
        "answers a small change with a small change in every direction"
    )
    return f"{text}; here the answers differ by a factor of {number(ratio)}."
