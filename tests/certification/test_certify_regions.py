"""Certificates of trained networks in original units, and what the family could have done."""

from __future__ import annotations

import contextlib
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxid import Problem
from jaxid.certification.certify import (
    certify_regions,
    error_network,
    predicted_seconds,
    short_certificate,
)
from jaxid.certification.regions import Effort, regions
from jaxid.core.errors import InputError
from jaxid.data.scaling import fit
from jaxid.identity.family_verdict import family_record, family_verdict, verdict_record
from jaxid.identity.spec import IdentitySpec, build_problem, load_data
from jaxid.nets.mlp import identity_network
from jaxid.verification.bounds import output_bounds
from jaxid.verification.intervals import Interval

X = np.random.default_rng(0).integers(0, 17, (50, 4)).astype(np.uint8)
LITTLE = Effort(method="crown", balls=1, restarts=1)


def problem(**maps):
    model = identity_network(4, depth=2, output_activation="linear")
    data = {"train": (X, None), "test": (X[:5], None)}
    return Problem(model=model, optimizer=optax.sgd(0.1), **data, **maps)


def test_errors_are_in_original_units_and_two_sided_everywhere():
    own = fit("standardized", X)
    it = problem(input_map=own, target_map=own)
    params = it.init(jax.random.key(0))
    net = error_network(it, params)
    found = regions(it, LITTLE)
    rows, arrays, _ = certify_regions(net, found, LITTLE, 0)
    assert [row["region"] for row in rows[:3]] == ["range", "bounding_box", "ball_1"]
    for row, region in zip(rows, found, strict=True):
        assert row["lower"]["value"] <= row["upper"]["value"]
        x = arrays[f"{row['region']}/x"]
        assert np.all(region.box.low <= x) and np.all(x <= region.box.high)
        f = it.original(it.net.apply(params, it.inputs(jnp.asarray(x[None], jnp.float32))))
        off = float(np.abs(np.asarray(f)[0] - x)[row["output"]])
        assert np.isclose(off, row["lower"]["value"], rtol=1e-4)
        inside = np.random.default_rng(1).uniform(region.box.low, region.box.high, (200, 4))
        f = it.original(it.net.apply(params, it.inputs(jnp.asarray(inside, jnp.float32))))
        assert np.abs(np.asarray(f) - inside).max() <= row["upper"]["value"] * (1 + 1e-5)
    curve = [row for row in rows if row["share"] is not None]
    uppers = [row["upper"]["value"] for row in curve]
    assert uppers == sorted(uppers), "a larger box has no smaller worst error"


def test_a_target_of_one_s_own_and_one_of_another_length():
    class Double(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.dense = nnx.Linear(4, 2, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.dense(x)

    it = Problem(model=Double, train=(X, X[:, :2]), optimizer=optax.sgd(0.1))
    params = it.init(jax.random.key(0))
    params["dense"]["kernel"] = jnp.eye(4, 2) * 2.0
    net = error_network(it, params, lambda x: 2.0 * x[:, :2])
    rows, _, _ = certify_regions(net, regions(it, LITTLE)[:1], LITTLE, 0)
    assert rows[0]["upper"]["value"] < 1e-12
    with pytest.raises(InputError, match="--target"):
        error_network(it, params)


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ({}, "exact"),
        ({"scaling": "standardized"}, "impossible"),
        ({"input_scaling": "unit"}, "exact"),
        ({"scaling": "centered", "output_activation": "linear", "depth": 2}, "exact"),
        ({"scaling": "whitened"}, None),
    ],
)
def test_what_the_family_could_have_done(flags, kind):
    spec = IdentitySpec(data="gaussian", features=3, examples=60, mean=5.0, **flags)
    if not flags or "input_scaling" in flags:
        spec = IdentitySpec(data="digits", **flags)
    dataset = load_data(spec)
    spec = spec.resolved(dataset)
    found, words = family_verdict(spec, build_problem(spec, dataset))
    assert verdict_record(found, words)["kind"] == kind
    assert words


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


