"""diagnosis.json: what the identity problem's record is on disk."""

from __future__ import annotations

from pathlib import Path

from jaxid.core.errors import InputError
from jaxid.core.io import read_values, write_values
from jaxid.report.content import Record

NAME = "diagnosis.json"
SCHEMA = 1
TYPES: dict[str, type] = {
    "problem": dict, "provenance": dict, "final": dict, "verdict": list, "budget": dict,
    "conditioning": dict, "points": list, "trials": list, "findings": list, "prescriptions": list,
    "non_finite": list, "dead": dict, "certificate": dict, "prediction": dict, "mape": dict,
    "first_step": dict, "interrupted": str, "well_posed": dict, "representation": dict,
}  # fmt: skip
"""What the parts of a diagnosis are, where they are there."""
NEEDED = {"problem", "final", "verdict"}


def write_json(record: Record, folder: Path, name: str = NAME) -> Path:
    """Write the record; floats have all their digits (repr), so they read back equal."""
    write_values(record, folder / name)
    return folder / name


def load_json(folder: str | Path) -> Record:
    """Read what `write_json` wrote, non-finite values put back in their places.

    Raises:
      InputError: one line: no diagnosis.json, or no JSON.
    """
    path = Path(folder) / NAME
    return read_values(path, str(folder), "name a folder that jaxid explain finished")


def check_record(record: Record, path: Path) -> None:
    """See that a record that was read is a diagnosis of this version.

    Args:
      record: from `load_json`.
      path: where it was read, for messages.

    Raises:
      InputError: one line, for another schema, a part that is missing, or one of another type.
    """
    if record.get("schema") != SCHEMA:
        raise InputError(
            f"{path} has schema {record.get('schema')!r} and this version reads {SCHEMA}; run "
            "jaxid explain again"
        )
    for key, kind in TYPES.items():
        value = record.get(key)
        if value is None and key in NEEDED:
            raise InputError(f"{path} has no {key}; run jaxid explain again")
        if value is not None and not isinstance(value, kind):
            raise InputError(
                f"{path}: {key} is a {type(value).__name__} and should be a {kind.__name__}; run "
                "jaxid explain again"
            )
