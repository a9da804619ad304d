"""A made-up Certification, built from its types."""

from __future__ import annotations

import numpy as np

from jaxid.certification.certified import (
    Certification,
    Compared,
    Ends,
    Images,
    Parameter,
    RegionCertificate,
)
from jaxid.certification.family import (
    FamilyKind,
    FamilyVerdict,
    LossPart,
    MeanSquare,
    WitnessLayer,
)
from jaxid.certification.regions import RegionKind
from jaxid.core.provenance import Provenance, Versions
from jaxid.core.types import Estimate
from jaxid.training.loop import Stage
from jaxid.verification.certificate import ByMethod, Method
from jaxid.verification.endless import Endless, NoBound

INPUTS = 6
PROVENANCE = Provenance(
    git=None,
    argv=("jaxid", "certify"),
    versions=Versions("0.1.0", "0.7", "0.7", "0.12", "0.2.5", "2.0", "3.11.0"),
    device="cpu: cpu, 2 cores",
    dtype="float32 training, float64 curvature",
    seeds=(0,),
    started="2026-01-01T00:00:00+00:00",
    seconds=1.5,
)


def row(
    name: str,
    lower: float,
    upper: float | None,
    share: float | None = None,
    half: float = 8.0,
    endless: Endless | None = None,
) -> RegionCertificate:
    """One region's; without a bound where ``upper`` is None."""
    random = np.random.default_rng(len(name))
    if upper is None:
        endless = endless or Endless(NoBound.LARGE)
    curve, ball = RegionKind.CURVE, RegionKind.BALL
    kind = curve if share is not None else ball if "ball" in name else RegionKind.RANGE
    cells = np.full(INPUTS, np.inf if upper is None else upper)
    return RegionCertificate(
        region=name,
        kind=kind,
        words=f"every feature in {name}",
        half_width=half,
        share=share,
        low=Ends(0.0, 1.0),
        high=Ends(16.0, 17.0),
        lower=Estimate(lower, 0.0, True, "by hand"),
        upper=Estimate(upper, None if upper is None else 0.0, upper is not None, "by hand"),
        endless=endless,
        ratio=upper / lower if lower and upper is not None else None,
        method=None if upper is None else Method.CROWN,
        by_method=ByMethod(intervals=np.inf if upper is None else 2 * upper, crown=upper),
        looser=0.25,
        output=5,
        points=8,
        check=Compared(13_000, lower, 1e-5, 0, 0),
        x=random.random(INPUTS),
        outputs=random.random(INPUTS).astype(np.float32),
        box_low=np.zeros(INPUTS),
        box_high=np.full(INPUTS, 2 * half),
        error_low=-cells,
        error_high=cells,
    )


def family() -> FamilyVerdict:
    """What any parameters could do."""
    least = MeanSquare(
        verdict=FamilyKind.IMPOSSIBLE,
        lower=Estimate(1.5, 0.0, True, "a floor"),
        upper=Estimate(2.5, 0.0, True, "measured"),
        witness="the identity",
        parts=(LossPart("bottleneck_rank", 1.5),),
        how="a floor",
    )
    return FamilyVerdict(
        kind=FamilyKind.EXACT,
        words="exact: copies",
        mean_square=least,
        box="inputs from 0 to 16",
        lower=0.0,
        reason="no bound above 0 is known",
        upper=Estimate(0.0, 0.0, True, "certified"),
        attained=True,
        witness="copies",
        layers=(WitnessLayer(np.eye(INPUTS), np.zeros(INPUTS)),),
    )


def certification(*rows: RegionCertificate) -> Certification:
    """With a range, a ball, and a curve of three boxes, unless regions are given."""
    curve = [row(f"curve_{s}", s, 2 * s, s, 8 * s) for s in (0.5, 1.0, 2.0)]
    return Certification(
        problem={"data": "digits", "depth": 2, "learning_rate": 1e-3, "mnist_dir": None},
        target="identity",
        stage=Stage.END,
        seed=0,
        family=family(),
        regions=rows or (row("range", 3.0, 12.0), row("ball_1", 2.0, 2.0), *curve),
        rounding="how it was",
        network=(Parameter("['kernel']", np.eye(INPUTS, dtype=np.float32)),),
        images=Images(np.array([2, 3]), np.array(16.0)),
        interrupted=None,
        provenance=PROVENANCE,
    )
