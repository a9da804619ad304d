"""``jaxid certify``: how far off a network can be, and on which inputs, proved."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from jaxid.certification.certify import (
    certify_regions,
    error_function,
    error_network,
    predicted_seconds,
)
from jaxid.certification.regions import Effort, regions
from jaxid.cli.output import claimed_out, finish, named_first
from jaxid.cli.parsing import parse, spec_of
from jaxid.cli.subject import Subject, SubjectOptions, load_subject
from jaxid.core.errors import InputError
from jaxid.core.progress import Reporter, terminal
from jaxid.core.provenance import provenance
from jaxid.core.types import Params
from jaxid.core.wording import counted, duration
from jaxid.identity.family_verdict import family_record
from jaxid.plot.certificate import draw_certificate
from jaxid.problem.loading import load_function
from jaxid.report.certificate import print_certificate
from jaxid.training.loop import one_seed
from jaxid.verification.bounds import MethodName
from jaxid.verification.check import Original

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
        reporter = terminal(notes)
        started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
        subject = load_subject(own, options, notes)
        record, arrays = measure(options, subject, target, notes, reporter)
        seconds = round(time.perf_counter() - clock, 2)
        record |= {"provenance": provenance(subject.seeds[:1], started, seconds)}
        return finish(
            record, arrays, out, "certificate", draw_certificate, print_certificate, notes
        )


def measure(
    options: CertifyOptions,
    subject: Subject,
    target: Callable[[Any], Any] | None,
    notes: Console,
    reporter: Reporter,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The record, and the worst inputs and outputs."""
    problem, effort = subject.problem, spec_of(Effort, options)
    if target is None and not problem.is_identity:
        raise InputError("this Problem has targets of its own; name their function with --target")
    found = regions(problem, effort)
    # Read before training too, so that what can't be bounded is refused at once.
    params = one_seed(subject.states, 0).params
    net = error_network(problem, params, target)
    about = duration(predicted_seconds(net, found, effort))
    trained = subject.trained or options.untrained
    what = f"{counted(len(found), 'region')}: about {about}" + ("" if trained else ", and training")
    notes.print(what, highlight=False, style="dim")
    if not trained:
        history = subject.runner.train(subject.seeds, reporter=reporter)
        params = one_seed(history.state, 0).params
        net = error_network(problem, params, target)
    family, named = None, network_arrays(params)
    if subject.spec is not None and target is None:
        family, written = family_record(subject.spec, problem)
        named |= written
    original = Original(error_function(problem, params, target))
    rows, arrays, interrupted = certify_regions(
        net, found, effort, subject.seeds[0], reporter, original
    )
    arrays |= named
    for row in rows:
        x = arrays[f"{row['region']}/x"].reshape((1, *np.shape(problem.train[0])[1:]))
        shown = problem.original(problem.net.apply(params, problem.inputs(jnp.asarray(x))))
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
        "interrupted": interrupted,
    }, arrays


def network_arrays(params: Params) -> dict[str, np.ndarray]:
    """The certified network's parameters, by their places in its tree."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {f"network{jax.tree_util.keystr(path)}": np.asarray(leaf) for path, leaf in leaves}
