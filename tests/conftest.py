"""Strict JAX for every test: no implicit rank promotion, two CPU devices, float32 by default.

Compiled programs are kept in `.pytest_cache`, shared by the workers and by the scripts that
tests start: most of the suite's time is compilation, much of it of the same programs.
"""

from __future__ import annotations

import os
import runpy
from pathlib import Path

# All must be set before JAX is imported.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
_KEPT = Path(__file__).resolve().parents[1] / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_KEPT))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
_DEVICES = "--xla_force_host_platform_device_count=2"
if _DEVICES not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_DEVICES}".strip()

from types import SimpleNamespace

import jax
import pytest

from jaxid.data import idx

jax.config.update("jax_numpy_rank_promotion", "raise")

pytest_plugins = ["trained"]


@pytest.fixture(scope="session")
def mnist_dir() -> str:
    """A folder with the four official files, or a skip that says how to name one."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
    for folder in filter(None, (os.environ.get("JAXID_MNIST_DIR"), str(beside))):
        if all((Path(folder) / name).is_file() for name in idx.FILES):
            return folder
    pytest.skip("no MNIST here: JAXID_MNIST_DIR names no folder with the four official files")


@pytest.fixture(scope="session")
def sample() -> SimpleNamespace:
    """The functions of sample.py: made-up diagnoses for figures and reports."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).resolve().with_name("sample.py"))))


@pytest.fixture(params=["full", "minimal", "one_seed", "no_images", "deep"])
def case(request, sample):
    """(name, diagnosis) of each kind of made-up diagnosis."""
    return request.param, sample.cases()[request.param]
