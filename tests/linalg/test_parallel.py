from __future__ import annotations

import threading
import time

import pytest

from jaxid.linalg.parallel import cores, over_cores


def test_results_come_in_the_order_of_the_items():
    def late(k):
        time.sleep(0.02 if k == 0 else 0)
        return k * k

    assert over_cores(late, range(6), workers=3) == [0, 1, 4, 9, 16, 25]


def test_several_items_run_at_once():
    meeting = threading.Barrier(2, timeout=5)
    assert sorted(over_cores(lambda k: meeting.wait(), range(2), workers=2)) == [0, 1]


def test_an_error_reaches_the_caller():
    def fail(k):
        raise RuntimeError(f"item {k}")

    with pytest.raises(RuntimeError, match="item 0"):
        over_cores(fail, range(3))


def test_there_is_a_core():
    assert cores() >= 1
    assert over_cores(str, []) == []
