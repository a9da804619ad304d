"""``jaxid predict``: what training will do, said before its first step, and then what it did."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from jaxid.cli.output import claimed_out, finished, named_first, results
from jaxid.cli.parsing import parse
from jaxid.cli.subject import Subject, SubjectOptions, load_subject
from jaxid.core.errors import InputError
from jaxid.core.progress import Reporter, terminal
from jaxid.identity.spec import IdentitySpec
from jaxid.identity.stable_share import at_share
from jaxid.prediction.predict import Prediction
from jaxid.prediction.run import PredictedRun, predicted_run
from jaxid.report.prediction import interruption, print_rest, print_verdict


@dataclass(frozen=True)
class PredictOptions(SubjectOptions):
    """Every field of the spec; what to ask, and whether to train as well."""

    seeds: int = 3
    """Number of seeds: initialisations to predict from, and to train."""
    share: float | None = None
    """Take this share of the largest stable rate in place of --learning-rate; for one linear
    layer under sgd."""
    loss: tuple[float, ...] = ()
    """Losses, to say how many epochs each needs; shares of the first loss if not given."""
    run: bool = True
    """Whether to train too, and put both in one table and figure."""
    out: Path = Path("runs/predict")
    """Folder for prediction.json, prediction.npz and figures."""
    overwrite: bool = False
    """Write into a folder that is not empty."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.checkpoint is not None:
            raise InputError("--checkpoint is trained already; predictions start untrained")
        if self.share is not None and not self.share > 0:
            raise InputError(f"--share is {self.share}; give a positive number, 0.3 say")
        if self.share is not None and self.learning_rate != IdentitySpec.learning_rate:
            raise InputError("--share and --learning-rate are both given; give one of them")
        if any(not value > 0 for value in self.loss):
            raise InputError("--loss takes positive numbers")


def run(argv: Sequence[str]) -> int:
    """Parse, check, predict, train, save, draw, print."""
    description = (
        "jaxid predict [FILE.py:NAME] [options]: the loss at every epoch, how far it can be "
        "trusted, when outputs die and how many epochs a loss needs, from moments of the data, "
        "the initialisation and the optimizer's update rule, before a step is taken; then the "
        "run itself beside it. For the identity problem, or a Problem of your own."
    )
    own, rest = named_first(argv)
    options = parse(PredictOptions, rest, "jaxid predict", description)
    notes = Console(stderr=True)
    with claimed_out(options.out, options.overwrite, notes) as out:
        subject = load_subject(own, options, notes)
        for line in subject.remarks:
            notes.print(line, highlight=False)
        result = measure(options, subject, terminal(notes))
        stopped = None if result.interrupted is None else interruption(result.interrupted)
        # The verdict was printed before training.
        return finished(result, stopped, out, notes, show=print_rest)


def measure(options: PredictOptions, subject: Subject, reporter: Reporter) -> PredictedRun:
    """The prediction, and what training did if it was asked for."""
    runner, settings, moments = subject.runner, subject.record, None
    if options.share is not None:
        rated = at_share(options.share, subject.spec, subject.dataset, reporter)
        runner, settings, moments = rated.runner, rated.spec.as_json(), rated.moments
    return predicted_run(
        runner,
        subject.seeds,
        losses=options.loss,
        train=options.run,
        moments=moments,
        settings=settings,
        tell=_verdict,
        reporter=reporter,
    )


def _verdict(prediction: Prediction) -> None:
    # Whoever reads it may have gone; then the end says so.
    with contextlib.suppress(OSError):
        print_verdict(prediction, results())
