"""Results are types: no module hands on a dictionary of anything, or reads one by a key."""

from __future__ import annotations

import ast

import pytest
from test_layers import ROOT, modules

UNTYPED = {"dict[str, Any]", "Mapping[str, Any]", "Record"}
NOT_YET = {
    "identity.spec",  # flags as JSON
    *("report.foreseen", "report.worst_error"),  # the diagnosis' prediction and certificate
}
HOLD = {"identity.diagnosis", "identity.explaining"}
"""They hold these two as they come, and read nothing of them."""
PACKAGES = (
    *("spectra", "prediction", "certification", "diagnosis", "identity", "plot", "report"),
    "presentation",
)
ALONE = (
    *("linalg.lanczos", "linalg.copies", "verification.certificate", "verification.endless"),
    *("training.train", "problem.targets", "data.examples"),
    *("cli.certify", "cli.predict", "cli.spectrum", "cli.train", "cli.explain", "cli.output"),
)
TYPED = sorted(
    name
    for name in modules(ROOT)
    if (name.split(".")[0] in PACKAGES or name in ALONE) and name not in NOT_YET
)


def found(name: str) -> list[str]:
    """What a module has of it, by line."""
    tree = ast.parse(modules(ROOT)[name].read_text(encoding="utf-8"))
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            text = ast.unparse(node)
            key = isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
            if key or (text in UNTYPED and name not in HOLD):
                texts.append(f"{node.lineno}: {text}")
        elif isinstance(node, ast.Name | ast.alias) and ast.unparse(node) in UNTYPED:
            texts.append(f"{node.lineno}: {ast.unparse(node)}")
    return texts


@pytest.mark.parametrize("name", TYPED)
def test_no_module_reads_or_hands_on_a_dictionary_of_anything(name: str) -> None:
    assert found(name) == []


def test_what_is_looked_for_is_found() -> None:
    assert any("found['curve']" in text for text in found("report.foreseen"))
    assert any("dict[str, Any]" in text for text in found("identity.spec"))
