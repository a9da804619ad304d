"""Golden records: what counts as a difference between two records, on made-up ones."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "bench" / "golden.py"


@pytest.fixture(scope="module")
def golden() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)
        spec = importlib.util.spec_from_file_location("script_golden", SCRIPT)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        yield module


def record() -> dict[str, Any]:
    return {
        "schema": 1,
        "answer": "exact",
        "converged": True,
        "absent": None,
        "kappa": {"value": 2.0e6, "error": 1.0e-7},
        "final": {
            "train_loss": {"mean": 2.5, "per_seed": [2.0, 3.0]},
            "test_mape": {"mean": 1.0e8},
        },
        "items": [{"cause": "locked", "loss": 1.0}, {"cause": "noise", "loss": 0.5}],
        "shares": [1.0e3, 1.0e-10],
        "provenance": {"git": "abc", "seconds": 1.5},
        "predicted_seconds": 20.0,
    }


def arrays() -> dict[str, np.ndarray]:
    return {
        "loss/train": np.array([[3.0, 2.0], [3.5, 2.5]], np.float32),
        "loss/predicted": np.array([3.0, 2.0]),
        "census/dead": np.array([1, 2, 3]),
        "network['layers'][0]['bias']": np.array([0.5, 0.25], np.float32),
        "floor": np.array(0.1),
    }


def changed(path: str, value: Any) -> dict[str, Any]:
    """The record with one value replaced; keys and indices by dots."""
    new = record()
    *way, last = [int(word) if word.isdigit() else word for word in path.split(".")]
    inside: Any = new
    for key in way:
        inside = inside[key]
    inside[last] = value
    return new


def lines(golden: ModuleType, base: Any, new: Any, **more: Any) -> list[str]:
    return [str(found) for found in golden.compare(base, new, **more).differences]


def test_equal_records_and_arrays_are_the_same(golden: ModuleType) -> None:
    assert golden.compare(record(), record()) == golden.Comparison([], [])
    assert golden.compare(arrays(), arrays()) == golden.Comparison([], [])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("final.test_mape.mean", 1.0e8 * (1 + 0.9e-5)),
        ("items.1.loss", 0.5 * (1 - 0.9e-5)),
        ("kappa.error", 2.0e-7),  # rounding of 2e6
        ("shares.1", 9.0e-10),  # rounding of 1e3
        ("provenance", {"git": "def"}),
        ("provenance.seconds", 9.0),
        ("predicted_seconds", 21.0),
    ],
)
def test_rounding_origin_and_times_are_no_difference(
    golden: ModuleType, path: str, value: Any
) -> None:
    assert lines(golden, record(), changed(path, value)) == []


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("schema", 2, "schema: 1 -> 2"),
        ("schema", 1.0, "schema: 1 -> 1.0"),
        ("schema", True, "schema: 1 -> true"),
        ("answer", "open", 'answer: "exact" -> "open"'),
        ("converged", False, "converged: true -> false"),
        ("absent", 0.0, "absent: null -> 0.0"),
        ("absent", {"value": 1.0}, "absent: null -> an object"),
        ("kappa", None, "kappa: an object -> null"),
        ("kappa.value", None, "kappa.value: 2000000.0 -> null"),
        ("kappa.error", 4.0e-6, "kappa.error: 1e-07 -> 4e-06"),
        ("items.0.loss", 1.00002, "items[0].loss: 1.0 -> 1.00002"),
        ("items.0.cause", "dead", 'items[0].cause: "locked" -> "dead"'),
        ("items", [], "items: a list of 2 -> a list of 0"),
        ("shares.1", 2.0e-9, "shares[1]: 1e-10 -> 2e-09"),
        ("kappa.value", float("nan"), "kappa.value: 2000000.0 -> NaN"),
        ("kappa.value", float("inf"), "kappa.value: 2000000.0 -> Infinity"),
    ],
)
def test_anything_else_is_one_difference_with_both_values(
    golden: ModuleType, path: str, value: Any, line: str
) -> None:
    assert lines(golden, record(), changed(path, value)) == [line]


def test_not_a_number_equals_itself(golden: ModuleType) -> None:
    for value in (float("nan"), float("inf")):
        assert lines(golden, {"a": value}, {"a": value}) == []
        assert lines(golden, {"a": np.array([value])}, {"a": np.array([value])}) == []
    assert lines(golden, {"a": float("inf")}, {"a": -float("inf")}) == ["a: Infinity -> -Infinity"]


def test_a_missing_key_is_a_difference_and_an_added_one_is_not(golden: ModuleType) -> None:
    short = record()
    del short["kappa"]
    assert lines(golden, record(), short) == ["kappa: an object -> missing"]
    done = golden.compare(short, record())
    assert (done.differences, done.added) == ([], ["kappa"])


def test_a_renamed_key_is_neither(golden: ModuleType) -> None:
    new = record()
    new["condition"] = new.pop("kappa")
    for item in new["items"]:
        item["gap"] = item.pop("loss")
    names = {"kappa": "condition", "items[*].loss": "items[*].gap"}
    assert golden.compare(record(), new, names) == golden.Comparison([], [])
    new["items"][1]["gap"] = 0.75
    assert lines(golden, record(), new, names=names) == ["items[1].gap: 0.5 -> 0.75"]
    moved = arrays()
    moved["losses/train"] = moved.pop("loss/train")
    done = golden.compare(arrays(), moved, {"loss/train": "losses/train"})
    assert done == golden.Comparison([], [])
    # Of two commands' records that have a path of that name, one may have stayed.
    assert golden.compare(record(), record(), names) == golden.Comparison([], [])


def test_an_array_that_a_record_names_is_its_list(golden: ModuleType, tmp_path: Path) -> None:
    moved = {**record(), "shares": {"array": "shares"}}
    listed = {**arrays(), "shares": np.array(record()["shares"])}
    base, new = (
        write(tmp_path / name, values, named)
        for name, values, named in (("a", record(), arrays()), ("b", moved, listed))
    )
    files = [folder / "diagnosis.npz" for folder in (base, new)]
    for folder, file in zip((base, new), files, strict=True):
        (folder / "arrays.npz").rename(file)
    assert golden.compare_runs(base, new) == golden.Comparison([], ["diagnosis.npz shares"])


def test_a_sentence_may_become_its_word_and_no_other(
    golden: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"items[*].cause": {"locked": "zero_gradient", "noise": "optimizer_noise"}}
    monkeypatch.setattr(golden, "WORDS", words)
    new = changed("items.0.cause", "zero_gradient")
    assert lines(golden, record(), new) == ['items[1].cause: "optimizer_noise" -> "noise"']
    new["items"][1]["cause"] = "optimizer_noise"
    assert golden.compare(record(), new) == golden.Comparison([], [])


def test_what_is_gone_for_a_reason_is_not_compared(golden: ModuleType) -> None:
    old = record() | {"verdict": ["a", "b"], "points": [{"why": "so", "kind": "saddle"}]}
    new = record() | {"points": [{"kind": "saddle"}]}
    assert golden.compare(old, new) == golden.Comparison([], [])
    new["points"][0]["kind"] = "plateau"
    assert lines(golden, old, new) == ['points[0].kind: "saddle" -> "plateau"']
    assert all(golden.GONE.values())


def test_trajectories_are_equal_to_the_last_bit(golden: ModuleType) -> None:
    (found,) = golden.compare(
        record(), changed("final.train_loss.per_seed.1", np.nextafter(3.0, 4.0).item())
    ).differences
    assert found.path == "final.train_loss.per_seed[1]" and found.rounding
    for name in ("loss/train", "network['layers'][0]['bias']"):
        new = arrays()
        at = (1,) * new[name].ndim
        new[name][at] = np.nextafter(new[name][at], np.float32(9))
        done = golden.compare(arrays(), new)
        assert [found.rounding for found in done.differences] == [True]
        assert golden.verdict(done) == "1 difference, all of them rounding in training"
        new[name][at] += 0.5
        done = golden.compare(arrays(), new)
        assert [found.rounding for found in done.differences] == [False]
        assert golden.verdict(done) == "1 difference"


def test_an_array_is_one_difference_at_its_worst_element(golden: ModuleType) -> None:
    new = arrays()
    new["loss/train"] = new["loss/train"] + np.array([[0.0, 0.25], [0.0, 0.5]], np.float32)
    worst = "loss/train[1, 1]: 2.5 -> 3.0 (2 of 4 elements, training)"
    assert lines(golden, arrays(), new) == [worst]
    new = arrays()
    new["loss/predicted"] = new["loss/predicted"] * (1 + 1e-6)
    assert lines(golden, arrays(), new) == []
    new["census/dead"] = np.array([1, 2, 4])
    new["floor"] = np.array(0.2)
    assert lines(golden, arrays(), new) == [
        "census/dead[2]: 3 -> 4 (1 of 3 elements)",
        "floor: 0.1 -> 0.2",
    ]


def test_arrays_of_other_shapes_or_types_differ(golden: ModuleType) -> None:
    for value, text in ((np.array([3.0]), "float64 (1,)"), (np.array([3, 2]), "int64 (2,)")):
        line = f"loss/predicted: an array, float64 (2,) -> an array, {text}"
        assert lines(golden, arrays(), arrays() | {"loss/predicted": value}) == [line]


def write(folder: Path, values: dict[str, Any], named: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    (folder / "diagnosis.json").write_text(json.dumps(values))
    np.savez_compressed(folder / "arrays.npz", **named)
    return folder


def test_runs_are_compared_file_by_file(golden: ModuleType, tmp_path: Path) -> None:
    base = write(tmp_path / "base", record(), arrays())
    new = write(tmp_path / "new", changed("schema", 2), arrays() | {"more": np.zeros(2)})
    done = golden.compare_runs(base, new)
    assert [str(found) for found in done.differences] == ["diagnosis.json schema: 1 -> 2"]
    assert done.added == ["arrays.npz more"]
    (new / "arrays.npz").unlink()
    found = golden.compare_runs(base, new).differences[0]
    assert str(found) == "arrays.npz: a file -> missing"


@pytest.fixture
def repository(
    golden: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A repository whose jaxid holds nothing, in the place of this one."""
    root = tmp_path / "repository"
    (root / "jaxid").mkdir(parents=True)
    (root / "jaxid" / "__init__.py").write_text("")
    user = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    commands = (("init", "-q"), ("add", "."), (*user, "commit", "-q", "-m", "one"))
    for words in commands:
        subprocess.run(["git", "-C", str(root), *words], check=True)
    monkeypatch.setattr(golden, "ROOT", root)
    yield root
    assert golden.git("worktree", "list").count("\n") == 0


