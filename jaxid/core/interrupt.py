"""Ctrl-C and SIGTERM, noticed at once, acted on where nothing is half done, and never lost.

Python raises KeyboardInterrupt wherever the main thread happens to be. XLA runs a callback inside
garbage collection, and what is raised in there is printed and forgotten; donated buffers are gone
if it comes between a step and its result. So the signal only sets a flag here. Loops call `check`
where they stand on finished work, and that raises. A second signal ends the process at once, even
while it compiles: a thread reads the signals, which C writes into a socket whatever Python does
(`signal.set_wakeup_fd`).
"""

from __future__ import annotations

import atexit
import contextlib
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, wait
from typing import Any, TypeVar

T = TypeVar("T")

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
LOOK = 0.1
"""Seconds between two looks at what threads have finished."""
SHOW_CURSOR = "\x1b[?25h"


class _State:
    """Of the process: one main thread, one set of signal handlers."""

    def __init__(self) -> None:
        self.listening = self.pending = False
        self.first: float | None = None
        self.immediate = 0
        self.numbers: list[signal.Signals] = []
        self.wakeup: int | None = None

    def begin(self) -> None:
        """Nothing has come yet."""
        self.listening, self.pending, self.first = True, False, None

    def noticed(self) -> bool:
        """Take a signal; whether it is a second one, and not the first one again."""
        now = time.monotonic()
        if self.first is None:
            self.first, self.pending = now, True
            return False
        return now - self.first > ONE


_state = _State()


def check() -> None:
    """Raise KeyboardInterrupt if a signal came: in the main thread once, in others as long as the
    main one has not seen it.

    For loops, where what was finished stands.
    """
    main = threading.current_thread() is threading.main_thread()
    if taken() if main else _state.pending:
        raise KeyboardInterrupt


def taken() -> bool:
    """Whether a signal came since the last call, for what returns its result all the same and says
    so in it."""
    came, _state.pending = _state.pending, False
    return came


@contextlib.contextmanager
def immediate() -> Iterator[None]:
    """Raise wherever a signal finds the main thread, as Python does: for other people's code, and
    for waiting that no loop of ours can look into.

    Raises:
      KeyboardInterrupt: at the end of the block too, if the code swallowed it or made another error
        of it.
    """
    _state.immediate += 1
    try:
        yield
    except KeyboardInterrupt:
        _state.pending = False
        raise
    except BaseException:
        check()
        raise
    finally:
        _state.immediate -= 1
    check()


@contextlib.contextmanager
def listening(*, command: bool = False, last: bool = False) -> Iterator[None]:
    """Take the signals for the block, and put back what was there before.

    Outside of the main thread, and inside of another such block, nothing is changed.

    Args:
      command: for a whole command: SIGTERM too, a second signal ends the process, and a SIGINT that
        was ignored (of a job in a script's background) is taken all the same. Else only Python's
        own Ctrl-C is replaced, and a second one raises at once.
      last: the process ends after it: then a signal ends what Python still waits for.

    Raises:
      KeyboardInterrupt: at the end of the block, if no `check` saw the signal.
    """
    main = threading.current_thread() is threading.main_thread()
    own = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    if not main or _state.listening or (own and not command):
        yield
        return
    if last:
        # Registered before anybody's, so called after all of them.
        atexit.register(_ignored)
    _state.begin()
    numbers = [signal.SIGINT, signal.SIGTERM] if command else [signal.SIGINT]
    _state.numbers, _state.wakeup = numbers, None
    before = {number: signal.signal(number, _handler) for number in numbers}
    try:
        with _watching() if command else contextlib.nullcontext():
            yield
    except BaseException:
        _state.pending = False
        raise
    finally:
        for number, handler in before.items():
            usual = signal.SIG_DFL if handler is None else handler
            signal.signal(number, _at_the_end if last else usual)
        _state.listening = False
    check()


def results(futures: Iterable[Future[T]]) -> list[T]:
    """What threads return, in order; the main thread takes signals while it waits.

    The system may hand a signal to any thread, and Python's main one, which alone runs handlers,
    does not wake from waiting for a lock then.

    Raises:
      What the first of them in order that failed raised; those not begun are cancelled.
    """
    futures = list(futures)
    try:
        for future in futures:
            while not future.done():
                wait([future], timeout=LOOK)
            future.result()
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()


def retake() -> None:
    """Take the signals again, after code that may have put handlers of its own."""
    if not _state.listening or threading.current_thread() is not threading.main_thread():
        return
    for number in _state.numbers:
        signal.signal(number, _handler)
    if _state.wakeup is not None:
        signal.set_wakeup_fd(_state.wakeup, warn_on_full_buffer=False)


def _handler(number: int, frame: Any) -> None:
    """Runs in the main thread, between two of Python's instructions."""
    del number, frame
    if _state.noticed():
        _state.pending = False
        raise KeyboardInterrupt
    if _state.immediate and _state.pending:
        # `immediate` clears it once it has come through.
        raise KeyboardInterrupt


def _ignored() -> None:
    """Python takes its handlers away while it ends, and a signal would look like a failure."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _at_the_end(number: int, frame: Any) -> None:
    """All is done; Python waits for somebody's threads."""
    del number, frame
    os._exit(CODE)


@contextlib.contextmanager
def _watching() -> Iterator[None]:
    """A thread that reads the signals as they come."""
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    _state.wakeup = writing.fileno()
    watcher = threading.Thread(target=_watch, args=(reading,), name="signals", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writing.close()
        watcher.join()
        reading.close()


def _watch(reading: socket.socket) -> None:
    """Count the signals, whatever the main thread is at."""
    numbers = {signal.SIGINT, signal.SIGTERM}
    first, said = 0.0, False
    with selectors.DefaultSelector() as waiting:
        waiting.register(reading, selectors.EVENT_READ)
        while True:
            if not waiting.select(PATIENCE if first and not said else None):
                said = True
                # The main thread may not even have come to its handler.
                if _state.pending or _state.first is None:
                    _say(WAITING)
                continue
            arrived = reading.recv(64)
            if not arrived:
                return
            if not numbers.intersection(arrived):
                continue
            now = time.monotonic()
            if first and now - first > ONE:
                _say(ENDED)
                os._exit(CODE)
            first = first or now


def _say(text: str) -> None:
    """Past Python's buffers, whose locks another thread may hold."""
    with contextlib.suppress(OSError):
        shown = SHOW_CURSOR + "\n" + text if os.isatty(2) else text
        os.write(2, shown.encode())
