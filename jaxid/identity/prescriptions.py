"""The folk remedies: each is one change of the spec, with what it is held to cure.

A remedy is a function spec -> spec. Singles change one thing; pairs change two at once,
because two causes that hide each other show only together; controls change something at
random, so that luck shows.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Any

import numpy as np

from jaxid.core.types import Estimate
from jaxid.data.sources import Dataset
from jaxid.identity.spec import IdentitySpec

TOO_FAR = 3.0
"""Ratio of the first step (`jaxid.diagnosis.first_step`) from which a smaller rate is tried as a
remedy of its own."""
FIT_RATE = "rate of the data's size"


class RemedyGroup(Enum):
    """What kind of change it is."""

    SINGLE = "single"
    PAIR = "pair"
    CONTROL = "control"


@dataclass(frozen=True)
class Remedy:
    """One change.

    Attributes:
      name: short, for tables and figures.
      changes: spec fields and their new values; a callable value takes the resolved spec.
      suspect: which suspect the change acquits or convicts.
      group: what kind of change it is.
      note: what is particular about it.
      built_in: whether it puts the answer into the network, so that it proves that there is
        one and teaches nothing about learning it.
      parts: names of the two remedies that a pair is made of, the first maybe a pair itself.
    """

    name: str
    changes: Mapping[str, object]
    suspect: str
    group: RemedyGroup = RemedyGroup.SINGLE
    note: str = ""
    built_in: bool = False
    parts: tuple[str, str] | None = None

    def apply(self, spec: IdentitySpec) -> IdentitySpec:
        """The changed spec; ``spec`` must be resolved."""
        values: Any = {k: v(spec) if callable(v) else v for k, v in self.changes.items()}
        return dataclasses.replace(spec, **values)

    def describe(self, spec: IdentitySpec) -> str:
        """The change in words: field old -> new."""
        after = self.apply(spec)
        return ", ".join(
            f"{key.replace('_', ' ')} {_text(getattr(spec, key))} -> {_text(getattr(after, key))}"
            for key in self.changes
        )

    def is_change(self, spec: IdentitySpec, dataset: Dataset) -> bool:
        """Whether the changed spec, which must be resolved, is another problem."""
        return _canonical(self.apply(spec), dataset) != _canonical(spec, dataset)


SINGLES: tuple[Remedy, ...] = (
    Remedy("scale to 0..1", {"scaling": "unit"}, "input scale", note="inputs and targets"),
    Remedy(
        "scale to 0..1, eps inside",
        {"scaling": "unit", "eps_in_sqrt": True},
        "input scale",
        note="inputs and targets; eps under the root",
    ),
    Remedy("eps inside the root", {"eps_in_sqrt": True}, "place of eps"),
    Remedy(
        "scale inputs to 0..1",
        {"input_scaling": "unit"},
        "input scale",
        note="inputs alone: the weights must grow by as much",
    ),
    Remedy("standardize", {"scaling": "standardized"}, "conditioning"),
    Remedy("linear output", {"output_activation": "linear"}, "ReLU output"),
    Remedy(
        "leaky ReLU", {"output_activation": "leaky_relu", "activation": "leaky_relu"}, "ReLU output"
    ),
    Remedy("decaying rate", {"schedule": "linear"}, "constant rate"),
    Remedy("rate / 10", {"learning_rate": lambda s: s.learning_rate / 10}, "constant rate"),
    Remedy("4 x epochs", {"epochs": lambda s: 4 * s.epochs}, "too few steps"),
    Remedy("4 x batch", {"batch_size": lambda s: 4 * s.batch_size}, "batch noise"),
    Remedy("Adam", {"optimizer": "adam"}, "weak optimizer"),
    Remedy("He initialisation", {"initializer": "he_normal"}, "initialisation"),
    Remedy("orthogonal init", {"initializer": "orthogonal"}, "initialisation"),
    Remedy(
        "identity init",
        {"initializer": "identity"},
        "initialisation",
        note="starts at a solution where ReLU leaves the data unchanged",
        built_in=True,
    ),
    Remedy(
        "one layer",
        {"depth": 1, "width": lambda s: None},
        "composition of layers",
        note="the last layer alone, on the inputs",
    ),
    Remedy(
        "residual connection",
        {"residual": True},
        "identity built in",
        note="a unit that dies then adds nothing, which is the solution",
        built_in=True,
    ),
)

_PARTS = {
    "linear output": {"output_activation": "linear"},
    "standardize": {"scaling": "standardized"},
    "decaying rate": {"schedule": "linear"},
    "Adam": {"optimizer": "adam"},
}

PAIRS: tuple[Remedy, ...] = tuple(
    Remedy(f"{a} + {b}", {**_PARTS[a], **_PARTS[b]}, "compound", RemedyGroup.PAIR, parts=(a, b))
    for a in ("linear output", "standardize")
    for b in ("decaying rate", "Adam")
)
"""{linear output, standardize} x {decaying rate, Adam}."""


def controls(count: int = 3, seed: int = 0) -> tuple[Remedy, ...]:
    """Random changes of the numbers that people turn: the rate by 10^U(-1, 1), the batch by
    2^U{-2..2}, rho drawn from U(0.5, 0.99). One draw is one guess of a hyperparameter
    search; a remedy is worth having if it beats them."""
    rng = np.random.default_rng(seed)
    drawn = []
    for i in range(count):
        rate, power = float(10 ** rng.uniform(-1, 1)), int(rng.integers(-2, 3))
        rho = round(float(rng.uniform(0.5, 0.99)), 3)
        changes = {
            "learning_rate": lambda s, r=rate: float(f"{s.learning_rate * r:.3g}"),
            "batch_size": lambda s, p=power: max(1, round(s.batch_size * 2.0**p)),
            "rho": rho,
        }
        drawn.append(Remedy(f"random change {i + 1}", changes, "luck", RemedyGroup.CONTROL))
    return tuple(drawn)


def remedies(spec: IdentitySpec, dataset: Dataset) -> list[Remedy]:
    """All that change something about this resolved spec."""
    return [r for r in (*SINGLES, *PAIRS, *controls()) if r.is_change(spec, dataset)]


def _canonical(spec: IdentitySpec, dataset: Dataset) -> IdentitySpec:
    """The same problem with every field that does nothing in one place."""
    spec = spec.resolved(dataset)
    features = dataset.train.shape[1]
    sizes = [features, *[spec.width] * (spec.depth - 1), features]
    skips = any(a == b for a, b in pairwise(sizes))
    same_map = spec.input_scaling == spec.scaling
    return dataclasses.replace(
        spec,
        input_scaling=None if same_map else spec.input_scaling,
        residual=spec.residual and skips,
        eps_in_sqrt=spec.eps_in_sqrt and spec.optimizer != "sgd",
        activation=spec.activation if spec.depth > 1 else "relu",
    )


def both(first: Remedy, second: Remedy) -> Remedy:
    """Two changes at once; the first may be a pair itself."""
    return Remedy(
        f"{first.name} + {second.name}",
        {**first.changes, **second.changes},
        "compound",
        RemedyGroup.PAIR,
        built_in=first.built_in or second.built_in,
        parts=(first.name, second.name),
    )


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "none" if value is None else str(value)


def rate_remedy(far: Estimate) -> Remedy | None:
    """The rate divided by the power of ten next above R, where the first step goes too far."""
    if far.value is None or far.value <= TOO_FAR:
        return None
    factor = 10.0 ** math.ceil(math.log10(far.value))
    return Remedy(
        FIT_RATE,
        {"learning_rate": lambda s: float(f"{s.learning_rate / factor:.3g}")},
        "rate too large",
        note=f"the first step moves outputs {far.value:.2g} times the size of the targets; "
        f"this rate is {factor:.0f} times smaller",
    )
