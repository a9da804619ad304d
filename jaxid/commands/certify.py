"""``jaxid certify``: how far off a network can be, and on which inputs, proved."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from rich.console import Console

from jaxid.commands.checkpoint import OWN_FLAGS, refuse_flags, spec_of_checkpoint
from jaxid.commands.output import check_out, write_numbers
from jaxid.diagnosis.certification import (
    Effort,
    certify_regions,
    error_network,
    family_verdict,
    regions,
    verdict_record,
)
from jaxid.errors import InputError
from jaxid.experiment import IdentitySpec, build_problem, build_runner, check_memory, load_data
from jaxid.expressivity.bounds import MethodName
from jaxid.loading import load_function, load_problem
from jaxid.parsing import parse, spec_of
from jaxid.plot.certificate import draw_certificate
from jaxid.problem import Problem
from jaxid.provenance import provenance
from jaxid.report.certificate import print_certificate
from jaxid.training.checkpoint import load_state
from jaxid.training.layout import choose_layout
from jaxid.training.loop import one_seed
from jaxid.training.progress import Reporter, terminal
from jaxid.training.run import Runner
from jaxid.types import Params

EFFORT = Effort()


@dataclass(frozen=True)
class CertifyOptions(IdentitySpec):
    """Every field of the spec; what to certify, and how hard."""

    seeds: int = 1
    """Number of seeds to train; the first one's network is certified."""
    checkpoint: Path | None = None
    """Folder that `jaxid train` wrote: take its first seed, with its own settings."""
    target: str | None = None
    """FILE.py:NAME of a function of a batch of inputs: what the network should give. The
    identity if not given."""
    untrained: bool = False
    """Take the initial parameters, without training."""
    method: MethodName = EFFORT.method
    """Dearest bound of the boxes: intervals, crown, or alpha, which optimises its slopes."""
    curve_method: MethodName = EFFORT.curve_method
    """Dearest bound of the interval curve and of the balls."""
    steps: int = EFFORT.steps
    """Steps of that optimisation."""
    balls: int = EFFORT.balls
    """Test examples with a ball around each; 0 for none."""
    radius: float | None = EFFORT.radius
    """Radius of the balls, largest change of a feature; a twentieth of the data's range if not
    given."""
    curve: bool = EFFORT.curve
    """Whether to bound the error against the interval's half width."""
    restarts: int = EFFORT.restarts
    """Starts of the attack for each side of an output that it climbs."""
    out: Path = Path("runs/certify")
    """Folder for certificate.json, certificate.npz and figures."""
    overwrite: bool = False
    """Write into a folder that is not empty."""

    def __post_init__(self) -> None:
        super().__post_init__()
        spec_of(Effort, self)
        if self.checkpoint is not None and self.untrained:
            raise InputError("--checkpoint is trained; leave --untrained out, or the checkpoint")


@dataclass(frozen=True)
class Subject:
    """What is certified.

    Attributes:
      problem, params: the network.
      record: of the problem.
      spec: of the identity family; None for a user's own.
      seed: whose parameters.
      image_shape: of the inputs; None where they are no images.
    """

    problem: Problem
    params: Params
    record: dict[str, Any]
    spec: IdentitySpec | None
    seed: int
    image_shape: tuple[int, ...] | None


def run(argv: Sequence[str]) -> int:
    """Parse, check, train, certify, save, draw, print."""
    description = (
        "jaxid certify [FILE.py:NAME] [options]: the worst error of a network over boxes of "
        "inputs, from both sides: a proof that no input does worse, and an input that does so. "
        "The identity problem's network is trained first, or taken from a checkpoint; for a "
        "Problem of your own the target is the identity or --target."
    )
    own, rest = (argv[0], argv[1:]) if argv and not argv[0].startswith("-") else (None, argv)
    options = parse(CertifyOptions, rest, "jaxid certify", description)
    if own is not None and options.checkpoint is not None:
        raise InputError(f"{own} and --checkpoint are both given; certify one of them")
    target = None if options.target is None else load_function(options.target)
    check_out(options.out, options.overwrite)
    notes = Console(stderr=True)
    reporter = terminal(notes)
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    subject = _subject(own, options, notes, reporter)
    record, arrays = measure(options, subject, target, reporter)
    seconds = round(time.perf_counter() - clock, 2)
    record |= {"provenance": provenance([subject.seed], started, seconds)}
    write_numbers(record, arrays, options.out, "certificate")
    draw_certificate(record, arrays, options.out / "figures")
    print_certificate(record)
    print(f"\ndata: {options.out / 'certificate.json'}   figures: {options.out / 'figures'}")
    return 0


def measure(
    options: CertifyOptions,
    subject: Subject,
    target: Callable[[Any], Any] | None,
    reporter: Reporter,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The record, and the worst inputs and outputs."""
    problem, effort = subject.problem, spec_of(Effort, options)
    if target is None and not problem.is_identity:
        raise InputError("this Problem has targets of its own; name their function with --target")
    net = error_network(problem, subject.params, target)
    family = None
    if subject.spec is not None and target is None:
        family = verdict_record(*family_verdict(subject.spec, problem))
    rows, arrays = certify_regions(net, regions(problem, effort), effort, subject.seed, reporter)
    for row in rows:
        x = arrays[f"{row['region']}/x"].reshape((1, *np.shape(problem.train[0])[1:]))
        shown = problem.original(problem.net.apply(subject.params, problem.inputs(jnp.asarray(x))))
        arrays[f"{row['region']}/output"] = np.asarray(shown).ravel()
    if subject.image_shape is not None:
        arrays["images/shape"] = np.asarray(subject.image_shape)
        arrays["images/maximum"] = np.asarray(float(np.max(problem.train[0])))
    return {
        "schema": 1,
        "problem": subject.record,
        "target": "identity" if options.target is None else options.target.rpartition("/")[2],
        "family": family,
        "regions": rows,
    }, arrays


def _subject(
    own: str | None, options: CertifyOptions, notes: Console, reporter: Reporter
) -> Subject:
    if own is not None:
        refuse_flags(options, OWN_FLAGS, own.rpartition("/")[2])
        problem = load_problem(own)
        runner = Runner(problem, choose_layout(options.layout, 1), options.precision)
        seeds = options.seed_list
        states = runner.init(seeds) if options.untrained else _trained(runner, seeds, reporter)
        record = {"file": own.rpartition("/")[2]}
        return Subject(problem, one_seed(states, 0).params, record, None, seeds[0], None)
    spec = spec_of(IdentitySpec, options)
    if options.checkpoint is not None:
        refuse_flags(options, {"mnist_dir"}, f"--checkpoint {options.checkpoint.name}")
        spec = spec_of_checkpoint(options.checkpoint, options.mnist_dir)
    dataset = load_data(spec, lambda line: notes.print(line, style="dim", highlight=False))
    spec = spec.resolved(dataset)
    problem = build_problem(spec, dataset)
    check_memory(problem, spec.seeds)
    runner, seeds = build_runner(spec, problem), spec.seed_list
    if options.checkpoint is not None:
        states = load_state(options.checkpoint, runner.init(seeds))
    else:
        states = runner.init(seeds) if options.untrained else _trained(runner, seeds, reporter)
    params = one_seed(states, 0).params
    record = spec.as_json()
    return Subject(problem, params, record, spec, seeds[0], dataset.image_shape)


def _trained(runner: Runner, seeds: list[int], reporter: Reporter) -> Any:
    return runner.train(seeds, reporter=reporter).state
