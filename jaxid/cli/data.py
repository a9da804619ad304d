"""``jaxid data``: what is available, where it lies, how to bring MNIST here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jaxid.cli.parsing import parse
from jaxid.data.sources import describe, how_to_bring_mnist, load


@dataclass(frozen=True)
class DataOptions:
    """What to show or prepare."""

    mnist_dir: Path | None = None
    """Folder with the four official MNIST files (else JAXID_MNIST_DIR, else the network)."""
    prepare: bool = False
    """Prepare MNIST now rather than at its first use."""


def run(argv: Sequence[str]) -> int:
    """List the data sets; with --prepare, get MNIST ready first."""
    description = "What data there are, where they lie, and how to bring MNIST to this machine."
    options = parse(DataOptions, argv, "jaxid data", description)
    if options.prepare:
        notes = Console(stderr=True)
        load("mnist", mnist_dir=options.mnist_dir, report=lambda line: notes.print(line))
    rows = describe(options.mnist_dir)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("--data", "what", "size", "ready"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(row.name, row.what, row.shape, "yes" if row.ready else "no")
    Console(highlight=False).print(table)
    print()
    for row in rows:
        print(f"{row.name}: {row.where}" + (f"; {row.note}" if row.note else ""))
    if not all(row.ready for row in rows):
        print()
        print(how_to_bring_mnist())
    return 0
