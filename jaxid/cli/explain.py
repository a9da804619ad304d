"""``jaxid explain``: the identity problem from training to report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from jaxid.cli.output import claimed_out
from jaxid.cli.parsing import parse, spec_of
from jaxid.core import interrupt
from jaxid.core.errors import InputError
from jaxid.core.progress import terminal
from jaxid.core.wording import counted, duration
from jaxid.identity.explaining import explain
from jaxid.identity.plan import make_plan
from jaxid.identity.spec import IdentitySpec, load_data


@dataclass(frozen=True)
class ExplainOptions(IdentitySpec):
    """Every field of the spec, and what to do with it."""

    trials: Literal["none", "short", "full"] = "short"
    """Remedies to run: none; short (3 paired seeds, at most 5 epochs on MNIST); full."""
    spectrum_seeds: int = 1
    """Seeds whose exact last-layer Hessian spectra are computed."""
    out: Path = Path("runs/explain")
    """Folder for report.html, report.md, diagnosis.json and figures."""
    overwrite: bool = False
    """Write into a folder that is not empty."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.spectrum_seeds < 0:
            raise InputError(f"--spectrum-seeds is {self.spectrum_seeds}; it must be 0 or more")


def run(argv: Sequence[str]) -> int:
    """Parse, check, estimate, explain, save, print."""
    description = (
        "Train the identity problem and say why it was not learned: loss budget, dead units, "
        "exact curvature, remedies tried, one report."
    )
    options = parse(ExplainOptions, argv, "jaxid explain", description)
    spec = spec_of(IdentitySpec, options)
    notes = Console(stderr=True)

    def say(text: str) -> None:
        notes.print(text, highlight=False, style="dim")

    with claimed_out(options.out, options.overwrite, notes) as out:
        dataset = load_data(spec, say)
        plan = make_plan(
            spec, dataset, trials=options.trials, spectrum_seeds=options.spectrum_seeds
        )
        say(
            f"{plan.spec.data}, depth {plan.spec.depth}, {counted(plan.spec.seeds, 'seed')}, "
            f"{counted(plan.spec.epochs or 0, 'epoch')}: about {duration(plan.predicted_seconds)}"
        )
        diagnosis = explain(spec, plan=plan, reporter=terminal(notes))
        diagnosis.write(out)
        diagnosis.print(Console(highlight=False))
        stopped = diagnosis.interrupted
        if stopped:
            say(f"interrupted ({stopped}); what was finished is written")
        print(f"\nreport: {out.path / 'report.html'}   data: {out.path / 'diagnosis.json'}")
        return interrupt.CODE if stopped else 0
