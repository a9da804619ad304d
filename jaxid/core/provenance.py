"""Where a result comes from, saved with it: git hash, command line, versions, device, time."""

from __future__ import annotations

import datetime
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib import metadata
from pathlib import Path

import jax
import psutil


@dataclass(frozen=True)
class Versions:
    """Of the packages that the numbers depend on; None for one that is not installed."""

    jaxid: str | None
    jax: str | None
    jaxlib: str | None
    flax: str | None
    optax: str | None
    numpy: str | None
    matfree: str | None
    python: str


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from.

    Attributes:
      git: the commit of the package's source; None where git does not track it.
      argv: the command line, folders cut to their last part.
      versions: of the packages.
      device: platform, kind and cores.
      dtype: what is computed in which precision.
      seeds: in their order.
      started: ISO 8601, UTC.
      seconds: wall time.
    """

    git: str | None
    argv: tuple[str, ...]
    versions: Versions
    device: str
    dtype: str
    seeds: tuple[int, ...]
    started: str
    seconds: float


def provenance(seeds: Sequence[int], started: datetime.datetime, seconds: float) -> Provenance:
    """Where a result comes from: git hash, command line, versions, device, time."""
    device = jax.devices()[0]
    packages = {f.name: _version(f.name) for f in fields(Versions) if f.name != "python"}
    return Provenance(
        _git_hash(),
        (Path(sys.argv[0]).name, *without_folders(sys.argv[1:])),
        Versions(**packages, python=".".join(map(str, sys.version_info[:3]))),
        f"{device.platform}: {device.device_kind}, {psutil.cpu_count()} cores",
        "float32 training, float64 curvature",
        tuple(seeds),
        started.isoformat(timespec="seconds"),
        seconds,
    )


def without_folders(words: Sequence[str]) -> list[str]:
    """A command line with absolute paths cut to their last part: results travel, and whose
    machine they were made on is nobody's concern."""
    found = []
    for word in words:
        flag, equals, value = word.rpartition("=")
        found.append(flag + equals + (Path(value).name if Path(value).is_absolute() else value))
    return found


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git_hash() -> str | None:
    """The commit that the package's own source is at; None where git does not track it.

    An environment may lie inside another project's checkout, whose commit says nothing here.
    """
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    return _git("describe", "--always", "--dirty", "--abbrev=12") or None


def _git(*words: str) -> str | None:
    """What git prints in the package's folder; None if it fails or is not there."""
    folder = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
