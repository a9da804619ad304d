"""``jaxid train``: train the identity problem alone and save the runs."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jaxid.cli.output import claimed_out
from jaxid.cli.parsing import parse, spec_of
from jaxid.core import interrupt
from jaxid.core.folder import Folder
from jaxid.core.manifest import digest, hashes
from jaxid.core.progress import terminal
from jaxid.core.provenance import provenance
from jaxid.core.wording import counted
from jaxid.identity.spec import (
    IdentitySpec,
    build_problem,
    build_runner,
    check_memory,
    load_data,
)
from jaxid.training.checkpoint import FOLDER, RUN, save_state
from jaxid.training.run import History


@dataclass(frozen=True)
class TrainOptions(IdentitySpec):
    """Every field of the spec, and where to write."""

    out: Path = Path("runs/train")
    """Folder for run.json (losses of every seed) and state/ (parameters, by Orbax)."""
    overwrite: bool = False
    """Write into a folder that is not empty."""


def run(argv: Sequence[str]) -> int:
    """Parse, check, train, save, print one line per seed."""
    description = "Train the identity problem on many seeds and save losses and parameters."
    options = parse(TrainOptions, argv, "jaxid train", description)
    notes = Console(stderr=True)
    with claimed_out(options.out, options.overwrite, notes) as out:
        return _trained(options, out, notes)


def _trained(options: TrainOptions, out: Folder, notes: Console) -> int:
    def say(line: str) -> None:
        notes.print(line, style="dim", highlight=False)

    dataset = load_data(options, say)
    spec = spec_of(IdentitySpec, options).resolved(dataset)
    problem = build_problem(spec, dataset)
    check_memory(problem, spec.seeds)
    runner = build_runner(spec, problem)
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    history = runner.train(spec.seed_list, keep=True, reporter=terminal(notes))
    seconds = round(time.perf_counter() - clock, 2)
    seeds = [_row(history, k, seed) for k, seed in enumerate(spec.seed_list)]
    stopped = history.interrupted
    record = {
        "schema": 1,
        "problem": spec.as_json(),
        "provenance": asdict(provenance(spec.seed_list, started, seconds))
        | {"layout": runner.layout},
        "seeds": seeds,
        "interrupted": None if stopped is None else f"after epoch {stopped} of {spec.epochs}",
    }
    with out.adding(f"{RUN} and the parameters") as stage:
        save_state(history.state, stage)
        # Neither is of use with another run's other.
        record["parameters_sha256"] = digest(hashes(stage, stage / FOLDER))
        text = json.dumps(record, indent=1, allow_nan=False)
        (stage / RUN).write_text(text + "\n", encoding="utf-8")
    _print(seeds, seconds, out.path)
    if stopped is not None:
        say(f"interrupted ({record['interrupted']}); what was finished is written")
    return 0 if stopped is None else interrupt.CODE


def _row(history: History, k: int, seed: int) -> dict[str, Any]:
    bad = int(history.first_bad[k])
    row: dict[str, Any] = {
        "seed": seed,
        "train_loss": _numbers(history.train[k]),
        "test_loss": _numbers(history.test[k]),
        "train_loss_end": _number(float(history.train_end.original_loss[k])),
        "first_non_finite_step": bad if bad >= 0 else None,
    }
    if history.test_end is not None:
        row |= {
            "original_test_loss": _number(float(history.test_end.original_loss[k])),
            "test_mape": _number(float(history.test_end.mape[k])),
        }
    return row


def _print(seeds: list[dict[str, Any]], seconds: float, out: Path) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("seed", "train loss", "train loss at the end", "test loss", "test MAPE"):
        table.add_column(name, justify="right")
    for row in seeds:
        if row["first_non_finite_step"] is not None:
            table.add_row(str(row["seed"]), f"not finite from step {row['first_non_finite_step']}")
            continue
        values = (
            row["train_loss"][-1],
            row["train_loss_end"],
            row.get("original_test_loss"),
            row.get("test_mape"),
        )
        table.add_row(str(row["seed"]), *("-" if v is None else f"{v:.5g}" for v in values))
    Console(highlight=False).print(table)
    print(f"\n{counted(len(seeds), 'seed')} in {seconds:.1f} s; losses in {out / 'run.json'}")


def _numbers(values: Any) -> list[float | None]:
    return [_number(float(v)) for v in values]


def _number(value: float) -> float | None:
    """JSON has no number for what is not finite."""
    return value if abs(value) < float("inf") else None
