"""MNIST as two uint8 arrays: prepared once by TFDS, decoded once, then read from a cache.

Order of the examples: TFDS's prepared order (MNIST 3.0.1), which sorts the IDX order by
the MD5 of the split's name followed by the position in the file. It does not depend on
where the files came from, on the machine or on the format, and `DIGESTS` pins it.

Under `folders.data_dir()` lie the cache ``mnist-3.0.1.npy``, TFDS's files in ``mnist/`` and
what it downloaded in ``downloads/``.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from jaxid.core import interrupt
from jaxid.core.errors import InputError
from jaxid.core.lock import locked
from jaxid.data import folders, idx, network, tfds_mnist

Report: TypeAlias = Callable[[str], None]

TRAIN, TEST = 60000, 10000
PREPARING, LOCK = "preparing-", ".lock"
DIGESTS = {
    "train": "59edd5ea35c0062957306cacba8ae47e71e2c56261f4ca10230aacc14943dd3b",
    "test": "a85d8dffc6063fb89dcbc2122651701e7bbc18837f940fc9d76df48c224558ca",
}
"""sha256 of the decoded pixels of each split, (n, 784) in C order, in TFDS's order."""


class Images(NamedTuple):
    """train (60000, 784) and test (10000, 784), uint8, in TFDS's order."""

    train: np.ndarray
    test: np.ndarray


def load(mnist_dir: str | Path | None = None, report: Report | None = None) -> Images:
    """MNIST's pixels.

    A folder named by ``mnist_dir`` or else by JAXID_MNIST_DIR is checked first, and it must
    hold the four official files even where a cache exists. After that come the cache, the
    files that TFDS prepared earlier, the named folder, `drop_folder`, the network.

    Args:
      mnist_dir: folder with the four official files.
      report: called with a line of text when something takes longer than a second.

    Raises:
      InputError: if a named folder lacks a file or has a corrupt one; if there are neither
        files nor network (within 10 s); if the data folder cannot be written to.
    """
    named = named_folder(mnist_dir)
    if named is not None:
        idx.check_folder(named)
    images = cached()
    return _build(named, report or (lambda line: None)) if images is None else images


def named_folder(mnist_dir: str | Path | None = None) -> Path | None:
    """The folder that the caller or else JAXID_MNIST_DIR names, None if neither does."""
    name = mnist_dir if mnist_dir is not None else os.environ.get("JAXID_MNIST_DIR") or None
    return None if name is None else Path(name).expanduser().resolve()


def drop_folder() -> Path:
    """Where the four files are found without being named; TFDS's own place for them."""
    return folders.data_dir() / "downloads" / "manual"


def cache_file() -> Path:
    """The decoded arrays: uint8 (70000, 784), train then test."""
    return folders.data_dir() / "mnist-3.0.1.npy"


def cached() -> Images | None:
    """The arrays in the cache; None if there are none or their sha256 differs."""
    try:
        pixels = np.load(cache_file())
    except Exception:  # noqa: BLE001 - a damaged file may raise anything
        return None
    return _checked(pixels)


def _build(named: Path | None, report: Report) -> Images:
    """The arrays from TFDS, prepared by it if they are not yet; writes the cache."""
    home = folders.data_dir()
    images = _prepared_earlier(home, report)
    if images is None:
        files = named if named is not None else _dropped()
        if files is None and not network.reachable():
            raise InputError(
                f"MNIST is not here and cannot be downloaded; put {', '.join(idx.FILES)} "
                f"(from {idx.URL}) into {drop_folder()}, or name another folder that holds "
                "them with --mnist-dir or JAXID_MNIST_DIR"
            )
        with _scratch(home) as scratch:
            _prepare(scratch, files, home, report)
            report("mnist: decoding (about 5 s)")
            images = _decoded(scratch)
            if images is None:
                raise RuntimeError("TFDS prepared MNIST in another order or with other pixels")
            # Where another process was faster, its files are as good.
            with contextlib.suppress(OSError):
                (home / "mnist").mkdir(exist_ok=True)
                os.replace(scratch / "mnist" / "3.0.1", home / "mnist" / "3.0.1")
    _write_cache(images)
    return images


