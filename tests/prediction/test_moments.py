"""The tails that decide whether a prediction from moments is in range."""

from __future__ import annotations

import numpy as np
import pytest

from jaxid.prediction.moments import COLUMNS, tail


def test_tail_is_the_kurtosis_weighted_by_variance() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_t(5, (300, COLUMNS + 9)) * np.geomspace(1, 9, COLUMNS + 9)[None] + 3
    x[:, 4] = 7.0
    kept = np.delete(x, 4, axis=1)
    z = (kept - kept.mean(axis=0)[None]) / kept.std(axis=0)[None]
    expected = np.average((z**4).mean(axis=0), weights=kept.var(axis=0))
    assert tail(x) == pytest.approx(expected, rel=1e-9)


def test_neither_scale_nor_shift_hides_tails() -> None:
    x = np.where(np.random.default_rng(0).random((2000, 5)) < 0.03, 1.0, 0.0)
    # A feature that is 1 with probability p has kurtosis 1 / (p (1 - p)) - 3.
    assert tail(x) == pytest.approx(1 / (0.03 * 0.97) - 3, rel=0.2)
    assert tail(1e-3 * x + 2.0) == pytest.approx(tail(x), rel=1e-9)
    assert tail(np.ones((10, 3))) == 0.0
