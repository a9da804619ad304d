"""A prediction and the run beside it: from Python, saved and read back, cut short."""

from __future__ import annotations

import contextlib
import dataclasses
import json

import numpy as np
import optax
import prediction_sample as sample
import pytest

import jaxid
from jaxid.core import io, manifest
from jaxid.core.errors import InputError
from jaxid.core.progress import Silent
from jaxid.nets.mlp import identity_network
from jaxid.prediction.moments import marked
from jaxid.prediction.predict import Method, Prediction
from jaxid.prediction.run import During, Interruption, PredictedRun, predicted_run
from jaxid.training.run import Runner

X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)


def mine(**choices) -> jaxid.Problem:
    settings = {"optimizer": optax.sgd(0.05), "batch_size": 10, "epochs": 2} | choices
    layer = identity_network(3, output_activation="linear")
    return jaxid.Problem(model=layer, train=(X, None), **settings)


def same(one, other) -> bool:
    (values, arrays), (others, beside) = io.encode(one), io.encode(other)
    # Whole epochs are read back as floats, which they equal.
    return (
        values == others
        and list(arrays) == list(beside)
        and all(
            arrays[name].dtype == beside[name].dtype
            and np.array_equal(arrays[name], beside[name], equal_nan=arrays[name].dtype.kind == "f")
            for name in arrays
        )
    )


@pytest.mark.parametrize("name", sample.EVERY)
def test_what_is_saved_is_read_back(name, tmp_path):
    found = sample.EVERY[name]()
    found.save(tmp_path / "alone")
    assert same(Prediction.load(tmp_path / "alone"), found)
    whole = sample.run(found, sample.measured())
    stopped = Interruption(During.TRAINING, 2, 3)
    for run in (whole, dataclasses.replace(whole, interrupted=stopped), sample.run()):
        run.save(tmp_path / "out")
        back = PredictedRun.load(tmp_path / "out")
        assert same(back, run)
        assert back.prediction is None or back.prediction.why == found.why


def test_a_file_with_a_wrong_type_is_refused_in_one_line(tmp_path):
    sample.run(sample.by_modes(), sample.measured()).save(tmp_path)
    path, listed = tmp_path / "prediction.json", tmp_path / manifest.NAME
    before = manifest.sha256(path)
    values = json.loads(path.read_text())
    values["prediction"]["why"]["reason"] = "the limit of batch noise is not known"
    path.write_text(json.dumps(values))
    # As if it had been written so.
    listed.write_text(listed.read_text().replace(before, manifest.sha256(path)))
    with pytest.raises(InputError) as refused:
        PredictedRun.load(tmp_path)
    said = str(refused.value)
    assert "why.reason" in said and "prediction.json" in said and "\n" not in said


def test_a_result_prints_and_shows_itself():
    found = sample.by_moments()
    assert "Expected dead if training goes on: 3." in str(found) and "measured" not in str(found)
    assert repr(found) == "<Prediction: Predicted to end at 1>"
    run = sample.run(found, sample.measured())
    assert "In range" in str(run) and "measured" in str(run)
    assert repr(run) == "<PredictedRun: Predicted to end at 1; it ended at 1.01>"
    shown = run._repr_html_()
    assert shown.startswith("<pre>From moments") and shown.count("<svg") == 2
    assert repr(sample.run()) == "<PredictedRun: interrupted>" and sample.run()._repr_html_()


def test_predict_from_python_says_what_training_then_does():
    problem = mine()
    found = jaxid.predict(problem, seeds=(3, 4), losses=(0.5,))
    assert found.method is Method.MODES and found.provenance.seeds == (3, 4)
    assert found.curve.shape == (3,) and [one.loss for one in found.reach] == [0.5]
    told: list[Prediction] = []
    run = predicted_run(Runner(problem), [3, 4], losses=(0.5,), tell=told.append)
    assert told == [run.prediction] and run.interrupted is None and run.epochs == 2
    assert np.array_equal(run.prediction.curve, found.curve)
    assert run.measured.loss_by_seed.shape == (2, 3) and run.measured.sem.shape == (3,)
    assert np.allclose(run.measured.loss, found.curve, rtol=0.2)
    alone = predicted_run(Runner(problem), [3], train=False)
    assert alone.measured is None and alone.interrupted is None and alone.problem == {}


class Stops(Silent):
    """A reporter that an interrupt comes into, after some advances of the tasks of a name."""

    def __init__(self, name: str, advances: int) -> None:
        self.name, self.left = name, advances

    @contextlib.contextmanager
    def task(self, name, total):
        with super().task(name, total) as task:
            yield self if name == self.name else task

    def advance(self, steps=1, note=""):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


ADAM = {"optimizer": optax.adam(1e-2), "epochs": 1}


@pytest.mark.parametrize(
    ("name", "step", "expected", "predicted", "seeds"),
    [("moments", 0, Interruption(During.PREDICTING, 0, 2), None, None),
     ("training", 0, Interruption(During.TRAINING, 1, 1), 2, 2)],
)  # fmt: skip
def test_an_interrupt_keeps_what_is_finished(name, step, expected, predicted, seeds):
    run = predicted_run(Runner(mine(**ADAM)), [0, 1], reporter=Stops(name, step))
    assert run.interrupted == expected
    assert (None if run.prediction is None else len(run.prediction.by_seed)) == predicted
    assert (None if run.measured is None else len(run.measured.loss_by_seed)) == seeds


def test_seeds_that_were_predicted_whole_stand_and_nothing_is_trained():
    whole = jaxid.predict(mine(**ADAM), seeds=(0, 1))
    with pytest.raises(KeyboardInterrupt):
        jaxid.predict(mine(**ADAM), seeds=(0, 1), reporter=Stops("predicting", 0))
    # At the last look of the first seed it has been kept.
    marks = len(marked(mine(**ADAM)))
    run = predicted_run(Runner(mine(**ADAM)), [0, 1], reporter=Stops("predicting", marks))
    assert run.interrupted == Interruption(During.PREDICTING, 1, 2) and run.measured is None
    assert run.prediction.interrupted == 1 and run.prediction.sem is None
    assert np.array_equal(run.prediction.by_seed[0], whole.by_seed[0])


def test_what_cannot_be_is_refused_in_one_line():
    with pytest.raises(InputError, match="there are no seeds"):
        jaxid.predict(mine(), seeds=())
    with pytest.raises(InputError, match="losses are positive"):
        jaxid.predict(mine(), losses=(0.0,))
    bad = dataclasses.replace(mine(), train=(X * np.nan, None))
    with pytest.raises(InputError):
        jaxid.predict(bad)
