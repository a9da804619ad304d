"""Remedies: each changes something, builds a problem, and says what it changes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from jaxid.identity.prescriptions import (
    PAIRS,
    SINGLES,
    Remedy,
    RemedyGroup,
    controls,
    remedies,
)
from jaxid.identity.spec import IdentitySpec, build_problem

DEFAULT = IdentitySpec(epochs=2, batch_size=32, width=64)


def test_every_remedy_that_is_offered_changes_something(small):
    for spec in (DEFAULT, dataclasses.replace(DEFAULT, output_activation="linear", depth=3)):
        offered = remedies(spec, small)
        names = [remedy.name for remedy in offered]
        assert len(set(names)) == len(names)
        assert all(remedy.apply(spec) != spec for remedy in offered)
        left_out = [r for r in (*SINGLES, *PAIRS) if r.name not in names]
        # One layer of one is the spec itself but for the width, which it has not got.
        assert all(remedy.apply(spec).resolved(small) == spec for remedy in left_out)


@pytest.mark.parametrize(
    "change, left_out",
    [
        ({"optimizer": "sgd"}, "eps inside the root"),
        ({"scaling": "unit"}, "scale inputs to 0..1"),
        ({"depth": 2, "width": 9}, "residual connection"),
        ({"batch_size": 200}, "4 x batch"),
        ({}, "one layer"),
    ],
)
def test_a_change_without_effect_is_not_offered_so_that_it_acquits_nobody(small, change, left_out):
    offered = {r.name for r in remedies(dataclasses.replace(DEFAULT, **change), small)}
    assert left_out not in offered
    other = dataclasses.replace(DEFAULT, depth=3)
    assert left_out in {r.name for r in remedies(other, small)}


def test_what_is_in_place_already_is_left_out(small):
    cured = dataclasses.replace(DEFAULT, output_activation="linear", schedule="linear")
    names = {remedy.name for remedy in remedies(cured, small)}
    assert not names & {"linear output", "decaying rate", "linear output + decaying rate"}
    assert {"Adam", "standardize", "linear output + Adam"} <= names


@pytest.mark.parametrize("remedy", [*SINGLES, *PAIRS, *controls()], ids=lambda r: r.name)
def test_a_changed_spec_is_still_a_problem(small, remedy):
    problem = build_problem(remedy.apply(DEFAULT), small)
    assert problem.examples == 200


@pytest.mark.parametrize("remedy", [*SINGLES, *PAIRS, *controls()], ids=lambda r: r.name)
def test_a_remedy_changes_the_fields_that_it_names_and_says_so(remedy):
    before, after = dataclasses.asdict(DEFAULT), dataclasses.asdict(remedy.apply(DEFAULT))
    assert {k for k in before if before[k] != after[k]} <= set(remedy.changes)
    words = remedy.describe(DEFAULT)
    assert all(key.replace("_", " ") in words for key in remedy.changes)
    assert words.count("->") == len(remedy.changes)


def test_a_pair_is_exactly_its_two_parts_at_once():
    singles = {remedy.name: remedy for remedy in SINGLES}
    assert {pair.parts for pair in PAIRS} == {
        (a, b) for a in ("linear output", "standardize") for b in ("decaying rate", "Adam")
    }
    for pair in PAIRS:
        first, second = pair.parts
        assert pair.apply(DEFAULT) == singles[second].apply(singles[first].apply(DEFAULT))
    assert singles["linear output"].parts is None


def test_random_changes_are_the_same_every_time_and_stay_in_their_ranges():
    assert [r.apply(DEFAULT) for r in controls()] == [r.apply(DEFAULT) for r in controls()]
    many = [r.apply(DEFAULT) for r in controls(count=400, seed=1)]
    rates = np.log10([s.learning_rate / DEFAULT.learning_rate for s in many])
    assert -1.01 < rates.min() < -0.9 and 0.9 < rates.max() < 1.01
    assert {s.batch_size for s in many} == {8, 16, 32, 64, 128}
    rhos = np.array([s.rho for s in many])
    assert rhos.min() >= 0.5 and rhos.max() <= 0.99
    assert all(r.group is RemedyGroup.CONTROL for r in controls())


def test_a_batch_never_falls_below_one_example():
    single = dataclasses.replace(DEFAULT, batch_size=1)
    assert all(r.apply(single).batch_size >= 1 for r in controls(count=50))


def test_a_change_to_what_is_there_is_no_change(small):
    assert not Remedy("same", {"epochs": lambda s: s.epochs}, "none").is_change(DEFAULT, small)
    assert Remedy("more", {"epochs": lambda s: s.epochs + 1}, "none").is_change(DEFAULT, small)
