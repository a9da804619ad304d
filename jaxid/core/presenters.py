"""Who shows results of which type: told from above, where sentences and figures are made.

`jaxid.presentation` adds them when it is imported, and the root says here how that is done, so
that a result of any module prints; nothing below them is imported for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_KNOWN: dict[type, Any] = {}
_LATER: list[Callable[[], object]] = []


def add(kind: type, presenter: Any) -> None:
    """Say how results of a type are shown."""
    _KNOWN[kind] = presenter


def later(load: Callable[[], object]) -> None:
    """Say what adds presenters, to be called when the first is missed."""
    _LATER.append(load)


def presenter_of(kind: type) -> Any:
    """How results of a type are shown.

    Raises:
      LookupError: where nobody said so.
    """
    while kind not in _KNOWN and _LATER:
        _LATER.pop()()
    if kind not in _KNOWN:
        raise LookupError(f"nothing says how a {kind.__name__} is shown")
    return _KNOWN[kind]
