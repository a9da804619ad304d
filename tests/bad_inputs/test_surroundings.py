"""Streams, terminals and devices that are not what a program expects; errors that come late."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from jaxid.cli import main as cli

MADE = ["--data", "gaussian", "--features", "4", "--examples", "40", "--epochs", "1",
        "--seeds", "1"]  # fmt: skip


def run(words, *, stdout=subprocess.PIPE, **environment):
    return subprocess.run(
        [sys.executable, "-m", "jaxid", *words],
        stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


def one_line(done, *words):
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("jaxid: "), done.stderr
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize("platform", ["cuda", "tpu", "nonsense", "cuda,tpu"])
def test_a_device_that_is_not_there(platform, tmp_path):
    out = tmp_path / "out"
    done = run(["train", *MADE, "--out", str(out)], JAX_PLATFORMS=platform)
    one_line(done, f"JAX_PLATFORMS is '{platform}'", "JAX_PLATFORMS=cpu")
    assert not out.exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("words", [["--help"], ["data"]])
def test_an_output_that_takes_nothing(words):
    with open("/dev/full", "w") as full:
        one_line(run(words, stdout=full), "the output can't be written (No space left")


def test_an_output_that_is_closed():
    code = "import os, sys; os.close(1); os.execv(sys.executable, sys.argv[1:])"
    words = [sys.executable, "-m", "jaxid", "data"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0 and done.stderr == ""


def test_a_terminal_of_plain_letters(tmp_path):
    words = ["train", *MADE, "--out", str(tmp_path / "out")]
    done = run(words, PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    done.stdout.encode("ascii")


LIMITED = """
import os, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_disk_without_room_for_the_parameters(tmp_path):
    words = [sys.executable, "-m", "jaxid", "train", *MADE, "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *words], stderr=subprocess.PIPE, text=True, check=False,
        env={**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"},
    )  # fmt: skip
    one_line(done, "is full: run.json and the parameters could not be written", "make room")
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_not_utf_8(tmp_path):
    done = run(["train", *MADE, "--out", os.fsdecode(os.fsencode(tmp_path) + b"/a\xff")])
    one_line(done, "can't be written", "utf-8")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("columns", ["1", "0", "-3", "nonsense", "39"])
@pytest.mark.parametrize("words", [["explain", "--help"], ["data"]])
def test_terminals_of_any_width(monkeypatch, capsys, columns, words):
    monkeypatch.setenv("COLUMNS", columns)
    assert cli.main(words) == 0
    assert len(capsys.readouterr().out) > 100
    assert os.environ["COLUMNS"] == columns


LATE = """
import os
counts = {}
def count(what):
    counts[what] = counts.get(what, 0) + 1
    if os.environ["FAIL"] == what:
        os.environ["CALLS"] = str(counts[what])
    if os.environ["FAIL"] == f"{what} {counts[what]}":
        raise ValueError("late")
def apply(p, x):
    count("model")
    return jnp.tanh(x @ p)
def loss(f, y):
    count("loss")
    return jnp.mean((f - y) ** 2, axis=1)
def update(g, s, p=None):
    count("optimizer")
    return jax.tree.map(lambda x: -0.1 * x, g), s
def target(x):
    count("target")
    return 2 * x
problem = P(model=(lambda k, x: jax.random.normal(k, (3, 3)), apply), loss=loss, test=(X, None),
            optimizer=optax.GradientTransformation(lambda p: optax.EmptyState(), update))
"""
COMMANDS = {
    "spectrum": ["--steps", "8", "--probes", "2", "--trace-probes", "4", "--no-layers"],
    "predict": [],
    "certify": ["--target", "mine.py:target", "--balls", "1", "--no-curve"],
}
PROBED = {("certify", "model"), ("spectrum", "model"), ("predict", "model"),
          ("predict", "optimizer")}  # fmt: skip
"""What is tried on other shapes, where it may fail."""


@pytest.mark.parametrize(
    "command, what",
    [
        ("predict", "loss"),
        *[
            pytest.param(command, what, marks=pytest.mark.slow)
            for command in COMMANDS
            for what in ("model", "loss", "optimizer", *(["target"] if "fy" in command else []))
            if (command, what) != ("predict", "loss")
        ],
    ],
)
def test_what_is_raised_late(head, monkeypatch, capfd, tmp_path, command, what):
    """At the first call of the user's function, in the middle, and at the last one."""
    (tmp_path / "mine.py").write_text(head + LATE)
    place = 1 + (head + LATE).splitlines().index('        raise ValueError("late")')
    words = [command, "mine.py:problem", *COMMANDS[command]]
    monkeypatch.setenv("CALLS", "")
    monkeypatch.setenv("FAIL", what)
    assert cli.main([*words, "--out", str(tmp_path / "first")]) == 0
    total = int(os.environ["CALLS"])
    assert total >= 2
    for k in sorted({1, total // 2, total}):
        capfd.readouterr()
        monkeypatch.setenv("FAIL", f"{what} {k}")
        out = tmp_path / f"out{k}"
        code = cli.main([*words, "--out", str(out)])
        err = capfd.readouterr().err
        assert "Traceback" not in err
        if code == 0 and (command, what) in PROBED:
            continue
        last = err.splitlines()[-1]
        assert code == 2 and last.startswith("jaxid: ") and err.count("jaxid: ") == 1, (k, err)
        assert f"line {place}" in last and "mine.py" in last and "late" in last, (k, err)
        assert not out.exists()
