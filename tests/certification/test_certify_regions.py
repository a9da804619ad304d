"""Certificates of trained networks in original units, region by region."""

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
from jaxid.certification.certify_regions import (
    _nested,
    certify_region,
    certify_regions,
    predicted_seconds,
)
from jaxid.certification.error_function import error_network
from jaxid.certification.regions import Effort, RegionKind, regions
from jaxid.core.types import Estimate
from jaxid.data.scaling import fit
from jaxid.identity.spec import IdentitySpec, build_problem, load_data
from jaxid.nets.mlp import identity_network
from jaxid.verification.bounds import output_bounds
from jaxid.verification.certificate import Method
from jaxid.verification.endless import NoBound
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
    rows, _ = certify_regions(net, found, LITTLE, 0)
    assert [row.region for row in rows[:3]] == ["range", "bounding_box", "ball_1"]
    for row, region in zip(rows, found, strict=True):
        assert row.lower.value <= row.upper.value
        x = row.x
        assert np.all(region.box.low <= x) and np.all(x <= region.box.high)
        f = it.original(it.net.apply(params, it.inputs(jnp.asarray(x[None], jnp.float32))))
        off = float(np.abs(np.asarray(f)[0] - x)[row.output])
        assert np.isclose(off, row.lower.value, rtol=1e-4)
        inside = np.random.default_rng(1).uniform(region.box.low, region.box.high, (200, 4))
        f = it.original(it.net.apply(params, it.inputs(jnp.asarray(inside, jnp.float32))))
        assert np.abs(np.asarray(f) - inside).max() <= row.upper.value * (1 + 1e-5)
    curve = [row for row in rows if row.kind is RegionKind.CURVE]
    uppers = [row.upper.value for row in curve]
    assert uppers == sorted(uppers), "a larger box has no smaller worst error"


def test_a_target_of_one_s_own():
    class Double(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.dense = nnx.Linear(4, 2, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.dense(x)

    it = Problem(model=Double, train=(X, X[:, :2]), optimizer=optax.sgd(0.1))
    params = it.init(jax.random.key(0))
    params["dense"]["kernel"] = jnp.eye(4, 2) * 2.0
    net = error_network(it, params, lambda x: 2.0 * x[:, :2])
    rows, _ = certify_regions(net, regions(it, LITTLE)[:1], LITTLE, 0)
    assert rows[0].upper.value < 1e-12


def test_nested_boxes_never_contradict_each_other():
    it = problem()
    net = error_network(it, it.init(jax.random.key(0)))
    # The curve's box of share 1 is the range, bounded by a cheaper method.
    effort = Effort(steps=10, balls=1, restarts=1)
    found = regions(it, effort)
    rows, _ = certify_regions(net, found, effort, 0)
    by_name = {row.region: row for row in rows}
    same, again = by_name["range"], by_name["curve_1"]
    assert same.upper.value == again.upper.value
    assert same.lower.value == again.lower.value
    curve = [row for row in rows if row.kind is RegionKind.CURVE]
    for values in ([row.lower.value for row in curve], [row.upper.value for row in curve]):
        assert values == sorted(values)
    for row, region in zip(rows, found, strict=True):
        x = row.x
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

    rows, interrupted = certify_regions(net, found, LITTLE, 0, Stop())
    assert [row.region for row in rows] == ["range", "bounding_box"]
    assert interrupted is found[2]


def test_one_relu_layer_is_exact_against_a_target_of_one_s_own():
    spec = IdentitySpec(data="digits")
    dataset = load_data(spec)
    it = build_problem(spec.resolved(dataset), dataset)
    net = error_network(it, it.init(jax.random.key(0)), lambda x: 0.5 * x + 1.0)
    rows, _ = certify_regions(net, regions(it, LITTLE)[:1], LITTLE, 0)
    assert rows[0].method is Method.EXACT and np.isclose(rows[0].ratio, 1.0)


def test_an_empty_box_has_no_bounds():
    it = problem()
    net = error_network(it, it.init(jax.random.key(0)), None)
    with pytest.raises(ValueError, match="empty"):
        output_bounds(net, Interval(np.ones(4), np.zeros(4)))


def test_a_box_without_a_bound_says_why_and_takes_one_from_around_it():
    class Inverse(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.dense = nnx.Linear(4, 4, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return 1.0 / self.dense(x)

    it = Problem(model=Inverse, train=(X, None), optimizer=optax.sgd(0.1))
    net = error_network(it, it.init(jax.random.key(0)))
    row = certify_region(net, regions(it, LITTLE)[0], LITTLE, 0)
    assert row.endless.why is NoBound.FUNCTION and row.endless.low < 0 < row.endless.high
    assert row.upper.value is None and row.ratio is None and row.method is None
    assert row.upper.method == f"no finite bound: {row.endless.words}"
    assert row.by_method.intervals == np.inf and row.by_method.alpha is None
    # As if a wider box had been bounded all the same.
    wide = dataclasses.replace(row, region="wide", box_high=row.box_high + 1, endless=None,
                               upper=Estimate(9.0, 0.0, True, "made"), method=Method.CROWN,
                               lower=Estimate(1e-3, 0.0, True, "made"))  # fmt: skip
    rows = [row, wide]
    _nested(rows)
    assert rows[0].endless is None and rows[0].upper == wide.upper
    assert rows[1].lower == row.lower and rows[1].x is row.x
    assert rows[0].ratio == 9.0 / row.lower.value
