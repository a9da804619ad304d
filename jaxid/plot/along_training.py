"""Sharpness, what the optimizer sees of it and its limit, along training."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxid.core.types import Estimate
from jaxid.core.wording import number
from jaxid.plot.style import BLUE, GREY, ORANGE, RED, new_figure, note, plain
from jaxid.spectra.along_training import AlongTraining, SeedLook
from jaxid.spectra.spectrum import Spectrum

Name: TypeAlias = Literal["loss", "sharpness", "preconditioned", "limit", "effective_kappa"]
PANELS: tuple[tuple[Name, str, str], ...] = (
    ("loss", "loss on these examples", GREY),
    ("sharpness", "sharpness", BLUE),
    ("preconditioned", "rate times curvature", ORANGE),
    ("effective_kappa", "kappa for 99 % of what is left", BLUE),
)


def values(along: AlongTraining, name: Name) -> tuple[np.ndarray, np.ndarray]:
    """((points, seeds) values, NaN where there is none; the same, whether converged)."""

    def one(row: SeedLook) -> tuple[float | None, bool]:
        found = getattr(row, name)
        return (found.value, found.converged) if isinstance(found, Estimate) else (found, True)

    rows = [[one(row) for row in point.seeds] for point in along.points]
    numbers = [[np.nan if value is None else value for value, _ in row] for row in rows]
    return np.array(numbers, float), np.array([[done for _, done in row] for row in rows])


def draw(result: Spectrum) -> Figure | None:
    """Four panels over the epochs, one line for each seed; None without looks."""
    along = result.along
    if along is None:
        return None
    figure = new_figure(6.0, _title(along))
    epochs = np.array([point.epoch for point in along.points])
    for axes, (name, label, colour) in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
        found, converged = values(along, name)
        plain(axes, "epoch", label)
        if not np.isfinite(found).any():
            note(axes, 0.5, 0.5, "none", GREY, ha="center")
            continue
        _lines(axes, epochs, found, converged, colour)
        if name == "preconditioned":
            limit = values(along, "limit")[0]
            if np.isfinite(limit).any():
                height = float(np.nanmax(limit))
                axes.axhline(height, color=RED, lw=1.2)
                axes.text(
                    0.99,
                    height,
                    f"limit {number(height)}",
                    color=RED,
                    fontsize=8.5,
                    ha="right",
                    va="bottom",
                    transform=axes.get_yaxis_transform(),
                )
    return figure


def _lines(
    axes: Axes, epochs: np.ndarray, found: np.ndarray, converged: np.ndarray, colour: str
) -> None:
    positive = found[np.isfinite(found)]
    if positive.min() > 0 and positive.max() > 5 * positive.min():
        axes.set_yscale("log")
    for seed in range(found.shape[1]):
        axes.plot(epochs, found[:, seed], color=colour, lw=1.4, alpha=0.8)
        for done, fill in ((True, colour), (False, "white")):
            at = converged[:, seed] == done
            axes.plot(epochs[at], found[at, seed], "o", color=colour, mfc=fill, ms=4)


def _title(along: AlongTraining) -> str:
    sharpness, _ = values(along, "sharpness")
    with np.errstate(invalid="ignore"):
        means = [float(np.nanmean(row)) if np.isfinite(row).any() else None for row in sharpness]
    few = f"On the first {along.examples:,} examples sharpness"
    text = f"{few} goes from {number(means[0])} to {number(means[-1])}"
    seen, _ = values(along, "preconditioned")
    limit, _ = values(along, "limit")
    if np.isfinite(seen[-1]).any() and np.isfinite(limit[-1]).any():
        ratio = float(np.nanmean(seen[-1]) / np.nanmean(limit[-1]))
        text += f"; at the end the optimizer sees {number(ratio)} times its limit"
    return text


def caption(result: Spectrum) -> str:
    """What to see, with this run's numbers; only where the figure is drawn."""
    along = result.along
    assert along is not None
    looking, training = along.seconds.looking, along.seconds.training
    return (
        f"Looks at {len(along.points)} points of training, on the first "
        f"{along.examples:,} examples, one line for each seed; hollow where not converged. "
        f"They took {number(looking)} s beside {number(training)} s of training."
    )
