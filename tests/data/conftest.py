"""MNIST in two sizes: a tiny one made here for behaviour, the real one for its numbers."""

from __future__ import annotations

import functools
import gzip
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from jaxid.data import folders, idx, mnist, network


class TinyMnist(NamedTuple):
    """A made-up MNIST: its folder of four files, jaxid's data folder, and its pixels in order."""

    files: Path
    home: Path
    train: np.ndarray
    test: np.ndarray


def idx_bytes(values: np.ndarray) -> bytes:
    """A gzipped IDX file, written from the format's description."""
    header = bytes([0, 0, 8, values.ndim])
    header += b"".join(int(n).to_bytes(4, "big") for n in values.shape)
    return gzip.compress(header + values.tobytes(), mtime=0)


def tfds_order(split: str, count: int) -> list[int]:
    """TFDS's documented shuffle: sorted by the MD5 of salt (the split's name) and key."""
    return sorted(range(count), key=lambda key: hashlib.md5(f"{split}{key}".encode()).hexdigest())


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> TinyMnist:
    """Replace the official files by 90 + 30 random images, and the data folder by an empty one.

    The network is gone: a test that wants one says so.
    """
    rng = np.random.default_rng(0)
    files, home = tmp_path / "four files", tmp_path / "home"
    files.mkdir()
    pixels, official = {}, {}
    for split, count in (("train", 90), ("t10k", 30)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        pixels[split] = images.reshape(count, 784)
        for name, values in (
            (f"{split}-images-idx3-ubyte.gz", images),
            (f"{split}-labels-idx1-ubyte.gz", rng.integers(0, 10, count, dtype=np.uint8)),
        ):
            content = idx_bytes(values)
            (files / name).write_bytes(content)
            official[name] = idx.OfficialFile(len(content), hashlib.sha256(content).hexdigest())
    train = pixels["train"][tfds_order("train", 90)]
    test = pixels["t10k"][tfds_order("test", 30)]
    digests = [hashlib.sha256(part.tobytes()).hexdigest() for part in (train, test)]
    monkeypatch.setattr(idx, "FILES", official)
    monkeypatch.setattr(mnist, "DIGESTS", dict(zip(("train", "test"), digests, strict=True)))
    monkeypatch.setattr(mnist, "TRAIN", 90)
    monkeypatch.setattr(mnist, "TEST", 30)
    monkeypatch.setattr(network, "reachable", lambda: False)
    monkeypatch.setenv("JAXID_DATA_DIR", str(home))
    monkeypatch.delenv("JAXID_MNIST_DIR", raising=False)
    return TinyMnist(files, home, train, test)


@functools.cache
def _real(files: Path, home: Path) -> mnist.Images:
    before = folders.data_dir
    folders.data_dir = lambda: home
    try:
        return mnist.load(files)
    finally:
        folders.data_dir = before


@pytest.fixture
def real_mnist(mnist_dir, tmp_path_factory) -> mnist.Images:
    """The real images, prepared once per session from the files in ``mnist_dir``."""
    home = tmp_path_factory.getbasetemp() / "prepared-mnist"
    return _real(Path(mnist_dir), home)
