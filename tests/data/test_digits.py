"""The bundled digits and their split."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from jaxid.data import digits


def test_the_split_is_numpys_permutation_of_seed_zero():
    found = digits.load()
    pixels = load_digits().data
    order = np.random.default_rng(0).permutation(1797)
    assert np.array_equal(found.train, pixels[order[:1500]])
    assert np.array_equal(found.test, pixels[order[1500:]])


def test_pixels_are_bytes_from_0_to_16():
    for part, count in zip(digits.load(), (1500, 297), strict=True):
        assert part.shape == (count, 64) and part.dtype == np.uint8
        assert part.min() == 0 and part.max() == 16
