"""jaxid: why a network will not learn what it plainly should, measured and proved.

Names are imported when first used, so that ``jaxid --help`` need not wait for JAX.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxid import identity as identity
    from jaxid.core.errors import InputError as InputError
    from jaxid.identity.diagnosis import Diagnosis as Diagnosis
    from jaxid.identity.spec import IdentitySpec as IdentitySpec
    from jaxid.nets.model import Model as Model
    from jaxid.problem.problem import Problem as Problem
    from jaxid.training.loop import make_train as make_train

__version__ = "0.1.0"

_HOMES = {
    "Diagnosis": "jaxid.identity.diagnosis",
    "IdentitySpec": "jaxid.identity.spec",
    "InputError": "jaxid.core.errors",
    "Model": "jaxid.nets.model",
    "Problem": "jaxid.problem.problem",
    "make_train": "jaxid.training.loop",
}

_RESULTS = {"Diagnosis", "identity"}
"""Results, and what gives them."""

__all__ = [  # noqa: RUF022 - in the order in which a user meets them
    "Problem",
    "Model",
    "IdentitySpec",
    "make_train",
    "Diagnosis",
    "identity",
    "InputError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in _RESULTS:
        # So that they print and draw themselves.
        importlib.import_module("jaxid.presentation")
    if name == "identity":
        return importlib.import_module("jaxid.identity")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'jaxid' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
