"""Signals: noticed wherever they come, raised where loops look, never lost."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from jaxid.core import interrupt


@pytest.fixture(autouse=True)
def usual():
    """Python's own handler, as on a command line."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def ctrl_c(number=signal.SIGINT):
    os.kill(os.getpid(), number)


def soon(true):
    """Wait for the thread that reads the signals."""
    for _ in range(1000):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("nothing came")


@pytest.mark.parametrize("command", [False, True])
def test_a_signal_is_raised_by_the_next_check_and_once(command):
    with interrupt.listening(command=command):
        ctrl_c()
        soon(lambda: interrupt._state.pending)
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
        interrupt.check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_takes_sigterm_too_and_puts_all_back(number):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interrupt.listening(command=True):
        ctrl_c(number)
        soon(lambda: interrupt._state.pending)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_no_check_saw_is_raised_at_the_end():
    done = False
    with pytest.raises(KeyboardInterrupt), interrupt.listening():
        ctrl_c()
        done = True
    assert done


def test_an_error_of_the_block_goes_first():
    with pytest.raises(ValueError, match="mine"), interrupt.listening():
        ctrl_c()
        raise ValueError("mine")


def test_an_interrupt_inside_garbage_collection_is_kept():
    # Python prints what a callback of the collector raises, and forgets it; XLA has one.
    def callback(phase, info):
        if phase == "start" and not sent:
            sent.append(1)
            ctrl_c()
            for _ in range(1000):
                pass

    sent: list[int] = []
    gc.callbacks.append(callback)
    try:
        with interrupt.listening():
            gc.collect()
            assert sent
            with pytest.raises(KeyboardInterrupt):
                interrupt.check()
    finally:
        gc.callbacks.remove(callback)


def test_other_people_s_code_is_interrupted_where_it_stands():
    with interrupt.listening(), pytest.raises(KeyboardInterrupt), interrupt.immediate():
        ctrl_c()
        time.sleep(60)


def test_what_other_people_s_code_swallows_is_raised_after_it():
    with (
        interrupt.listening(command=True),
        pytest.raises(KeyboardInterrupt),
        interrupt.immediate(),
    ):
        with contextlib.suppress(KeyboardInterrupt):
            ctrl_c()
            time.sleep(1)
        soon(lambda: interrupt._state.pending)


def test_a_second_ctrl_c_in_a_function_raises_at_once():
    with interrupt.listening():
        ctrl_c()
        time.sleep(interrupt.ONE + 0.05)
        with pytest.raises(KeyboardInterrupt):
            ctrl_c()
            time.sleep(60)


def test_blocks_inside_of_blocks_and_other_threads_change_nothing():
    with interrupt.listening():
        own = signal.getsignal(signal.SIGINT)
        with interrupt.listening(command=True):
            assert signal.getsignal(signal.SIGINT) is own
        assert signal.getsignal(signal.SIGINT) is own
    found = []

    def elsewhere():
        with interrupt.listening():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


def test_a_handler_of_the_user_s_own_stays():
    seen = []
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    with interrupt.listening():
        ctrl_c()
        interrupt.check()
    assert seen == [signal.SIGINT]


WAITING = """
import os, sys, time
sys.path.insert(0, {root!r})
from jaxid.core import interrupt
with interrupt.listening(command=True):
    print("ready", flush=True)
    {waits}
    print("went on", flush=True)
"""


def waiting(waits):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    child = subprocess.Popen(
        [sys.executable, "-c", WAITING.format(root=root, waits=waits)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout and child.stdout.readline() == "ready\n"
    return child


def test_a_second_signal_ends_what_looks_at_no_flag():
    child = waiting("time.sleep(60)")
    child.send_signal(signal.SIGINT)
    time.sleep(interrupt.ONE + 0.1)
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=10)
    assert child.returncode == interrupt.CODE and out == ""
    assert err == interrupt.ENDED


def test_after_a_while_it_is_said_that_it_was_noticed():
    child = waiting("time.sleep(60)")
    child.send_signal(signal.SIGINT)
    assert child.stderr and child.stderr.readline() == interrupt.WAITING
    child.kill()
    child.communicate()


def test_two_signals_at_once_are_one():
    # As timeout sends them: to the process, and to its group.
    child = waiting("time.sleep(1)")
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=20)
    assert out == "went on\n" and interrupt.ENDED not in err


def test_threads_see_it_and_take_nothing_from_the_main_one():
    with interrupt.listening():
        ctrl_c()
        seen = []

        def work():
            try:
                interrupt.check()
            except KeyboardInterrupt:
                seen.append(1)

        for _ in range(2):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert seen == [1, 1]
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()


def test_a_signal_is_taken_while_threads_work_whichever_thread_the_system_gives_it_to():
    def work():
        for _ in range(600):
            interrupt.check()
            time.sleep(0.05)

    others = {signal.SIGINT}
    with interrupt.listening(), ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        # The thread inherits no mask, as it stands already: the signal can only go there.
        signal.pthread_sigmask(signal.SIG_BLOCK, others)
        try:
            ctrl_c()
            with pytest.raises(KeyboardInterrupt):
                interrupt.results([future])
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, others)
        assert interrupt.taken()


def test_results_of_threads_come_in_order_and_the_first_error_ends_it():
    def work(number):
        if number == 2:
            raise ValueError("two")
        return number

    with ThreadPoolExecutor(1) as pool:
        assert interrupt.results(pool.submit(work, n) for n in (3, 1)) == [3, 1]
        begun = threading.Event()
        failed = pool.submit(work, 2)
        held = pool.submit(begun.wait, 20)
        late = pool.submit(work, 1)
        with pytest.raises(ValueError, match="two"):
            interrupt.results([failed, held, late])
        assert late.cancelled()
        begun.set()


@pytest.mark.parametrize("theirs", [signal.SIG_IGN, lambda number, frame: None])
def test_handlers_of_other_people_s_code_are_replaced_after_it(theirs):
    with interrupt.listening(command=True):
        signal.signal(signal.SIGINT, theirs)
        signal.set_wakeup_fd(-1)
        interrupt.retake()
        ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
