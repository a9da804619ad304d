"""The network that a command looks at: the identity problem of its flags, a folder of
``jaxid train``, or a file of one's own."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from rich.console import Console

from jaxid.cli.parsing import spec_of
from jaxid.core.errors import InputError
from jaxid.core.io import decode, read_values
from jaxid.core.manifest import digest, verify
from jaxid.data.sources import Dataset
from jaxid.identity.spec import IdentitySpec, build_problem, build_runner, load_data
from jaxid.problem.loading import load_problem
from jaxid.problem.problem import Problem
from jaxid.training.checkpoint import FOLDER, RUN, load_state
from jaxid.training.layout import choose_layout
from jaxid.training.loop import TrainState
from jaxid.training.memory import check_memory
from jaxid.training.run import Runner
from jaxid.training.train import RunRecord

OWN_FLAGS = {"seeds", "first_seed", "layout", "precision"}
"""Fields of the spec that count for a Problem of one's own too."""


@dataclass(frozen=True)
class SubjectOptions(IdentitySpec):
    """Every field of the spec, or where to take it from."""

    seeds: int = 1
    """Number of seeds to train; the first one's network is looked at."""
    checkpoint: Path | None = None
    """Folder that `jaxid train` wrote: look at its first seed, with its own settings."""


@dataclass(frozen=True)
class Subject:
    """A network, and where it came from.

    Attributes:
      problem, runner: the problem and its compiled training.
      record: of the problem, for JSON.
      spec: of the identity family; None for a Problem of one's own.
      seeds: of the states.
      states: stacked: initial ones, or a checkpoint's.
      trained: whether they are a checkpoint's.
      image_shape: of the inputs; None where they are no images.
      dataset: of the identity problem; None for a Problem of one's own.
      remarks: what is worth saying of a Problem of one's own.
    """

    problem: Problem
    runner: Runner
    record: dict[str, Any]
    spec: IdentitySpec | None
    seeds: list[int]
    states: TrainState
    trained: bool
    image_shape: tuple[int, ...] | None
    dataset: Dataset | None
    remarks: tuple[str, ...] = ()


def load_subject(own: str | None, options: SubjectOptions, notes: Console) -> Subject:
    """What the command line names.

    Args:
      own: FILE.py:NAME, or None.
      options: as parsed.
      notes: where loading data is told.

    Raises:
      InputError: for what is not there, and for flags that would do nothing.
    """
    if own is not None:
        name = own.rpartition("/")[2]
        if options.checkpoint is not None:
            raise InputError(f"{own} and --checkpoint are both given; name one of them")
        refuse_flags(options, OWN_FLAGS, name)
        remarks: list[str] = []
        gradient = not getattr(options, "untrained", False)
        problem = load_problem(own, remarks.append, gradient=gradient)
        check_memory(problem, options.seeds)
        runner = Runner(problem, choose_layout(options.layout, 1), options.precision)
        seeds = options.seed_list
        record = {"file": name}
        states = runner.init(seeds)
        return Subject(
            problem, runner, record, None, seeds, states, False, None, None, tuple(remarks)
        )
    spec = spec_of(IdentitySpec, options)
    if options.checkpoint is not None:
        refuse_flags(options, {"mnist_dir"}, f"--checkpoint {options.checkpoint.name}")
        spec = spec_of_run(run_of_checkpoint(options.checkpoint), options)
    dataset = load_data(spec, lambda line: notes.print(line, style="dim", highlight=False))
    try:
        spec = spec.resolved(dataset)
    except InputError as wrong:
        if options.checkpoint is None:
            raise
        raise _impossible(f"--checkpoint {options.checkpoint}", wrong) from None
    problem = build_problem(spec, dataset)
    check_memory(problem, spec.seeds)
    runner, seeds = build_runner(spec, problem), spec.seed_list
    states, trained = runner.init(seeds), options.checkpoint is not None
    extra: dict[str, str] = {}
    if options.checkpoint is not None:
        states = load_state(options.checkpoint, states)
        # Another run may have been written there since.
        run = run_of_checkpoint(options.checkpoint)
        if spec_of_run(run, options).resolved(dataset) != spec:
            raise InputError(f"--checkpoint {options.checkpoint} was changed meanwhile; try again")
        if run.interrupted is not None:
            line = f"this run was interrupted ({run.interrupted}): its parameters are those of then"
            notes.print(line, highlight=False)
            extra = {"checkpoint_interrupted": str(run.interrupted)}
    shape = dataset.image_shape
    return Subject(
        problem, runner, spec.as_json() | extra, spec, seeds, states, trained, shape, dataset
    )


def run_of_checkpoint(folder: Path) -> RunRecord:
    """What a folder of ``jaxid train`` says of its run.

    Raises:
      InputError: one line, if the folder is none, is not whole, or holds what another run left.
    """
    named = f"--checkpoint {folder}"
    if not folder.is_dir():
        raise InputError(f"{named} is no folder; name the --out folder of jaxid train")
    values = read_values(folder / RUN, named, "name the --out folder of a finished jaxid train")
    files = verify(folder, [RUN, FOLDER]).files
    try:
        record = decode(RunRecord, values, {})
    except InputError as failed:
        raise InputError(f"{named}: {RUN} is not of this version ({failed}); train again") from None
    own = {name: files[name] for name in files if name.startswith(f"{FOLDER}/")}
    if record.parameters_sha256 != digest(own):
        raise InputError(f"{named}: {RUN} belongs to other parameters than {FOLDER}; train again")
    return record


def spec_of_run(run: RunRecord, options: SubjectOptions) -> IdentitySpec:
    """The spec that a checkpoint was trained with, ``mnist_dir`` being this machine's.

    Raises:
      InputError: one line, for settings that can't be.
    """
    named, saved = f"--checkpoint {options.checkpoint}", run.problem
    known = {f.name for f in dataclasses.fields(IdentitySpec)}
    fields: dict[str, Any] = {name: value for name, value in saved.items() if name in known}
    if fields.get("degrees_of_freedom") is None:
        fields["degrees_of_freedom"] = float("inf")
    fields["mnist_dir"] = options.mnist_dir
    for name, kind in get_type_hints(IdentitySpec).items():
        if name in fields and not fits(fields[name], kind):
            raise InputError(
                f"{named}: {RUN} has {name} = {fields[name]!r}, which can't be; train again"
            )
    try:
        return IdentitySpec(**fields)
    except InputError as wrong:
        raise _impossible(named, wrong) from None


def _impossible(named: str, wrong: InputError) -> InputError:
    return InputError(f"{named}: {RUN} can't be ({wrong}); train again")


def fits(value: Any, kind: Any) -> bool:
    """Whether a value that was read is of an annotation's type: unions, literals and plain ones."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return any(fits(value, one) for one in get_args(kind))
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def refuse_flags(options: IdentitySpec, allowed: set[str], owner: str) -> None:
    """Flags of the identity problem that would do nothing.

    Args:
      options: as parsed.
      allowed: fields that count all the same.
      owner: what brings its own, for the message.

    Raises:
      InputError: naming the first one.
    """
    for field in dataclasses.fields(IdentitySpec):
        default = type(options).__dataclass_fields__[field.name].default
        if field.name not in allowed and getattr(options, field.name) != default:
            flag = field.name.replace("_", "-")
            raise InputError(f"--{flag} is of the identity problem, and {owner} brings its own")
