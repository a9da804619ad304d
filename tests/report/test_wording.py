"""Numbers as people read them."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytest

from jaxid.core.types import Estimate
from jaxid.core.wording import estimate, joined, label, number, percent, plus_minus


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "-"),
        (0.0, "0"),
        (3, "3"),
        (615440, "615,440"),
        (0.83456, "0.835"),
        (1.0, "1"),
        (12.345, "12.3"),
        (999.6, "1,000"),
        (4373.017, "4,373"),
        (4.72e10, "4.72e10"),
        (6.07e6, "6.07e6"),
        (8.1e-5, "8.10e-5"),
        (-0.02, "-0.0200"),
        (9.9996, "10.0"),
        (math.inf, "infinite"),
        (math.nan, "not a number"),
    ],
)
def test_number(value, words):
    assert number(value) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (None, "-"),
        (0.0, "0 %"),
        (0.91, "91 %"),
        (0.0153, "1.5 %"),
        (0.0004, "< 0.1 %"),
        (0.9994, "99.9 %"),
        (0.99999, "> 99.9 %"),
        (1.0, "100 %"),
        (-0.2, "-20 %"),
    ],
)
def test_percent(share, words):
    assert percent(share) == words


def test_estimates_show_only_errors_that_matter_and_say_when_unconverged():
    found = Estimate(2.5, 1e-9, True, "exact")
    assert estimate(found) == "2.50"
    assert estimate(replace(found, error=0.3)) == "2.50 ± 0.30"
    assert estimate(replace(found, converged=False)) == "2.50 (not converged)"
    assert estimate(replace(found, value=None)) == "-"
    assert estimate(None) == "-"
    # Where results are no types yet.
    assert estimate(asdict(replace(found, error=0.3))) == "2.50 ± 0.30"


def test_words():
    assert label("slow_modes") == "slow modes"
    assert plus_minus(2.0, None) == "2"
    assert joined(["a"]) == "a"
    assert joined(["a", "b", "c"]) == "a, b and c"
