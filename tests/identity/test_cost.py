"""The predicted time counts what is run; its parts grow with what makes them grow."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from jaxid.identity.cost import LEAST_SOLVED, SOLVE_BUDGET, TRIALS, Cost
from jaxid.identity.prescriptions import remedies
from jaxid.identity.spec import IdentitySpec


@pytest.fixture(scope="module")
def cost(small):
    spec = IdentitySpec(depth=3, width=10, batch_size=16, epochs=5, seeds=4).resolved(small)
    return Cost.of(spec, small)


def test_operations_are_those_of_the_matrix_products(cost):
    weights = [64 * 10, 10 * 10, 10 * 64]
    forward = 2 * sum(weights)
    # Backward: by each weight, and by each layer's input but the first one's.
    backward = 2 * sum(weights) + 2 * sum(weights[1:])
    assert cost.step_flops == 16 * (forward + backward)
    assert cost.pass_flops == 200 * forward
    assert cost.steps == 5 * 13  # ceil(200 / 16) steps an epoch
    assert cost.features == 11 and cost.outputs == 64
    assert cost.rate32 > 0 and cost.rate64 > 0


def test_training_is_linear_in_seeds_and_in_the_share_of_the_run(cost):
    assert np.isclose(cost.train_seconds(6), 3 * cost.train_seconds(2))
    assert np.isclose(cost.train_seconds(2, 0.25), cost.train_seconds(2) / 4)


def test_more_work_takes_longer(cost):
    plain = cost.seconds("none", 1)
    more = dataclasses.replace(cost, spec=dataclasses.replace(cost.spec, seeds=8))
    assert cost.seconds("none", 2) > plain and more.seconds("none", 1) > plain
    assert cost.seconds("short", 1) > plain
    assert cost.seconds("full", 1) > cost.seconds("short", 1)


def test_integers_are_cheaper_and_only_raw_data_at_one_layer_count_as_such(small):
    def of(**changes):
        return Cost.of(IdentitySpec(epochs=5, batch_size=16, **changes).resolved(small), small)

    raw = of()
    assert raw.exact
    assert dataclasses.replace(raw, exact=False).block_seconds() > raw.block_seconds()
    assert not of(depth=2).exact and not of(input_scaling="unit").exact
    assert not of(scaling="unit").exact


def test_last_layers_are_solved_as_the_time_allows_but_two_at_least(cost):
    assert cost.solve_seeds() == 4
    many = dataclasses.replace(cost, spec=dataclasses.replace(cost.spec, seeds=10**6))
    solved = many.solve_seeds()
    assert solved * many.solve_seconds() <= SOLVE_BUDGET < (solved + 1) * many.solve_seconds()
    slow = dataclasses.replace(many, rate64=1.0)
    assert slow.solve_seeds() == LEAST_SOLVED
    alone = dataclasses.replace(slow, spec=dataclasses.replace(cost.spec, seeds=1))
    assert alone.solve_seeds() == 1


def test_the_number_of_trials_is_that_of_the_default_problem(small):
    spec = IdentitySpec().resolved(small)
    assert abs(len(remedies(spec, small)) - TRIALS) <= 1
