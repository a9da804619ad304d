"""Every script runs: found by glob, run with --quick, its files and its head examined.

Most run in this process: a new one spends three seconds on imports. A few run in their own,
as a person runs them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jaxid.identity.spec import IdentitySpec

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(path for path in (ROOT / "scripts").glob("*.py") if path.stem != "common")
BENCHES = sorted(
    path
    for path in (ROOT / "scripts" / "bench").glob("*.py")
    if path.stem != "benchmark" and not path.stem.endswith("worker")
)
ALONE = SCRIPTS[::6]
"""Those that run in a process of their own."""
HEAD = ("Claim:", "Command:", "Expected:", "Runtime:")


def run(script: Path, *flags: str | Path) -> subprocess.CompletedProcess[str]:
    """The script in a process of its own, as a person runs it, without MNIST."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    environment.pop("JAXID_MNIST_DIR", None)
    return subprocess.run(
        [sys.executable, str(script), *map(str, flags)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=300,
        check=False,
    )


@pytest.fixture
def inside(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The same in this process."""

    def run_inside(script: Path, *flags: str | Path) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(ROOT)
        monkeypatch.delenv("JAXID_MNIST_DIR", raising=False)
        monkeypatch.syspath_prepend(script.parent)
        spec = importlib.util.spec_from_file_location(f"script_{script.stem}", script)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # Flags are read from annotations, which are looked up in the module by its name.
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        arguments = [*map(str, flags)]
        code = module.main(arguments)
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return run_inside


def strict_json(path: Path) -> dict[str, Any]:
    """The JSON, refusing NaN and Infinity, which Python reads by default."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{path.name} holds {constant}")

    record: dict[str, Any] = json.loads(path.read_text(), parse_constant=refuse)
    return record


def figures() -> dict[str, str]:
    """Every file under figures/ with its sha256."""
    folder = ROOT / "figures"
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def identifier(path: Path) -> str:
    """A test's name."""
    return path.stem


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 4 and len(BENCHES) >= 2


# Two kinds of record and figure; the others are of the long sweep.
SHORT = ("uat_interval",)
RUNS = [s if s.stem in SHORT else pytest.param(s, marks=pytest.mark.slow) for s in SCRIPTS]


@pytest.mark.parametrize("script", RUNS, ids=identifier)
def test_a_quick_run_writes_its_three_files_and_nothing_into_figures(
    script: Path, tmp_path: Path, inside: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    before = figures()
    done = (run if script in ALONE else inside)(script, "--quick", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert figures() == before
    names = {f"{script.stem}.{kind}" for kind in ("json", "png", "svg")}
    assert {path.name for path in tmp_path.iterdir()} == names
    record = strict_json(tmp_path / f"{script.stem}.json")
    assert record["quick"] is True
    assert record["command"].startswith(f"python scripts/{script.name} --quick")
    assert record["finding"] in done.stdout
    assert record["seeds"] == record["provenance"]["seeds"] != []
    assert record["provenance"]["seconds"] > 0
    assert record["provenance"]["versions"]["jax"]
    assert (tmp_path / f"{script.stem}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert "<svg" in (tmp_path / f"{script.stem}.svg").read_text()


@pytest.mark.parametrize("script", [*SCRIPTS, *BENCHES], ids=identifier)
def test_the_head_states_claim_command_expectation_and_runtime(script: Path) -> None:
    source = script.read_text()
    head = source.split('"""')[1]
    places = [head.find(f"\n{word}") for word in HEAD]
    assert -1 not in places, f"{script.name} states {[w for w in HEAD if w not in head]} nowhere"
    assert places == sorted(places)
    assert str(script.relative_to(ROOT)) in head
    assert source.endswith('\nif __name__ == "__main__":\n    raise SystemExit(main())\n')


@pytest.mark.parametrize("script", SCRIPTS[:1], ids=identifier)
def test_a_quick_run_refuses_the_figures_folder(script: Path) -> None:
    before = figures()
    done = run(script, "--quick", "--out", ROOT / "figures" / "inside")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "figures" in done.stderr
    assert figures() == before and not (ROOT / "figures" / "inside").exists()


@pytest.mark.parametrize("script", [*SCRIPTS, *BENCHES], ids=identifier)
def test_wrong_input_is_one_line_and_exit_code_2(
    script: Path, inside: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = inside(script, "--nonsense")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "--nonsense" in done.stderr


def diagnosis(folder: Path, depth: int, losses: list[float], **changed: Any) -> Path:
    """A folder like that of a finished `jaxid explain`, as far as seed_experiment reads it."""
    spec = IdentitySpec(
        data="mnist", depth=depth, width=784, batch_size=128, epochs=20, seeds=len(losses)
    )
    final = {
        name: {"per_seed": [scale * loss for loss in losses]}
        for name, scale in (("train_loss", 1.0), ("test_loss", 1.0), ("test_mape", 1e6))
    }
    folder.mkdir()
    record = {
        "problem": spec.as_json() | changed,
        "final": final,
        "provenance": {"seeds": spec.seed_list},
    }
    (folder / "diagnosis.json").write_text(json.dumps(record))
    return folder


def test_seed_experiment_reads_finished_runs_and_judges_the_question(
    tmp_path: Path, inside: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    # t(0.975, 2) = 4.3027, s = 10, sqrt(1 + 1/3) = 1.1547: mean +- 49.684.
    one = diagnosis(tmp_path / "one", 1, [140.0, 150.0, 160.0])
    four = diagnosis(tmp_path / "four", 4, [490.0, 500.0, 510.0])
    script = ROOT / "scripts" / "seed_experiment.py"
    done = inside(script, "--from", four, one, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    runs = strict_json(tmp_path / "out" / "seed_experiment.json")["runs"]
    assert [r["depth"] for r in runs] == [1, 4]
    low, high = runs[0]["train_loss"]["interval95"]
    assert low == pytest.approx(150 - 49.684, abs=2e-3)
    assert high == pytest.approx(150 + 49.684, abs=2e-3)
    # The question's: 180.6, 168.0, 192.6e6 and 456.8, 523.7, 504.9e6.
    assert runs[0]["inside95"] == {"train_loss": True, "test_loss": True, "test_mape": True}
    assert runs[1]["inside95"] == {"train_loss": True, "test_loss": True, "test_mape": True}
    far = diagnosis(tmp_path / "far", 1, [120.0, 130.0, 140.0])
    done = inside(script, "--from", far, "--out", tmp_path / "out")
    runs = strict_json(tmp_path / "out" / "seed_experiment.json")["runs"]
    assert runs[0]["inside95"] == {"train_loss": False, "test_loss": True, "test_mape": False}
    assert "outside: train loss" in done.stdout


def test_seed_experiment_refuses_another_network(
    tmp_path: Path, inside: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    other = diagnosis(tmp_path / "other", 1, [1.0, 2.0], learning_rate=0.01)
    script = ROOT / "scripts" / "seed_experiment.py"
    done = inside(script, "--from", other, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "learning_rate is 0.01, not 0.001" in done.stderr
