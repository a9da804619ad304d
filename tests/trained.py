"""Small problems, planted states and made-up trials, for several packages."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.core.progress import SILENT
from jaxid.core.random import role_key, seed_key
from jaxid.core.types import Estimate
from jaxid.data.sources import Dataset, load
from jaxid.diagnosis import evidence as evidence_module
from jaxid.diagnosis.evidence import Evidence, gather
from jaxid.identity.diagnosis import Diagnosis
from jaxid.identity.explaining import explain
from jaxid.identity.plan import make_plan
from jaxid.identity.prescriptions import PAIRS, SINGLES, Remedy, RemedyGroup, both
from jaxid.identity.spec import IdentitySpec, build_problem, load_data
from jaxid.identity.trials import Trial
from jaxid.problem.problem import Problem
from jaxid.training.run import History, Runner


@pytest.fixture(autouse=True)
def float32_stays_the_default():
    """float64 is scoped: no test may leave it on."""
    yield
    assert jnp.zeros(()).dtype == jnp.float32 and jnp.arange(2).dtype == jnp.int32


@pytest.fixture(scope="session")
def small() -> Dataset:
    """200 of the digits: as ill conditioned as all of them, and fast."""
    whole = load("digits")
    return whole._replace(train=whole.train[:200], test=whole.test[:40])


@pytest.fixture(scope="session")
def digits_spec() -> IdentitySpec:
    """The question's network on digits, stopped early."""
    return IdentitySpec(epochs=2, seeds=2)


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained problem with its evidence."""

    spec: IdentitySpec
    problem: Problem
    runner: Runner
    history: History
    evidence: Evidence


NO_FLOOR = Estimate(None, None, False, "not predicted")


def _no_floor() -> AbstractContextManager[object]:
    """Without the predicted noise floor: it stands beside the budget, and takes long to compile."""
    return mock.patch.object(evidence_module, "predicted_floor", lambda *_: NO_FLOOR)


@pytest.fixture(scope="session")
def no_floor() -> Callable[[], AbstractContextManager[object]]:
    """() -> a context in which no noise floor is predicted."""
    return _no_floor


def _run(
    spec: IdentitySpec, dataset: Dataset, change: Callable[[Problem], Problem] | None = None
) -> Run:
    spec = spec.resolved(dataset)
    problem = build_problem(spec, dataset)
    problem = problem if change is None else change(problem)
    runner = Runner(problem)
    history = runner.train(spec.seed_list, census=True)
    with _no_floor():
        evidence = gather(
            runner,
            history,
            solve_seeds=spec.seeds,
            twice_seeds=spec.seeds,
            end_seeds=spec.seeds,
            reporter=SILENT,
        )
    return Run(spec, problem, runner, history, evidence)


@pytest.fixture(scope="session")
def run_of() -> Callable[..., Run]:
    """(spec, data, change of the problem) -> a trained problem with its evidence."""
    return _run


@pytest.fixture(scope="session")
def digits_run(small, digits_spec) -> Run:
    """The question's network on digits, with its evidence."""
    return _run(digits_spec, small)


@pytest.fixture(scope="session")
def deep_run() -> Run:
    """Two layers, few enough weights for a dense Hessian."""
    spec = IdentitySpec(
        data="gaussian", features=8, examples=100, mean=1.0, depth=2, width=5, epochs=3, seeds=2
    )
    return _run(spec, load_data(spec))


@pytest.fixture(scope="session")
def dying_run(small, digits_spec) -> tuple[Run, np.ndarray]:
    """Three seeds with outputs planted dead, constant targets among them; the second blows up."""
    constant = np.flatnonzero(np.ptp(small.train, axis=0) == 0)
    varying = np.flatnonzero(np.ptp(small.train, axis=0) > 0)
    outputs = np.concatenate([constant[:2], varying[[3, 10, 20, 30, 40]]])

    def blow_up(params: Any, key: jax.Array) -> Any:
        second = jax.random.key_data(role_key(seed_key(1), "init"))
        mine = (jax.random.key_data(key) == second).all()
        return jax.tree.map(lambda leaf: leaf + jnp.where(mine, 1e30, 0.0), params)

    def change(problem: Problem) -> Problem:
        return _planted(_with_dead_outputs(problem, outputs), blow_up)

    return _run(dataclasses.replace(digits_spec, seeds=3), small, change), outputs


@pytest.fixture(scope="session")
def explained(small, digits_spec) -> Diagnosis:
    """Of the same, without trials."""
    plan = make_plan(digits_spec, small, trials="none", spectrum_seeds=1)
    return explain(digits_spec, plan=plan)


def _planted(problem: Problem, change: Callable[[Any, jax.Array], Any]) -> Problem:
    net = problem.net

    def init(key: jax.Array, inputs: jax.Array) -> Any:
        return change(net.init(key, inputs), key)

    return dataclasses.replace(problem, model=net._replace(init=init))


@pytest.fixture(scope="session")
def planted() -> Callable[..., Problem]:
    """(problem, change of (params, init key)) -> the problem with other initial weights."""
    return _planted


@pytest.fixture(scope="session")
def with_dead_outputs() -> Callable[..., Problem]:
    """(problem, outputs) -> the problem whose last layer starts with bias -1e3 there."""
    return _with_dead_outputs


def _with_dead_outputs(problem: Problem, outputs: np.ndarray) -> Problem:
    head = problem.net.head
    assert head is not None
    plant = jnp.zeros(problem.train[0].shape[1]).at[jnp.asarray(outputs)].set(-1e3)

    def put(params: Any, _: jax.Array) -> Any:
        kernel, bias = head.get(params)
        return head.put(params, kernel, bias + plant)

    return _planted(problem, put)


REMEDIES = {remedy.name: remedy for remedy in (*SINGLES, *PAIRS)}


def remedy_of(name: str) -> Remedy:
    """One that there is, two of them joined, or else one that changes nothing."""
    first, plus, second = name.rpartition(" + ")
    if plus and name not in REMEDIES:
        return both(remedy_of(first), remedy_of(second))
    return REMEDIES.get(name) or Remedy(name, {}, "luck", RemedyGroup.CONTROL)


@pytest.fixture(scope="session")
def made_trial() -> Callable[..., Trial]:
    """(name, log ratios by seed) -> a Trial with those outcomes, the loss before being 1."""

    def make(name: str, ratios: Any, **more: Any) -> Trial:
        ratios = np.asarray(ratios, float)
        first_bad = np.where(np.isfinite(ratios), -1, 7)
        fields: dict[str, Any] = {
            "before": np.ones(ratios.size),
            "after": np.exp(ratios),
            "first_bad": first_bad,
            "floor": 1e-14,
            "solved_at_start": False,
        }
        return Trial(
            remedy_of(name), f"{name} is on", epochs=2, reference_epochs=2, **(fields | more)
        )

    return make
