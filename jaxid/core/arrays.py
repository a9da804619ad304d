"""Named arrays in an npz file: nothing else is written, and nothing else is read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxid.core.errors import InputError


def write_arrays(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Compressed, in the order of their names, without pickles.

    Raises:
      ValueError: for an array of objects.
    """
    # In memory first: a zip file that runs out of disk tries to go on when it is thrown away.
    buffer = io.BytesIO()
    named: dict[str, np.ndarray] = {key: np.asarray(arrays[key]) for key in sorted(arrays)}
    np.savez_compressed(buffer, allow_pickle=False, **named)
    path.write_bytes(buffer.getbuffer())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """What `write_arrays` wrote.

    Raises:
      InputError: one line, for what is no such file; arrays of objects, which are pickles, are
        never read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise InputError(f"{path} holds one array, not named ones; write it again")
            return {name: file[name] for name in file.files}
    except OSError as failed:
        raise InputError(
            f"{path} can't be read ({failed.strerror or failed}); write it again"
        ) from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as failed:
        if isinstance(failed, InputError):
            raise
        reason = str(failed).splitlines()[0] if str(failed) else type(failed).__name__
        raise InputError(
            f"{path} holds no arrays that can be read ({reason}); write it again"
        ) from None
