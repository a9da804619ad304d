"""``jaxid spectrum``: the curvature of a network, at a point and along training."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import psutil
from rich.console import Console

from jaxid.cli.output import claimed_out, finish, named_first
from jaxid.cli.parsing import parse, spec_of
from jaxid.cli.subject import Subject, SubjectOptions, load_subject
from jaxid.core import trees
from jaxid.core.errors import InputError
from jaxid.core.progress import Reporter, terminal
from jaxid.core.provenance import provenance
from jaxid.core.types import Params
from jaxid.core.wording import counted, duration
from jaxid.curvature.survey import Effort
from jaxid.plot.curvature import draw_curvature
from jaxid.problem.problem import Problem
from jaxid.report.curvature import print_curvature
from jaxid.spectra.along_training import LOOKS, SHARE, Following, follow_training, plan_following
from jaxid.spectra.point import EXACT_ORDER, Look, examine_point, predicted_seconds
from jaxid.training.loop import one_seed

MOST = 1_000_000
"""Of what is counted in products."""
EXAMPLES = 10_000
"""Examples by default, at most."""


@dataclass(frozen=True)
class SpectrumOptions(SubjectOptions):
    """Every field of the spec; where to look, and how hard."""

    along: bool = False
    """Train, look along the way, and at the end too."""
    looks: int | None = None
    """Looks along training, start and end included; 8, or as many as --share allows."""
    share: float = SHARE
    """Looks' share of the training's arithmetic: 0.1 is a tenth; more gives more looks."""
    top: int = 10
    """Largest eigenvalues of the Hessian."""
    bottom: int = 3
    """Smallest eigenvalues of the Hessian."""
    restarts: int = 24
    """Most rounds of Lanczos for the largest and smallest eigenvalues; more converge further."""
    tolerance: float = 1e-4
    """Residual over the largest |eigenvalue| at which an eigenvalue has converged."""
    steps: int = 60
    """Hessian-vector products of each density probe, and for kappa of 99 %."""
    probes: int = 4
    """Density probes; 0 makes no density."""
    trace_probes: int = 16
    """Probes of the trace."""
    exact_order: int = EXACT_ORDER
    """Parameters up to which every eigenvalue is computed, in float64."""
    use_examples: int | None = None
    """Training examples that the loss is over, the first so many; 10,000 at most if not
    given."""
    memory_gib: float = 2.0
    """Memory for passes over the examples, in GiB; less takes smaller chunks."""
    layers: bool = True
    """Whether to look at every layer's own block."""
    out: Path = Path("runs/spectrum")
    """Folder for spectrum.json, spectrum.npz and figures."""
    overwrite: bool = False
    """Write into a folder that is not empty."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.effort()
        for name, least in (("restarts", 1), ("probes", 0), ("exact_order", 0)):
            if getattr(self, name) < least:
                flag = name.replace("_", "-")
                raise InputError(f"--{flag} is {getattr(self, name)}; it must be {least} or more")
        if self.looks is not None and self.looks < 2:
            raise InputError(f"--looks is {self.looks}; the start and the end are 2")
        if not 0 < self.share < float("inf"):
            raise InputError(f"--share is {self.share}; give a positive number, 0.1 say")
        if self.checkpoint is not None and self.along:
            raise InputError("--along trains anew, and --checkpoint is trained; give one of them")
        if self.use_examples is not None and self.use_examples < 1:
            raise InputError(f"--use-examples is {self.use_examples}; it must be 1 or more")
        if not 0 < self.memory_gib < 1e6:
            raise InputError(f"--memory-gib is {self.memory_gib}; give a number from 0 to 1e6")
        for name in ("steps", "probes", "trace_probes", "restarts", "looks"):
            if (getattr(self, name) or 0) > MOST:
                flag = name.replace("_", "-")
                raise InputError(f"--{flag} is {getattr(self, name)}; {MOST:,} is the most")

    def effort(self) -> Effort:
        """How much to measure."""
        return spec_of(Effort, self)


def run(argv: Sequence[str]) -> int:
    """Parse, check, measure, save, draw, print."""
    description = (
        "jaxid spectrum [FILE.py:NAME] [options]: the curvature of the identity problem's network, "
        "or of a Problem of your own. Both ends of the spectrum with residual bounds, its "
        "density, traces, effective condition number, what the optimizer sees of it, each "
        "layer's block; with --along also on the way through training."
    )
    target, rest = named_first(argv)
    options = parse(SpectrumOptions, rest, "jaxid spectrum", description)
    notes = Console(stderr=True)
    with claimed_out(options.out, options.overwrite, notes) as out:
        reporter = terminal(notes)
        subject = load_subject(target, options, notes)
        for line in subject.remarks:
            notes.print(line, highlight=False)
        _check_basis(options, one_seed(subject.states, 0).params)
        notes.print(_prediction(options, subject), highlight=False, style="dim")
        started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
        record, arrays = measure(options, subject, reporter)
        seconds = round(time.perf_counter() - clock, 2)
        record |= {"provenance": provenance(subject.seeds, started, seconds)}
        return finish(record, arrays, out, "spectrum", draw_curvature, print_curvature, notes)


def measure(
    options: SpectrumOptions, subject: Subject, reporter: Reporter
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The record, and the arrays behind the figures."""
    data, look = _data(options, subject), _look(options)
    runner = subject.runner
    points: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    states, along = subject.states, None
    names = ["checkpoint" if subject.trained else "init"]
    stopped: str | None = None
    if options.along:
        following = _following(options, subject.problem)
        # The states are consumed by training.
        kept = jax.tree.map(jnp.copy, states)
        along, end = follow_training(
            runner, subject.seeds, following, memory=look.memory, reporter=reporter
        )
        names, stages = ["init", "end"], [kept, end]
        if along["interrupted"] is not None:
            names, stages, stopped = [], [], f"training, epoch {along['interrupted'] + 1}"
    else:
        stages = [states]
    for name, stage in zip(names, stages, strict=True):
        try:
            point, found = examine_point(
                subject.problem,
                one_seed(stage, 0),
                data,
                name,
                look,
                reporter=reporter,
            )
        except KeyboardInterrupt:
            if not points and along is None:
                raise
            stopped = f"curvature at {name}"
            break
        points.append(point)
        arrays |= found
        if point["interrupted"]:
            stopped = f"curvature at {name}, {point['interrupted']}"
            break
    return {
        "schema": 1,
        "problem": subject.record,
        "examples": {"used": int(data[0].shape[0]), "of": subject.problem.examples},
        "points": points,
        "along": along,
        "interrupted": stopped,
    }, arrays


