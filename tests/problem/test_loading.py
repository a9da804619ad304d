"""A Problem out of a user's file, and one line for everything that can go wrong with it."""

from __future__ import annotations

import pytest

from jaxid.core.errors import InputError
from jaxid.problem.loading import load_problem
from jaxid.problem.problem import Problem

FILE = """
import numpy as np, optax
from flax import nnx
import jaxid
from beside import WIDTH

x = np.ones((8, WIDTH), np.float32)
problem = jaxid.Problem(
    model=lambda rngs: nnx.Linear(WIDTH, WIDTH, rngs=rngs), train=(x, None),
    optimizer=optax.sgd(0.1), batch_size=4, epochs=2)

def make():
    return problem

number = 3
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "beside.py").write_text("WIDTH = 3\n")
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize("name", ["problem", "make"])
def test_a_problem_or_a_function_that_makes_one(file, name):
    found = load_problem(f"{file}:{name}")
    assert isinstance(found, Problem) and found.examples == 8


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("{file}", "is not FILE.py:NAME"),
        ("nowhere.py:problem", "there is no file nowhere.py"),
        ("{file}:other", "has no other; it has problem"),
        ("{file}:number", "number in .* is a int"),
    ],
)
def test_wrong_targets_say_what_to_do(file, target, words):
    with pytest.raises(InputError, match=words):
        load_problem(target.format(file=file))


def test_a_file_that_fails_names_its_line(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("a = 1\nb = a / 0\n")
    with pytest.raises(InputError, match="failed at line 2: ZeroDivisionError"):
        load_problem(f"{path}:problem")
