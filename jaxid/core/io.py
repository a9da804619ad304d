"""Results to files and back: strict JSON for numbers, an npz for arrays, both from the type.

A result is a frozen dataclass whose fields are numbers, texts, enumerations, arrays, other such
dataclasses, and tuples or mappings of these. Its JSON has the fields' names; an array stands there
as ``{"array": NAME}``, and under NAME, its path, in the npz. Infinite and undefined numbers are
null; ``non_finite_values`` lists each with its path and what it was, so that reading gives back
what was written. A class may have a number ``SCHEMA``, which is written and must be the same when
it is read.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from jaxid.core.arrays import read_arrays, write_arrays
from jaxid.core.errors import InputError
from jaxid.core.manifest import read_json, verify

T = TypeVar("T")
Arrays = dict[str, np.ndarray]

LISTED = "non_finite_values"
REASON = "JSON has no such number"


def encode(result: Any) -> tuple[dict[str, Any], Arrays]:
    """(JSON values, arrays by their paths) of a dataclass.

    Raises:
      TypeError: for a value that is none of what results hold, by its type.
    """
    arrays: Arrays = {}
    values = _encoded(result, "", arrays)
    schema = getattr(result, "SCHEMA", None)
    return ({} if schema is None else {"schema": schema}) | values, arrays


def decode(kind: type[T], values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> T:
    """The result of that type whose `encode` gave these.

    Raises:
      InputError: one line, with the place, for values of other types, fields that are missing, and
        another schema.
    """
    values = dict(values)
    expected, found = getattr(kind, "SCHEMA", None), values.pop("schema", None)
    if found != expected:
        raise InputError(f"it has schema {found!r} and this version reads {expected}")

    def hook(wanted: type, value: Any) -> Any:
        if wanted is not np.ndarray:
            raise TypeError(f"a result holds no {wanted.__name__}")
        name = value.get("array") if isinstance(value, Mapping) else None
        if not isinstance(name, str) or name not in arrays:
            raise ValueError(f"an array that is not there, {name!r}")
        return arrays[name]

    try:
        return msgspec.convert(values, kind, dec_hook=hook)
    except (msgspec.ValidationError, RecursionError) as failed:
        raise InputError(str(failed)) from None


def write(result: Any, folder: Path, stem: str, beside: str | None = None) -> None:
    """``folder``/STEM.json and ``folder``/BESIDE.npz, STEM.npz if that is not given."""
    values, arrays = encode(result)
    write_values(values, folder / f"{stem}.json")
    write_arrays(arrays, folder / f"{beside or stem}.npz")


def read(kind: type[T], folder: Path, stem: str, fix: str, beside: str | None = None) -> T:
    """What `write` wrote, if it is still that.

    Args:
      kind: the result's type.
      folder, stem, beside: as written; with a manifest.
      fix: what to do where it can't be read, for the message.

    Raises:
      InputError: one line.
    """
    npz = f"{beside or stem}.npz"
    verify(folder, [f"{stem}.json", npz])
    path = folder / f"{stem}.json"
    values, arrays = read_values(path, str(folder), fix), read_arrays(folder / npz)
    try:
        return decode(kind, values, arrays)
    except InputError as failed:
        raise InputError(f"{path}: {failed}; {fix}") from None


def write_values(values: Mapping[str, Any], path: Path) -> None:
    """JSON values as strict JSON; floats have all their digits, so they read back equal."""
    plain = as_json(values)
    lost = [
        {"path": at, "value": repr(value), "reason": REASON} for at, value in _non_finite(plain, [])
    ]
    if lost:
        plain = {**plain, LISTED: lost}
    for entry in lost:
        _put(plain, entry["path"], None)
    text = json.dumps(plain, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def read_values(path: Path, named: str, fix: str) -> dict[str, Any]:
    """What `write_values` wrote, non-finite numbers in their places.

    Args:
      path, named, fix: as in `jaxid.core.manifest.read_json`.

    Raises:
      InputError: one line.
    """
    values = read_json(path, named, fix)
    try:
        for entry in values.pop(LISTED, []):
            _put(values, entry["path"], float(entry["value"]))
    except (TypeError, KeyError, IndexError, ValueError, AttributeError):
        raise InputError(f"{path}: {LISTED} names no places of it; {fix}") from None
    return values


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
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, np.generic | np.ndarray):
        return as_json(value.tolist())
    if isinstance(value, Sequence):
        return [as_json(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a result can't hold a {type(value).__name__}")


def _encoded(value: Any, path: str, arrays: Arrays) -> Any:
    """JSON values; arrays go where they are gathered."""

    def inner(key: Any, item: Any) -> Any:
        return _encoded(item, f"{path}/{key}" if path else str(key), arrays)

    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {"array": path}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: inner(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): inner(key, item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [inner(place, item) for place, item in enumerate(value)]
    return msgspec.to_builtins(value, enc_hook=_scalar)


def _scalar(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a result can't hold a {type(value).__name__}")


def _non_finite(value: Any, path: list[str | int]) -> Iterator[tuple[list[str | int], float]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _non_finite(item, [*path, key])
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _non_finite(item, [*path, place])


def _put(values: Any, path: Sequence[str | int], value: float | None) -> None:
    for step in path[:-1]:
        values = values[step]
    values[path[-1]] = value
