"""The four official MNIST files: their names, their checksums, and their IDX format.

An IDX file is a big-endian header (two zero bytes, the type code 8 for uint8, the number
of dimensions, each dimension as int32) followed by the values in C order. Source: LeCun,
Cortes, Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxid.core.errors import InputError


class OfficialFile(NamedTuple):
    """One gzipped IDX file as TFDS expects it: its length in bytes and its sha256."""

    size: int
    sha256: str


# Sizes and checksums are those that TFDS 4.9 records for mnist (url_checksums/mnist.txt).
TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"
TEST_IMAGES = "t10k-images-idx3-ubyte.gz"
TEST_LABELS = "t10k-labels-idx1-ubyte.gz"
FILES: dict[str, OfficialFile] = {
    TRAIN_IMAGES: OfficialFile(
        9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    TRAIN_LABELS: OfficialFile(
        28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    TEST_IMAGES: OfficialFile(
        1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    TEST_LABELS: OfficialFile(
        4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}
URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
"""Where TFDS downloads them from."""


def check_folder(folder: Path) -> None:
    """Check that a folder holds the four files, each with its sha256.

    Raises:
      InputError: naming the folder and the files that are missing, unreadable or different.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise InputError(f"the MNIST folder {folder} {what}; name a folder with {', '.join(FILES)}")
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"the MNIST folder {folder} lacks {', '.join(missing)}; "
            f"it must hold the four files {', '.join(FILES)}"
        )
    for name, expected in FILES.items():
        try:
            # Of another length it need not be read, which may be more than memory holds.
            size = (folder / name).stat().st_size
            content = (folder / name).read_bytes() if size == expected.size else b""
        except OSError as error:
            raise InputError(
                f"cannot read {folder / name} ({error.strerror}); make it readable"
            ) from None
        if is_official(name, content):
            continue
        found = f", sha256 {sha256(content)[:12]}..." if content else ""
        raise InputError(
            f"{folder / name} is corrupt ({size} of {expected.size} bytes{found} instead of "
            f"{expected.sha256[:12]}...); fetch it again from {URL}{name}"
        )


def is_official(name: str, content: bytes) -> bool:
    """Whether these bytes are the official file of that name."""
    expected = FILES[name]
    return len(content) == expected.size and sha256(content) == expected.sha256


def sha256(content: bytes | memoryview) -> str:
    """The sha256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def read_idx(path: Path) -> np.ndarray:
    """The array in a gzipped IDX file of unsigned bytes.

    Returns:
      uint8, (n, 28, 28) for MNIST's images and (n,) for its labels.

    Raises:
      ValueError: if the header is not that of unsigned bytes or the length differs.
    """
    content = gzip.decompress(path.read_bytes())
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path.name} is not an IDX file of unsigned bytes")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    shape = tuple(int(n) for n in np.frombuffer(content, ">i4", dimensions, offset=4))
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
