"""The rate of a spec as a share of the largest stable one of its linear layer under SGD."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from jaxid.core.errors import InputError
from jaxid.core.progress import Reporter
from jaxid.core.types import Estimate
from jaxid.data.sources import Dataset
from jaxid.identity.spec import IdentitySpec, build_problem, build_runner
from jaxid.prediction.predict import Method, method_of, moments_of
from jaxid.theory.least_squares import Quadratic
from jaxid.training.run import Runner


class Rated(NamedTuple):
    """A spec with the rate that was asked for.

    Attributes:
      spec: with it.
      runner: of its problem.
      moments: the layer's quadratic and its largest stable rate.
    """

    spec: IdentitySpec
    runner: Runner
    moments: tuple[Quadratic, Estimate]


def at_share(
    share: float, spec: IdentitySpec | None, dataset: Dataset | None, reporter: Reporter
) -> Rated:
    """The spec at a share of its largest stable rate.

    Args:
      share: above 0.
      spec, dataset: resolved; None for a Problem of one's own.
      reporter: shows progress.

    Raises:
      InputError: for what is not one linear layer of the identity problem under SGD, or has no
        stable rate.
    """
    problem = None if spec is None or dataset is None else build_problem(spec, dataset)
    if spec is None or problem is None or method_of(problem)[0] is not Method.MODES:
        raise InputError(
            "--share is of one linear layer under sgd; add --output-activation linear "
            "--optimizer sgd, or leave it out"
        )
    moments = moments_of(problem, reporter)
    limit = moments[1]
    if limit.value is None:
        raise InputError(f"--share has no stable rate to share ({limit.method})")
    assert dataset is not None
    # With momentum the settled rate is the rate over 1 - momentum.
    rate = share * limit.value * (1 - spec.momentum)
    spec = dataclasses.replace(spec, learning_rate=rate)
    return Rated(spec, build_runner(spec, build_problem(spec, dataset)), moments)
