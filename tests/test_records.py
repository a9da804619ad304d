"""No module here passes records about: none annotates a mapping to anything, or reads by a name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import jaxid

ROOT = Path(jaxid.__file__).parent
TYPED = (
    *(f"prediction/{path.name}" for path in sorted((ROOT / "prediction").glob("*.py"))),
    *("plot/prediction.py", "report/prediction.py", "presentation/prediction.py"),
    *("cli/predict.py", "identity/foreseen.py", "identity/stable_share.py", "problem/targets.py"),
)
LOOSE = {"dict[str, Any]", "Mapping[str, Any]"}


@pytest.mark.parametrize("name", TYPED)
def test_no_module_passes_a_record(name):
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Subscript):
            continue
        key = node.slice
        named = isinstance(key, ast.Constant) and isinstance(key.value, str)
        assert ast.unparse(node) not in LOOSE and not named, f"line {node.lineno}"
