"""Boxes of inputs, and what an effort may ask for."""

from __future__ import annotations

import dataclasses

import numpy as np
import optax
import pytest

from jaxid import Problem
from jaxid.certification.regions import Effort, RegionKind, regions
from jaxid.core.errors import InputError
from jaxid.identity.spec import IdentitySpec, build_problem, load_data
from jaxid.nets.mlp import identity_network

X = np.random.default_rng(0).integers(0, 17, (50, 4)).astype(np.uint8)


def problem(**maps):
    model = identity_network(4, depth=2, output_activation="linear")
    data = {"train": (X, None), "test": (X[:5], None)}
    return Problem(model=model, optimizer=optax.sgd(0.1), **data, **maps)


def test_effort_is_checked():
    for wrong in ({"steps": 0}, {"restarts": 0}, {"balls": -1}, {"radius": 0.0}):
        with pytest.raises(InputError):
            Effort(**wrong)


def test_a_box_of_one_s_own_and_balls_around_training_examples():
    it = problem()
    own = Effort(box=(-1.0, 2.0), around="train", balls=2, radius=0.5, curve=False)
    found = regions(it, own)
    assert [region.name for region in found] == ["box", "range", "bounding_box", "ball_1", "ball_2"]
    assert np.all(found[0].box.low == -1.0) and np.all(found[0].box.high == 2.0)
    assert "training example 2" in found[-1].words
    inside = np.asarray(X[1], float)
    assert np.all(found[-1].box.low <= inside) and np.all(inside <= found[-1].box.high)
    for wrong in ((2.0, -1.0), (0.0, np.inf)):
        with pytest.raises(InputError, match="--box"):
            Effort(box=wrong)


def test_a_ball_about_an_example_beyond_the_training_range_holds_the_example():
    spec = IdentitySpec(data="gaussian", features=3, examples=20, epochs=1, seeds=1)
    made = build_problem(spec, load_data(spec))
    x, _ = made.train
    far = np.stack([np.full(3, 3 * np.max(x)), np.mean(x, axis=0)])
    it = dataclasses.replace(made, test=(far, None))
    balls = [r for r in regions(it, Effort(balls=2, curve=False)) if r.kind is RegionKind.BALL]
    for region, centre in zip(balls, far, strict=True):
        assert np.all(region.box.low <= centre) and np.all(centre <= region.box.high)
    assert [("beyond the range" in r.words) for r in balls] == [True, False]
