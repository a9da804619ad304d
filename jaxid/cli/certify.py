"""``jaxid certify``: how far off a network can be, and on which inputs, proved."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from jaxid.certification.certified import Certification
from jaxid.certification.certify import certify_parameters, foresee
from jaxid.certification.regions import Effort
from jaxid.cli.output import claimed_out, finished, named_first
from jaxid.cli.parsing import parse, spec_of
from jaxid.cli.subject import Subject, SubjectOptions, load_subject
from jaxid.core.errors import InputError
from jaxid.core.progress import Reporter, terminal
from jaxid.core.wording import counted, duration
from jaxid.identity.family_verdict import family_verdict
from jaxid.problem.loading import load_function
from jaxid.training.loop import Stage, one_seed
from jaxid.verification.bounds import MethodName

EFFORT = Effort()


@dataclass(frozen=True)
class CertifyOptions(SubjectOptions):
    """Every field of the spec; what to certify, and how hard."""

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
    box: tuple[float, float] | None = EFFORT.box
    """A box of your own too: every feature from LOW to HIGH."""
    balls: int = EFFORT.balls
    """Examples with a ball around each; 0 for none."""
    around: Literal["test", "train"] = EFFORT.around
    """Whose examples: the test set's, or the training set's."""
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


def run(argv: Sequence[str]) -> int:
    """Parse, check, train, certify, save, draw, print."""
    description = (
        "jaxid certify [FILE.py:NAME] [options]: the worst error of a network over boxes of "
        "inputs, from both sides: a proof that no input does worse, and an input that does so. "
        "The identity problem's network is trained first, or taken from a checkpoint; for a "
        "Problem of your own the target is the identity or --target."
    )
    own, rest = named_first(argv)
    options = parse(CertifyOptions, rest, "jaxid certify", description)
    target = None if options.target is None else load_function(options.target)
    notes = Console(stderr=True)
    with claimed_out(options.out, options.overwrite, notes) as out:
        reporter, began = terminal(notes), datetime.datetime.now(datetime.UTC)
        subject = load_subject(own, options, notes)
        found = measure(options, subject, target, notes, reporter, began)
        return finished(found, found.interrupted, out, notes)


def measure(
    options: CertifyOptions,
    subject: Subject,
    target: Callable[[Any], Any] | None,
    notes: Console,
    reporter: Reporter,
    began: datetime.datetime,
) -> Certification:
    """Say what it will take, train if that is asked for, certify the first seed's network."""
    problem, effort = subject.problem, spec_of(Effort, options)
    params = one_seed(subject.states, 0).params
    # Read before training too, so that what can't be bounded is refused at once.
    foreseen = foresee(problem, params, target, effort=effort)
    stage = Stage.CHECKPOINT if subject.trained else Stage.INIT if options.untrained else Stage.END
    training = ", and training" if stage is Stage.END else ""
    what = f"{counted(foreseen.regions, 'region')}: about {duration(foreseen.seconds)}{training}"
    notes.print(what, highlight=False, style="dim")
    if stage is Stage.END:
        history = subject.runner.train(subject.seeds, reporter=reporter)
        params = one_seed(history.state, 0).params
    family = None
    if subject.spec is not None and target is None:
        family = family_verdict(subject.spec, problem)
    return certify_parameters(
        problem,
        params,
        stage,
        target,
        effort=effort,
        seed=subject.seeds[0],
        seeds=subject.seeds[:1],
        settings=subject.record,
        target_name=None if options.target is None else options.target.rpartition("/")[2],
        family=family,
        image_shape=subject.image_shape,
        began=began,
        reporter=reporter,
    )
