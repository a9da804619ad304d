"""Errors that a user can mend: one line that says what is wrong and what to do."""

from __future__ import annotations


class InputError(ValueError):
    """The input is wrong. The message is one line: what is wrong, then the fix.

    The command line prints it on stderr without a traceback and exits with 2.
    """


class Fault(RuntimeError):
    """A fault of jaxid that it found itself. The message says what came out, and where.

    The command line prints it on stderr with how to report it and exits with 1; nothing is
    written.
    """


def words_of(error: BaseException) -> str:
    """An error's message; empty where making it fails, as a user's own may."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - whatever a user's __str__ raises
        return ""
