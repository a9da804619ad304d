"""Hadamard's three questions, answered differently where the answer differs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from jaxid.core.io import encode
from jaxid.identity.spec import IdentitySpec, build_problem, load_data
from jaxid.identity.well_posed import Answer, Continuity, Uniqueness, well_posedness
from jaxid.report.posedness import continuity, existence


def posed(dataset, **choices):
    spec = IdentitySpec(**choices).resolved(dataset)
    found = well_posedness(spec, build_problem(spec, dataset), dataset)
    for part in (found.representation, found.well_posed, *found.moments):
        json.dumps(encode(part)[0], allow_nan=False)
    return found


@pytest.fixture(scope="module")
def raw(small):
    return posed(small)


def test_on_raw_digits_solutions_exist_but_are_many(small, raw):
    found = raw.well_posed
    assert found.exists.answer is Answer.YES and found.unique.answer is Answer.NO
    x = np.concatenate([small.train.astype(float), np.ones((200, 1))], axis=1)
    singular = np.linalg.svd(x, compute_uv=False)
    null = 65 - np.sum(singular > singular[0] * 1e-10)
    assert found.unique.null_dim == 64 * null > 0
    assert found.unique.two_solutions.train_difference < 1e-4
    assert found.unique.two_solutions.a.size and found.continuous.curve.measured.size


def test_moments_are_numpys(small, raw):
    moments = {m.name: m for m in raw.moments}
    assert set(moments) == {"[x, 1]", "covariance", "standardized covariance"}
    values = np.linalg.eigvalsh(np.cov(small.train.astype(float), rowvar=False, bias=True))
    assert np.isclose(moments["covariance"].lambda_max.value, values[-1])
    assert np.isclose(moments["covariance"].trace, values.sum())


def test_stability_is_measured_and_agrees_with_the_smallest_singular_value(small, raw):
    found = raw.well_posed.continuous
    x = np.concatenate([small.train.astype(float), np.ones((200, 1))], axis=1)
    singular = np.linalg.svd(x, compute_uv=False)
    kept = singular[singular > singular[0] * 1e-10]
    assert found.rank == kept.size and np.isclose(found.smallest_sigma, kept[-1], rtol=1e-6)
    assert np.isclose(found.predicted, np.sqrt(200) / kept[-1], rtol=1e-6)
    assert np.isclose(found.largest_change, found.predicted, rtol=1e-5)
    assert found.answer is (Answer.NO if found.largest_change > 1 else Answer.YES)


def test_full_rank_inputs_and_a_linear_layer_have_one_solution():
    data = load_data(IdentitySpec(data="gaussian", features=6, examples=80, kappa=2.0))
    one = posed(data, data="gaussian", output_activation="linear")
    assert one.well_posed.exists.answer is Answer.YES
    assert one.well_posed.unique == Uniqueness(Answer.YES, 0, 0, 7, 6, None)
    deep = posed(data, data="gaussian", output_activation="linear", depth=2)
    assert deep.well_posed.unique.answer is Answer.UNKNOWN
    relu = posed(data, data="gaussian")
    assert relu.well_posed.exists.answer is Answer.NO


def test_one_grey_level_is_smaller_in_standardized_units(small, raw):
    found = posed(small, scaling="standardized", output_activation="linear")
    busiest = small.train.astype(float).std(axis=0).max()
    assert raw.well_posed.continuous.unit == 1.0
    assert np.isclose(found.well_posed.continuous.unit, 1 / busiest, rtol=1e-4)


def test_what_is_not_known_is_said_to_be_unknown(small):
    found = posed(small, depth=2, width=20)
    assert found.well_posed.exists.answer is Answer.UNKNOWN
    assert "Not known" in existence(found.representation).whole
    assert found.well_posed.unique.null_dim % 20 == 0


def test_inputs_of_zeros_leave_nothing_to_perturb(small):
    blank = small._replace(train=np.zeros_like(small.train))
    found = posed(blank, use_bias=False)
    assert found.well_posed.continuous == Continuity(Answer.UNKNOWN)
    assert "nothing to perturb" in continuity(found.well_posed.continuous, "one grey level").whole
