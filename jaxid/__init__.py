"""jaxid: why a network will not learn what it plainly should, measured and proved.

Names are imported when first used, so that ``jaxid --help`` need not wait for JAX.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from jaxid.core import presenters

if TYPE_CHECKING:
    from jaxid import identity as identity
    from jaxid.certification.certified import Certification as Certification
    from jaxid.certification.certify import certify as certify
    from jaxid.core.errors import InputError as InputError
    from jaxid.identity.diagnosis import Diagnosis as Diagnosis
    from jaxid.identity.spec import IdentitySpec as IdentitySpec
    from jaxid.nets.model import Model as Model
    from jaxid.prediction.predict import Prediction as Prediction
    from jaxid.prediction.predict import predict as predict
    from jaxid.problem.problem import Problem as Problem
    from jaxid.spectra.spectrum import Spectrum as Spectrum
    from jaxid.spectra.spectrum import spectrum as spectrum
    from jaxid.training.loop import make_train as make_train
    from jaxid.training.train import train as train

__version__ = "0.1.0"

# How results print and draw is read when the first of them does.
presenters.later(lambda: importlib.import_module("jaxid.presentation"))

_HOMES = {
    "Certification": "jaxid.certification.certified",
    "Diagnosis": "jaxid.identity.diagnosis",
    "IdentitySpec": "jaxid.identity.spec",
    "InputError": "jaxid.core.errors",
    "Model": "jaxid.nets.model",
    "Prediction": "jaxid.prediction.predict",
    "Problem": "jaxid.problem.problem",
    "Spectrum": "jaxid.spectra.spectrum",
    "certify": "jaxid.certification.certify",
    "make_train": "jaxid.training.loop",
    "spectrum": "jaxid.spectra.spectrum",
    "train": "jaxid.training.train",
    "predict": "jaxid.prediction.predict",
}

__all__ = [  # noqa: RUF022 - in the order in which a user meets them
    "Problem",
    "Model",
    "IdentitySpec",
    "train",
    "make_train",
    "spectrum",
    "Spectrum",
    "predict",
    "Prediction",
    "certify",
    "Certification",
    "Diagnosis",
    "identity",
    "InputError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name == "identity":
        return importlib.import_module("jaxid.identity")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'jaxid' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
