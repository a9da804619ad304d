"""What every script of this folder shares: flags, files, provenance, the look of figures.

A script has a name, `measure` (options, reporter) -> record, and `draw` (record) -> Figure.
The figure is drawn from the record alone, so the JSON holds every number that it shows:
``--redraw`` reads the JSON and draws again without measuring anything.

    NAME.json   the numbers, with standard errors, seeds, provenance and the command line
    NAME.png    the figure, 150 dots an inch
    NAME.svg    the same as vectors, with text as text

Full runs write into figures/. Quick ones write elsewhere: into a fresh temporary folder
unless ``--out`` names one.
"""

from __future__ import annotations

import datetime
import json
import math
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from jaxid.cli.parsing import parse
from jaxid.core.ending import exit_code
from jaxid.core.errors import InputError
from jaxid.core.folder import replacing
from jaxid.core.progress import Reporter, terminal
from jaxid.core.provenance import origin, without_folders
from jaxid.core.statistics import summary, t_interval
from jaxid.data.scaling import fit

Record: TypeAlias = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "figures"

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito 2008, told apart with every common colour blindness."""
STYLE: Any = {
    "font.size": 10.0,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "savefig.dpi": 150,
    "svg.fonttype": "none",
    "svg.hashsalt": "jaxid",  # element names that do not change from run to run
}


@dataclass(frozen=True)
class Options:
    """The flags of every script."""

    quick: bool = False
    """A small version in seconds, to see that all works; its numbers prove nothing."""
    out: Path | None = None
    """Folder to write into; figures, or for quick runs a fresh temporary folder."""
    redraw: bool = False
    """Draw again from the JSON in that folder; measure nothing."""
    mnist_dir: Path | None = None
    """Folder with the four official MNIST files (else JAXID_MNIST_DIR, else the network)."""

    @property
    def data(self) -> str:
        """Digits for quick runs, else MNIST."""
        return "digits" if self.quick else "mnist"


O = TypeVar("O", bound=Options)  # noqa: E741


def run(
    script: str,
    options_type: type[O],
    measure: Callable[[O, Reporter], Record],
    draw: Callable[[Record], Figure],
    argv: Sequence[str] | None,
    doc: str | None,
) -> int:
    """Parse, measure, save, draw, save.

    Args:
      script: its ``__file__``.
      options_type: `Options` or a dataclass made from it.
      measure: gives the record; its ``seeds`` go into the provenance.
      draw: gives the figure from the record as the JSON has it.
      argv: the arguments; those of the process if None.
      doc: the script's docstring; its first line describes it in --help.

    Returns:
      The exit code: 0 done, 2 the input is wrong, 130 interrupted.
    """
    name = Path(script).stem
    arguments = list(sys.argv[1:] if argv is None else argv)

    def work() -> int:
        options = parse(options_type, arguments, f"python scripts/{name}.py", _first_line(doc))
        folder = output_folder(name, options)
        if options.redraw:
            record = _read(folder / f"{name}.json")
        else:
            record = _measured(name, options, measure, arguments)
            write_json(folder / f"{name}.json", record)
            # As it will be read back: keys as text, tuples as lists.
            record = _read(folder / f"{name}.json")
        with matplotlib.rc_context(STYLE):
            save_figure(draw(record), folder / name)
        print(record["finding"])
        print(f"{folder / name}.json, .png, .svg")
        return 0

    return exit_code(name, work)


def _first_line(doc: str | None) -> str:
    return f"{(doc or '').strip().splitlines()[0]} (claim and expected numbers: the file's head)"


def output_folder(name: str, options: Options) -> Path:
    """Where to write, made if it is not there.

    Raises:
      InputError: if a quick run names a folder inside figures/, or the folder can't be made.
    """
    if options.out is None:
        if not options.quick:
            FIGURES.mkdir(exist_ok=True)
            return FIGURES
        if options.redraw:
            raise InputError("--redraw needs the folder of the quick run; name it with --out")
        return Path(tempfile.mkdtemp(prefix=f"{name}-"))
    folder = options.out.expanduser().resolve()
    if options.quick and folder.is_relative_to(FIGURES):
        raise InputError("--quick never writes into figures; name another folder with --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failed:
        raise InputError(
            f"--out {options.out} can't be made ({failed.strerror}); name another folder"
        ) from None
    return folder


def _measured(
    name: str, options: O, measure: Callable[[O, Reporter], Record], arguments: list[str]
) -> Record:
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    record = measure(options, terminal())
    seconds = round(time.perf_counter() - clock, 2)
    return {
        "script": f"scripts/{name}.py",
        "command": " ".join(["python", f"scripts/{name}.py", *without_folders(arguments)]),
        "quick": options.quick,
        **record,
        "provenance": asdict(origin(record.get("seeds", []), started, seconds)),
    }


def _read(path: Path) -> Record:
    try:
        record: Record = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path} is not there; run without --redraw first") from None
    return record


def write_json(path: Path, record: Record) -> None:
    """Strict JSON: NumPy values as numbers and lists, what is not finite as null."""
    with replacing(path) as part:
        part.write_text(json.dumps(plain(record), indent=1, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """The same out of dicts, lists, text, finite numbers and None."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def summarised(values: np.ndarray) -> Record:
    """Mean, standard error, range for one more run, of a number for each seed."""
    found = summary(values)
    return {"mean": found.mean, "sem": found.sem, "per_seed": found.per_seed,
            "interval95": found.interval95}  # fmt: skip


