"""From a command line to a dataclass, by tyro; its framed error panels become one line."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import itertools
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro

from jaxid.core.errors import InputError

T = TypeVar("T")
KINDS = {"INT": "a whole number", "FLOAT": "a number"}
_FRAME = "│╭╮╰╯"


def parse(spec: type[T], argv: Sequence[str], prog: str, description: str) -> T:
    """An instance of ``spec`` from flat flags, one for each of its fields.

    Raises:
      InputError: one line that says what is wrong and where the help is.
      SystemExit: with 0, after --help.
    """
    for flag, value in itertools.pairwise(argv):
        if flag.startswith("--") and not value.strip():
            raise InputError(f"{flag} is empty; give a value, or leave it out")
    for word in argv:
        if word.startswith("--") and word.endswith("="):
            raise InputError(f"{word[:-1]} is empty; give a value, or leave it out")
    panel = io.StringIO()
    # A plain StringIO has no encoding, and the help would be framed in dashes.
    page = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    try:
        with contextlib.redirect_stderr(panel), contextlib.redirect_stdout(page):
            return tyro.cli(spec, args=list(argv), prog=prog, description=description)
    except SystemExit as stop:
        if stop.code in (0, None):
            print("\n".join(map(_without_none, page.buffer.getvalue().decode().splitlines())))
            raise
        message = _one_line(panel.getvalue()) + _meant(spec, argv)
        raise InputError(f"{message} (see {prog} --help)") from None


def spec_of(spec: type[T], options: Any) -> T:
    """The ``spec`` inside options that extend it: the same fields, and only those."""
    fields = dataclasses.fields(spec)  # type: ignore[arg-type]
    return spec(**{field.name: getattr(options, field.name) for field in fields})


def _meant(spec: Any, argv: Sequence[str]) -> str:
    """A hint at the flag nearest to one that does not exist; empty where none is near."""
    names = [field.name.replace("_", "-").rstrip("-") for field in dataclasses.fields(spec)]
    flags = [f"--{name}" for name in names] + [f"--no-{name}" for name in names]
    for word in argv:
        flag = word.partition("=")[0].replace("_", "-")
        if flag.startswith("--") and flag not in flags:
            near = difflib.get_close_matches(flag, flags, n=1)
            return f"; did you mean {near[0]}?" if near else ""
    return ""


def _without_none(line: str) -> str:
    """A line of help without the None that optional fields admit, frame kept in place."""
    shorter = line.replace("{None}|", "").replace("{None,", "{")
    if shorter == line or not line.endswith("│"):
        return shorter
    return shorter[:-1] + " " * (len(line) - len(shorter)) + "│"


def _one_line(panel: str) -> str:
    """The message inside a framed panel, without frame, rules and help hints."""
    kept: list[str] = []
    for line in panel.splitlines():
        text = line.strip().strip(_FRAME).strip()
        if text and set(text) <= {"─"}:
            break
        if text and not line.startswith(("╭", "╰")):
            kept.append(text)
    message = " ".join(kept)
    message = re.sub(r"^Error parsing [A-Z]\w*: ", "", message)
    message = re.sub(
        r"no type matching \{None\}\|(\w+) could be instantiated.*?(\['.*?'\]).*",
        r"\2 is not of type \1",
        message,
    )
    message = re.sub(
        r"^(?:Error parsing )?(--\S+): no type matching \{None\}\|\{((?:FLOAT ?)+)\}.*",
        lambda found: f"{found[1]} needs {len(found[2].split())} numbers",
        message,
    )
    # ['many'] is not of type INT: as a person would say it.
    message = re.sub(
        r"^(?:Error parsing )?(--\S+): (?:invalid literal for (int)\(\).*|could not convert "
        r"string to (float)): '(.*)'.*",
        lambda found: f"{found[1]}: ['{found[4]}'] is not of type {(found[2] or found[3]).upper()}",
        message,
    )
    message = re.sub(
        r"^(?:Error parsing )?(--\S+): \['(.*)'\] is not of type (\w+).*",
        lambda found: f"{found[1]} is {found[2]!r}; give {KINDS.get(found[3], found[3])}",
        message,
    )
    return message.rstrip(".") or "the arguments could not be read"
