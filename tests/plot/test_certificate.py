"""Figures and text of a made-up certificate."""

from __future__ import annotations

import numpy as np
import pytest

from jaxid.plot import certified_error, worst_inputs
from jaxid.plot.certificate import draw_certificate
from jaxid.report.certificate import print_certificate


def row(name, lower, upper, share=None, half=8.0):
    def found(value):
        return {"value": value, "error": 0.0, "converged": True, "method": "by hand; how it was"}

    return {
        "region": name,
        "words": f"every feature in {name}",
        "half_width": half,
        "share": share,
        "lower": found(lower),
        "upper": found(upper),
        "ratio": upper / lower if lower else None,
        "method": "crown",
        "by_method": {"intervals": 2 * upper, "crown": upper},
        "looser": 0.25,
        "output": 5,
        "points": 8,
    }


@pytest.fixture
def made():
    regions = [row("range", 3.0, 12.0), row("ball_1", 2.0, 2.0)]
    regions += [row(f"curve_{s}", s, 2 * s, s, 8 * s) for s in (0.5, 1.0, 2.0)]
    record = {
        "family": {
            "kind": "exact",
            "box": "inputs from 0 to 16",
            "words": "exact: copies",
            "mean_square": {
                "verdict": "impossible",
                "lower": {"value": 1.5},
                "upper": {"value": 2.5},
                "how": "a floor",
            },
        },
        "regions": regions,
    }
    rng = np.random.default_rng(0)
    arrays = {f"{r['region']}/{part}": rng.random(6) for r in regions for part in ("x", "output")}
    arrays |= {"images/shape": np.array([2, 3]), "images/maximum": np.array(16.0)}
    return record, arrays


def test_every_figure_is_drawn_where_its_data_are_there(made, tmp_path):
    record, arrays = made
    assert set(draw_certificate(record, arrays, tmp_path)) == {"certified_error", "worst_inputs"}
    no_images = {k: v for k, v in arrays.items() if not k.startswith("images")}
    assert worst_inputs.draw(record, no_images) is None
    without = record | {"regions": record["regions"][:2]}
    assert certified_error.draw(without, arrays) is None


def test_the_title_says_between_what_the_error_lies_or_that_it_is_known(made):
    record, _ = made
    assert "between 3 and 12" in certified_error.title(record)
    exact = record | {"regions": [row("range", 3.0, 3.0)]}
    assert "is 3, known exactly" in certified_error.title(exact)


def test_the_marked_pixel_is_the_worst_output_s(made):
    record, arrays = made
    axes = worst_inputs.draw(record, arrays).axes[0]
    (mark,) = axes.lines
    # Output 5 of a 2 x 3 image: second row, third column.
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (2, 1)


def test_the_text_has_the_verdict_both_ends_and_the_rounding(made, capsys):
    record, _ = made
    print_certificate(record)
    text = capsys.readouterr().out
    assert "Exact: copies." in text and "inputs from 0 to 16" in text
    assert "every feature in range" in text and "12" in text and "How it was." in text
    assert "25 %" in text
    print_certificate(record | {"family": None})
    assert "Could this family" not in capsys.readouterr().out
