"""Errors that a user can mend: one line that says what is wrong and what to do."""


class InputError(ValueError):
    """The input is wrong. The message is one line: what is wrong, then the fix.

    The command line prints it on stderr without a traceback and exits with 2.
    """
