"""``jaxid spectrum``: the curvature of a network, at a point and along training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from jaxid.cli.output import claimed_out, finished, named_first
from jaxid.cli.parsing import parse, spec_of
from jaxid.cli.subject import Subject, SubjectOptions, load_subject
from jaxid.core import trees
from jaxid.core.errors import InputError
from jaxid.core.progress import Reporter, terminal
from jaxid.core.wording import counted, duration
from jaxid.curvature.survey import Effort
from jaxid.problem.problem import Problem
from jaxid.report.curvature import interruption
from jaxid.spectra.following import LOOKS, SHARE, Following, plan_following
from jaxid.spectra.look import EXACT_ORDER, Look, predicted_seconds
from jaxid.spectra.spectrum import Spectrum, first_examples, spectrum_along, spectrum_at
from jaxid.training.loop import Stage, one_seed

MOST = 1_000_000
"""Of what is counted in products."""


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

    def look(self) -> Look:
        """How to look at a point."""
        memory = int(self.memory_gib * 2**30)
        return Look(self.effort(), self.exact_order, memory, self.layers)

    def following(self, problem: Problem) -> Following:
        """When to look along training."""
        return plan_following(
            problem, looks=self.looks, share=self.share, exact_order=self.exact_order
        )


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
        options.look().check(trees.size(one_seed(subject.states, 0).params))
        notes.print(_prediction(options, subject), highlight=False, style="dim")
        result = measure(options, subject, reporter)
        stopped = None if result.interrupted is None else interruption(result.interrupted)
        return finished(result, stopped, out, notes)


def measure(options: SpectrumOptions, subject: Subject, reporter: Reporter) -> Spectrum:
    """Along training, or at the subject's state."""
    if options.along:
        return spectrum_along(
            subject.runner,
            options.following(subject.problem),
            look=options.look(),
            seeds=subject.seeds,
            examples=options.use_examples,
            settings=subject.record,
            reporter=reporter,
        )
    return spectrum_at(
        subject.problem,
        one_seed(subject.states, 0),
        Stage.CHECKPOINT if subject.trained else Stage.INIT,
        look=options.look(),
        examples=options.use_examples,
        settings=subject.record,
        seeds=subject.seeds,
        reporter=reporter,
    )


def _prediction(options: SpectrumOptions, subject: Subject) -> str:
    """What will be done and how long it will take, about."""
    params = one_seed(subject.states, 0).params
    data = first_examples(subject.problem, options.use_examples)
    seconds = predicted_seconds(subject.problem, params, data, options.look())
    sizes = f"{counted(trees.size(params), 'parameter')}, {counted(data[0].shape[0], 'example')}"
    if not options.along:
        return f"{sizes}: about {duration(seconds)}"
    following = options.following(subject.problem)
    more = "" if len(following.epochs) >= LOOKS else " (a larger --share: more)"
    looks = f"{len(following.epochs)} looks on {following.examples:,} examples{more}"
    points = f"the Hessian at the start and the end about {duration(2 * seconds)}"
    return f"{sizes}: {counted(len(subject.seeds), 'seed')} trained, {looks} on the way; {points}"
