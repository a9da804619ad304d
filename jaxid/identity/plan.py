"""A run about to start: resolved, seen to fit in memory, its time foreseen."""

from __future__ import annotations

from dataclasses import dataclass

from jaxid.data.sources import Dataset
from jaxid.identity.cost import Cost
from jaxid.identity.spec import IdentitySpec, build_problem
from jaxid.identity.trials import TrialMode
from jaxid.problem.problem import Problem
from jaxid.training.memory import check_memory


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
