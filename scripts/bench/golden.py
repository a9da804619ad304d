"""Golden records: the same commands by a commit's code and by the tree's, their records compared.

Claim: a change that is said to change no result changes none.
Command: make golden BASE=main
  which runs python scripts/bench/golden.py --base main
Expected: "same" for every command, exit code 0; 1 where a number, a verdict or a count differs.
Runtime: about 4 minutes on two cores.

A golden record is a commit and a command, not a file: both sides run here, now, in the same
environment, so no other machine's rounding comes in. The base's code is a worktree of git, removed
afterwards; the tree's is a copy made at the start. Both sides share one fresh folder of compiled
programs: one that did not change is compiled once, and what differs is then the code's doing.

Compared are the JSON files that a command writes and the arrays beside them, without provenance
and times. Strings, booleans, null, integers and shapes must be equal; a float to 1e-5 of itself,
which sums over examples in another order stay within; what the training program gives (losses by
epoch, trained parameters) bit for bit. Two runs of the same code on one CPU were equal in every
bit, so 1e-5 is room for a change and not for noise. It is little room for what Lanczos leaves in
float32: on one core in place of two, where sums are taken in another order, 113 entries of
`spectrum` and 4 of `explain-3` differ by more (residuals, eigenvalues beside 0, nodes of
densities), and no other number, verdict or count. Keys may come; none may go, unless NAMES says
what it is called now, or GONE where it is to be found, and a sentence may become an
enumeration's word that WORDS gives.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmark import run

from jaxid.core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "explain-1": "explain --depth 1 --epochs 4 --seeds 2 --trials short",
    "explain-3": "explain --depth 3 --epochs 5 --seeds 2 --trials none",
    "spectrum": "spectrum --epochs 4 --along --looks 3",
    "predict": "predict --epochs 3 --seeds 2",
    "predict-sgd": "predict --optimizer sgd --output-activation linear --share 0.5 "
    "--epochs 5 --seeds 2",
    "certify-1": "certify --depth 1 --epochs 3 --method crown --balls 2 --no-curve",
    "certify-3": "certify --depth 3 --epochs 3 --method alpha --steps 10 --balls 2 --no-curve",
}
"""Each within seconds, all on the data that are built in; --out is added."""
DATA = "--data digits"
LEFT_OUT = {
    *("provenance", "version", "versions", "git", "commit", "argv"),
    *("started", "seconds", "predicted_seconds", "cost"),
}
"""Keys that are not compared, with all below them: whence and how long, never what."""
TRAJECTORIES = (
    "final.train_loss.per_seed",
    "final.test_loss.per_seed",
    "measured.loss",
    "loss/train",
    "loss/test",
    "measured/loss_by_seed",
    "network",
    "network/*",
)
"""Paths of what the training program gives, compared bit for bit with all below them."""
NAMES: dict[str, str] = (
    {
        f"{point}/{matrix}/{name}": f"points/{place}/matrices/{index}/{part}/{name}"
        for place, point in enumerate(("init", "end"))
        for index, matrix in ((0, "hessian"), (3, "preconditioned"))
        for part, name in (
            *(("density", "nodes"), ("density", "weights")),
            *(("curve", "shares"), ("curve", "effective_kappa")),
        )
    }
    | {
        f"prediction.{name}": f"prediction.{part}.{name}"
        for part, names in (
            ("modes", ("without_noise", "floor", "closure_error", "stability")),
            ("moments", ("tails", "deaths", "resting")),
            (
                "linearised",
                ("error", "converged", "linearised_floor", "sharpness", "share_of_stable"),
            ),
            ("linearised", ("noise_added", "noise_drift", "examples", "checked", "elsewhere")),
        )
        for name in names
    }
    | {
        "prediction.why": "prediction.why.reason",
        "predicted/curve": "prediction/curve",
        "predicted/seeds": "prediction/by_seed",
        "predicted/without_noise": "prediction/modes/without_noise",
        "modes/curvature": "prediction/modes/curvature",
        "modes/excess": "prediction/modes/excess",
        "modes/epochs": "prediction/modes/epochs",
        "predicted/steps": "prediction/moments/deaths/steps",
        "predicted/dead": "prediction/moments/deaths/dead_by_seed",
        "predicted/fading": "prediction/moments/deaths/fading_by_seed",
        "predicted/probability_dead": "prediction/moments/deaths/probability_dead",
        "measured/loss": "measured/loss_by_seed",
        "measured/steps": "measured/dead_steps",
        "measured/dead": "measured/dead_by_seed",
    }
    | {
        "range/output": "regions/0/outputs",
        "bounding_box/output": "regions/1/outputs",
        "ball_1/output": "regions/2/outputs",
        "ball_2/output": "regions/3/outputs",
        "range/*": "regions/0/*",
        "bounding_box/*": "regions/1/*",
        "ball_1/*": "regions/2/*",
        "ball_2/*": "regions/3/*",
        "witness/kernel_*": "family/layers/*/kernel",
        "witness/bias_*": "family/layers/*/bias",
        "network['layers'][0]['bias']": "network/0/values",
        "network['layers'][0]['kernel']": "network/1/values",
        "network['layers'][1]['bias']": "network/2/values",
        "network['layers'][1]['kernel']": "network/3/values",
        "network['layers'][2]['bias']": "network/4/values",
        "network['layers'][2]['kernel']": "network/5/values",
    }
    | {
        "spectrum/init": "conditioning/spectrum_init/eigenvalues",
        "spectrum/init_thresholds": "conditioning/spectrum_init/thresholds",
        "spectrum/end": "conditioning/spectrum_end/eigenvalues",
        "spectrum/end_thresholds": "conditioning/spectrum_end/thresholds",
        "effective/share": "conditioning/effective/share",
        "effective/kappa": "conditioning/effective/kappa",
        "posed/eigenvalues": "well_posed/continuous/curve/eigenvalues",
        "posed/predicted": "well_posed/continuous/curve/predicted",
        "posed/measured": "well_posed/continuous/curve/measured",
        "solutions/input": "well_posed/unique/two_solutions/inputs",
        "solutions/a": "well_posed/unique/two_solutions/a",
        "solutions/b": "well_posed/unique/two_solutions/b",
    }
)
"""Path in the base's record: its path now, with all below it. * is one key or index, and stands
for the same one in both, in turn. Where there is no such path now it keeps its name: another
command's record may have a path of that name that did not move."""
WORDS: dict[str, dict[str, str]] = {
    "points[*].matrices[*].stopped": {
        "every residual met the tolerance": "tolerance",
        "rounding in the products keeps a residual above the tolerance": "rounding",
        "the budget of 24 restarts was spent": "restarts",
        "12 deflations were spent: copies may be missing": "deflations",
    },
    "points[*].exact.reason": {"4,160 parameters, more than --exact-order 2,000": "order"},
    "points[*].optimizer.how": {
        "second moments of the state": "state",
        "second moments after 200 batches' gradients at this point": "settled",
    },
    "prediction.why.reason": {
        "the inputs' kurtosis is 2.8, weighted by variance": "tails",
        "taking modes as uncorrelated costs 0.0035 % by epoch 5": "closure",
    },
    "prediction.modes.stability.why": {
        "above 0.4 of the largest stable rate errors of modes are correlated": "correlated",
    },
}
"""Path now: what a sentence of the base's record is called since it is an enumeration's."""
GONE: dict[str, str] = {
    "verdict": "sentences, by jaxid/report/verdict.py",
    "well_posed.*.text": "sentences, by jaxid/report/posedness.py",
    "points[*].why": "sentences, by jaxid/report/units.py",
    "points[*].kinks": "a sentence, by jaxid/report/units.py",
    "findings[*].evidence.why": "sentences, by jaxid/report/trials.py from `remark`",
    "findings[*].evidence.alone": "a list, `apart`",
    "findings[*].evidence.beyond": "a list in place of an object",
    "budget.items[1].how": "without the item's name before it",
    "budget.order_note": "a sentence, by jaxid/report/losses.py",
    "budget.compound": "among the findings",
    "conditioning.*.null_texts": "nobody read them",
    "conditioning.seeds[*].*.null_texts": "nobody read them",
    "floors/representation": "a number, in diagnosis.json",
    "images/maximum": "a number, in diagnosis.json",
    "images/shape": "numbers, in diagnosis.json",
    "solutions/shape": "numbers, in diagnosis.json",
}
"""Path in the base's record that is not compared, with all below it: what it is now."""
HASHES = "manifest.json"
"""Of the other files, which say when they were written."""
TOLERANCE = 1e-5
"""Of a float, relative."""
SLACK = 1e-12
"""Of the largest number of a list or array for its floats, of ``value`` for ``error`` beside it:
these are rounding of that number. The largest of the whole record would be simpler and would hide
nearly all of it, as it is a percentage error of 1e8."""