def _check_basis(options: SpectrumOptions, params: Params) -> None:
    """The vectors that Lanczos keeps for so many eigenvalues, twice while it restarts.

    Raises:
      InputError: if there are not so many, or they would not fit in memory.
    """
    order = trees.size(params)
    for name in ("top", "bottom"):
        asked = getattr(options, name)
        if asked > order and asked != getattr(SpectrumOptions, name):
            raise InputError(
                f"--{name} is {asked} and the network has {counted(order, 'parameter')}; ask for "
                "no more eigenvalues"
            )
    vectors = min(order, 2 * sum(options.effort().wanted(order)) + 10)
    need, available = 8 * vectors * order, psutil.virtual_memory().available
    if need > available:
        raise InputError(
            f"--top {options.top} and --bottom {options.bottom} keep {vectors:,} vectors of "
            f"{order:,} numbers, {need / 1e9:,.1f} GB, and {available / 1e9:.1f} GB are free; ask "
            "for fewer"
        )


def _data(options: SpectrumOptions, subject: Subject) -> Any:
    """The examples that the loss is over."""
    used = min(subject.problem.examples, options.use_examples or EXAMPLES)
    x, y = subject.runner.x, subject.runner.y
    return x[:used], None if y is None else y[:used]


def _look(options: SpectrumOptions) -> Look:
    memory = int(options.memory_gib * 2**30)
    return Look(options.effort(), options.exact_order, memory, options.layers)


def _following(options: SpectrumOptions, problem: Problem) -> Following:
    return plan_following(
        problem, looks=options.looks, share=options.share, exact_order=options.exact_order
    )


def _prediction(options: SpectrumOptions, subject: Subject) -> str:
    """What will be done and how long it will take, about."""
    data, params = _data(options, subject), one_seed(subject.states, 0).params
    seconds = predicted_seconds(subject.problem, params, data, _look(options))
    sizes = f"{counted(trees.size(params), 'parameter')}, {counted(data[0].shape[0], 'example')}"
    if not options.along:
        return f"{sizes}: about {duration(seconds)}"
    following = _following(options, subject.problem)
    more = "" if len(following.epochs) >= LOOKS else " (a larger --share: more)"
    looks = f"{len(following.epochs)} looks on {following.examples:,} examples{more}"
    points = f"the Hessian at the start and the end about {duration(2 * seconds)}"
    return f"{sizes}: {counted(len(subject.seeds), 'seed')} trained, {looks} on the way; {points}"
