"""Ctrl-C and SIGTERM, noticed at once, acted on where nothing is half done, and never lost.

Python raises KeyboardInterrupt wherever the main thread happens to be. XLA runs a callback inside
garbage collection, and what is raised in there is printed and forgotten; donated buffers are gone
if it comes between a step and its result. So the signal only sets a flag here. Loops call `check`
where they stand on finished work, and that raises. A second signal ends the process at once, even
while it compiles: a thread reads the signals, which C writes into a pipe whatever Python does
(`signal.set_wakeup_fd`).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

CODE = 130
"""Exit code of what was interrupted."""
ONE = 0.3
"""Seconds within which several signals are one: `timeout` sends its signal to the process and to
its group."""
PATIENCE = 1.0
"""Seconds after which it is said that the interrupt was noticed."""
WAITING = (
    "jaxid: interrupted; stopping as soon as what is running now returns (Ctrl-C again ends at "
    "once)\n"
)
ENDED = "jaxid: interrupted twice, ended at once; what was written before is whole\n"
SHOW_CURSOR = "\x1b[?25h"


class _State:
    """Of the process: one main thread, one set of signal handlers."""

    def __init__(self) -> None:
        self.listening = self.watched = self.pending = False
        self.first: float | None = None
        self.immediate = 0

    def begin(self, *, watched: bool) -> None:
        """Nothing has come yet."""
        self.listening, self.watched = True, watched
        self.pending, self.first = False, None

    def noticed(self) -> bool:
        """Count a signal; whether it is the second."""
        now = time.monotonic()
        if self.first is None:
            self.first, self.pending = now, True
            return False
        return now - self.first > ONE


_state = _State()


def check() -> None:
    """Raise KeyboardInterrupt if a signal came since the last call.

    For loops, where what was finished stands.
    """
    if taken():
        raise KeyboardInterrupt


def taken() -> bool:
    """Whether a signal came since the last call, for what returns its result all the same and says
    so in it."""
    came, _state.pending = _state.pending, False
    return came


@contextlib.contextmanager
def immediate() -> Iterator[None]:
    """Raise wherever a signal finds the main thread, as Python does: for other people's code, and
    for waiting that no loop of ours can look into."""
    _state.immediate += 1
    try:
        yield
    finally:
        _state.immediate -= 1
    # What was raised and swallowed inside.
    check()


@contextlib.contextmanager
def listening(*, command: bool = False, last: bool = False) -> Iterator[None]:
    """Take the signals for the block, and put back what was there before.

    Outside of the main thread, and inside of another such block, nothing is changed.

    Args:
      command: for a whole command: SIGTERM too, and a second signal ends the process. Else only
        Python's own Ctrl-C is replaced, and a second one raises at once.
      last: the process ends after it: then signals have nothing left to stop, and are ignored.

    Raises:
      KeyboardInterrupt: at the end of the block, if no `check` saw the signal.
    """
    main = threading.current_thread() is threading.main_thread()
    own = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    if not main or _state.listening or (own and not command):
        yield
        return
    _state.begin(watched=command)
    taken = [signal.SIGINT, signal.SIGTERM] if command else [signal.SIGINT]
    before = {number: signal.signal(number, _handler) for number in taken}
    try:
        with _watching() if command else contextlib.nullcontext():
            yield
    finally:
        for number, handler in before.items():
            usual = signal.SIG_DFL if handler is None else handler
            signal.signal(number, signal.SIG_IGN if last else usual)
        _state.listening = False
    check()


def _handler(number: int, frame: Any) -> None:
    """Runs in the main thread, between two of Python's instructions."""
    del number, frame
    second = False if _state.watched else _state.noticed()
    if second or _state.immediate:
        _state.pending = False
        raise KeyboardInterrupt


@contextlib.contextmanager
def _watching() -> Iterator[None]:
    """A thread that reads the signals as they come."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(reading,), name="signals", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)
        watcher.join()
        os.close(reading)


def _watch(reading: int) -> None:
    numbers = {signal.SIGINT, signal.SIGTERM}
    said = False
    while True:
        waiting = _state.pending and not said
        if not select.select([reading], [], [], PATIENCE if waiting else None)[0]:
            if _state.pending:
                _say(WAITING)
            said = True
            continue
        arrived = os.read(reading, 64)
        if not arrived:
            return
        # Each is counted.
        second = [_state.noticed() for number in arrived if number in numbers]
        if any(second):
            _say(ENDED)
            os._exit(CODE)


def _say(text: str) -> None:
    """Past Python's buffers, whose locks another thread may hold."""
    with contextlib.suppress(OSError):
        shown = SHOW_CURSOR + "\n" + text if os.isatty(2) else text
        os.write(2, shown.encode())