@dataclass(frozen=True)
class Options:
    """What to compare."""

    base: str = "HEAD"
    """The commit whose code is the reference."""
    tree: Path | None = None
    """Root of the code compared with it; the tree that this script lies in if not given."""
    only: tuple[str, ...] = ()
    """Names of the commands to run; all if not given."""
    keep: Path | None = None
    """Folder to keep the runs in, base/NAME and tree/NAME; not kept if not given."""
    out: Path | None = None
    """A JSON file to write the differences to."""

    def __post_init__(self) -> None:
        for name in self.only:
            if name not in COMMANDS:
                raise InputError(f"--only {name} is no command; there are {', '.join(COMMANDS)}")
        if self.tree is not None and not (self.tree / "jaxid" / "__init__.py").is_file():
            raise InputError(f"--tree {self.tree} holds no jaxid; name the root of a checkout")
        if self.keep is not None and self.keep.exists():
            if not self.keep.is_dir():
                raise InputError(f"--keep {self.keep} is a file; name a folder")
            if any(self.keep.iterdir()):
                raise InputError(f"--keep {self.keep} is not empty; name another folder")


@dataclass(frozen=True)
class Shape:
    """Stands for an object or a list, whose contents have paths of their own."""

    text: str


@dataclass(frozen=True)
class Number:
    """A float with what its rounding is measured by, 0 if by itself alone."""

    value: float
    scale: float


