"""What every benchmark does around its measurement: flags, one line for an error, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from jaxid.cli.parsing import parse
from jaxid.core.ending import exit_code


class Options(Protocol):
    """A benchmark's flags; all have ``out``."""

    @property
    def out(self) -> Path | None:
        """A JSON file to write everything to."""
        ...


T = TypeVar("T", bound=Options)


def run(
    file: str,
    kind: type[T],
    description: str,
    measure: Callable[[T], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
    argv: list[str] | None,
) -> int:
    """Parse, measure, print, write.

    Args:
      file: the benchmark's ``__file__``.
      kind: the dataclass of its flags.
      description: for its help.
      measure: flags -> the record, which strict JSON holds.
      show: prints the record.
      argv: flags; those of the process if None.

    Returns:
      The exit code.
    """
    path = Path(file)
    arguments = list(sys.argv[1:] if argv is None else argv)

    def work() -> int:
        options = parse(kind, arguments, path.name, description)
        record = measure(options)
        show(record)
        if options.out is not None:
            text = json.dumps(record, indent=1, allow_nan=False)
            options.out.write_text(text + "\n", encoding="utf-8")
        return 0

    return exit_code(path.stem, work)


def say(text: str) -> None:
    """A line beside the results."""
    print(text, file=sys.stderr)
