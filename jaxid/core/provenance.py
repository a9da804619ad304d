"""Where a result comes from, saved with it: git hash, command line, versions, device, time."""

from __future__ import annotations

import datetime
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import jax
import psutil


@dataclass(frozen=True)
class Versions:
    """Of what computed it; None for what is not installed."""

    jaxid: str | None
    jax: str | None
    jaxlib: str | None
    flax: str | None
    optax: str | None
    numpy: str | None
    python: str


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from.

    Attributes:
      git: the commit of jaxid's own source; None where git does not track it.
      argv: the command line, without folders.
      versions: of the packages.
      device: platform, kind and cores.
      dtype: the arithmetic's.
      seeds: of what was trained; empty where they are not known.
      started: when, ISO 8601, UTC.
      seconds: how long it took, on a wall clock.
    """

    git: str | None
    argv: tuple[str, ...]
    versions: Versions
    device: str
    dtype: str
    seeds: tuple[int, ...]
    started: str
    seconds: float


def origin(seeds: Sequence[int], started: datetime.datetime, seconds: float) -> Provenance:
    """Where a result comes from that is made now.

    Args:
      seeds: of what was trained.
      started, seconds: when it began, and how long it took.
    """
    device = jax.devices()[0]
    return Provenance(
        git=_git_hash(),
        argv=(Path(sys.argv[0]).name, *without_folders(sys.argv[1:])),
        versions=Versions(
            jaxid=_version("jaxid"),
            jax=_version("jax"),
            jaxlib=_version("jaxlib"),
            flax=_version("flax"),
            optax=_version("optax"),
            numpy=_version("numpy"),
            python=".".join(map(str, sys.version_info[:3])),
        ),
        device=f"{device.platform}: {device.device_kind}, {psutil.cpu_count()} cores",
        dtype="float32 training, float64 curvature",
        seeds=tuple(seeds),
        started=started.isoformat(timespec="seconds"),
        seconds=seconds,
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