@dataclass(frozen=True)
class Difference:
    """Two values of one path."""

    path: str
    base: str
    new: str
    note: str = ""
    rounding: bool = False
    """A trajectory within the tolerance: another compiled program, the same mathematics."""

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        return f"{self.path}: {self.base} -> {self.new}{note}"


@dataclass(frozen=True)
class Comparison:
    """What differs, and the paths that are new."""

    differences: list[Difference]
    added: list[str]


def compare(
    base: Mapping[str, Any], new: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> Comparison:
    """Two records as read from JSON, or two mappings of arrays.

    What lies below a path that differs or is on one side only is passed over.
    """
    table = NAMES if names is None else names
    fresh = dict(_leaves(new, "", 0.0))
    old: dict[str, Any] = {}
    for path, leaf in _leaves(base, "", 0.0):
        now = _renamed(path, table)
        now = now if now in fresh else path
        old[now] = _reworded(now, leaf)
    done = Comparison([], [])
    closed: list[str] = []
    for path, leaf in old.items():
        if _below(path, closed):
            continue
        if any(_match(gone, path) for gone in GONE):
            closed.append(path)
            continue
        if path not in fresh:
            found: Difference | None = Difference(path, _text(leaf), "missing")
        else:
            found = _difference(path, leaf, fresh[path])
        if found is not None:
            done.differences.append(found)
            closed.append(path)
    for path in fresh:
        if path not in old and not _below(path, closed):
            done.added.append(path)
            closed.append(path)
    return done


def _leaves(value: Any, path: str, scale: float) -> Iterator[tuple[str, Any]]:
    """(path, value) of everything inside, objects and lists before their contents."""
    if isinstance(value, Mapping):
        yield path, Shape("an object")
        beside = _largest([value.get("value")])
        for key, item in value.items():
            if key not in LEFT_OUT:
                inside = f"{path}.{key}" if path else key
                yield from _leaves(item, inside, beside if key == "error" else 0.0)
    elif isinstance(value, list):
        yield path, Shape(f"a list of {len(value)}")
        largest = _largest(value)
        for place, item in enumerate(value):
            yield from _leaves(item, f"{path}[{place}]", largest)
    else:
        yield path, Number(value, scale) if isinstance(value, float) else value


def _largest(values: Any) -> float:
    """The largest finite magnitude among the numbers; 0 if there is none."""
    sizes = [abs(float(v)) for v in values if isinstance(v, int | float)]
    return max((size for size in sizes if np.isfinite(size)), default=0.0)


def _renamed(path: str, names: Mapping[str, str]) -> str:
    """The path that the table gives for it; itself if none does."""
    for old, now in names.items():
        found = _match(old, path)
        if found:
            for kept in found.groups():
                now = now.replace("*", kept, 1)
            return now + path[found.end() :]
    return path


def _reworded(path: str, leaf: Any) -> Any:
    """What an enumeration calls a sentence at that path; itself where it is none of those."""
    if not isinstance(leaf, str):
        return leaf
    for pattern, words in WORDS.items():
        found = _match(pattern, path)
        if found and found.end() == len(path):
            return words.get(leaf, leaf)
    return leaf


def _match(pattern: str, path: str) -> re.Match[str] | None:
    """Whether the path is the pattern's, or below it."""
    words = re.escape(pattern).replace(r"\*", r"([^.\[\]]*)")
    return re.match(rf"{words}(?=$|[.\[])", path)


def _below(path: str, closed: list[str]) -> bool:
    """Whether the path lies below one of those."""
    return any(path.startswith((f"{top}.", f"{top}[")) for top in closed)


def _difference(path: str, base: Any, new: Any) -> Difference | None:
    """What differs between two leaves of a path."""
    if _kind(base) != _kind(new):
        return Difference(path, _text(base), _text(new))
    if isinstance(base, Number):
        return _numbers(path, np.asarray(base.value), np.asarray(new.value), base.scale)
    if isinstance(base, np.ndarray):
        scale = _largest(base.ravel().tolist()) if base.dtype.kind == "f" else 0.0
        return _numbers(path, base, new, scale)
    return None if base == new else Difference(path, _text(base), _text(new))


def _kind(leaf: Any) -> str:
    """Leaves of different kinds differ, whatever they hold."""
    if isinstance(leaf, np.ndarray):
        return f"{leaf.dtype} {leaf.shape}"
    return type(leaf).__name__


def _numbers(path: str, base: np.ndarray, new: np.ndarray, scale: float) -> Difference | None:
    """The worst of the elements that differ."""
    same = base == new
    gap = same * 0.0
    near = same
    if base.dtype.kind == "f":
        a, b = base.astype(np.float64), new.astype(np.float64)
        same = same | (np.isnan(a) & np.isnan(b))
        with np.errstate(invalid="ignore"):  # inf - inf, where they differ in kind
            gap = np.nan_to_num(np.abs(a - b), nan=np.inf)
        size = np.maximum(np.abs(a), np.abs(b))
        room = np.where(np.isfinite(size), TOLERANCE * size + SLACK * scale, 0.0)
        near = same | (gap <= room)
    trained = any(_match(pattern, path) for pattern in TRAJECTORIES)
    wrong = ~(same if trained else near)
    if not np.any(wrong):
        return None
    at = np.unravel_index(int(np.argmax(np.where(wrong, gap, -1.0))), base.shape)
    place = f"[{', '.join(map(str, at))}]" if base.ndim else ""
    notes = [f"{np.sum(wrong)} of {wrong.size} elements"] if base.ndim else []
    rounding = trained and bool(np.all(near))
    if trained:
        notes.append("training, by rounding" if rounding else "training")
    values = _text(base[at].item()), _text(new[at].item())
    return Difference(path + place, *values, ", ".join(notes), rounding)


def _text(leaf: Any) -> str:
    """A value as JSON has it, or what stands for it."""
    if isinstance(leaf, Shape):
        return leaf.text
    if isinstance(leaf, np.ndarray):
        return f"an array, {_kind(leaf)}"
    value = leaf.value if isinstance(leaf, Number) else leaf
    return json.dumps(value, ensure_ascii=False)


def compare_runs(base: Path, new: Path) -> Comparison:
    """Every JSON file and every file of arrays of two folders that a command wrote."""
    done = Comparison([], [])
    theirs, ours = _files(base), _files(new)
    for name in sorted({*theirs, *ours}):
        if name not in theirs:
            done.added.append(name)
        elif name not in ours:
            done.differences.append(Difference(name, "a file", "missing"))
        else:
            part = compare(_read(theirs[name]), _read(ours[name]))
            for found in part.differences:
                named = asdict(found) | {"path": f"{name} {found.path}"}
                done.differences.append(Difference(**named))
            done.added.extend(f"{name} {path}" for path in part.added)
    return done


def _files(folder: Path) -> dict[str, Path]:
    """By name."""
    return {
        path.name: path
        for path in folder.glob("*")
        if path.suffix in (".json", ".npz") and path.name != HASHES
    }


def _read(path: Path) -> dict[str, Any]:
    """A record, or arrays by name. An array that a record names stands in it as a list: one of
    the two may have it so."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    beside = path.with_suffix(".npz")
    return _filled(record, _read(beside)) if beside.is_file() else record


def _filled(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The value with arrays as lists where it names them."""
    if isinstance(value, list):
        return [_filled(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["array"] and value["array"] in arrays:
        return arrays[value["array"]].tolist()
    return {key: _filled(item, arrays) for key, item in value.items()}


def git(*words: str | Path) -> str:
    """What git prints in the repository.

    Raises:
      InputError: if it fails, with the last line that it says.
    """
    command = ["git", "-C", str(ROOT), *map(str, words)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as failed:
        raise InputError(f"git can't be run ({failed.strerror})") from None
    if done.returncode:
        raise InputError(f"git {words[0]} failed: {_last(done.stderr)}")
    return done.stdout.strip()


def _last(said: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def commit(name: str) -> str:
    """The full hash.

    Raises:
      InputError: if there is no such commit.
    """
    try:
        return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except InputError:
        raise InputError(f"--base {name} is no commit of this repository") from None


@contextlib.contextmanager
def worktree(base: str, place: Path) -> Iterator[Path]:
    """The files of a commit at ``place``, gone afterwards."""
    git("worktree", "add", "--detach", "--quiet", place, base)
    try:
        yield place
    finally:
        git("worktree", "remove", "--force", place)


def copied(tree: Path, place: Path) -> Path:
    """The tree's package as it is now: edits while the commands run must not mix."""
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(tree / "jaxid", place / "jaxid", ignore=skip)
    return place


@dataclass(frozen=True)
class Side:
    """Code, and where its runs go."""

    name: str
    code: Path
    runs: Path
    programs: Path
    """Folder of compiled programs."""

    def python(self, *words: str) -> subprocess.CompletedProcess[str]:
        """This environment's Python with that code before the installed one."""
        environment = os.environ | {
            "PYTHONPATH": str(self.code),
            "MPLBACKEND": "Agg",
            "JAX_COMPILATION_CACHE_DIR": str(self.programs),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        command = [sys.executable, *words]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=self.code, env=environment, check=False
        )

    def check(self) -> None:
        """Refuse to compare code that is not the code meant.

        Raises:
          InputError: if jaxid comes from elsewhere, or can't be imported.
        """
        done = self.python("-c", "import jaxid; print(jaxid.__file__)")
        if done.returncode:
            raise InputError(f"jaxid of the {self.name} can't be imported: {_last(done.stderr)}")
        source = Path(_last(done.stdout)).resolve()
        if not source.is_relative_to(self.code.resolve()):
            raise InputError(f"jaxid of the {self.name} is imported from {source.parent}")

    def run(self, name: str) -> tuple[Path, str]:
        """The folder that a command wrote, and how it failed, empty if it did not."""
        out = self.runs / self.name / name
        words = shlex.split(f"{COMMANDS[name]} {DATA}")
        done = self.python("-m", "jaxid", *words, "--out", str(out))
        failed = f"exit code {done.returncode}, {_last(done.stderr)}" if done.returncode else ""
        return out, failed


def compared(name: str, base: Side, tree: Side) -> Comparison:
    """One command, by both.

    Raises:
      InputError: if the base's code can't run it.
    """
    theirs, failed = base.run(name)
    if failed:
        raise InputError(f"the base fails at {name}, so it is no reference: {failed}")
    ours, failed = tree.run(name)
    if failed:
        return Comparison([Difference("the command", "done", failed)], [])
    return compare_runs(theirs, ours)


def measure(options: Options) -> dict[str, Any]:
    """Every command on both sides; a line each as it is done."""
    base = commit(options.base)
    rows: list[dict[str, Any]] = []
    start = time.perf_counter()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jaxid-golden-")))
        code = stack.enter_context(worktree(base, folder / "base"))
        copy = copied(options.tree or ROOT, folder / "tree")
        runs = (options.keep or folder / "runs").resolve()
        sides = [
            Side(name, place.resolve(), runs, folder / "programs")
            for name, place in (("base", code), ("tree", copy))
        ]
        for side in sides:
            side.check()
        for name in options.only or COMMANDS:
            clock = time.perf_counter()
            done = compared(name, *sides)
            seconds = round(time.perf_counter() - clock, 1)
            print(f"{name:<13}{verdict(done)}, {seconds:.0f} s", flush=True)
            rows.append({"name": name, "command": COMMANDS[name], "seconds": seconds})
            rows[-1] |= {"differences": [asdict(d) for d in done.differences], "added": done.added}
    return {
        "base": base,
        "names": NAMES,
        "rows": rows,
        "seconds": round(time.perf_counter() - start, 1),
    }


def verdict(done: Comparison) -> str:
    """In words."""
    count = len(done.differences)
    words = "same" if not count else f"{count} difference{'s' if count > 1 else ''}"
    if count and all(found.rounding for found in done.differences):
        words += ", all of them rounding in training"
    return words + (f", {len(done.added)} added" if done.added else "")


def show(record: dict[str, Any]) -> None:
    """Every difference, then what was added."""
    for row in record["rows"]:
        for found in row["differences"]:
            print(f"{row['name']} {Difference(**found)}")
    for row in record["rows"]:
        for path in row["added"]:
            print(f"{row['name']} {path}: added")
    print(f"against {record['base'][:12]}: {record['seconds']:.0f} s")


def main(argv: list[str] | None = None) -> int:
    """Compare; 1 if there is a difference."""
    records: list[dict[str, Any]] = []

    def shown(record: dict[str, Any]) -> None:
        records.append(record)
        show(record)

    code = run(__file__, Options, "A commit's records beside the tree's.", measure, shown, argv)
    return code or int(any(row["differences"] for record in records for row in record["rows"]))


if __name__ == "__main__":
    raise SystemExit(main())
