"""`jaxid.spectrum` from Python: what it gives, saves and reads back, and what it refuses."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import optax
import pytest
import spectra_sample as sample
from flax import linen

import jaxid
from jaxid.core import io, manifest
from jaxid.core.errors import InputError
from jaxid.curvature.survey import Effort
from jaxid.spectra import point as looking
from jaxid.spectra.look import Look
from jaxid.spectra.spectrum import During, Spectrum
from jaxid.training.loop import Stage
from jaxid.training.run import Runner

X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
LITTLE = Look(Effort(top=2, bottom=1, steps=8, probes=2, trace_probes=4))


def mine() -> jaxid.Problem:
    return jaxid.Problem(
        model=linen.Dense(3), train=(X, None), optimizer=optax.adam(1e-2), batch_size=10, epochs=2
    )


def same(one: Spectrum, other: Spectrum) -> bool:
    (values, arrays), (others, beside) = io.encode(one), io.encode(other)
    return (
        repr(values) == repr(others)
        and list(arrays) == list(beside)
        and all(
            arrays[name].dtype == beside[name].dtype
            and np.array_equal(arrays[name], beside[name], equal_nan=True)
            for name in arrays
        )
    )


@pytest.mark.parametrize("made", [sample.spectrum, lambda: dataclasses.replace(
    sample.spectrum(), points=(), along=None)])  # fmt: skip
def test_what_is_saved_is_read_back(made, tmp_path):
    found = made()
    found.save(tmp_path / "out")
    back = Spectrum.load(tmp_path / "out")
    assert same(back, found)
    if found.points:
        assert back.points[1].name is Stage.END and back.points[0].layers[1].name == "residual"
        assert back.points[0].hessian.density.nodes.shape == (2, 5)


def test_a_file_with_a_wrong_type_is_refused_in_one_line(tmp_path):
    sample.spectrum().save(tmp_path)
    path, listed = tmp_path / "spectrum.json", tmp_path / manifest.NAME
    before = manifest.sha256(path)
    values = json.loads(path.read_text())
    values["points"][0]["matrices"][0]["stopped"] = "every residual met the tolerance"
    path.write_text(json.dumps(values))
    # As if it had been written so.
    listed.write_text(listed.read_text().replace(before, manifest.sha256(path)))
    with pytest.raises(InputError) as refused:
        Spectrum.load(tmp_path)
    said = str(refused.value)
    assert "stopped" in said and "spectrum.json" in said and "\n" not in said


def test_a_result_prints_and_shows_itself():
    found = sample.spectrum()
    assert "At the end: loss 0.2500 over 20 of 30 examples" in str(found)
    assert repr(found).startswith("<Spectrum: 5 parameters at the end") and "\n" not in repr(found)
    shown = found._repr_html_()
    assert shown.startswith("<pre>At the start") and shown.count("<svg") == 4


def test_the_start_of_a_seed_or_the_end_of_a_run(monkeypatch):
    problem = mine()
    start = jaxid.spectrum(problem, look=LITTLE, seed=3)
    (point,) = start.points
    assert (point.name, point.step, point.parameters) == (Stage.INIT, 0, 12)
    assert start.provenance.seeds == (3,) and start.examples.used == 30
    runner = Runner(problem)
    state = runner.init([3])
    assert np.isclose(point.loss, float(runner.evaluate(state).loss[0]), rtol=1e-6)
    assert point.exact.computed and point.hessian.kappa.converged
    run = runner.train([3, 4])
    end = jaxid.spectrum(problem, run, look=LITTLE, examples=20)
    assert (end.points[0].name, end.points[0].step) == (Stage.END, 6)
    assert end.examples.used == 20 and end.points[0].loss != point.loss
    # An interrupt keeps the matrices that were finished; without one it is raised.
    survey, made = looking.survey, []

    def once(*args, **options):
        if made:
            raise KeyboardInterrupt
        made.append(survey(*args, **options))
        return made[0]

    monkeypatch.setattr(looking, "survey", once)
    kept = jaxid.spectrum(problem, look=LITTLE)
    assert [m.name for m in kept.points[0].matrices] == ["hessian"]
    stopped = kept.interrupted
    assert (stopped.during, stopped.matrix) == (During.CURVATURE, "gauss_newton")
    with pytest.raises(KeyboardInterrupt):
        jaxid.spectrum(problem, look=LITTLE)


def test_what_cannot_be_is_refused_in_one_line():
    with pytest.raises(InputError, match="examples is 0"):
        jaxid.spectrum(mine(), examples=0)
    with pytest.raises(InputError, match="--top is 13 and the network has 12 parameters"):
        jaxid.spectrum(mine(), look=Look(Effort(top=13)))
    bad = dataclasses.replace(mine(), train=(X * np.nan, None))
    with pytest.raises(InputError):
        jaxid.spectrum(bad)
