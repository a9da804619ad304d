"""The question it began with: why does a network not learn the identity?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxid.identity.explaining import explain as explain

__all__ = ["explain"]


def __getattr__(name: str) -> Any:
    # When it is first used: the command line needs a spec's fields long before it.
    if name == "explain":
        from jaxid.identity.explaining import explain

        return explain
    raise AttributeError(f"module 'jaxid.identity' has no attribute {name!r}")
