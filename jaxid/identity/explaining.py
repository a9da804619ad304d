"""The identity problem from a spec to everything that is said about it."""

from __future__ import annotations

import dataclasses
import datetime
import time
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxid.certification.short_certificate import short_certificate
from jaxid.core import interrupt, io
from jaxid.core.progress import Reporter, Timed, terminal
from jaxid.core.provenance import origin
from jaxid.core.types import Estimate
from jaxid.diagnosis import conditioning
from jaxid.diagnosis.budget import build_budget, floors
from jaxid.diagnosis.dead import census_curves, dead_units
from jaxid.diagnosis.evidence import gather
from jaxid.diagnosis.final import blown_up, final_losses, percentage_error
from jaxid.diagnosis.first_step import first_step
from jaxid.diagnosis.head_curvature import Conditioning, NoSpectra
from jaxid.diagnosis.items import Budget, Floors, NoBudget
from jaxid.diagnosis.points import Point, classify
from jaxid.identity import pictures
from jaxid.identity.diagnosis import DiagnosedProblem, Diagnosis, Origin, Stage
from jaxid.identity.findings import build_findings, follow_ups
from jaxid.identity.foreseen import foreseen
from jaxid.identity.plan import Plan, make_plan
from jaxid.identity.predicted import predicted_ratio
from jaxid.identity.prescriptions import Remedy, rate_remedy, remedies
from jaxid.identity.spec import IdentitySpec, build_runner, load_data
from jaxid.identity.trial_results import TrialResult, prescriptions, trial_result
from jaxid.identity.trials import Trial, TrialMode, run_trials
from jaxid.identity.well_posed import Posedness, well_posedness
from jaxid.prediction.words import because
from jaxid.problem.problem import Problem
from jaxid.training.loop import one_seed
from jaxid.training.run import History, Runner


@dataclass
class _Measured:
    """What is measured after training, as far as it got: the defaults stand for parts that an
    interrupt prevented. Fields as in `Diagnosis`; ``predicted`` is the curve for the figure."""

    first_step: Estimate = dataclasses.field(
        default_factory=lambda: Estimate(None, None, False, "interrupted")
    )
    posed: Posedness | None = None
    budget: Budget | None = None
    budget_reason: NoBudget | None = NoBudget.INTERRUPTED
    floors: Floors | None = None
    conditioning: Conditioning = dataclasses.field(
        default_factory=lambda: Conditioning(None, None, NoSpectra.INTERRUPTED)
    )
    points: tuple[Point, ...] = ()
    certificate: dict[str, Any] | None = None
    prediction: dict[str, Any] = dataclasses.field(
        default_factory=lambda: {"method": None, "curve": None, "why": "interrupted"}
    )
    predicted: np.ndarray | None = None


def explain(
    spec: IdentitySpec,
    *,
    trials: TrialMode = "short",
    spectrum_seeds: int = 1,
    plan: Plan | None = None,
    reporter: Reporter | None = None,
) -> Diagnosis:
    """Train the identity problem, and find out why it was not learned and what would help.

    Ctrl-C ends it where something is finished, and the diagnosis is of that.

    Args:
      spec: what to train.
      trials: remedies to run: none; short (3 paired seeds, at most 5 epochs on MNIST); full.
      spectrum_seeds: seeds whose exact last-layer spectra are computed.
      plan: from `jaxid.identity.plan.make_plan`, where it is at hand; the others are then not
        read.
      reporter: shows progress; on a terminal or in a notebook if None.

    Returns:
      A Diagnosis, which prints, saves and shows itself.

    Raises:
      InputError: one line: the data are not to be had, or the seeds do not fit in memory.
      KeyboardInterrupt: if not even an epoch was finished.

    Example:
      >>> import jaxid
      >>> diagnosis = jaxid.identity.explain(jaxid.IdentitySpec(data="digits"), trials="none")
      >>> print(diagnosis)
    """
    with interrupt.listening():
        if plan is None:
            plan = make_plan(spec, load_data(spec), trials=trials, spectrum_seeds=spectrum_seeds)
        return _explained(plan, terminal() if reporter is None else reporter)


