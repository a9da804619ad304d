"""A folder of results: one writer, nothing half written, whole or it says that it is not.

What belongs together is written into a hidden folder beside its place, then renamed into it, then
the manifest is replaced. Whatever ends the process in between, every file is one that was finished,
and the manifest lists those that belong together. A full disk costs what was being written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from jaxid.core import manifest
from jaxid.core.errors import InputError, words_of
from jaxid.core.lock import locked
from jaxid.core.manifest import Manifest
from jaxid.core.wording import counted

HIDDEN = ".jaxid-"
"""Names of what is only there while it is being written."""
LOCK = f"{HIDDEN}writer"
COMING, BEFORE = f"{HIDDEN}coming", f"{HIDDEN}before"
"""Lists of a folder that is being changed: what will be there, and what was."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FULL_WORDS = ("No space left", "Disk quota exceeded", "File too large")


class Folder:
    """A folder that this process alone writes into; from `claimed`.

    Attributes:
      path: where results go; another one if that became impossible meanwhile.
    """

    def __init__(self, path: Path, *, overwrite: bool, tell: Callable[[str], None]) -> None:
        self.path = path
        self._overwrite, self._tell = overwrite, tell
        self._files: dict[str, str] = {}
        self._began = False

    @contextlib.contextmanager
    def adding(self, what: str, *, last: bool = True) -> Iterator[Path]:
        """A folder to write files into that belong together; they take their places at the end of
        the block, all of them, or none if it raises.

        Args:
          what: for messages: "the figures".
          last: whether nothing comes after it.

        Raises:
          InputError: one line, if the disk is full.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            stage = Path(tempfile.mkdtemp(prefix=f"{HIDDEN}writing-", dir=self.path))
        except OSError as failed:
            if failed.errno in FULL:
                raise self._full(what) from None
            self._elsewhere(failed.strerror or "it can't be written")
            stage = Path(tempfile.mkdtemp(prefix=f"{HIDDEN}writing-", dir=self.path))
        try:
            yield stage
            _to_disk(stage)
            self._moved(stage, last=last)
        except Exception as failed:
            if is_full(failed):
                raise self._full(what) from None
            if isinstance(failed, OSError):
                raise InputError(
                    f"{what} could not be written into {self.path} ({failed.strerror or failed}); "
                    "name another folder"
                ) from None
            raise
        finally:
            shutil.rmtree(stage, ignore_errors=True)

    def _moved(self, stage: Path, *, last: bool) -> None:
        new = manifest.hashes(stage, stage)
        in_the_way = self._in_the_way(new)
        if in_the_way:
            self._elsewhere(in_the_way)
        files = self._files | new
        old = {} if self._began else self._left_before()
        # Before the others have their places: there may be no room for it then, and whoever is
        # killed from here on leaves lists of what is his and what was there.
        for name, listed in ((BEFORE, Manifest(old, True)), (COMING, Manifest(files, last))):
            (stage / name).write_text(listed.text(), encoding="utf-8")
            shutil.move(stage / name, self.path / name)
        if not self._began:
            # No list of what is whole from here on, until the new one is there.
            (self.path / manifest.NAME).unlink(missing_ok=True)
            self._clear({name: old[name] for name in set(old) - set(new)})
            self._began = True
        for name in new:
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            # A rename, unless the results went to another disk.
            shutil.move(stage / name, target)
        os.replace(self.path / COMING, self.path / manifest.NAME)
        (self.path / BEFORE).unlink(missing_ok=True)
        self._files = files

    def _in_the_way(self, new: dict[str, str]) -> str:
        """What appeared since the folder was claimed and is not ours to replace; or empty."""
        if not self._overwrite and not self._files and (self.path / manifest.NAME).exists():
            return "another run's results have appeared there"
        for name in new:
            target = self.path / name
            if target.is_dir() and not target.is_symlink():
                return f"{name} is a folder there"
            for parent in list(target.parents)[: name.count("/")]:
                if os.path.lexists(parent) and (parent.is_symlink() or not parent.is_dir()):
                    return f"{parent.name} is no folder there"
                if parent.is_dir() and not os.access(parent, os.W_OK):
                    return f"{parent.name} can't be written there"
            if not self._overwrite and name not in self._files and os.path.lexists(target):
                return f"{name} has appeared there"
        return ""

    def _left_before(self) -> dict[str, str]:
        """What earlier runs wrote, those too that were killed."""
        old: dict[str, str] = {}
        for listed in (BEFORE, COMING, manifest.NAME):
            with contextlib.suppress(InputError):
                old |= manifest.read_manifest(self.path, listed).files
        return old

    def _clear(self, old: dict[str, str]) -> None:
        """Remove what an earlier run left, as it was written; what was changed since stays."""
        for name, digest in old.items():
            inside = Path(name)
            if inside.is_absolute() or ".." in inside.parts:
                continue
            with contextlib.suppress(OSError, ValueError):
                if manifest.sha256(self.path / name) == digest:
                    (self.path / name).unlink()
                for parent in list(inside.parents)[:-1]:
                    (self.path / parent).rmdir()

    def _elsewhere(self, why: str) -> None:
        """Another folder from now on; told once."""
        last: OSError | None = None
        for beside in (self.path.parent, Path(tempfile.gettempdir())):
            try:
                other = Path(tempfile.mkdtemp(prefix=f"{self.path.name}-", dir=beside))
            except OSError as failed:
                last = failed
                continue
            self._tell(f"{self.path} can't take the results ({why}); they are in {other}")
            for name in self._files:
                with contextlib.suppress(OSError):
                    (other / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(self.path / name, other / name)
            here = manifest.hashes(other, other)
            self._files = {name: here[name] for name in self._files if name in here}
            self.path, self._began = other, True
            return
        raise InputError(f"{self.path} can't take the results ({why}), nor its neighbours ({last})")

    def _full(self, what: str) -> InputError:
        kept = (
            f"; {counted(len(self._files), 'file')} written before are whole" if self._files else ""
        )
        return InputError(
            f"the disk of {self.path} is full: {what} could not be written{kept}; make room, or "
            "name another folder"
        )


@contextlib.contextmanager
def claimed(
    path: Path,
    *,
    overwrite: bool,
    name: str = "--out",
    tell: Callable[[str], None] = lambda line: None,
) -> Iterator[Folder]:
    """Check a folder before anything is computed, and keep other writers out of it.

    A folder that was made for it goes again if nothing was written.

    Args:
      path: made, with its parents, if it is not there.
      overwrite: whether it may hold something.
      name: what the user calls it, for messages.
      tell: is told where the results went instead.

    Raises:
      InputError: one line with the fix: no folder, not empty, not to be written, or another
        process is writing into it.
    """
    made = _made(path, name, overwrite)
    try:
        with contextlib.ExitStack() as stack:
            try:
                free = stack.enter_context(locked(path / LOCK))
            except OSError as failed:
                raise _unwritable(path, name, failed) from None
            if not free:
                raise InputError(
                    f"{name} {path} is being written by another jaxid; wait for it, or name "
                    "another folder"
                )
            # Another writer may have finished since.
            _check_contents(path, name, overwrite)
            for left in path.glob(f"{HIDDEN}writing-*"):
                # Nobody else holds the lock: their writer is gone.
                shutil.rmtree(left, ignore_errors=True)
            yield Folder(path, overwrite=overwrite, tell=tell)
    finally:
        for folder in made:
            # Only where it stayed empty.
            with contextlib.suppress(OSError):
                folder.rmdir()


def _made(path: Path, name: str, overwrite: bool) -> list[Path]:
    """Folders that had to be made, the innermost first."""
    try:
        # Libraries in other languages take no other names.
        str(path.absolute()).encode("utf-8")
        if path.is_symlink() and not path.exists():
            raise InputError(f"{name} {path} is a link to nothing; name a folder")
        if path.exists() and not path.is_dir():
            raise InputError(f"{name} {path} is a file; name a folder")
        _check_contents(path, name, overwrite)
        missing = []
        parent = path
        while not parent.exists():
            missing.append(parent)
            parent = parent.parent
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as failed:
        if isinstance(failed, InputError):
            raise
        raise _unwritable(path, name, failed) from None
    return missing


def _check_contents(path: Path, name: str, overwrite: bool) -> None:
    """Nothing lies there that may not be replaced."""
    if not path.is_dir():
        return
    if not overwrite and any(not p.name.startswith(HIDDEN) for p in path.iterdir()):
        raise InputError(f"{name} {path} is not empty; add --overwrite or name another folder")
    if (path / manifest.NAME).exists():
        try:
            manifest.read_manifest(path)
        except InputError:
            raise InputError(
                f"{name} {path} holds a {manifest.NAME} that jaxid did not write; name another "
                "folder"
            ) from None


def _unwritable(path: Path, name: str, failed: OSError | ValueError) -> InputError:
    why = failed.strerror if isinstance(failed, OSError) else failed
    return InputError(f"{name} {path} can't be written ({why}); name a folder you may write to")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write into, which takes its place at the end of the block."""
    beside = path.with_name(f"{HIDDEN}{os.getpid()}-{path.name}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def reserve(folder: Path, size: int) -> None:
    """See that there is room for so many bytes, for what fails in threads of its own without it.

    Raises:
      OSError: if there is none.
    """
    if not hasattr(os, "posix_fallocate"):  # pragma: no cover - macOS
        if shutil.disk_usage(folder).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, size)


def is_full(failed: BaseException) -> bool:
    """Whether an error means that there is no room: libraries in other languages say so in words
    only."""
    if isinstance(failed, OSError):
        return failed.errno in FULL
    return not isinstance(failed, InputError) and any(w in words_of(failed) for w in FULL_WORDS)


def _to_disk(folder: Path) -> None:
    """Past the kernel's buffers, so that names never come before contents."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
