"""Made-up Predictions, of the types themselves, one for each method, and a run beside one."""

from __future__ import annotations

import dataclasses

import numpy as np

from jaxid.core.provenance import Provenance, Versions
from jaxid.core.types import Estimate
from jaxid.prediction.forecast import Reach
from jaxid.prediction.initial_signal import InitialSignal
from jaxid.prediction.linearised import Checked, Linearisation
from jaxid.prediction.measured import MeasuredRun
from jaxid.prediction.modes import Modes, Stability
from jaxid.prediction.moments import Deaths, Moments
from jaxid.prediction.optimizer_facts import Exponents, OptimizerFacts
from jaxid.prediction.predict import WITHIN, Method, Prediction
from jaxid.prediction.reasons import Reason, Why
from jaxid.prediction.resting import RestingPlace
from jaxid.prediction.run import PredictedRun

CURVE = np.array([8.0, 4.0, 2.0, 1.0])


def estimate(value: float | None, error: float | None = 0.0, *, converged: bool = True) -> Estimate:
    return Estimate(value, error, converged, "made up")


def provenance() -> Provenance:
    versions = Versions("0", "0", "0", "0", "0", None, "3")
    return Provenance(None, ("jaxid",), versions, "cpu", "float32", (0, 1), "2026-01-01", 1.5)


def optimizer(*, eps: bool = True) -> OptimizerFacts:
    return OptimizerFacts(
        forgets=True,
        degree=estimate(0.0),
        first_steps=(3e-3, 2e-3),
        settled_step=estimate(1e-3),
        half_step_gradient=estimate(1e-7 if eps else 0.0),
        rescaled_both=Exponents(0.0, 1.0, 2.0, 1.0),
    )


def nothing() -> Prediction:
    return Prediction(
        method=None,
        curve=None,
        by_seed=None,
        sem=None,
        first=None,
        last=None,
        in_range=False,
        until=0,
        within=None,
        why=Why(Reason.OPTIMIZER, named="the optimizer draws random numbers"),
        reach=(),
        modes=None,
        moments=None,
        linearised=None,
        optimizer=optimizer(),
        signal=InitialSignal((4, 8, 2), 1.5, (1.0, 0.5), (0.25, 1.0), 1e-3),
        interrupted=None,
        provenance=provenance(),
    )


def _predicted(method: Method, why: Why, until: float = 3.0) -> Prediction:
    return dataclasses.replace(
        nothing(),
        method=method,
        curve=CURVE,
        by_seed=np.stack([CURVE * 0.9, CURVE * 1.1]),
        sem=CURVE * 0.1,
        first=8.0,
        last=1.0,
        in_range=until >= 3,
        until=until,
        within=WITHIN[method],
        why=why,
        reach=(Reach(4.0, 1.0, 3), Reach(0.5, None, 3), Reach(0.1, None, 3)),
        signal=None,
    )


def by_modes() -> Prediction:
    why = Why(Reason.STABLE, share=0.3, momentum=True)
    modes = Modes(
        without_noise=CURVE * 0.5,
        floor=0.25,
        closure_error=None,
        stability=Stability(0.3, 5.0, estimate(1.0, 0.1), 0.3, True, why.reason),
        curvature=np.array([4.0, 1.0, 0.1]),
        excess=np.array([6.0, 1.5, 0.25]),
        epochs=np.array([0.5, 3.0, np.inf]),
    )
    found = _predicted(Method.MODES, why)
    reach = (*found.reach[:1], Reach(0.5, 7.0, 3), Reach(0.1, None, None))
    return dataclasses.replace(
        found, by_seed=None, sem=None, modes=modes, reach=reach, optimizer=None
    )


def by_moments(*, relu: bool = True) -> Prediction:
    steps = np.array([0, 1, 3, 9])
    dead = np.array([[0.0, 0.5, 1.0, 2.0], [0.0, 0.5, 1.5, 3.0]])
    deaths = Deaths(
        outputs=5, varying=4, examples=30, steps=steps, dead=dead.mean(axis=0),
        fading=np.array([1.0, 1.0, 2.0, 3.0]), expected=3.0, dead_by_seed=dead,
        fading_by_seed=np.ones((2, 4)), probability_dead=np.full(5, 0.4),
    )  # fmt: skip
    resting = RestingPlace(estimate(0.5, 0.1, converged=False), 0.25, 0.125, 1.0)
    moments = Moments(3.5, deaths if relu else None, None if relu else resting)
    why = Why(Reason.TAILS, kurtosis=3.5)
    if not relu:
        why = Why(Reason.NEAR_REST, epochs=2, loss=0.5)
    found = _predicted(Method.MOMENTS, why, 3 if relu else 2)
    return dataclasses.replace(found, moments=moments)


def by_linearisation(until: float = 1.5) -> Prediction:
    linear = Linearisation(
        error=CURVE * 0.01,
        converged=True,
        linearised_floor=estimate(0.1),
        sharpness=estimate(4.0),
        share_of_stable=estimate(1.25),
        noise_added=CURVE * 0.02,
        noise_drift=CURVE * 0.01,
        examples=30,
        checked=Checked(np.array([0.1, 3.0]), np.array([0.01, 0.2]), np.array([0.1, 0.3])),
        elsewhere=None,
    )
    why = Why(Reason.LEAVES, epochs=until)
    found = _predicted(Method.LINEARISED, why, until)
    return dataclasses.replace(found, linearised=linear, optimizer=None)


EVERY = {
    "none": nothing,
    "modes": by_modes,
    "moments": by_moments,
    "resting": lambda: by_moments(relu=False),
    "linearised": by_linearisation,
}


def measured(epochs: int = 3) -> MeasuredRun:
    losses = np.stack([CURVE, CURVE * 1.02])[:, : epochs + 1]
    dead = np.array([[0, 0, 1, 2], [0, 1, 1, 2]])
    return MeasuredRun(
        loss=losses.mean(axis=0),
        sem=CURVE[: epochs + 1] * 0.01,
        dead_steps=np.array([0, 1, 3, 9]),
        dead=dead.mean(axis=0),
        dead_sem=np.full(4, 0.1),
        loss_by_seed=losses,
        dead_by_seed=dead,
    )


def run(found: Prediction | None = None, came: MeasuredRun | None = None) -> PredictedRun:
    return PredictedRun(
        problem={"data": "made up", "depth": 1},
        epochs=3,
        prediction=found,
        measured=came,
        interrupted=None,
        provenance=provenance(),
    )
