"""diagnosis.json: strict, exact, and back again."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxid.core.io import as_json, decode, encode, read_values, write, write_values
from jaxid.identity.diagnosis import Diagnosis


def strict(folder: Path) -> dict:
    """The file by a reader that accepts JSON only."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads((folder / "diagnosis.json").read_text(), parse_constant=refuse)


def test_every_diagnosis_is_strict_json_and_reads_back_equal(case, tmp_path):
    _, diagnosis = case
    write(diagnosis, tmp_path, "diagnosis")
    strict(tmp_path)
    values, arrays = encode(diagnosis)
    path = tmp_path / "diagnosis.json"
    back = decode(Diagnosis, read_values(path, "it", "fix it"), arrays)
    assert encode(back)[0] == values


def test_what_json_cannot_hold_is_null_and_listed_with_its_reason(tmp_path):
    path = tmp_path / "diagnosis.json"
    write_values({"a": [1.0, math.inf], "b": {"c": math.nan}, "d": -math.inf}, path)
    found = strict(tmp_path)
    assert found["a"] == [1.0, None] and found["b"]["c"] is None and found["d"] is None
    listed = {tuple(entry["path"]): entry["value"] for entry in found["non_finite_values"]}
    assert listed == {("a", 1): "inf", ("b", "c"): "nan", ("d",): "-inf"}
    assert all(entry["reason"] for entry in found["non_finite_values"])
    back = read_values(path, "it", "fix it")
    assert back["a"][1] == math.inf and back["d"] == -math.inf and math.isnan(back["b"]["c"])
    assert "non_finite_values" not in back


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_every_bit(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("bits")
    write_values({"x": np.float64(value)}, folder / "diagnosis.json")
    assert strict(folder)["x"] == value


class Pair(NamedTuple):
    value: float
    path: Path


def test_numpy_and_named_tuples_become_plain():
    found = as_json({"a": np.arange(2), "b": Pair(np.float32(0.5), Path("x")), "c": (np.True_,)})
    assert found == {"a": [0, 1], "b": {"value": 0.5, "path": "x"}, "c": [True]}


def test_what_is_no_data_is_refused():
    with pytest.raises(TypeError, match="can't hold a set"):
        as_json({"a": {1, 2}})
