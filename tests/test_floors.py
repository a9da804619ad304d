"""The house's floors: a module imports lower floors only, read from the imports themselves.

A room is a package, or a loose module. Rooms on one floor don't import each other; the
loose modules of the ground floor are one room. Inside a room imports have no cycle.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import jaxid.errors

GROUND = ("types", "trees", "errors", "precision", "prng", "provenance", "wording")
FLOORS: tuple[tuple[str, ...], ...] = (
    GROUND,
    ("core",),
    ("data", "nets", "linalg", "tracing"),
    ("problem", "optim"),
    ("admission",),
    ("training", "curvature", "theory", "expressivity"),
    ("experiment",),
    ("diagnosis",),
    ("plot", "report"),
    ("api", "parsing", "loading"),
    ("commands", ""),  # "" is jaxid/__init__.py, which shows the api to the outside
    ("cli",),
    ("__main__",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
HOUSE = Path(jaxid.errors.__file__).parent


def modules(house: Path) -> dict[str, Path]:
    """Dotted name inside the house -> file; a package goes by its own name, the root by ""."""
    found = {}
    for file in sorted(house.rglob("*.py")):
        parts = file.relative_to(house).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(name: str, file: Path, known: set[str], house: str) -> set[str]:
    """The house's modules that a module names in its imports, at any depth of the code."""
    package = name.split(".") if file.stem == "__init__" else name.split(".")[:-1]
    package = [part for part in package if part]
    named: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            up = package[: len(package) - (node.level - 1)]
            start = [house, *up] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            # `from package import x` names the module package.x, or else package itself.
            for alias in node.names:
                inner = f"{base}.{alias.name}".removeprefix(f"{house}.")
                named.add(f"{house}.{inner}" if inner in known | set(FLOOR) else base)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
            named |= {text for text in texts if isinstance(text, str)}
    inside = {n.removeprefix(house).removeprefix(".") for n in named if n.split(".")[0] == house}
    return inside - {name}


def room(name: str) -> str:
    first = name.split(".")[0]
    return "ground" if first in GROUND else first


def faults(house: Path) -> list[str]:
    """What is wrong with a house, one sentence each; [] if nothing is."""
    known = modules(house)
    homeless = sorted({name.split(".")[0] for name in known} - set(FLOOR))
    if homeless:
        return [
            f"{first} is on no floor: add it to FLOORS in tests/test_floors.py, above all that "
            "it imports and below all that import it"
            for first in homeless
        ]
    graph = {name: imports(name, file, set(known), house.name) for name, file in known.items()}
    found = []
    for name, targets in graph.items():
        floor = FLOOR[name.split(".")[0]]
        for target in sorted(targets):
            there = FLOOR.get(target.split(".")[0], -1)
            if target not in known:
                found.append(f"{name} imports {target}, which does not exist")
            elif room(target) != room(name) and there >= floor:
                where = "the same floor" if there == floor else "a higher floor"
                found.append(
                    f"{name or 'the root'} (floor {floor}) imports {target or 'the root'} "
                    f"(floor {there}), {where}"
                )
    for own in sorted({room(name) for name in known}):
        inner = {
            name: {target for target in targets if room(target) == own}
            for name, targets in graph.items()
            if room(name) == own
        }
        try:
            TopologicalSorter(inner).prepare()
        except CycleError as cycle:
            found.append(f"{own} has a cycle of imports: {' <- '.join(cycle.args[1])}")
    return found


def test_every_module_imports_lower_floors_only():
    assert faults(HOUSE) == []


def test_every_floor_is_read():
    known = modules(HOUSE)
    assert {"", "types", "nets.mlp", "training.loop", "experiment", "cli"} <= set(known)
    graph = {name: imports(name, file, set(known), "jaxid") for name, file in known.items()}
    assert {"problem", "training.metrics", "prng"} <= graph["training.loop"] | graph["training.run"]
    assert "trees" in graph["experiment"]  # `from jaxid import trees` is the module


def build(folder: Path, **files: str) -> Path:
    """A made-up house; __ in a name is a slash."""
    house = folder / "house"
    for name, text in {"__init__": "", **files}.items():
        path = house / f"{name if name == '__init__' else name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return house


def test_a_sound_house_has_no_faults(tmp_path):
    house = build(
        tmp_path,
        types="import math\nfrom collections import abc",
        trees="from house.types import Array",
        nets__mlp="from house import trees\nfrom .init import zeros",
        nets__init="from ..types import Array",
        problem="from house.nets.mlp import Mlp\nimport house.trees",
        cli="def main():\n    from house import __version__\n    import house.problem",
    )
    assert faults(house) == []


def test_an_import_from_above_is_found_wherever_it_hides(tmp_path):
    for number, line in enumerate(
        (
            "import house.problem",
            "from house import problem",
            "from house.problem import Problem",
            "from ..problem import Problem",
            "from .. import problem",
            "def f():\n    from house.problem import Problem",
            "import importlib\nimportlib.import_module('house.problem')",
        )
    ):
        house = build(tmp_path / str(number), problem="", nets__mlp=line)
        assert faults(house) == ["nets.mlp (floor 2) imports problem (floor 3), a higher floor"]


def test_the_root_is_above_all_that_it_shows(tmp_path):
    house = build(tmp_path, nets__mlp="from house import Problem")
    assert faults(house) == ["nets.mlp (floor 2) imports the root (floor 10), a higher floor"]


def test_packages_on_one_floor_that_import_each_other_are_found(tmp_path):
    house = build(tmp_path, data__mnist="from house.nets import mlp", nets__mlp="")
    assert faults(house) == ["data.mnist (floor 2) imports nets.mlp (floor 2), the same floor"]


def test_a_cycle_inside_a_package_is_found(tmp_path):
    house = build(
        tmp_path,
        nets__a="from house.nets import b",
        nets__b="from .c import x",
        nets__c="def f():\n    import house.nets.a",
    )
    (fault,) = faults(house)
    assert fault.startswith("nets has a cycle of imports: ")
    assert {"nets.a", "nets.b", "nets.c"} <= set(fault.split(": ")[1].split(" <- "))


def test_a_cycle_on_the_ground_floor_is_found(tmp_path):
    house = build(tmp_path, types="import house.trees", trees="import house.types")
    assert len(faults(house)) == 1


def test_an_import_of_nothing_is_found(tmp_path):
    assert faults(build(tmp_path, problem="from house import optim")) == [
        "problem imports optim, which does not exist"
    ]


def test_a_module_on_no_floor_is_told_where_to_go(tmp_path):
    (fault,) = faults(build(tmp_path, attic="", nets__mlp=""))
    assert fault.startswith("attic is on no floor: add it to FLOORS in tests/test_floors.py")
