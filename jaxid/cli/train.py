"""``jaxid train``: train the identity problem alone and save the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jaxid.cli.output import claimed_out
from jaxid.cli.parsing import parse, spec_of
from jaxid.core import interrupt
from jaxid.core.folder import Folder
from jaxid.core.progress import terminal
from jaxid.core.wording import counted
from jaxid.identity.spec import (
    IdentitySpec,
    build_problem,
    build_runner,
    load_data,
)
from jaxid.training.checkpoint import RUN
from jaxid.training.memory import check_memory
from jaxid.training.train import RunRecord, save_run, trained


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
    history, record = trained(runner, spec.seed_list, spec.as_json(), terminal(notes))
    save_run(history, record, out)
    _print(record, out.path)
    if record.interrupted is None:
        return 0
    say(f"interrupted ({record.interrupted}); what was finished is written")
    return interrupt.CODE


def _print(record: RunRecord, out: Path) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("seed", "train loss", "train loss at the end", "test loss", "test MAPE"):
        table.add_column(name, justify="right")
    for row in record.seeds:
        if row.first_non_finite_step is not None:
            table.add_row(str(row.seed), f"not finite from step {row.first_non_finite_step}")
            continue
        values = (row.train_loss[-1], row.train_loss_end, row.original_test_loss, row.test_mape)
        table.add_row(str(row.seed), *("-" if v is None else f"{v:.5g}" for v in values))
    Console(highlight=False).print(table)
    seconds = record.provenance.seconds
    print(f"\n{counted(len(record.seeds), 'seed')} in {seconds:.1f} s; losses in {out / RUN}")
