"""The identity problem from a spec to everything that is said about it."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxid.certification.certify import short_certificate
from jaxid.core import interrupt, io
from jaxid.core.progress import Reporter, Timed, terminal
from jaxid.core.provenance import provenance
from jaxid.data.sources import Dataset
from jaxid.diagnosis import conditioning
from jaxid.diagnosis.budget import build_budget
from jaxid.diagnosis.dead import dead_record
from jaxid.diagnosis.evidence import Evidence, gather
from jaxid.diagnosis.final import final_losses, percentage_error
from jaxid.diagnosis.first_step import first_step
from jaxid.diagnosis.points import classify
from jaxid.identity import pictures
from jaxid.identity.conclude import conclude
from jaxid.identity.cost import Cost
from jaxid.identity.findings import follow_ups
from jaxid.identity.foreseen import foreseen
from jaxid.identity.prescriptions import Remedy, rate_remedy, remedies
from jaxid.identity.spec import IdentitySpec, build_problem, build_runner, check_memory
from jaxid.identity.trials import Trial, TrialMode, run_trials
from jaxid.identity.well_posed import well_posedness
from jaxid.prediction.words import because
from jaxid.problem.problem import Problem
from jaxid.training.loop import one_seed
from jaxid.training.run import History, Runner

SCHEMA = 1
UNFINISHED: dict[str, Any] = {
    "conditioning": {"at_init": None, "at_end": None, "reason": "interrupted"},
    "first_step": {"value": None, "error": None, "converged": False, "method": "interrupted"},
    "budget": None,
    "points": [],
    "certificate": None,
    "prediction": {"method": None, "curve": None, "why": "interrupted"},
}
"""What stands for parts that an interrupt prevented."""


@dataclass(frozen=True)
class Plan:
    """A run about to start: what it is and what it should take.

    Attributes:
      spec: resolved.
      dataset, problem: its data and problem.
      trials: how many remedies run.
      spectrum_seeds: seeds whose exact spectra are computed.
      census_seeds: seeds whose units are counted along training (at the end, all are).
      solve_seeds: seeds whose last layers are solved.
      twice_seeds: seeds annealed a second time, twice as long.
      end_seeds: seeds also solved from the end state.
      predicted_seconds: the estimate made before the start.
    """

    spec: IdentitySpec
    dataset: Dataset
    problem: Problem
    trials: TrialMode
    spectrum_seeds: int
    census_seeds: int
    solve_seeds: int
    twice_seeds: int
    end_seeds: int
    predicted_seconds: float


def make_plan(
    spec: IdentitySpec,
    dataset: Dataset,
    *,
    trials: TrialMode = "short",
    spectrum_seeds: int = 1,
) -> Plan:
    """Resolve, check memory, and estimate the time.

    Raises:
      InputError: if the seeds do not fit in memory.
    """
    spec = spec.resolved(dataset)
    problem = build_problem(spec, dataset)
    check_memory(problem, spec.seeds)
    cost = Cost.of(spec, dataset)
    return Plan(
        spec,
        dataset,
        problem,
        trials,
        min(spectrum_seeds, spec.seeds),
        cost.census_seeds(),
        cost.solve_seeds(),
        cost.twice_seeds(),
        cost.end_seeds(),
        cost.seconds(trials, spectrum_seeds),
    )


def explain(
    plan: Plan, reporter: Reporter | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train, measure, split the loss, try the remedies, conclude.

    Ctrl-C ends it where something is finished, and the diagnosis is of that.

    Args:
      plan: from `make_plan`.
      reporter: shows progress; on a terminal or in a notebook if None.

    Returns:
      (record, arrays): the diagnosis as JSON values and the arrays behind its figures.

    Raises:
      KeyboardInterrupt: if not even an epoch was finished.
    """
    with interrupt.listening():
        return _explained(plan, terminal() if reporter is None else reporter)


