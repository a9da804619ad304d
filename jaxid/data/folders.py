"""The one folder that jaxid keeps data in between runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from jaxid.core.errors import InputError


def data_dir() -> Path:
    """The folder for prepared data; it need not exist yet.

    JAXID_DATA_DIR if set and not empty; else the platform's cache folder: ``jaxid`` under
    $XDG_CACHE_HOME or ~/.cache, ~/Library/Caches on macOS, %LOCALAPPDATA% on Windows.

    Raises:
      InputError: if the home folder is not known either.
    """
    if named := os.environ.get("JAXID_DATA_DIR"):
        return Path(named).expanduser().resolve()
    # Relative values are invalid by the XDG base directory specification and are ignored.
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if cache.is_absolute():
        return cache / "jaxid"
    try:
        home = Path.home()
    except RuntimeError:
        raise InputError(
            "the home folder is not known; set JAXID_DATA_DIR to a folder for data"
        ) from None
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "jaxid"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "jaxid"
    return home / ".cache" / "jaxid"


def not_writable(folder: Path, error: OSError) -> InputError:
    """The error for a data folder that nothing can be written to."""
    why = (error.strerror or str(error) or type(error).__name__).splitlines()[0]
    return InputError(
        f"cannot write data to {folder} ({why}); set JAXID_DATA_DIR to a folder with 300 MB free"
    )
