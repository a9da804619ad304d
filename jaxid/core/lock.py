"""A lock on a file, held by one process at a time and gone with it, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover - no POSIX: nothing is locked
    fcntl = None  # type: ignore[assignment]


HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES}
"""What a lock says that another process has."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Whether the lock was free; it is this process's for the block, and the file goes after it.

    A process that was killed holds nothing: the kernel keeps the lock (`flock`), not the file.

    Args:
      path: made if it is not there.

    Raises:
      OSError: if the file can't be made.
    """
    descriptor = _taken(path)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(descriptor)


def _taken(path: Path) -> int | None:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it before may have removed the file since it was opened.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        except OSError as failed:
            if failed.errno not in HELD:
                # A file system without locks: nobody can hold one.
                return descriptor
            os.close(descriptor)
            return None
        os.close(descriptor)