def _prepared_earlier(home: Path, report: Report) -> Images | None:
    """The arrays from TFDS's files in ``home``; damaged files are removed."""
    if not tfds_mnist.is_prepared(home):
        return None
    report("mnist: decoding what TFDS prepared earlier (about 5 s)")
    try:
        images = _decoded(home)
    except Exception:  # noqa: BLE001 - damaged files may raise anything
        images = None
    if images is None:
        report("mnist: TFDS's files are damaged; preparing them again")
        shutil.rmtree(home / "mnist" / "3.0.1", ignore_errors=True)
    return images


def _prepare(scratch: Path, files: Path | None, home: Path, report: Report) -> None:
    """Have TFDS prepare MNIST in ``scratch`` from checked files or, with None, the network."""
    source = "downloading the files" if files is None else f"taking the files from {files}"
    report(f"mnist: {source} and preparing them through TFDS, once (about 15 s)")
    try:
        tfds_mnist.prepare(scratch, files, home / "downloads")
    except Exception as error:
        if files is None:
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            raise InputError(
                f"the download of MNIST failed ({reason}); try again, or put "
                f"{', '.join(idx.FILES)} into {drop_folder()}"
            ) from error
        if isinstance(error, OSError):
            raise folders.not_writable(home, error) from error
        raise


def _dropped() -> Path | None:
    """`drop_folder` if one of the four files lies there; it must then hold all of them."""
    folder = drop_folder()
    if not any((folder / name).exists() for name in idx.FILES):
        return None
    idx.check_folder(folder)
    return folder


def _decoded(folder: Path) -> Images | None:
    """What TFDS prepared under ``folder``; None if its sha256 differs."""
    return _checked(np.concatenate([tfds_mnist.decode(folder, split) for split in DIGESTS]))


def _checked(pixels: np.ndarray) -> Images | None:
    if pixels.shape != (TRAIN + TEST, 784) or pixels.dtype != np.uint8:
        return None
    images = Images(pixels[:TRAIN], pixels[TRAIN:])
    digests = [idx.sha256(np.ascontiguousarray(split).data) for split in images]
    return images if digests == list(DIGESTS.values()) else None


@contextlib.contextmanager
def _scratch(home: Path) -> Iterator[Path]:
    """A folder in ``home`` for this process alone, so that two may prepare at once; what processes
    that were killed have left goes."""
    with contextlib.ExitStack() as stack:
        try:
            home.mkdir(parents=True, exist_ok=True)
            _sweep(home)
            folder = _held(home, stack)
        except OSError as error:
            raise folders.not_writable(home, error) from None
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        # TFDS waits where no loop of ours looks.
        stack.enter_context(interrupt.immediate())
        yield folder


def _held(home: Path, stack: contextlib.ExitStack) -> Path:
    """A new folder whose lock is this process's."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREPARING, dir=home))
        # Another process may have swept it away before it was locked.
        with contextlib.suppress(FileNotFoundError):
            if stack.enter_context(locked(folder / LOCK)):
                return folder


def _sweep(home: Path) -> None:
    """Remove folders and parts of a cache that nobody holds: their writers were killed."""
    for left in home.glob(f"{PREPARING}*"):
        with contextlib.suppress(OSError), locked(left / LOCK) as free:
            if free:
                shutil.rmtree(left, ignore_errors=True)
    for part in home.glob(f"{cache_file().stem}-*.part"):
        # Whose lock is free goes with it.
        with contextlib.suppress(OSError), locked(part):
            pass


def _write_cache(images: Images) -> None:
    """Write the cache under another name, then rename, so that no half of it is ever seen."""
    target = cache_file()
    part = target.with_name(f"{target.stem}-{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with locked(part), open(part, "wb") as file:
            np.save(file, np.concatenate(images))
            file.flush()
            os.fsync(file.fileno())
            os.replace(part, target)
    except OSError as error:
        raise folders.not_writable(target.parent, error) from None
