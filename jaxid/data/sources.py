"""Data sets by name: digits (built in), mnist (prepared once), gaussian (made).

Every data set is two arrays of features; the target of the identity problem is the input.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxid.core.errors import InputError
from jaxid.data import digits, folders, idx, mnist
from jaxid.data.gaussian import GaussianSpec, sample

NAMES = ("digits", "mnist", "gaussian")


class Dataset(NamedTuple):
    """Examples with what a run and a picture need to know of them.

    Attributes:
      name: one of `NAMES`.
      train: (n, d), uint8 for images and float32 for made inputs.
      test: (k, d), of the same dtype.
      image_shape: (height, width) where an example is an image, else None.
      maximum: top of the value range: 16, 255, or the largest magnitude in train.
      defaults: batch_size and epochs where the user names none.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    image_shape: tuple[int, int] | None
    maximum: float
    defaults: dict[str, int]


class Row(NamedTuple):
    """One line of `jaxid data`.

    Attributes:
      name: what ``--data`` takes.
      what: one sentence.
      shape: training and test examples and their size, as text.
      where: the folder or file that the data lie in, or that they are made.
      ready: whether `load` needs neither files nor network.
      note: what is still needed; empty if nothing is.
    """

    name: str
    what: str
    shape: str
    where: str
    ready: bool
    note: str


def check_name(name: str) -> None:
    """Check the name of a data set.

    Raises:
      InputError: for an unknown name, listing the known ones.
    """
    if name not in NAMES:
        raise InputError(f"no data set {name!r}; use one of {', '.join(NAMES)}")


def load(
    name: str,
    *,
    mnist_dir: str | Path | None = None,
    gaussian: GaussianSpec | None = None,
    report: Callable[[str], None] | None = None,
) -> Dataset:
    """The data set of that name.

    Args:
      name: one of `NAMES`.
      mnist_dir: folder with the four official MNIST files (else JAXID_MNIST_DIR, else what
        was prepared before, else the network); not looked at for other data sets.
      gaussian: what to make for ``gaussian``; `GaussianSpec()` if None.
      report: called with a line of text when something takes longer than a second.

    Raises:
      InputError: for an unknown name, or where MNIST is not to be had (`mnist.load`).

    Example:
      >>> load("digits").train.shape
      (1500, 64)
    """
    check_name(name)
    if name == "digits":
        small = digits.load()
        return Dataset(
            name, small.train, small.test, (8, 8), 16.0, {"batch_size": 32, "epochs": 200}
        )
    if name == "mnist":
        images = mnist.load(mnist_dir, report)
        return Dataset(
            name, images.train, images.test, (28, 28), 255.0, {"batch_size": 128, "epochs": 20}
        )
    made = sample(gaussian or GaussianSpec())
    top = float(np.max(np.abs(made.train)))
    return Dataset(name, made.train, made.test, None, top, {"batch_size": 32, "epochs": 100})


def describe(mnist_dir: str | Path | None = None) -> list[Row]:
    """What is available, where it lies, and whether it is ready. Writes nothing.

    A cache counts as ready only after its sha256 has been checked (0.2 s).
    """
    ready, where, note = _mnist_state(mnist_dir)
    spec = GaussianSpec()
    return [
        Row(
            "digits",
            "handwritten digits, 8x8 pixels of 0 to 16",
            "1500 + 297 examples of 64",
            "inside the scikit-learn package",
            True,
            "",
        ),
        Row(
            "mnist",
            "handwritten digits, 28x28 pixels of 0 to 255",
            "60000 + 10000 examples of 784",
            where,
            ready,
            note,
        ),
        Row(
            "gaussian",
            "inputs with a prescribed covariance spectrum, mean and tail weight",
            f"{spec.examples} + {spec.test_examples} examples of {spec.features}, by default",
            "made from a seed",
            True,
            "",
        ),
    ]


def _mnist_state(mnist_dir: str | Path | None) -> tuple[bool, str, str]:
    """(ready, where, note) of MNIST."""
    named = mnist.named_folder(mnist_dir)
    if named is not None:
        try:
            idx.check_folder(named)
        except InputError as wrong:
            return False, str(named), str(wrong)
    if mnist.cached() is not None:
        return True, str(mnist.cache_file()), ""
    if named is not None:
        return True, str(named), "prepared at the first use (about 15 s)"
    note = "downloaded at the first use; without a network see below"
    return False, str(folders.data_dir()), note


def how_to_bring_mnist() -> str:
    """How MNIST gets onto a machine without network: text of several lines."""
    lines = [
        "To bring MNIST to a machine without network:",
        "1. Where there is a network, fetch these four files (11.6 MB together) from",
        f"   {idx.URL}",
        *[
            f"     {name}  {official.size} bytes  sha256 {official.sha256}"
            for name, official in idx.FILES.items()
        ],
        "2. Copy them, still gzipped, into one folder on the other machine: either",
        f"   {mnist.drop_folder()},",
        "   or any folder that --mnist-dir or JAXID_MNIST_DIR names.",
        "3. The first run checks and prepares them, once, in about 15 s, under",
        f"   {folders.data_dir()} (JAXID_DATA_DIR chooses another folder).",
    ]
    return "\n".join(lines)