@pytest.mark.parametrize("schema", [1, 2])
def test_the_exit_code_tells_whether_anything_differs(
    golden: ModuleType,
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    schema: int,
) -> None:
    def fake(side: Any, name: str) -> tuple[Path, str]:
        assert (side.code / "jaxid" / "__init__.py").is_file() and side.code != repository
        values = record() if side.name == "base" else changed("schema", schema)
        return write(side.runs / side.name / name, values, arrays()), ""

    monkeypatch.setattr(golden.Side, "run", fake)
    out, keep = tmp_path / "out.json", tmp_path / "keep"
    flags = ["--only", "explain-1", "spectrum", "--out", str(out), "--keep", str(keep)]
    assert golden.main(flags) == schema - 1
    said = capsys.readouterr().out
    assert said.startswith("explain-1    same" if schema == 1 else "explain-1    1 difference,")
    assert said.count("diagnosis.json schema: 1 -> 2") == 2 * (schema - 1)
    rows = json.loads(out.read_text())["rows"]
    assert [len(row["differences"]) for row in rows] == 2 * [schema - 1]
    assert (keep / "tree" / "spectrum" / "arrays.npz").is_file()


def test_a_command_that_fails_is_wrong_input_for_the_base_and_a_difference_for_the_tree(
    golden: ModuleType,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for broken, code in (("base", 2), ("tree", 1)):
        monkeypatch.setattr(
            golden.Side,
            "run",
            lambda side, _, broken=broken: (side.runs, "why" if side.name == broken else ""),
        )
        assert golden.main(["--only", "explain-1"]) == code
        out, err = capsys.readouterr()
        assert "why" in (err if broken == "base" else out)
        assert err.count("\n") == (broken == "base")


def test_code_that_is_not_the_code_meant_is_refused(golden: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(golden.InputError, match=r"jaxid of the base (is imported from|can't)"):
        golden.Side("base", tmp_path, tmp_path, tmp_path).check()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--base", "no-such-commit"], "--base no-such-commit is no commit"),
        (["--only", "nothing"], "--only nothing is no command"),
        (["--tree", "nowhere"], "--tree nowhere holds no jaxid"),
        (["--keep", str(SCRIPT.parent)], "is not empty"),
        (["--keep", str(SCRIPT)], "is a file"),
    ],
)
def test_wrong_flags_are_one_line(
    golden: ModuleType, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    assert golden.main(flags) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
