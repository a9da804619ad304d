"""The list that makes a folder of results valid: each file with its SHA-256, written last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxid.core.errors import InputError

NAME = "manifest.json"
SCHEMA = 1


class Manifest(NamedTuple):
    """What a folder holds.

    Attributes:
      files: SHA-256 in hexadecimal, by the path within the folder, with slashes.
      finished: whether everything that was to be written is.
    """

    files: dict[str, str]
    finished: bool

    def text(self) -> str:
        """As JSON."""
        rows = {name: {"sha256": self.files[name]} for name in sorted(self.files)}
        record = {"schema": SCHEMA, "finished": self.finished, "files": rows}
        return json.dumps(record, indent=1) + "\n"


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(files: Mapping[str, str]) -> str:
    """One SHA-256 of several files: of their names and hashes, in order of the names."""
    lines = "".join(f"{name} {files[name]}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def hashes(folder: Path, below: Path) -> dict[str, str]:
    """Of every file below ``below``, by its path within ``folder``."""
    return {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in sorted(below.rglob("*"))
        if path.is_file()
    }


def read_manifest(folder: Path, name: str = NAME) -> Manifest:
    """The folder's list.

    Args:
      folder: where it lies.
      name: of its file.

    Raises:
      InputError: one line, if there is none or it can't be one.
    """
    fix = "it is no folder that jaxid finished: run it again, or name another"
    record = read_json(folder / name, str(folder), fix)
    files = record.get("files")
    if not isinstance(files, dict) or record.get("schema") != SCHEMA:
        raise InputError(f"{folder / name} is no list of this version's; write the folder again")
    found = {
        name: row["sha256"]
        for name, row in files.items()
        if isinstance(row, dict) and isinstance(row.get("sha256"), str)
    }
    return Manifest(found, record.get("finished") is True)


def verify(folder: Path, names: Iterable[str]) -> Manifest:
    """See that these files are those that were written together.

    Args:
      folder: with a manifest.
      names: files, or folders of files, that are about to be read.

    Raises:
      InputError: one line, for the first that is missing or has changed.
    """
    manifest = read_manifest(folder)
    for name in names:
        for path in (folder / name).rglob("*") if (folder / name).is_dir() else ():
            own = path.relative_to(folder).as_posix()
            if not path.is_dir() and own not in manifest.files:
                raise InputError(f"{path} was not written with the others; write the folder again")
        listed = [n for n in manifest.files if n == name or n.startswith(f"{name}/")]
        if not listed:
            raise InputError(f"{folder} holds no {name}; name a folder that was written with one")
        for file in listed:
            try:
                now = sha256(folder / file)
            except (OSError, ValueError) as failed:
                why = failed.strerror if isinstance(failed, OSError) else failed
                raise InputError(
                    f"{folder / file} can't be read ({why}); write the folder again"
                ) from None
            if now != manifest.files[file]:
                raise InputError(
                    f"{folder / file} is not what was written (its SHA-256 is another); write the "
                    "folder again"
                )
    return manifest


def read_json(path: Path, named: str, fix: str) -> dict[str, Any]:
    """A JSON object from a file.

    Args:
      path: of the file.
      named: the folder, as the user named it, for the message.
      fix: what to do where there is none, for the message.

    Raises:
      InputError: one line, with what is wrong.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{named}: {path.name} is no file; {fix}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{named} holds no {path.name}; {fix}") from None
    except OSError as failed:
        raise InputError(f"{named}: {path.name} can't be read ({failed.strerror}); {fix}") from None
    except (ValueError, RecursionError) as failed:
        deep = isinstance(failed, RecursionError)
        reason = "nested too deep" if deep else str(failed).splitlines()[0]
        raise InputError(f"{named}: {path.name} is no JSON ({reason}); {fix}") from None
    if not isinstance(found, dict):
        kind = type(found).__name__
        raise InputError(f"{named}: {path.name} holds a {kind}, not an object; {fix}")
    return found
