"""On which inputs a network is certified: boxes, and how hard to try on each."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jaxid.core.errors import InputError
from jaxid.problem.problem import Problem
from jaxid.verification.bounds import STEPS, MethodName
from jaxid.verification.intervals import Interval

SHARES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.6, 2.0)
"""Half widths of the boxes of the interval curve, over the data's own."""


@dataclass(frozen=True)
class Effort:
    """How much to do."""

    method: MethodName = "alpha"
    """Dearest bound of the boxes: intervals, crown, or alpha, which optimises its slopes."""
    curve_method: MethodName = "crown"
    """Dearest bound of the interval curve and of the balls."""
    steps: int = STEPS
    """Steps of that optimisation."""
    box: tuple[float, float] | None = None
    """A box of your own too: every feature from LOW to HIGH."""
    balls: int = 5
    """Examples with a ball around each; 0 for none."""
    around: Literal["test", "train"] = "test"
    """Whose examples: the test set's, or the training set's."""
    radius: float | None = None
    """Radius of the balls, largest change of a feature; a twentieth of the data's range."""
    curve: bool = True
    """Whether to draw error bounds against the interval's half width."""
    restarts: int = 8
    """Starts of the attack for each side of an output that it climbs."""

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("restarts", 1), ("balls", 0)):
            value = getattr(self, name)
            if value < least:
                raise InputError(f"--{name} is {value}; it must be {least} or more")
        if self.box is not None and not -np.inf < self.box[0] <= self.box[1] < np.inf:
            raise InputError(
                f"--box is {self.box[0]:g} {self.box[1]:g}; give two numbers, the lower first"
            )
        if self.radius is not None and not 0 < self.radius < np.inf:
            raise InputError(f"--radius is {self.radius}; give a positive number")


class RegionKind(enum.Enum):
    """What a region is."""

    BOX = "box"
    RANGE = "range"
    BOUNDING_BOX = "bounding_box"
    BALL = "ball"
    CURVE = "curve"


@dataclass(frozen=True, eq=False)
class Region:
    """A box of inputs, in original units.

    Attributes:
      kind: a box of the user's own; the range of all features; each feature's own range; a ball
        about an example; a box of the interval curve.
      name: unlike any other's; the attack's random starts are drawn by it.
      words: for a reader.
      box: low and high, each (inputs,).
      half_width: the largest, over the features.
      share: of the data's half width, for the interval curve; None for others.
    """

    kind: RegionKind
    name: str
    words: str
    box: Interval
    half_width: float
    share: float | None = None


def regions(problem: Problem, effort: Effort) -> list[Region]:
    """A box of one's own, the whole range, the data's bounding box, balls about examples, the
    curve's boxes."""
    x = np.asarray(problem.train[0], np.float64).reshape(problem.examples, -1)
    least, most = float(x.min()), float(x.max())
    low, high = np.full(x.shape[1], least), np.full(x.shape[1], most)
    half = 0.5 * (most - least)
    found = []
    if effort.box is not None:
        first, last = effort.box
        box = Interval(np.full(x.shape[1], first), np.full(x.shape[1], last))
        words = f"your box, every feature from {first:g} to {last:g}"
        found.append(Region(RegionKind.BOX, "box", words, box, 0.5 * (last - first)))
    words = f"every feature from {least:g} to {most:g}"
    found += [
        Region(RegionKind.RANGE, "range", words, Interval(low, high), half),
        Region(
            RegionKind.BOUNDING_BOX,
            "bounding_box",
            "each feature within its own range on the training set",
            Interval(x.min(axis=0), x.max(axis=0)),
            float(0.5 * np.ptp(x, axis=0).max()),
        ),
    ]
    training = problem.test is None or effort.around == "train"
    part = problem.train if training or problem.test is None else problem.test
    centres = np.asarray(part[0][: effort.balls], np.float64).reshape(-1, x.shape[1])
    radius = effort.radius if effort.radius is not None else (most - least) / 20
    whose = "training" if training else "test"
    for k, centre in enumerate(centres[: effort.balls]):
        # An example of the test set may lie outside of the training set's range.
        least_there, most_there = np.minimum(low, centre), np.maximum(high, centre)
        beyond = bool(np.any(centre < low) or np.any(centre > high))
        box = Interval(
            np.maximum(centre - radius, least_there), np.minimum(centre + radius, most_there)
        )
        where = "which lies beyond the range" if beyond else "and in range"
        words = f"within {radius:g} of {whose} example {k + 1}, {where}"
        found.append(Region(RegionKind.BALL, f"ball_{k + 1}", words, box, radius))
    if effort.curve:
        centre = 0.5 * (least + most)
        for share in SHARES:
            ends = np.full(x.shape[1], share * half)
            box = Interval(centre - ends, centre + ends)
            words = f"every feature within {share * half:g} of {centre:g}"
            name = f"curve_{share:g}"
            found.append(Region(RegionKind.CURVE, name, words, box, share * half, share))
    return found
