"""The figures of a prediction, from made-up ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import prediction_sample as sample
import pytest

from jaxid.plot.prediction import deaths, draw_prediction, predicted_loss, time_of_modes

FIGURES = {
    "none": set(),
    "modes": {"predicted_loss", "time_of_modes"},
    "moments": {"predicted_loss", "deaths"},
    "resting": {"predicted_loss"},
    "linearised": {"predicted_loss"},
}


@pytest.mark.parametrize("name", sample.EVERY)
def test_each_figure_is_drawn_where_its_data_are_there(name, tmp_path):
    for came in (None, sample.measured(), sample.measured(1)):
        drawn = draw_prediction(sample.EVERY[name](), came, tmp_path)
        assert set(drawn) == FIGURES[name]
    assert draw_prediction(None, None, tmp_path) == {}


def labels(axes) -> list[str]:
    return [line.get_label() for line in axes.lines if not line.get_label().startswith("_")]


def test_what_was_measured_and_what_is_out_of_range_are_seen():
    figure = predicted_loss(sample.by_linearisation(), sample.measured())
    (axes,) = figure.axes
    assert figure.get_suptitle() == "Predicted to end at 1; it ended at 1.01"
    assert labels(axes) == ["predicted", "measured, each of 2 seeds"]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "out of the prediction's range" in texts
    (axes,) = predicted_loss(sample.by_modes(), None).axes
    assert labels(axes) == ["predicted", "predicted without batch noise",
                            "least loss possible 0.250"]  # fmt: skip
    endless = dataclasses.replace(sample.by_modes(), last=np.inf)
    assert predicted_loss(endless, None).get_suptitle() == "Predicted to diverge"


def test_titles_say_what_was_found():
    title = deaths(sample.by_moments(), sample.measured()).get_suptitle()
    assert title == "3 of 4 outputs are predicted to die; 2 did by then"
    title = time_of_modes(sample.by_modes(), None).get_suptitle().replace("\n", " ")
    assert title == "3.2 % of the first loss lies in the 1 of 3 modes that take more than 3 epochs"
