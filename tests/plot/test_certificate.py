"""Figures of a made-up certificate."""

from __future__ import annotations

import dataclasses

import certificate_sample as sample

from jaxid.certification.words import headline
from jaxid.plot import certified_error, worst_inputs
from jaxid.plot.certificate import draw_certificate


def test_every_figure_is_drawn_where_its_data_are_there(tmp_path):
    made = sample.certification()
    assert set(draw_certificate(made, tmp_path)) == {"certified_error", "worst_inputs"}
    assert worst_inputs.draw(dataclasses.replace(made, images=None)) is None
    without = dataclasses.replace(made, regions=made.regions[:2])
    assert certified_error.draw(without) is None


def test_the_title_says_between_what_the_error_lies_or_that_it_is_known():
    title = certified_error.draw(sample.certification()).get_suptitle()
    assert "between 3 and 12" in " ".join(title.split())
    exact = sample.certification(sample.row("range", 3.0, 3.0))
    assert "is 3, known exactly" in headline(exact)
    endless = sample.certification(sample.row("range", 3.0, None))
    assert "is at least 3; it has no bound" in headline(endless)


def test_a_curve_without_a_bound_is_drawn():
    rows = [sample.row(f"curve_{s}", s, None, s, s) for s in (0.5, 1.0)]
    assert certified_error.draw(sample.certification(*rows)) is not None


def test_the_marked_pixel_is_the_worst_output_s():
    axes = worst_inputs.draw(sample.certification()).axes[0]
    (mark,) = axes.lines
    # Output 5 of a 2 x 3 image: second row, third column.
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (2, 1)