def paired_ratio(values: Sequence[float | None], base: Sequence[float | None]) -> Record:
    """values / base, seed by seed: geometric mean and its 95 % interval (Student's t of logs)."""
    pairs = zip(values, base, strict=True)
    logs = [math.log(a / b) for a, b in pairs if a is not None and b is not None]
    if not logs:
        return {"ratio": None, "ci95": None, "seeds": 0}
    found = t_interval(logs)
    ends = (found.low, found.high)
    ci95 = None if None in ends else np.exp(np.array(ends, float))
    return {"ratio": math.exp(found.mean), "ci95": ci95, "seeds": found.size}


def mapped64(name: str, train: np.ndarray) -> np.ndarray:
    """The map of `jaxid.data.scaling` in float64, (n, d); raw pixels stay integers.

    Its float32 whitening matrix is not used: the rounding would fill the null directions.
    """
    if name == "raw":
        return train
    if name == "whitened":
        z: np.ndarray = train - train.mean(axis=0, dtype=np.float64)[None, :]
        values, vectors = np.linalg.eigh(z.T @ z / len(z))
        kept = values > len(values) * np.finfo(np.float64).eps * values[-1]
        basis = vectors[:, kept]
        matrix: np.ndarray = (basis / np.sqrt(values[kept])[None, :]) @ basis.T
        return z @ matrix
    scaling = fit(name, train)
    shift, factor = (np.asarray(part, np.float64) for part in (scaling.shift, scaling.factor))
    mapped: np.ndarray = (train - shift[None, :]) * factor[None, :]
    return mapped


def save_figure(figure: Figure, stem: Path) -> None:
    """STEM.png and STEM.svg, without dates, so that equal figures are equal files."""
    kinds: dict[str, dict[str, Any]] = {
        "png": {"Software": None}, "svg": {"Date": None, "Creator": None},
    }  # fmt: skip
    for kind, metadata in kinds.items():
        with replacing(stem.with_name(f"{stem.name}.{kind}")) as part:
            figure.savefig(part, metadata=metadata)


def titled(figure: Figure, finding: str, note: str = "", width: int = 100) -> None:
    """The finding above the figure, in bold; what to know to read it below, in grey."""
    figure.suptitle(
        textwrap.fill(finding, width), x=0.01, ha="left", fontsize=12, fontweight="bold"
    )
    if note:
        figure.supxlabel(
            textwrap.fill(note, int(1.45 * width)), x=0.01, ha="left", fontsize=8, color="#555555"
        )


def number(axes: Axes, value: float, y: float, above: float, color: str = "black") -> None:
    """Write a value beside its mark at (value, y), ``above`` points higher."""
    place: Any = {"textcoords": "offset points", "ha": "center", "fontsize": 8.5}
    axes.annotate(short(value), (value, y), (0, above), color=color, **place)


def plain_ticks(axes: Axes) -> None:
    """Plain numbers (1000, 0.1) on a logarithmic x axis; as many as its span has room for."""
    low, high = axes.get_xlim()
    decades = math.log10(high / low)
    axes.xaxis.set_major_locator(
        MaxNLocator(6) if decades < 1 else LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,))
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def short(value: float | None) -> str:
    """Three digits for reading: 4.72e10, 6170, 0.83; a dash for None."""
    if value is None:
        return "-"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{float(f'{value:.3g}'):g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa}e{int(exponent)}"
