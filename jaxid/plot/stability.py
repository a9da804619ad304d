"""Hadamard's third question: how far parameters move when the targets barely do."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from jaxid.core.wording import number
from jaxid.identity.diagnosis import Diagnosis
from jaxid.identity.well_posed import StabilityCurve
from jaxid.plot.style import BLUE, GREY, RED, new_figure, note, plain


def draw(diagnosis: Diagnosis) -> Figure | None:
    """Measured and predicted change over the mode's eigenvalue; None without it."""
    curve = _curve(diagnosis)
    if curve is None or curve.measured.size == 0:
        return None
    values, predicted, measured = curve.eigenvalues, curve.predicted, curve.measured
    worst, best = float(measured.max()), float(measured.min())
    unit = _unit(diagnosis).capitalize()
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


def _curve(diagnosis: Diagnosis) -> StabilityCurve | None:
    posed = diagnosis.well_posed
    return None if posed is None else posed.continuous.curve


def _unit(diagnosis: Diagnosis) -> str:
    return "one grey level" if diagnosis.problem.has_grey_levels else "one unit"


def caption(diagnosis: Diagnosis) -> str:
    """What to see, with this run's numbers."""
    curve = _curve(diagnosis)
    assert curve is not None, "there is no such figure"
    measured = curve.measured
    ratio = float(measured.max() / measured.min()) if measured.min() > 0 else None
    text = (
        f"The targets of one output are moved by {_unit(diagnosis)}, once along each of "
        f"{measured.size} directions, and the least squares problem of a linear layer on the "
        "inputs is solved again. A well-posed problem "
        "answers a small change with a small change in every direction"
    )
    return f"{text}; here the answers differ by a factor of {number(ratio)}."
