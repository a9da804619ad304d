"""A made-up Spectrum, of the types themselves: two points, two layers, two seeds followed."""

from __future__ import annotations

import dataclasses

import numpy as np

from jaxid.core.provenance import Provenance, Versions
from jaxid.core.types import Estimate
from jaxid.curvature.null_directions import Reasons
from jaxid.linalg.lanczos import Stop
from jaxid.spectra.all_eigenvalues import Tried, WhyNot
from jaxid.spectra.along_training import AlongPoint, AlongTraining, Seconds, SeedLook
from jaxid.spectra.matrix import (
    Curve,
    DensityFound,
    End,
    ExactFound,
    ExcessFound,
    Kind,
    MatrixSpectrum,
    Share,
)  # fmt: skip
from jaxid.spectra.optimizer_view import Moments, OptimizerView, RateRange, TopMode
from jaxid.spectra.point import NullDirections, PointSpectrum
from jaxid.spectra.spectrum import ExamplesUsed, Spectrum
from jaxid.training.loop import Stage

NONE = Estimate(None, None, False, "made up to be missing")


def estimate(value: float, error: float = 0.0, *, converged: bool = True) -> Estimate:
    return Estimate(value, error, converged, "made up")


def matrix(kind: Kind, name: str = "", *, top: float = 4.0, exact: bool = False) -> MatrixSpectrum:
    values = top * np.array([-1e-3, 0.0, 1e-3, 0.1, 1.0])
    nodes = np.stack([values, values * 1.01])
    return MatrixSpectrum(
        kind=kind,
        name=name or kind.value,
        order=5,
        dtype="float32",
        lambda_max=estimate(top, 1e-3),
        lambda_min=estimate(float(values[0]), 1e-3),
        top=(End(top, 1e-3, True), End(0.1 * top, 1e-3, False)),
        bottom=(End(float(values[0]), 1e-3, True),),
        products=40,
        stopped=Stop.TOLERANCE,
        budget=24,
        trace=estimate(1.1 * top),
        trace_sampled=estimate(1.2 * top, 0.3),
        square=estimate(top**2, 0.1),
        participation_rank=NONE,
        stable_rank=estimate(1.2, 0.1),
        density=DensityFound(
            1e-6, 1e-4 * top, 0.01, True, "made-up probes", Share(0.2, 0.01), Share(0.2, None),
            nodes, np.full((2, 5), 0.2),
        ),
        effective_kappa=estimate(30.0, 1.0),
        excess=ExcessFound(0.5, 0.1, 0.05),
        curve=Curve(np.array([0.5, 0.99]), np.array([3.0, np.nan])),
        exact=None if not exact else ExactFound(
            1e-12, estimate(top), estimate(float(values[0])), estimate(1e-3 * top), 1, 1, 0, 1.1,
            None, estimate(29.0), values,
        ),
        kappa=estimate(1000.0, 1e-3) if exact else NONE,
    )  # fmt: skip


def point(name: Stage, *, exact: bool = False) -> PointSpectrum:
    last = name is Stage.END
    return PointSpectrum(
        name=name,
        step=30 if last else 0,
        loss=0.25,
        gradient_norm=0.125,
        parameters=5,
        examples=20,
        matrices=(
            matrix(Kind.HESSIAN, exact=exact),
            matrix(Kind.GAUSS_NEWTON, exact=exact),
            dataclasses.replace(
                matrix(Kind.RESIDUAL), density=None, excess=None, effective_kappa=None, curve=None
            ),
            matrix(Kind.PRECONDITIONED, top=1.5),
        ),
        # A layer may have a matrix's name.
        layers=(matrix(Kind.LAYER, "first"), matrix(Kind.LAYER, "residual", top=8.0)),
        optimizer=OptimizerView(
            estimate(2.0),
            Moments.STATE if last else Moments.SETTLED,
            0 if last else 200,
            "",
            RateRange(1e-3, 10.0),
            TopMode(1, 0.9, 0.2),
        ),
        exact=Tried(True, None, 2000) if exact else Tried(False, WhyNot.ORDER, 4),
        null=NullDirections(1, Reasons(0, 1, 0, 0, 0, 0, 0, 0), 1.5) if exact else None,
        interrupted=None,
    )


def seed_look(seed: int, factor: float) -> SeedLook:
    lost = SeedLook(seed, None, NONE, NONE, NONE, NONE, NONE, NONE)
    known = SeedLook(
        seed, 0.5 * factor, estimate(40 * factor, 0.1),
        estimate(1.5 * factor, 0.1, converged=False), estimate(2.0), estimate(90 * factor, 4.0),
        estimate(300.0, 2.0), NONE,
    )  # fmt: skip
    return lost if factor > 2 and seed else known


def along() -> AlongTraining:
    points = tuple(
        AlongPoint(epoch, 10 * epoch, (seed_look(0, factor), seed_look(1, factor)))
        for epoch, factor in ((0, 1.0), (2, 2.0), (3, 4.0))
    )
    return AlongTraining((0, 2, 3), 20, 0.1, Seconds(2.0, 0.5), points, None)


def spectrum() -> Spectrum:
    return Spectrum(
        problem={"file": "made.py:problem", "rate": float("inf"), "depth": 2, "bias": True},
        examples=ExamplesUsed(20, 30),
        points=(point(Stage.INIT), point(Stage.END, exact=True)),
        along=along(),
        interrupted=None,
        provenance=Provenance(
            None, ("made", "up"), Versions(*["1.0"] * 5, None, "3.11"), "cpu", "float32", (0, 1),
            "2026-01-01T00:00:00+00:00", 1.5,
        ),
    )  # fmt: skip