def _explained(plan: Plan, reporter: Reporter) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    spec, problem = plan.spec, plan.problem
    reporter = timed = Timed(reporter)
    runner = build_runner(spec, problem)
    history = runner.train(
        spec.seed_list, census=True, census_seeds=plan.census_seeds, keep=True, reporter=reporter
    )
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "problem": spec.as_json()
        | {"train_examples": problem.examples, "layout_used": runner.layout},
        "predicted_seconds": plan.predicted_seconds,
        "final": final_losses(history),
        "non_finite": [
            {"seed": int(seed), "step": int(step)}
            for seed, step in zip(spec.seed_list, history.first_bad, strict=True)
            if step >= 0
        ],
        "mape": percentage_error(history, plan.dataset),
        "dead": dead_record(history, problem),
    }
    arrays = pictures.curves(history) | pictures.census(history, problem)
    with jax.default_matmul_precision(spec.precision):
        arrays |= pictures.images(history, problem, plan.dataset)
    trials: list[Trial] = []
    record["interrupted"] = None
    try:
        if history.interrupted is not None:
            record["epochs_finished"] = history.interrupted
            raise KeyboardInterrupt
        # True float32 on accelerators for what is measured too, not for training alone.
        with jax.default_matmul_precision(spec.precision):
            far = first_step(problem, spec.seed_list)
            record["first_step"] = far._asdict()
            _analyse(plan, runner, history, record, arrays, reporter)
            record["certificate"] = _certificate(problem, history, spec.seed_list, reporter)
            told = foreseen(spec, runner, history.census, reporter, seconds=plan.predicted_seconds)
            record["prediction"] = io.encode(told)[0] | {"why": because(told.why)}
            if told.curve is not None:
                arrays["loss/predicted"] = np.asarray(told.curve)
        _try(plan, history, rate_remedy(far), trials, reporter)
    except KeyboardInterrupt:
        # Hours of training are not thrown away: what is finished is concluded from.
        record["interrupted"] = timed.stage
        if history.interrupted is not None:
            epoch = f"after epoch {history.interrupted} of {spec.epochs}"
            record["interrupted"] = f"training, {epoch}"
        for name, nothing in UNFINISHED.items():
            record.setdefault(name, nothing)
        if record["budget"] is None:
            reason = "the run was interrupted before its last layers were solved"
            record.setdefault("budget_reason", reason)
    conclude(record, trials)
    spent = time.perf_counter() - clock
    stages = timed.seconds | {"everything else": spent - sum(timed.seconds.values())}
    record["provenance"] = provenance(spec.seed_list, started, round(spent, 2)) | {
        "layout": runner.layout,
        "trials": plan.trials,
        "stages": {name: round(seconds, 2) for name, seconds in stages.items()},
    }
    if interrupt.taken():
        record["interrupted"] = record["interrupted"] or "when all was done"
    return record, arrays


def _analyse(
    plan: Plan,
    runner: Runner,
    history: History,
    record: dict[str, Any],
    arrays: dict[str, np.ndarray],
    reporter: Reporter,
) -> None:
    """Representation, well-posedness, spectra, budget, kind of point."""
    representation, posed, posed_arrays = well_posedness(plan.spec, plan.problem, plan.dataset)
    record |= posed
    arrays |= posed_arrays
    evidence: Evidence | None = None
    if np.any(history.first_bad < 0):
        evidence = gather(
            runner,
            history,
            solve_seeds=plan.solve_seeds,
            twice_seeds=plan.twice_seeds,
            end_seeds=plan.end_seeds,
            reporter=reporter,
        )
    if evidence is None or not evidence.seeds:
        reason = "every seed went non-finite" if evidence is None else "no last layer was solved"
        record |= {"budget": None, "budget_reason": reason, "points": []}
    else:
        record["budget"] = build_budget(evidence, representation, depth=plan.spec.depth)
        arrays |= pictures.floors(evidence, representation)
    spectra = conditioning.measure(
        runner, history, evidence, plan.spectrum_seeds, reporter, plan.spec.seed_list
    )
    record["conditioning"] = spectra.record
    arrays |= spectra.arrays
    if evidence is None or not evidence.seeds:
        return
    record["budget"]["slow_modes_detail"] = spectra.modes
    record["points"] = classify(
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
    return found


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
