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
from rich.console import Console

from jaxid import trees
from jaxid.commands.checkpoint import OWN_FLAGS, refuse_flags, spec_of_checkpoint
from jaxid.commands.output import check_out, write_numbers
from jaxid.curvature.survey import Effort
from jaxid.diagnosis.along_training import LOOKS, SHARE, Following, follow_training, plan_following
from jaxid.diagnosis.curvature import EXACT_ORDER, Look, examine_point, predicted_seconds
from jaxid.errors import InputError
from jaxid.experiment import IdentitySpec, build_problem, build_runner, check_memory, load_data
from jaxid.loading import load_problem
from jaxid.parsing import parse, spec_of
from jaxid.plot.curvature import draw_curvature
from jaxid.problem import Problem
from jaxid.provenance import provenance
from jaxid.report.curvature import print_curvature
from jaxid.training.checkpoint import load_state
from jaxid.training.layout import choose_layout
from jaxid.training.loop import TrainState, one_seed
from jaxid.training.progress import Reporter, terminal
from jaxid.training.run import Runner
from jaxid.wording import counted, duration

EXAMPLES = 10_000
"""Examples by default, at most."""


@dataclass(frozen=True)
class SpectrumOptions(IdentitySpec):
    """Every field of the spec; where to look, and how hard."""

    seeds: int = 1
    """Number of seeds to follow along training; the spectra are of the first."""
    checkpoint: Path | None = None
    """Folder that `jaxid train` wrote: look at its first seed, with its own settings."""
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
    """Density probes."""
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
        if self.checkpoint is not None and self.along:
            raise InputError("--along trains anew, and --checkpoint is trained; give one of them")
        if self.use_examples is not None and self.use_examples < 1:
            raise InputError(f"--use-examples is {self.use_examples}; it must be 1 or more")
        if not self.memory_gib > 0:
            raise InputError(f"--memory-gib is {self.memory_gib}; give a positive number")

    def effort(self) -> Effort:
        """How much to measure."""
        return spec_of(Effort, self)


@dataclass(frozen=True)
class Place:
    """What to look at.

    Attributes:
      problem, runner: the network and its compiled training.
      spec: the record of the problem.
      seeds: of the states.
      states: stacked states to look at.
      name: of the point.
      residual: whether the network has skip connections.
    """

    problem: Problem
    runner: Runner
    spec: dict[str, Any]
    seeds: list[int]
    states: TrainState
    name: str
    residual: bool


def run(argv: Sequence[str]) -> int:
    """Parse, check, measure, save, draw, print."""
    description = (
        "jaxid spectrum [FILE.py:NAME] [options]: the curvature of the identity problem's network, "
        "or of a Problem of your own. Both ends of the spectrum with residual bounds, its "
        "density, traces, effective condition number, what the optimizer sees of it, each "
        "layer's block; with --along also on the way through training."
    )
    target, rest = (argv[0], argv[1:]) if argv and not argv[0].startswith("-") else (None, argv)
    options = parse(SpectrumOptions, rest, "jaxid spectrum", description)
    if target is not None and options.checkpoint is not None:
        raise InputError(f"{target} and --checkpoint are both given; look at one of them")
    check_out(options.out, options.overwrite)
    notes = Console(stderr=True)
    reporter = terminal(notes)
    place = _place(target, options, notes)
    notes.print(_prediction(options, place), highlight=False, style="dim")
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    record, arrays = measure(options, place, reporter)
    seconds = round(time.perf_counter() - clock, 2)
    record |= {"provenance": provenance(place.seeds, started, seconds)}
    write_numbers(record, arrays, options.out, "spectrum")
    draw_curvature(record, arrays, options.out / "figures")
    print_curvature(record)
    if record["interrupted"]:
        what = f"interrupted ({record['interrupted']}); what was finished is written"
        notes.print(what, highlight=False, style="dim")
    print(f"\ndata: {options.out / 'spectrum.json'}   figures: {options.out / 'figures'}")
    return 130 if record["interrupted"] else 0


