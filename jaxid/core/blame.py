"""Whose error it is: what a user's own code raised is told by its file and line."""

from __future__ import annotations

import os
import re
import sysconfig
import traceback
from pathlib import Path
from typing import NamedTuple

from jaxid.core.errors import words_of
from jaxid.core.folder import is_full

OWN = Path(__file__).resolve().parents[1]
LIBRARIES = [
    Path(sysconfig.get_paths()[kind]).resolve()
    for kind in ("stdlib", "platstdlib", "purelib", "platlib")
]
INSTALLED = {"site-packages", "dist-packages"}
"""Folders that packages lie in, wherever they are."""
FIXES = {
    "TracerBoolConversionError": "use jnp.where or jax.lax.cond in place of `if` there",
    "TracerArrayConversionError": "use jax.numpy in place of numpy there",
    "TracerIntegerConversionError": "use what JAX can trace there",
    "ConcretizationTypeError": "use what JAX can trace there: jnp.where, jax.lax.cond",
    "NonConcreteBooleanIndexError": "use jnp.where in place of indexing by truth values there",
    "UnexpectedTracerError": "keep nothing from one call of the model for the next there",
    "ModuleNotFoundError": "install it where jaxid is installed",
    "FileNotFoundError": "paths are relative to where jaxid is started",
}
"""What to do about errors that JAX or Python have names for."""
NO_ROOM = "hold less at once: fewer --seeds, a smaller batch_size, or a smaller model"
BACKENDS = "xla_bridge.py"
"""Where JAX looks for devices."""
DEEPEST = 10**6
"""Frames looked at: sys.tracebacklimit is of what is printed."""
LENGTH = 400
"""Characters of a message."""
_folders: set[Path] = set()
_files: dict[Path, Path] = {}


def owned(path: Path) -> None:
    """Errors out of this file, and of modules that lie beside or below it, are the user's."""
    _files[path.resolve()] = path
    _folders.add(path.resolve().parent)


def forget() -> None:
    """A new command begins: no file is the user's yet."""
    _files.clear()
    _folders.clear()


class Place(NamedTuple):
    """A line of a user's file, as the user named the file, or by its name alone."""

    file: str
    line: int | None

    def __str__(self) -> str:
        return f"{self.file} line {self.line}"

    @property
    def failed(self) -> str:
        """Begins a message."""
        return f"{self.file} failed at line {self.line}"


def line_in_users_file(error: BaseException) -> Place | None:
    """The innermost line of the user's code that an error passed through; None if through none."""
    if isinstance(error, SyntaxError) and error.filename and _is_users(Path(error.filename)):
        return _shown(Path(error.filename), error.lineno)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__, DEEPEST)
        if _is_users(Path(frame.filename))
    ]
    if frames:
        return _shown(Path(frames[-1].filename), frames[-1].lineno)
    # What a callback raised while the program ran comes as text.
    found = re.findall(r'File "([^"\n]+)", line (\d+)', words_of(error))
    own = [(Path(name), int(line)) for name, line in found if _is_users(Path(name))]
    return _shown(*own[-1]) if own else None


def described(error: BaseException) -> str:
    """ "ValueError: its message", on one line, and what to do about it where that is known."""
    name = type(error).__name__
    lines = [line.strip() for line in words_of(error).splitlines() if line.strip()]
    inner = [line for line in lines if re.match(r"\w*(Error|Exception|Interrupt)\b", line)]
    # The last line of a traceback that a callback left in the message says what it was.
    message = inner[-1] if inner and any("Traceback (most recent" in line for line in lines) else ""
    message = message or " ".join(lines)
    if isinstance(error, SyntaxError):
        message = error.msg
    message = message if len(message) <= LENGTH else message[:LENGTH] + "..."
    fix = FIXES.get(name)
    return (f"{name}: {message}" if message else name) + (f"; {fix}" if fix else "")


def users_file() -> str | None:
    """The user's file, if there is one."""
    return str(next(iter(_files.values()))) if _files else None


def raised_here(error: BaseException) -> bool:
    """Whether it is jaxid's own code that raised it: a fault, where it is no user's line."""
    frames = traceback.extract_tb(error.__traceback__, DEEPEST)
    if any("removed its internal frames" in note for note in getattr(error, "__notes__", ())):
        # JAX raised it, and has taken its own frames away.
        return False
    return bool(frames) and Path(frames[-1].filename).resolve().is_relative_to(OWN)


def with_place(error: BaseException) -> str:
    """ "FILE line N: ValueError: its message", as far as there is a line of the user's."""
    place = line_in_users_file(error)
    return f"{place}: {described(error)}" if place else described(error)


def one_line(text: str) -> str:
    """The text with every character that could break its line written out."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode()
        for c in text
    )


def _is_users(path: Path) -> bool:
    try:
        whole = path.resolve()
        # Code without a file is called <string> and the like.
        if not whole.is_file():
            return False
    except (OSError, RuntimeError, ValueError):
        return False
    if whole in _files:
        return True
    inside = any(whole.is_relative_to(folder) for folder in _folders)
    if INSTALLED.intersection(whole.parts):
        return False
    return inside and not any(whole.is_relative_to(p) for p in (OWN, *LIBRARIES))


def _shown(path: Path, line: int | None) -> Place:
    return Place(str(_files.get(path.resolve()) or path.name), line)


def of_the_machine(error: BaseException) -> str | None:
    """One line for what no code is to blame for: no memory, no room, no such device; else None."""
    text = words_of(error)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text:
        place = line_in_users_file(error)
        what = text.strip().splitlines()[0] if text.strip() else "none is left"
        return f"out of memory{f' at {place}' if place else ''} ({what}); {NO_ROOM}"
    if is_full(error):
        return f"the disk is full ({described(error)}); make room, or name another --out"
    frames = traceback.extract_tb(error.__traceback__, DEEPEST)
    asked = os.environ.get("JAX_PLATFORMS", "")
    # A device that the user's own code asks for is the user's affair.
    theirs = line_in_users_file(error) is not None and not asked
    if any(Path(f.filename).name == BACKENDS for f in frames) and not theirs:
        return (
            f"JAX finds no device (JAX_PLATFORMS is {asked!r}: {described(error)}); unset it, or "
            "set JAX_PLATFORMS=cpu"
        )
    return None
