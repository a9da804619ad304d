"""Where in a user's file an operation comes from, and how one that can't be read is told."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from typing import Any

from jaxid.core.errors import InputError

OWN = str(Path(__file__).resolve().parents[1])
"""jaxid's own folder."""
LIBRARY = sysconfig.get_paths()["stdlib"]


def line_of(equation: Any) -> str:
    """FILE:LINE of the user's code that an equation of a jaxpr came from; "" if unknown.

    Of a function that is compiled once and called often, the line of the call.
    """
    traceback = getattr(equation.source_info, "traceback", None)
    for frame in getattr(traceback, "frames", ()):
        name = frame.file_name
        if name.startswith(("<", OWN + os.sep)) or "site-packages" in name:
            continue
        if name.startswith(LIBRARY + os.sep):
            continue
        return f"{Path(name).name}:{frame.line_num}"
    return ""


def unreadable(name: str, place: str, why: str = "") -> InputError:
    """The error for an operation that bounds don't know, with its place in the user's file."""
    where = f" at {place}" if place else ""
    what = f" ({why})" if why else ""
    return InputError(
        f"the network or its target computes {name}{where}{what}, which bounds don't know; "
        "leave it out of what is certified, or write it with operations that they know: affine "
        "maps, maxima, comparisons and choices, products, and elementwise functions"
    )
