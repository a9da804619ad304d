"""How large the condition number is for what is really left to learn."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from jaxid.core.types import Estimate
from jaxid.core.wording import number, percent
from jaxid.identity.diagnosis import Diagnosis
from jaxid.plot.style import BLUE, GREY, INK, RED, new_figure, note, plain

SHARE = 0.99
"""The share that is marked; the one the record's effective_kappa is for."""
TICKS = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)


def draw(diagnosis: Diagnosis) -> Figure | None:
    """kappa(q) over the share q; None without the curve."""
    curve, at_end = diagnosis.conditioning.effective, diagnosis.conditioning.at_end
    if curve is None:
        return None
    share, kappa = np.asarray(curve.share, float), np.asarray(curve.kappa, float)
    keep = np.isfinite(kappa) & (share > 0) & (share < 1)
    if not keep.any():
        return None
    share, kappa = share[keep], kappa[keep]
    full = _value(None if at_end is None else at_end.kappa)
    marked = _value(None if at_end is None else at_end.effective_kappa)
    figure = new_figure(4.0, _title(full, marked))
    axes = plain(
        figure.add_subplot(),
        "share of the remaining loss that is to be removed",
        "condition number of the modes it lies in",
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.step(1 - share, kappa, where="pre", color=BLUE, linewidth=2.0)
    ticks = [tick for tick in TICKS if share.min() <= tick <= share.max() * (1 + 1e-9)]
    axes.set_xticks([1 - tick for tick in ticks], [percent_of(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim((1 - share).max(), (1 - share).min())
    top, bottom = float(kappa.max()), float(kappa.min())
    if full is not None:
        top = max(top, full)
        axes.axhline(full, color=GREY, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.text(
            0.01,
            full,
            f"of all modes with any curvature: {number(full)}",
            va="bottom",
            transform=axes.get_yaxis_transform(),
            fontsize=8.5,
            color=GREY,
        )
    axes.set_ylim(bottom / 2, top * max(4.0, (top / bottom) ** 0.12))
    if marked is not None:
        axes.plot(
            [1 - SHARE],
            [marked],
            marker="o",
            color=RED,
            markersize=7,
            markeredgecolor="white",
            linestyle="none",
            zorder=5,
        )
        axes.annotate(
            f"{number(marked)} for 99 %",
            (1 - SHARE, marked),
            (7, -9),
            textcoords="offset points",
            color=RED,
            fontsize=9.5,
            fontweight="bold",
            va="top",
        )
    note(axes, 0.99, 0.02, "to the right: the last remainders of the loss", ha="right", va="bottom")
    axes.title.set_color(INK)
    return figure


def percent_of(share: float) -> str:
    """0.999 -> 99.9 %, with as many digits as it takes."""
    return f"{100 * share:.6g} %"


def _value(found: Estimate | None) -> float | None:
    return None if found is None else found.value


def _title(full: float | None, marked: float | None) -> str:
    if marked is None:
        return "The condition number of what is left to learn"
    if full is None or full < 2 * marked:
        return f"What is left to learn lies in modes with condition number {number(marked)}"
    return (
        f"The condition number is {number(full)}, but for 99 % of what is left only "
        f"{number(marked)} matters"
    )


def caption(diagnosis: Diagnosis) -> str:
    """What to see, with this run's numbers."""
    at_end = diagnosis.conditioning.at_end
    marked = _value(None if at_end is None else at_end.effective_kappa)
    text = (
        "A badly conditioned problem hurts only if the loss that remains lies in its slow modes. "
        "The curve gives the condition number of the fastest modes that together hold a given "
        "share of the loss a perfect last layer would remove"
    )
    if marked is None:
        return text + "."
    return f"{text}: {number(marked)} for {percent(SHARE)} of it."
