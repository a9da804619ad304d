"""Results are types: no module hands on a dictionary of anything, or reads one by a key."""

from __future__ import annotations

import ast

import pytest
from test_layers import ROOT, modules

UNTYPED = {"dict[str, Any]", "Mapping[str, Any]", "Record"}
NOT_YET = {
    *("identity.foreseen", "report.foreseen"),  # the prediction
    *("identity.family_verdict", "report.worst_error"),  # the certificate
    "identity.spec",  # flags as JSON
    *("report.certificate", "report.curvature", "report.prediction"),
    *("presentation.certificate", "presentation.curvature", "presentation.prediction"),
}
HOLD = {"identity.diagnosis", "identity.explaining"}
"""They hold the prediction and the certificate as these come, and read nothing of them."""
PLOTS = {
    f"plot.{name}"
    for name in (
        *("budget", "causes", "dead_units", "effective_kappa", "images", "loss_curves"),
        *("remedies", "spectrum", "stability", "two_solutions"),
    )
}
TYPED = sorted(
    name
    for name in modules(ROOT)
    if name in PLOTS
    or (
        (name.split(".")[0] in ("diagnosis", "identity", "report", "presentation"))
        and name not in NOT_YET
    )
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
    assert any("dict[str, Any]" in text for text in found("identity.foreseen"))
