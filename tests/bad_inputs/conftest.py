"""How a bad input is tried: the whole command; one line, exit code 2, nothing written."""

from __future__ import annotations

import pytest

from jaxid.cli import main as cli
from jaxid.data import network

HEAD = """\
import functools
import jax, jax.numpy as jnp, numpy as np, optax
from flax import linen, nnx
import jaxid
X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
Y = np.linspace(0, 1, 4, dtype=np.float32)[:, None]
KINDS = np.array([0, 1, 2, 1])
def linear(rngs): return nnx.Linear(3, 3, rngs=rngs)
def one(rngs): return nnx.Linear(3, 1, rngs=rngs)
P = functools.partial(jaxid.Problem, model=linear, train=(X, None), optimizer=optax.sgd(0.1),
                      batch_size=2, epochs=1)
"""
"""What every file of a user's own begins with here."""
HERE = "# HERE"
"""Marks the line that must be named."""


def tree(folder):
    """Every path below a folder, with contents, or the size of what is large."""

    def contents(path):
        if not path.is_file():
            return path.is_dir()
        size = path.stat().st_size
        return path.read_bytes() if size < 1 << 20 else size

    return {str(p.relative_to(folder)): contents(p) for p in folder.rglob("*")}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """In a folder of its own, without network or prepared data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXID_DATA_DIR", str(tmp_path / "prepared"))
    monkeypatch.delenv("JAXID_MNIST_DIR", raising=False)
    monkeypatch.setattr(network, "reachable", lambda: False)


@pytest.fixture
def head():
    """What every file of a user's own begins with here."""
    return HEAD


@pytest.fixture
def refused(capfd, tmp_path):
    """(argv, *words) -> the line; every file is as it was before."""

    def check(argv, *words):
        before = tree(tmp_path)
        capfd.readouterr()
        code = cli.main([str(word) for word in argv])
        out, err = capfd.readouterr()
        lines = [line for line in err.splitlines() if line.startswith("jaxid: ")]
        assert code == 2, (code, out, err)
        assert len(err.splitlines()) == 1 and len(lines) == 1, err
        assert out == "", out
        assert "Traceback" not in err
        for word in words:
            assert word in err, (word, err)
        after = tree(tmp_path)
        after = {k: v for k, v in after.items() if "__pycache__" not in k}
        assert after == before
        return err

    return check


@pytest.fixture
def refused_file(refused, tmp_path):
    """(body of the file, *words, command) -> the line, which names the marked line."""

    def check(body, *words, command=("spectrum",)):
        text = HEAD + body
        file = tmp_path / "mine.py"
        file.write_text(text, encoding="utf-8")
        marked = [k for k, line in enumerate(text.splitlines(), 1) if HERE in line]
        where = [f"mine.py{end}" for end in (f" line {marked[0]}", f" failed at line {marked[0]}")
                 ] if marked else []  # fmt: skip
        err = refused([command[0], "mine.py:problem", *command[1:]], *words)
        assert not where or any(place in err for place in where), err
        return err

    return check