def _explained(plan: Plan, reporter: Reporter) -> Diagnosis:
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    spec, problem = plan.spec, plan.problem
    reporter = timed = Timed(reporter)
    runner = build_runner(spec, problem)
    history = runner.train(
        spec.seed_list, census=True, census_seeds=plan.census_seeds, keep=True, reporter=reporter
    )
    final, dead = final_losses(history), dead_units(history, problem)
    mape, census = percentage_error(history, plan.dataset), census_curves(history, problem)
    with jax.default_matmul_precision(spec.precision):
        images = pictures.images(history, problem, plan.dataset)
    found, trials, stopped = _Measured(), list[Trial](), None
    try:
        if history.interrupted is not None:
            raise KeyboardInterrupt
        # True float32 on accelerators for what is measured too, not for training alone.
        with jax.default_matmul_precision(spec.precision):
            found.first_step = first_step(problem, spec.seed_list)
            _analyse(plan, runner, history, found, reporter)
            found.certificate = _certificate(problem, history, spec.seed_list, reporter)
            told = foreseen(spec, runner, history.census, reporter, seconds=plan.predicted_seconds)
            found.prediction = io.encode(told)[0] | {"why": because(told.why)}
            found.predicted = None if told.curve is None else np.asarray(told.curve)
        _try(plan, history, rate_remedy(found.first_step), trials, reporter)
    except KeyboardInterrupt:
        # Hours of training are not thrown away: what is finished is concluded from.
        stopped = timed.stage
        if history.interrupted is not None:
            stopped = f"training, after epoch {history.interrupted} of {spec.epochs}"
    results = tuple(_result(trial, spec, found.budget) for trial in trials)
    findings = build_findings(trials, found.budget)
    spent = time.perf_counter() - clock
    stages = timed.seconds | {"everything else": spent - sum(timed.seconds.values())}
    whence = Origin(
        **vars(origin(spec.seed_list, started, round(spent, 2))),
        layout=runner.layout,
        trials=plan.trials,
        stages=tuple(Stage(name, round(seconds, 2)) for name, seconds in stages.items()),
    )
    if interrupt.taken():
        stopped = stopped or "when all was done"
    posed = found.posed
    return Diagnosis(
        problem=DiagnosedProblem.of(spec, problem.examples, runner.layout),
        predicted_seconds=plan.predicted_seconds,
        provenance=whence,
        final=final,
        non_finite=blown_up(history, spec.seed_list),
        mape=mape,
        dead=dead,
        loss=dataclasses.replace(pictures.curves(history), predicted=found.predicted),
        census=census,
        images=images,
        first_step=found.first_step,
        representation=None if posed is None else posed.representation,
        moments=() if posed is None else posed.moments,
        well_posed=None if posed is None else posed.well_posed,
        budget=found.budget,
        budget_reason=found.budget_reason,
        floors=found.floors,
        conditioning=found.conditioning,
        points=found.points,
        certificate=found.certificate,
        prediction=found.prediction,
        trials=results,
        findings=findings,
        prescriptions=prescriptions(results),
        interrupted=stopped,
        epochs_finished=history.interrupted,
    )


def _analyse(
    plan: Plan, runner: Runner, history: History, found: _Measured, reporter: Reporter
) -> None:
    """Representation, well-posedness, spectra, budget, kind of point."""
    found.posed = well_posedness(plan.spec, plan.problem, plan.dataset)
    representation = found.posed.representation
    evidence = None
    if np.any(history.first_bad < 0):
        evidence = gather(
            runner,
            history,
            solve_seeds=plan.solve_seeds,
            twice_seeds=plan.twice_seeds,
            end_seeds=plan.end_seeds,
            reporter=reporter,
        )
    if evidence is None:
        found.budget_reason = NoBudget.EVERY_SEED_NON_FINITE
    elif not evidence.seeds:
        found.budget_reason = NoBudget.NONE_SOLVED
    else:
        found.budget = build_budget(evidence, representation, depth=plan.spec.depth)
        found.budget_reason = None
        found.floors = floors(evidence, representation)
    spectra = conditioning.measure(
        runner, history, evidence, plan.spectrum_seeds, reporter, plan.spec.seed_list
    )
    found.conditioning = spectra.conditioning
    if evidence is None or found.budget is None:
        return
    found.budget = dataclasses.replace(found.budget, slow_modes_detail=spectra.modes)
    found.points = classify(
        evidence,
        least=spectra.least,
        lambda_max=spectra.lambda_max,
        null_dims=spectra.null_dims,
        block=spectra.block,
        floor=float(representation.lower.value or 0.0),
    )


def _certificate(
    problem: Problem, history: History, seeds: list[int], reporter: Reporter
) -> dict[str, Any] | None:
    """The first finite seed's worst error over the range of the data, from both sides."""
    finite = np.flatnonzero(history.first_bad < 0)
    if not finite.size:
        return None
    with reporter.task("certificate", 1) as task:
        params = one_seed(history.state, int(finite[0])).params
        found = short_certificate(problem, params, seeds[int(finite[0])])
        task.advance(1)
    values, _ = io.encode(found)
    return values


def _try(
    plan: Plan, history: History, rate: Remedy | None, trials: list[Trial], reporter: Reporter
) -> None:
    """All remedies, a smaller rate where the first step goes too far, then those that do
    nothing alone again beside each confirmed cause; ``trials`` grows as they finish."""

    def run(name: str, chosen: list[Remedy]) -> None:
        run_trials(
            trials,
            plan.spec,
            plan.dataset,
            history.step_original,
            plan.problem.steps_per_epoch,
            plan.trials,
            reporter,
            chosen=chosen,
            name=name,
        )

    chosen = remedies(plan.spec, plan.dataset)
    if rate is not None:
        # Where the data's rate is a tenth, both are one run.
        chosen = [r for r in chosen if r.apply(plan.spec) != rate.apply(plan.spec)] + [rate]
    run("remedies", chosen)
    run("remedies, jointly", follow_ups(trials))


def _result(trial: Trial, spec: IdentitySpec, budget: Budget | None) -> TrialResult:
    """With the budget's prediction; it is that of the whole run, so none for shorter trials."""
    whole = trial.reference_epochs == spec.epochs
    return trial_result(trial, predicted_ratio(trial.remedy.name, budget) if whole else None)
