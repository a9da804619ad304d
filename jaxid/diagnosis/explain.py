"""The identity problem from a spec to everything that is said about it."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxid.data.sources import Dataset
from jaxid.diagnosis import conditioning, pictures
from jaxid.diagnosis.budget import build_budget
from jaxid.diagnosis.cost import Cost
from jaxid.diagnosis.dead import dead_record
from jaxid.diagnosis.evidence import Evidence, gather
from jaxid.diagnosis.findings import build_findings, follow_ups
from jaxid.diagnosis.points import classify
from jaxid.diagnosis.predicted import predicted_ratio
from jaxid.diagnosis.prescriptions import Remedy
from jaxid.diagnosis.statistics import summary
from jaxid.diagnosis.trials import Trial, TrialMode, run_trials, trial_record
from jaxid.diagnosis.verdict import compound, verdict_sentences
from jaxid.diagnosis.well_posed import well_posedness
from jaxid.experiment import IdentitySpec, build_problem, check_memory
from jaxid.problem import Problem
from jaxid.provenance import provenance
from jaxid.training.layout import choose_layout
from jaxid.training.progress import SILENT, Reporter, Timed
from jaxid.training.run import History, Runner

SCHEMA = 1


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
    spec: IdentitySpec, dataset: Dataset, *, trials: TrialMode, spectrum_seeds: int
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
    plan: Plan, reporter: Reporter = SILENT
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train, measure, split the loss, try the remedies, conclude.

    Returns:
      (record, arrays): the diagnosis as JSON values and the arrays behind its figures.
    """
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    spec, problem = plan.spec, plan.problem
    reporter = timed = Timed(reporter)
    width = spec.width or plan.dataset.train.shape[1]
    layout = choose_layout(spec.layout, width)
    runner = Runner(problem, layout, spec.precision)
    history = runner.train(
        spec.seed_list, census=True, census_seeds=plan.census_seeds, reporter=reporter
    )
    finite = history.first_bad < 0
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "problem": spec.as_json() | {"train_examples": problem.examples, "layout_used": layout},
        "predicted_seconds": plan.predicted_seconds,
        "final": _final(history),
        "non_finite": [
            {"seed": int(seed), "step": int(step)}
            for seed, step in zip(spec.seed_list, history.first_bad, strict=True)
            if step >= 0
        ],
        "mape": _mape(history, plan.dataset),
        "dead": dead_record(history, problem),
    }
    arrays = pictures.curves(history) | pictures.census(history, problem)
    arrays |= pictures.final(history, problem) | pictures.images(history, problem, plan.dataset)
    evidence = None
    if finite.any():
        evidence = gather(
            runner,
            history,
            solve_seeds=plan.solve_seeds,
            twice_seeds=plan.twice_seeds,
            end_seeds=plan.end_seeds,
            reporter=reporter,
        )
    _analyse(plan, runner, history, evidence, record, arrays, reporter)
    trials = _trials(plan, history, reporter)
    _conclude(record, trials)
    spent = time.perf_counter() - clock
    stages = timed.seconds | {"everything else": spent - sum(timed.seconds.values())}
    record["provenance"] = provenance(spec.seed_list, started, round(spent, 2)) | {
        "layout": layout,
        "trials": plan.trials,
        "stages": {name: round(seconds, 2) for name, seconds in stages.items()},
    }
    return record, arrays


def _analyse(
    plan: Plan,
    runner: Runner,
    history: History,
    evidence: Evidence | None,
    record: dict[str, Any],
    arrays: dict[str, np.ndarray],
    reporter: Reporter,
) -> None:
    """Representation, spectra, budget, kind of point, well-posedness."""
    representation, posed, posed_arrays = well_posedness(plan.spec, plan.problem, plan.dataset)
    record |= posed
    arrays |= posed_arrays
    spectra = conditioning.measure(
        runner, history, evidence, plan.spectrum_seeds, reporter, plan.spec.seed_list
    )
    record["conditioning"] = spectra.record
    arrays |= spectra.arrays
    if evidence is None or not evidence.seeds:
        reason = "every seed went non-finite" if evidence is None else "no last layer was solved"
        record |= {"budget": None, "budget_reason": reason, "points": []}
        return
    budget = build_budget(evidence, representation, depth=plan.spec.depth)
    budget["slow_modes_detail"] = spectra.modes
    record["budget"] = budget
    record["points"] = classify(
        evidence,
        least=spectra.least,
        lambda_max=spectra.lambda_max,
        null_dims=spectra.null_dims,
        block=spectra.block,
        floor=float(representation.lower.value or 0.0),
    )
    arrays |= pictures.floors(evidence, representation)


