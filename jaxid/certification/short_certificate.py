"""The certificate that a diagnosis holds: one region, and little effort."""

from __future__ import annotations

from dataclasses import dataclass

from jaxid.certification.certify_regions import certify_region
from jaxid.certification.error_function import error_function, error_network
from jaxid.certification.regions import Effort, RegionKind, regions
from jaxid.core.errors import InputError
from jaxid.core.types import Estimate, Params
from jaxid.problem.problem import Problem
from jaxid.verification.certificate import ROUNDING, Method
from jaxid.verification.check import Original

EFFORT = Effort(method="crown", restarts=2)


@dataclass(frozen=True)
class ShortCertificate:
    """The worst error of one output over the range of the data, from both sides.

    Attributes:
      region: the box of inputs, in words.
      seed: whose network; of the attack too.
      lower: attained by an input, original units; None where there is no certificate.
      upper: no input has a larger one; None likewise.
      method: what the bound rests on; None likewise.
      rounding: what it holds for, and how rounding is covered, in words; None likewise.
      reason: why there is no certificate, in words; None where there is one.
    """

    region: str
    seed: int
    lower: Estimate | None = None
    upper: Estimate | None = None
    method: Method | None = None
    rounding: str | None = None
    reason: str | None = None


def short_certificate(problem: Problem, params: Params, seed: int) -> ShortCertificate:
    """Bound the worst error over the range of the data: exactly for one ReLU layer, by CROWN for
    others, with a short attack.

    Args:
      problem: whose target is the identity.
      params: one seed's.
      seed: which one.
    """
    (region,) = (r for r in regions(problem, EFFORT) if r.kind is RegionKind.RANGE)
    try:
        net = error_network(problem, params)
    except InputError as refused:
        return ShortCertificate(region.words, seed, reason=str(refused))
    original = Original(error_function(problem, params))
    row = certify_region(net, region, EFFORT, seed, original)
    if row.endless is not None:
        return ShortCertificate(region.words, seed, reason=row.upper.method)
    return ShortCertificate(
        region=region.words,
        seed=seed,
        lower=row.lower,
        upper=row.upper,
        method=row.method,
        rounding=ROUNDING,
    )