def test_nested_boxes_never_contradict_each_other():
    it = problem()
    net = error_network(it, it.init(jax.random.key(0)))
    # The curve's box of share 1 is the range, bounded by a cheaper method.
    effort = Effort(steps=10, balls=1, restarts=1)
    found = regions(it, effort)
    rows, arrays, _ = certify_regions(net, found, effort, 0)
    by_name = {row["region"]: row for row in rows}
    same, again = by_name["range"], by_name["curve_1"]
    assert same["upper"]["value"] == again["upper"]["value"]
    assert same["lower"]["value"] == again["lower"]["value"]
    curve = [row for row in rows if row["share"] is not None]
    for end in ("lower", "upper"):
        values = [row[end]["value"] for row in curve]
        assert values == sorted(values)
    for row, region in zip(rows, found, strict=True):
        x = arrays[f"{row['region']}/x"]
        assert np.all(region.box.low <= x) and np.all(x <= region.box.high)


def test_an_interrupt_keeps_the_regions_that_are_finished():
    it = problem()
    net = error_network(it, it.init(jax.random.key(0)))
    found = regions(it, LITTLE)[:3]
    assert predicted_seconds(net, found, LITTLE) > 0

    class Stop:
        @contextlib.contextmanager
        def task(self, name, total):
            yield self

        def advance(self, steps=1, note=""):
            if note.startswith("ball_1: "):
                raise KeyboardInterrupt

    rows, arrays, interrupted = certify_regions(net, found, LITTLE, 0, Stop())
    assert [row["region"] for row in rows] == ["range", "bounding_box"]
    assert interrupted == found[2].words and "ball_1/x" not in arrays


def test_a_network_that_mixes_examples_is_refused():
    class Centred(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.dense = nnx.Linear(4, 4, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.dense(x - x.mean(axis=0, keepdims=True))

    it = Problem(model=Centred, train=(X, None), optimizer=optax.sgd(0.1))
    with pytest.raises(InputError, match="depends on the others"):
        error_network(it, it.init(jax.random.key(0)))
    short = short_certificate(it, it.init(jax.random.key(0)), 3)
    assert short["lower"] is None and "depends on the others" in short["reason"]


def test_a_diagnosis_holds_the_exact_worst_error_of_one_layer():
    spec = IdentitySpec(data="digits")
    dataset = load_data(spec)
    it = build_problem(spec.resolved(dataset), dataset)
    found = short_certificate(it, it.init(jax.random.key(0)), 0)
    assert found["method"] == "exact"
    assert np.isclose(found["lower"]["value"], found["upper"]["value"])


def test_one_relu_layer_is_exact_against_a_target_of_one_s_own():
    spec = IdentitySpec(data="digits")
    dataset = load_data(spec)
    it = build_problem(spec.resolved(dataset), dataset)
    net = error_network(it, it.init(jax.random.key(0)), lambda x: 0.5 * x + 1.0)
    rows, _, _ = certify_regions(net, regions(it, LITTLE)[:1], LITTLE, 0)
    assert rows[0]["method"] == "exact" and np.isclose(rows[0]["ratio"], 1.0)


def test_the_floor_in_mean_square_stands_beside_the_one_of_the_worst_error():
    spec = IdentitySpec(data="digits", depth=2, width=10, output_activation="linear")
    dataset = load_data(spec)
    spec = spec.resolved(dataset)
    found, written = family_record(spec, build_problem(spec, dataset))
    assert written["witness/kernel_1"].shape == (10, 64)
    x = dataset.train.astype(float)
    singular = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    floor = found["mean_square"]["lower"]["value"]
    assert np.isclose(floor, np.sum(singular[10:] ** 2) / x.size)
    assert found["lower"] == 8.0, "two opposite corners of [0, 16] on 11 features get one output"


def test_a_ball_about_an_example_beyond_the_training_range_holds_the_example():
    spec = IdentitySpec(data="gaussian", features=3, examples=20, epochs=1, seeds=1)
    made = build_problem(spec, load_data(spec))
    x, _ = made.train
    far = np.stack([np.full(3, 3 * np.max(x)), np.mean(x, axis=0)])
    it = dataclasses.replace(made, test=(far, None))
    balls = [r for r in regions(it, Effort(balls=2, curve=False)) if r.name.startswith("ball")]
    for region, centre in zip(balls, far, strict=True):
        assert np.all(region.box.low <= centre) and np.all(centre <= region.box.high)
    assert [("beyond the range" in r.words) for r in balls] == [True, False]


def test_an_empty_box_has_no_bounds():
    it = problem()
    net = error_network(it, it.init(jax.random.key(0)), None)
    with pytest.raises(ValueError, match="empty"):
        output_bounds(net, Interval(np.ones(4), np.zeros(4)))