def _trials(plan: Plan, history: History, reporter: Reporter) -> list[Trial]:
    """All remedies, then those that do nothing alone again beside each confirmed cause."""

    def run(name: str, chosen: list[Remedy] | None = None) -> list[Trial]:
        return run_trials(
            plan.spec,
            plan.dataset,
            history.step_original,
            plan.problem.steps_per_epoch,
            plan.trials,
            reporter,
            chosen=chosen,
            name=name,
        )

    trials = run("remedies")
    return trials + run("remedies, jointly", follow_ups(_suspects(trials, plan.spec.depth)))


def _suspects(trials: list[Trial], depth: int) -> list[Trial]:
    """Trials that can convict. One layer is no composition: what a skip connection cures
    there is something else."""
    return [t for t in trials if depth > 1 or t.remedy.suspect != "composition of layers"]


def _conclude(record: dict[str, Any], trials: list[Trial]) -> None:
    """Findings, prescriptions and the three sentences, from what is measured."""
    budget = record.get("budget")
    record["trials"] = [
        trial_record(trial, predicted_ratio(trial.remedy.name, budget)) for trial in trials
    ]
    suspects = _suspects(trials, record["problem"]["depth"])
    record["findings"] = build_findings(suspects, budget)
    helping = sorted(
        (t for t in record["trials"] if t["verdict"] == "helps" and t["group"] != "control"),
        # A change that starts at a solution proves that there is one, and teaches nothing.
        key=lambda t: (t["solved_at_start"], t["ratio"]),
    )
    record["prescriptions"] = [
        {
            "name": t["name"],
            "change": t["change"],
            "predicted": t["predicted"],
            "solved_at_start": t["solved_at_start"],
            "trial": {
                key: t[key]
                for key in (
                    "before",
                    "after",
                    "ratio",
                    "ci95",
                    "seeds",
                    "seeds_lower",
                    "epochs",
                    "reference_epochs",
                )
            },
        }
        for t in helping
    ]
    record["certificate"] = None
    if budget:
        budget["compound"] = compound(record)
    record["verdict"] = verdict_sentences(record)


def _final(history: History) -> dict[str, Any]:
    train, test = history.train_end, history.test_end
    final = {
        "train_loss": summary(history.train[:, -1]),
        "train_loss_end": summary(np.asarray(train.loss)),
        "original_train_loss_end": summary(np.asarray(train.original_loss)),
    }
    if test is not None:
        with np.errstate(invalid="ignore"):  # inf - inf, of seeds that went non-finite
            gap = np.asarray(test.loss) - np.asarray(train.loss)
        final |= {
            "test_loss": summary(np.asarray(test.loss)),
            "test_mape": summary(np.asarray(test.mape)),
            "original_test_loss": summary(np.asarray(test.original_loss)),
            "generalisation_gap": summary(gap),
        }
    return final


def _mape(history: History, dataset: Dataset) -> dict[str, Any] | None:
    """Which share of the percentage error comes from targets that are zero."""
    if history.test_end is None:
        return None
    total = np.asarray(history.test_end.mape, float)
    zero = np.asarray(history.test_end.mape_zero, float)
    rest = np.asarray(history.test_end.mape_rest, float)
    finite = np.isfinite(total)
    if not finite.any():
        return None
    mean = float(total[finite].mean())
    return {
        "total": mean,
        "share_zero_targets": float(zero[finite].mean()) / mean if mean else None,
        "without_zero_targets": float(rest[finite].mean()),
        "zero_share_of_targets": float(np.mean(dataset.test == 0)),
        "floor": 1e-7,
    }
