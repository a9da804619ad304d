"""Results to JSON and npz and back: what was written is what is read, or one line says why not."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import ClassVar, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxid.core import io
from jaxid.core.errors import InputError
from jaxid.core.folder import claimed
from jaxid.core.types import Estimate


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass(frozen=True)
class Part:
    values: np.ndarray
    maybe: np.ndarray | None
    found: Estimate


@dataclasses.dataclass(frozen=True)
class Whole:
    SCHEMA: ClassVar[int] = 7

    colour: Colour
    parts: tuple[Part, ...]
    by_name: dict[str, float | None]
    kind: Literal["one", "two"]
    ends: tuple[float, float] | None
    count: int
    best: Part | None = None


def whole(number: float = 1.5) -> Whole:
    part = Part(np.arange(3, dtype=np.uint8), None, Estimate(number, None, True, "made"))
    other = dataclasses.replace(part, maybe=np.array([[np.nan, 1.0]]))
    return Whole(Colour.BLUE, (part, other), {"a": np.float64(number), "b": None}, "one",
                 (0.0, np.inf), 3, part)  # fmt: skip


def equal(a, b) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(
            equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a)
        )
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b or (a != a and b != b)


@given(st.floats(allow_nan=False))
def test_what_is_encoded_decodes_to_the_same(number):
    assert equal(io.decode(Whole, *io.encode(whole(number))), whole(number))


def test_a_folder_gives_back_what_was_written_and_strict_json(tmp_path):
    with claimed(tmp_path / "out", overwrite=False) as out, out.adding("it") as stage:
        io.write(whole(), stage, "whole")
    assert equal(io.read(Whole, tmp_path / "out", "whole", "again"), whole())

    def refuse(name):
        raise AssertionError(name)

    text = (tmp_path / "out" / "whole.json").read_text()
    values = json.loads(text, parse_constant=refuse)
    assert values["schema"] == 7 and values["ends"] == [0.0, None]
    (lost,) = values[io.LISTED]
    assert (lost["path"], lost["value"]) == (["ends", 1], "inf") and lost["reason"]


def test_arrays_are_named_by_their_paths():
    values, arrays = io.encode(whole())
    assert set(arrays) == {"parts/0/values", "parts/1/values", "parts/1/maybe", "best/values"}
    assert values["parts"][1]["maybe"] == {"array": "parts/1/maybe"}
    assert values["colour"] == "blue"


WRONG = {
    "schema": ({"schema": 8}, "schema 8 and this version reads 7"),
    "no schema": ({"schema": None}, "schema None"),
    "text for a number": ({"count": "3"}, "count"),
    "a fraction for a count": ({"count": 2.5}, "count"),
    "another word": ({"kind": "three"}, "kind"),
    "another colour": ({"colour": "green"}, "colour"),
    "a list that is too long": ({"ends": [1, 2, 3]}, "ends"),
    "an array of no file": ({"best": {"values": {"array": "q"}}}, "best.values"),
    "numbers for an array": ({"best": {"values": [1, 2]}}, "best.values"),
    "null for parts": ({"parts": None}, "parts"),
    "a part that is a list": ({"parts": [[1]]}, "parts"),
}


@pytest.mark.parametrize("change, said", WRONG.values(), ids=WRONG)
def test_what_is_no_result_is_refused_with_its_place(change, said):
    values, arrays = io.encode(whole())
    with pytest.raises(InputError) as refused:
        io.decode(Whole, values | change, arrays)
    assert said in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Whole)][:-1])
def test_a_field_that_is_missing_is_named(name):
    values, arrays = io.encode(whole())
    del values[name]
    with pytest.raises(InputError, match=name):
        io.decode(Whole, values, arrays)


def test_what_results_do_not_hold_is_refused_by_its_type():
    with pytest.raises(TypeError, match="function"):
        io.encode(dataclasses.replace(whole(), by_name={"a": test_arrays_are_named_by_their_paths}))
