"""The 8x8 handwritten digits that come with scikit-learn: always there, no download."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

EXAMPLES, TRAIN = 1797, 1500


class Images(NamedTuple):
    """train (1500, 64) and test (297, 64), uint8 from 0 to 16."""

    train: np.ndarray
    test: np.ndarray


def load() -> Images:
    """The digits, split by ``numpy.random.default_rng(0).permutation(1797)``.

    The first 1500 of the permutation are the training set, in that order; the rest is the
    test set. Source: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits
    (UCI), its test part, as `sklearn.datasets.load_digits` bundles it.
    """
    from sklearn.datasets import load_digits  # 1 s to import, so only here

    pixels = load_digits().data.astype(np.uint8)  # floats that hold the integers 0..16
    order = np.random.default_rng(0).permutation(EXAMPLES)
    return Images(pixels[order[:TRAIN]], pixels[order[TRAIN:]])
