"""The layers: a module imports lower layers only, read from the imports themselves.

Packages of one layer don't import each other. Inside a package imports have no cycle.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import jaxid

LAYERS: tuple[tuple[str, ...], ...] = (
    ("core",),
    ("linalg", "tracing", "data"),
    ("nets", "optim"),
    ("problem",),
    ("training", "verification", "curvature", "theory"),
    ("expressivity",),
    ("spectra", "prediction", "certification"),
    ("diagnosis",),
    ("identity",),
    ("plot",),
    ("report",),
    ("presentation",),
    ("",),  # jaxid/__init__.py, which shows the public names
    ("cli",),
    ("__main__",),
)
LAYER = {package: number for number, row in enumerate(LAYERS) for package in row}
ROOT = Path(jaxid.__file__).parent


def modules(root: Path) -> dict[str, Path]:
    """Dotted name inside of the root -> file; a package goes by its own name, the root by ""."""
    found = {}
    for file in sorted(root.rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(name: str, file: Path, known: set[str], root: str) -> set[str]:
    """jaxid's modules that a module names in its imports, at any depth of the code."""
    package = name.split(".") if file.stem == "__init__" else name.split(".")[:-1]
    package = [part for part in package if part]
    named: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            up = package[: len(package) - (node.level - 1)]
            start = [root, *up] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            # `from package import x` names the module package.x, or else package itself.
            for alias in node.names:
                inner = f"{base}.{alias.name}".removeprefix(f"{root}.")
                named.add(f"{root}.{inner}" if inner in known | set(LAYER) else base)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
            named |= {text for text in texts if isinstance(text, str)}
    inside = {n.removeprefix(root).removeprefix(".") for n in named if n.split(".")[0] == root}
    return inside - {name}


def package_of(name: str) -> str:
    return name.split(".")[0]


def faults(root: Path) -> list[str]:
    """What is wrong with a layout, one sentence each; [] if nothing is."""
    known = modules(root)
    unplaced = sorted({name.split(".")[0] for name in known} - set(LAYER))
    if unplaced:
        return [
            f"{first} is on no layer: add it to LAYERS in tests/test_layers.py, above all that "
            "it imports and below all that import it"
            for first in unplaced
        ]
    graph = {name: imports(name, file, set(known), root.name) for name, file in known.items()}
    found = []
    for name, targets in graph.items():
        layer = LAYER[name.split(".")[0]]
        for target in sorted(targets):
            there = LAYER.get(target.split(".")[0], -1)
            if target not in known:
                found.append(f"{name} imports {target}, which does not exist")
            elif package_of(target) != package_of(name) and there >= layer:
                where = "the same layer" if there == layer else "a higher layer"
                found.append(
                    f"{name or 'the root'} (layer {layer}) imports {target or 'the root'} "
                    f"(layer {there}), {where}"
                )
    for own in sorted({package_of(name) for name in known}):
        inner = {
            name: {target for target in targets if package_of(target) == own}
            for name, targets in graph.items()
            if package_of(name) == own
        }
        try:
            TopologicalSorter(inner).prepare()
        except CycleError as cycle:
            found.append(f"{own} has a cycle of imports: {' <- '.join(cycle.args[1])}")
    return found


def test_every_module_imports_lower_layers_only():
    assert faults(ROOT) == []


def test_every_layer_is_read():
    known = modules(ROOT)
    assert {"", "core.types", "nets.mlp", "training.loop", "identity.spec", "cli"} <= set(known)
    graph = {name: imports(name, file, set(known), ROOT.name) for name, file in known.items()}
    training = graph["training.loop"] | graph["training.run"]
    assert {"problem.problem", "training.metrics", "core.random"} <= training
    assert "core.trees" in graph["training.memory"]  # `from jaxid.core import trees` is the module


def build(folder: Path, **files: str) -> Path:
    """A made-up layout; __ in a name is a slash."""
    root = folder / "made"
    for name, text in {"__init__": "", **files}.items():
        path = root / f"{name if name == '__init__' else name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def layer(package: str) -> str:
    return f"layer {LAYER[package]}"


def test_a_sound_layout_has_no_faults(tmp_path):
    root = build(
        tmp_path,
        core__types="import math\nfrom collections import abc",
        core__trees="from made.core.types import Array",
        nets__mlp="from made.core import trees\nfrom .init import zeros",
        nets__init="from ..core.types import Array",
        problem="from made.nets.mlp import Mlp\nimport made.core.trees",
        cli="def main():\n    from made import __version__\n    import made.problem",
    )
    assert faults(root) == []


def test_an_import_from_above_is_found_wherever_it_hides(tmp_path):
    for number, line in enumerate(
        (
            "import made.problem",
            "from made import problem",
            "from made.problem import Problem",
            "from ..problem import Problem",
            "from .. import problem",
            "def f():\n    from made.problem import Problem",
            "import importlib\nimportlib.import_module('made.problem')",
        )
    ):
        root = build(tmp_path / str(number), problem="", nets__mlp=line)
        assert faults(root) == [
            f"nets.mlp ({layer('nets')}) imports problem ({layer('problem')}), a higher layer"
        ]


def test_the_root_is_above_all_that_it_shows(tmp_path):
    root = build(tmp_path, nets__mlp="from made import Problem")
    assert faults(root) == [
        f"nets.mlp ({layer('nets')}) imports the root ({layer('')}), a higher layer"
    ]


def test_packages_on_one_layer_that_import_each_other_are_found(tmp_path):
    root = build(tmp_path, data__mnist="from made.linalg import gram", linalg__gram="")
    assert faults(root) == [
        f"data.mnist ({layer('data')}) imports linalg.gram ({layer('linalg')}), the same layer"
    ]


def test_a_cycle_inside_a_package_is_found(tmp_path):
    root = build(
        tmp_path,
        nets__a="from made.nets import b",
        nets__b="from .c import x",
        nets__c="def f():\n    import made.nets.a",
    )
    (fault,) = faults(root)
    assert fault.startswith("nets has a cycle of imports: ")
    assert {"nets.a", "nets.b", "nets.c"} <= set(fault.split(": ")[1].split(" <- "))


def test_an_import_of_nothing_is_found(tmp_path):
    assert faults(build(tmp_path, problem="from made import optim")) == [
        "problem imports optim, which does not exist"
    ]


def test_a_module_on_no_layer_is_told_where_to_go(tmp_path):
    (fault,) = faults(build(tmp_path, attic="", nets__mlp=""))
    assert fault.startswith("attic is on no layer: add it to LAYERS in tests/test_layers.py")
