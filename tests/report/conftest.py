"""The made-up diagnosis for these tests."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

SAMPLE = Path(__file__).resolve().with_name("sample.py")


@pytest.fixture(scope="session")
def sample() -> SimpleNamespace:
    """sample.py's functions."""
    return SimpleNamespace(**runpy.run_path(str(SAMPLE)))


@pytest.fixture(params=["full", "minimal", "one_seed", "no_images", "deep", "empty"])
def case(request, sample):
    """(name, record, arrays) of each kind of diagnosis."""
    return request.param, *sample.cases()[request.param]
