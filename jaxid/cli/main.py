"""The command line: thin. Flags come from the spec dataclasses; errors are one line.

Exit codes: 0 done; 2 the input is wrong; 1 a fault of jaxid; 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from jaxid.core import interrupt
from jaxid.core.ending import exit_code
from jaxid.core.errors import InputError

USAGE = """usage: jaxid COMMAND [options]      (jaxid COMMAND --help lists them)

jaxid tells why a network will not learn what it plainly should, and proves it.

commands:
  explain   the identity problem from training to a report with pictures
  spectrum  the curvature of a network's loss, at a point and along training
  predict   what training will do, said before its first step
  certify   how far off a trained network can be, and on which inputs, proved
  train     train the identity problem and save the runs
  data      which data there are, where they lie, how to bring MNIST here
"""
COMMANDS = "explain, spectrum, predict, certify, train or data"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    return exit_code("jaxid", lambda: _command(args)(args[1:]), last=argv is None)


def _command(args: Sequence[str]) -> Callable[[Sequence[str]], int]:
    """The function of the command named first; its module is imported only now."""
    if args and args[0] in ("-h", "--help", "help"):
        return lambda rest: _shown(USAGE)
    if args and args[0] == "--version":
        from jaxid import __version__

        return lambda rest: _shown(f"{__version__}\n")
    if not args:
        raise InputError(f"no command; use {COMMANDS} (jaxid --help)")
    # Imported here so that --help and a wrong command answer at once.
    if args[0] == "explain":
        from jaxid.cli.explain import run
    elif args[0] == "spectrum":
        from jaxid.cli.spectrum import run
    elif args[0] == "predict":
        from jaxid.cli.predict import run
    elif args[0] == "certify":
        from jaxid.cli.certify import run
    elif args[0] == "train":
        from jaxid.cli.train import run
    elif args[0] == "data":
        from jaxid.cli.data import run
    else:
        raise InputError(f"no command {args[0]!r}; use {COMMANDS} (jaxid --help)")
    # Importing takes seconds.
    interrupt.check()
    return run


def _shown(text: str) -> int:
    print(text, end="")
    return 0
