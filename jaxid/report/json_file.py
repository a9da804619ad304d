"""diagnosis.json: strict JSON, numbers as numbers, and what JSON can't hold named apart.

Infinite and undefined numbers are null there; ``non_finite_values`` lists each with the path
to it and what it was, so that reading gives back what was written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxid.core.errors import InputError
from jaxid.core.manifest import read_json
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
LISTED = "non_finite_values"
REASON = "JSON has no such number"


def write_json(record: Record, folder: Path, name: str = NAME) -> Path:
    """Write the record; floats have all their digits (repr), so they read back equal."""
    plain = as_json(record)
    lost = [
        {"path": path, "value": repr(value), "reason": REASON}
        for path, value in _non_finite(plain, [])
    ]
    if lost:
        plain = {**plain, LISTED: lost}
    for entry in lost:
        _put(plain, entry["path"], None)
    path = folder / name
    path.write_text(
        json.dumps(plain, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return path


def load_json(folder: str | Path) -> Record:
    """Read what `write_json` wrote, non-finite values put back in their places.

    Raises:
      InputError: one line: no diagnosis.json, or no JSON.
    """
    path = Path(folder) / NAME
    record = read_json(path, str(folder), "name a folder that jaxid explain finished")
    try:
        for entry in record.pop(LISTED, []):
            _put(record, entry["path"], float(entry["value"]))
    except (TypeError, KeyError, IndexError, ValueError, AttributeError):
        raise InputError(f"{path}: {LISTED} names no places of it; run it again") from None
    return record


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


def as_json(value: Any) -> Any:
    """Dicts with text keys, lists, and Python's own scalars, from NumPy's and named tuples.

    Raises:
      TypeError: for anything else, by its type.
    """
    if value is None or isinstance(value, str | bool | int | float):
        # A float subclass (numpy.float64) has another repr.
        return float(value) if isinstance(value, float) else value
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return as_json(value._asdict())
    if isinstance(value, np.generic | np.ndarray):
        return as_json(value.tolist())
    if isinstance(value, Sequence):
        return [as_json(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a diagnosis can't hold a {type(value).__name__}")


def _non_finite(value: Any, path: list[str | int]) -> Iterator[tuple[list[str | int], float]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _non_finite(item, [*path, key])
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _non_finite(item, [*path, place])


def _put(record: Any, path: Sequence[str | int], value: float | None) -> None:
    for step in path[:-1]:
        record = record[step]
    record[path[-1]] = value
