"""Files that can't be run, that end the program, or hold no Problem."""

from __future__ import annotations

import sys

import pytest

RUN = {
    "an exception": ("1 / 0  # HERE", "ZeroDivisionError: division by zero"),
    "an exception without words": ("raise ValueError  # HERE", "ValueError"),
    "an exception of many lines": ("raise ValueError('a\\nb\\u2028c')  # HERE", "ValueError: a"),
    "a message that fails": (
        "class E(Exception):\n    def __str__(self): raise KeyError\nraise E  # HERE", ": E"),
    "a base exception": ("raise BaseException('end')  # HERE", "BaseException: end"),
    "a group": ("raise ExceptionGroup('many', [ValueError('a')])  # HERE", "many"),
    "an assertion": ("assert 1 == 2  # HERE", "AssertionError"),
    "a long message": ("raise ValueError('x' * 5000)  # HERE", "xxx..."),
    "colours in a message": ("raise ValueError('\\x1b[31mred')  # HERE", "\\x1b[31mred"),
    "sys.exit(0)": ("import sys; sys.exit(0)  # HERE", "sys.exit(0)", "__main__"),
    "sys.exit(3)": ("import sys; sys.exit(3)  # HERE", "sys.exit(3)"),
    "sys.exit(text)": ("import sys; sys.exit('done\\nnow')  # HERE", "sys.exit('done\\nnow')"),
    "quit": ("raise SystemExit  # HERE", "sys.exit(None)"),
    "argparse, an argument": (
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('data')\n"
        "p.parse_args()  # HERE", "parses arguments", "required: data"),
    "argparse, a flag": (
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--n', required=True)\n"
        "p.parse_args()  # HERE", "--n"),
    "argparse, help": (
        "import argparse\nargparse.ArgumentParser().exit(2, 'no\\n')  # HERE", "parses arguments"),
    "an import": ("import no_such_module  # HERE", "no_such_module", "install it"),
    "a name": ("undefined_name  # HERE", "NameError"),
    "recursion": ("def f(): return f()\nf()", "RecursionError", "mine.py"),
    "a missing file": ("open('no such file')  # HERE", "no such file", "relative to where"),
    "syntax": ("def f(:  # HERE", "SyntaxError"),
    "indentation": ("if True:\nx = 1  # HERE", "IndentationError"),
    "no memory": ("np.empty((10**9, 10**9))", "out of memory", "hold less"),
    "an old constant": ("jaxid.no_such_thing  # HERE", "no attribute 'no_such_thing'"),
    "another stream for errors": (
        "import io, sys\nsys.stderr = io.StringIO()\nP(epochs=0)  # HERE", "epochs is 0"),
    "no stream for errors": ("import sys\nsys.stderr = None\nP(epochs=0)  # HERE", "epochs is 0"),
    "no traces": ("import sys\nsys.tracebacklimit = 0\n1 / 0  # HERE", "ZeroDivisionError"),
    "a message that ends the program": (
        "class E(Exception):\n    def __str__(self): raise SystemExit(3)\nraise E  # HERE", ": E"),
    "a message of several lines": ("raise ValueError('one\\ntwo')  # HERE", "ValueError: one two"),
    "a Problem that can't be": ("problem = P(epochs=0)  # HERE", "epochs is 0"),
    "a Problem without data": ("jaxid.Problem(model=linear)  # HERE", "missing"),
    "an unknown field": ("P(learning_rate=1)  # HERE", "learning_rate"),
}  # fmt: skip
HELD = {
    "a tuple": ("problem = (P(), 1)", "is a tuple", "make it a jaxid.Problem"),
    "None": ("problem = None", "is a NoneType"),
    "a number": ("problem = 3", "is a int"),
    "a class": ("problem = jaxid.Problem", "is a type"),
    "a dict": ("problem = {}", "is a dict"),
    "no name": ("other = P()", "has no problem", "it has other"),
    "nothing": ("", "has no problem"),
    "a function of arguments": ("def problem(a): return P()", "can't be called without", "'a'"),
    "a function that gives None": ("def problem(): pass", "is a NoneType"),
    "a function that gives a tuple": ("def problem(): return P(), 1", "is a tuple"),
    "a function that fails": ("def problem():\n    return [][0]  # HERE", "IndexError"),
    "a function that ends": ("def problem():\n    import sys; sys.exit(1)  # HERE", "sys.exit(1)"),
    "a function without a file": (
        "exec('def problem(): raise ValueError(1)')",
        "mine.py failed: ValueError: 1",
    ),
    "a generator": ("def problem(): yield P()", "is a generator"),
}


@pytest.fixture(autouse=True)
def traces():
    """As many as before, whatever a file says."""
    yield
    sys.__dict__.pop("tracebacklimit", None)


@pytest.mark.parametrize("name", RUN)
def test_a_file_that_can_not_be_run(refused_file, name):
    body, *words = RUN[name]
    refused_file(body, *words)


@pytest.mark.parametrize("name", HELD)
def test_a_file_that_holds_no_problem(refused_file, name):
    body, *words = HELD[name]
    refused_file(body, *words)


@pytest.mark.parametrize(
    "target, words",
    [
        ("nowhere.py:problem", ["there is no file nowhere.py"]),
        ("mine.txt:problem", ["is not FILE.py:NAME"]),
        ("mine.py", ["is not FILE.py:NAME"]),
        ("mine.py:", ["has no"]),
        (":problem", ["is not FILE.py:NAME"]),
        ("folder.py:problem", ["there is no file folder.py"]),
        ("x" * 300 + ".py:problem", ["there is no file"]),
        ("a\u2028b.py:problem", ["there is no file a\\u2028b.py"]),
        ("a\nb.py:problem", ["there is no file a\\nb.py"]),
        ("loop.py:problem", ["there is no file loop.py"]),
        ("binary.py:problem", ["binary.py failed"]),
        ("latin.py:problem", ["latin.py failed"]),
    ],
)
def test_a_file_that_is_none(refused, tmp_path, target, words):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "loop.py").symlink_to("loop.py")
    (tmp_path / "mine.py").write_text("a = 1\n")
    (tmp_path / "binary.py").write_bytes(b"\x00\x01\x02")
    (tmp_path / "latin.py").write_bytes("x = 'ü'\n".encode("latin-1"))
    refused(["spectrum", target], *words)


@pytest.mark.parametrize("body, words", [
    ("raise ValueError('no')  # HERE", ["ValueError: no"]),
    ("problem = 3", ["is a int", "make it a function"]),
    ("", ["has no problem", "it has"]),
])  # fmt: skip
def test_a_target_that_is_none(refused, tmp_path, body, words):
    (tmp_path / "target.py").write_text("def f(x): return x\n" + body)
    refused(["certify", "--target", "target.py:problem"], *words)


def test_the_name_of_a_module_beside_the_file_is_told(refused_file, tmp_path):
    (tmp_path / "beside.py").write_text("a = 1\n\nraise ValueError('there')\n")
    refused_file("import beside", "beside.py failed at line 3: ValueError: there")
