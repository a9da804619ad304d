"""`jaxid.certify` from Python: what it gives, saves and reads back, and what it refuses."""

from __future__ import annotations

import dataclasses
import json

import certificate_sample as sample
import jax
import numpy as np
import optax
import pytest
from flax import linen

import jaxid
from jaxid.certification import certify_regions as regional
from jaxid.certification.certified import Certification
from jaxid.certification.certify import certify_parameters, foresee
from jaxid.certification.family import FamilyKind
from jaxid.certification.regions import Effort, RegionKind
from jaxid.core import io, manifest
from jaxid.core.errors import InputError
from jaxid.training.loop import Stage
from jaxid.training.run import Runner
from jaxid.verification.certificate import Method

X = np.random.default_rng(0).integers(0, 17, (30, 3)).astype(np.uint8)
LITTLE = Effort(method="crown", balls=0, restarts=1, curve=False)


def mine(**fields) -> jaxid.Problem:
    given = {"train": (X, None), **fields}
    return jaxid.Problem(
        model=linen.Dense(3), optimizer=optax.adam(1e-2), batch_size=10, epochs=2, **given
    )


def same(one: Certification, other: Certification) -> bool:
    (values, arrays), (others, beside) = io.encode(one), io.encode(other)
    return (
        repr(values) == repr(others)
        and list(arrays) == list(beside)
        and all(
            arrays[name].dtype == beside[name].dtype and np.array_equal(arrays[name], beside[name])
            for name in arrays
        )
    )


@pytest.mark.parametrize("made", [
    sample.certification,
    lambda: sample.certification(sample.row("range", 3.0, None)),
    lambda: dataclasses.replace(
        sample.certification(), family=None, images=None, interrupted="every feature in ball_2"),
])  # fmt: skip
def test_what_is_saved_is_read_back(made, tmp_path):
    found = made()
    found.save(tmp_path / "out")
    back = Certification.load(tmp_path / "out")
    assert same(back, found)
    assert back.regions[0].kind is RegionKind.RANGE and back.stage is Stage.END
    if found.family is not None:
        assert back.family.kind is FamilyKind.EXACT and back.family.layers[0].bias.shape == (6,)


def test_a_file_with_a_wrong_type_is_refused_in_one_line(tmp_path):
    sample.certification().save(tmp_path)
    path, listed = tmp_path / "certificate.json", tmp_path / manifest.NAME
    before = manifest.sha256(path)
    values = json.loads(path.read_text())
    values["regions"][0]["method"] = "guess"
    path.write_text(json.dumps(values))
    # As if it had been written so.
    listed.write_text(listed.read_text().replace(before, manifest.sha256(path)))
    with pytest.raises(InputError) as refused:
        Certification.load(tmp_path)
    said = str(refused.value)
    assert "method" in said and "certificate.json" in said and "\n" not in said


def test_a_result_shows_itself():
    found = sample.certification()
    assert repr(found) == (
        "<Certification: With every feature in range the worst error is between 3 and 12>"
    )
    assert found._repr_html_().count("<svg") == 2


def test_the_initial_parameters_or_those_of_a_run_s_first_seed():
    it = mine()
    begun = jaxid.certify(it, effort=LITTLE, seed=3)
    assert begun.stage is Stage.INIT and begun.seed == 3 and begun.provenance.seeds == (3,)
    states = Runner(it).init([3])
    (kernel,) = (p for p in begun.network if "kernel" in p.name)
    assert np.array_equal(kernel.values, states.params["kernel"][0])
    run = Runner(it).train([5, 3])
    ended = jaxid.certify(it, run, effort=LITTLE)
    assert ended.stage is Stage.END and ended.provenance.seeds == ()
    (kernel,) = (p for p in ended.network if "kernel" in p.name)
    assert np.array_equal(kernel.values, run.state.params["kernel"][0])
    for found in (begun, ended):
        assert [row.region for row in found.regions] == ["range", "bounding_box"]
        assert found.target == "identity" and found.family is None and found.problem == {}
        for row in found.regions:
            assert 0 < row.lower.value <= row.upper.value and row.check.points > 10_000
            off = np.abs(row.outputs - row.x)
            assert int(np.argmax(off)) == row.output
            assert np.isclose(off.max(), row.lower.value, rtol=1e-4)


def test_a_target_is_named_and_needed_where_targets_are_data():
    it = mine(train=(X, 2.0 * X))

    def double(x: jax.Array) -> jax.Array:
        return 2.0 * x

    found = jaxid.certify(it, target=double, effort=LITTLE)
    assert found.target == "double" and found.regions[0].method is Method.CROWN
    with pytest.raises(InputError, match="--target"):
        jaxid.certify(it, effort=LITTLE)
    with pytest.raises(InputError, match="--target"):
        foresee(it, it.init(jax.random.key(0)), effort=LITTLE)


def test_what_would_mean_nothing_is_refused():
    bad = X.astype(np.float32)
    bad[0, 0] = np.nan
    with pytest.raises(InputError, match="finite"):
        jaxid.certify(mine(train=(bad, None)), effort=LITTLE)


def test_an_interrupt_keeps_what_was_finished_and_says_where_it_came(monkeypatch):
    it = mine()
    params = it.init(jax.random.key(0))
    whole = regional.certify_region

    def stopped(net, region, *rest):
        if region.kind is RegionKind.BOUNDING_BOX:
            raise KeyboardInterrupt
        return whole(net, region, *rest)

    monkeypatch.setattr(regional, "certify_region", stopped)
    found = certify_parameters(it, params, Stage.INIT, effort=LITTLE, seed=0)
    assert [row.region for row in found.regions] == ["range"]
    assert found.interrupted == "each feature within its own range on the training set"


def test_what_it_will_take_is_foreseen():
    it = mine()
    foreseen = foresee(it, it.init(jax.random.key(0)), effort=LITTLE)
    assert foreseen.regions == 2 and foreseen.seconds > 0
