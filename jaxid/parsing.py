"""From a command line to a dataclass, by tyro; its framed error panels become one line."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro

from jaxid.errors import InputError

T = TypeVar("T")
_FRAME = "│╭╮╰╯"


def parse(spec: type[T], argv: Sequence[str], prog: str, description: str) -> T:
    """An instance of ``spec`` from flat flags, one for each of its fields.

    Raises:
      InputError: one line that says what is wrong and where the help is.
      SystemExit: with 0, after --help.
    """
    panel = io.StringIO()
    try:
        with contextlib.redirect_stderr(panel):
            return tyro.cli(spec, args=list(argv), prog=prog, description=description)
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise InputError(f"{_one_line(panel.getvalue())} (see {prog} --help)") from None


def spec_of(spec: type[T], options: Any) -> T:
    """The ``spec`` inside options that extend it: the same fields, and only those."""
    fields = dataclasses.fields(spec)  # type: ignore[arg-type]
    return spec(**{field.name: getattr(options, field.name) for field in fields})


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
    return message.rstrip(".") or "the arguments could not be read"