def measure(
    options: SpectrumOptions, place: Place, reporter: Reporter
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The record, and the arrays behind the figures."""
    data, look = _data(options, place), _look(options)
    runner = place.runner
    points: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    states, along = place.states, None
    names = [place.name]
    stopped: str | None = None
    if options.along:
        following = _following(options, place.problem)
        # The states are consumed by training.
        kept = jax.tree.map(jnp.copy, states)
        along, end = follow_training(
            runner, place.seeds, following, memory=look.memory, reporter=reporter
        )
        names, stages = ["init", "end"], [kept, end]
        if along["interrupted"] is not None:
            names, stages, stopped = [], [], f"training, epoch {along['interrupted'] + 1}"
    else:
        stages = [states]
    for name, stage in zip(names, stages, strict=True):
        try:
            point, found = examine_point(
                place.problem,
                one_seed(stage, 0),
                data,
                name,
                look,
                residual=place.residual,
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
        "problem": place.spec,
        "examples": {"used": int(data[0].shape[0]), "of": place.problem.examples},
        "points": points,
        "along": along,
        "interrupted": stopped,
    }, arrays


def _data(options: SpectrumOptions, place: Place) -> Any:
    """The examples that the loss is over."""
    used = min(place.problem.examples, options.use_examples or EXAMPLES)
    x, y = place.runner.x, place.runner.y
    return x[:used], None if y is None else y[:used]


def _look(options: SpectrumOptions) -> Look:
    memory = int(options.memory_gib * 2**30)
    return Look(options.effort(), options.exact_order, memory, options.layers)


def _following(options: SpectrumOptions, problem: Problem) -> Following:
    return plan_following(
        problem, looks=options.looks, share=options.share, exact_order=options.exact_order
    )


def _prediction(options: SpectrumOptions, place: Place) -> str:
    """What will be done and how long it will take, about."""
    data, params = _data(options, place), one_seed(place.states, 0).params
    seconds = predicted_seconds(place.problem, params, data, _look(options))
    sizes = f"{counted(trees.size(params), 'parameter')}, {counted(data[0].shape[0], 'example')}"
    if not options.along:
        return f"{sizes}: about {duration(seconds)}"
    following = _following(options, place.problem)
    more = "" if len(following.epochs) >= LOOKS else " (a larger --share: more)"
    looks = f"{len(following.epochs)} looks on {following.examples:,} examples{more}"
    points = f"the Hessian at the start and the end about {duration(2 * seconds)}"
    return f"{sizes}: {counted(len(place.seeds), 'seed')} trained, {looks} on the way; {points}"


def _place(target: str | None, options: SpectrumOptions, notes: Console) -> Place:
    if target is not None:
        refuse_flags(options, OWN_FLAGS, target.rpartition("/")[2])
        problem = load_problem(target)
        runner = Runner(problem, choose_layout(options.layout, 1), options.precision)
        states = runner.init(options.seed_list)
        shown = {"file": target.rpartition("/")[2]}
        return Place(problem, runner, shown, options.seed_list, states, "init", False)
    spec = spec_of(IdentitySpec, options)
    if options.checkpoint is not None:
        refuse_flags(options, {"mnist_dir"}, f"--checkpoint {options.checkpoint.name}")
        spec = spec_of_checkpoint(options.checkpoint, options.mnist_dir)
    dataset = load_data(spec, lambda line: notes.print(line, style="dim", highlight=False))
    spec = spec.resolved(dataset)
    problem = build_problem(spec, dataset)
    check_memory(problem, spec.seeds)
    runner = build_runner(spec, problem)
    states, name = runner.init(spec.seed_list), "init"
    if options.checkpoint is not None:
        states, name = load_state(options.checkpoint, states), "checkpoint"
    return Place(problem, runner, spec.as_json(), spec.seed_list, states, name, spec.residual)
