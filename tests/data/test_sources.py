"""Data sets by name, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from jaxid.core.errors import InputError
from jaxid.data import digits, idx, sources
from jaxid.data.gaussian import GaussianSpec, sample


def test_digits_come_with_all_that_a_run_needs():
    found = sources.load("digits")
    assert np.array_equal(found.train, digits.load().train)
    assert np.array_equal(found.test, digits.load().test)
    assert found.image_shape == (8, 8) and found.maximum == 16
    assert found.defaults == {"batch_size": 32, "epochs": 200}


def test_made_data_are_those_of_their_spec():
    spec = GaussianSpec(features=3, examples=20, test_examples=7, mean=-5.0)
    found = sources.load("gaussian", gaussian=spec)
    assert np.array_equal(found.train, sample(spec).train) and found.test.shape == (7, 3)
    assert found.image_shape is None
    assert found.maximum == np.abs(found.train).max() > 5
    assert sources.load("gaussian").train.shape == (2000, 64)


def test_an_unknown_name_is_refused_with_the_known_ones():
    for call in (sources.load, sources.check_name):
        with pytest.raises(InputError, match="use one of digits, mnist, gaussian") as refused:
            call("cifar")
        assert "\n" not in str(refused.value)


def test_each_data_set_has_its_row(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXID_DATA_DIR", str(tmp_path / "home"))
    monkeypatch.delenv("JAXID_MNIST_DIR", raising=False)
    rows = {row.name: row for row in sources.describe()}
    assert tuple(rows) == sources.NAMES
    assert rows["digits"].ready and rows["gaussian"].ready and not rows["mnist"].ready
    assert rows["mnist"].note and not rows["digits"].note
    assert list(tmp_path.iterdir()) == [], "describing writes nothing"


def test_the_way_to_bring_mnist_names_files_sums_and_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXID_DATA_DIR", str(tmp_path))
    text = sources.how_to_bring_mnist()
    for name, official in idx.FILES.items():
        assert name in text and official.sha256 in text and str(official.size) in text
    assert str(tmp_path) in text and "JAXID_MNIST_DIR" in text and "--mnist-dir" in text
