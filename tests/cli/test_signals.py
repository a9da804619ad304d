"""Signals to whole commands at random moments: none lost, nothing half written, what was finished
kept."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from jaxid.core import manifest
from jaxid.core.folder import HIDDEN
from jaxid.core.interrupt import CODE

MADE = ["--data", "gaussian", "--features", "6", "--examples", "64"]
SMALL = ["--steps", "20", "--probes", "4", "--trace-probes", "8"]
COMMANDS = {
    "train": (["train", *MADE, "--epochs", "8000", "--seeds", "2"], "run.json", 8),
    "explain": (["explain", *MADE, "--epochs", "20", "--seeds", "2"],
                "diagnosis.json", 45),
    "spectrum": (["spectrum", *MADE, "--depth", "2", "--epochs", "30", "--along", *SMALL],
                 "spectrum.json", 22),
    "predict": (["predict", *MADE, "--epochs", "400", "--seeds", "3"], "prediction.json", 10),
    "certify": (["certify", *MADE, "--depth", "3", "--epochs", "20"], "certificate.json", 18),
}  # fmt: skip
"""Words, the file that holds the result, and about how many seconds it takes."""
LAST = ("report: ", "data: ", "2 seeds in ")
"""The last line of a command that has nothing left to do."""
TIMES = 12
START = 0.4
"""Seconds until Python has started and jaxid listens."""


@pytest.mark.slow
@pytest.mark.parametrize("k", range(TIMES))
@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_at_a_random_moment(tmp_path, command, k):
    words, result, seconds = COMMANDS[command]
    draw = random.Random(f"{command} {k}")
    number = draw.choice([signal.SIGINT, signal.SIGTERM])
    moment = START + (seconds - START) * (k + draw.random()) / TIMES
    out = tmp_path / "out"
    child = subprocess.Popen(
        [sys.executable, "-m", "jaxid", *words, "--out", str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    began = time.monotonic()
    while child.poll() is None and time.monotonic() < began + moment:
        time.sleep(0.01)
    sent = child.poll() is None
    if sent:
        child.send_signal(number)
    printed, err = child.communicate(timeout=120)
    context = f"{command} {number.name} after {moment:.2f} s: {child.returncode}\n{err}"
    if not sent:
        assert child.returncode == 0, context
        return
    assert "Traceback" not in err, context
    if child.returncode == 0 or "interrupted" not in err:
        # It came when all was done, and Python was about to end.
        assert child.returncode in (0, CODE), context
        assert printed.splitlines()[-1].startswith(LAST), context
        assert manifest.verify(out, [result]).finished
        return
    assert child.returncode == CODE and "interrupted" in err, context
    if not out.exists():
        assert "before there was a result to write" in err, context
        return
    # What is there is whole, and says how far it came.
    assert not [p for p in out.iterdir() if p.name.startswith(HIDDEN)], context
    found = manifest.verify(out, [result])
    assert found.finished, context
    record = json.loads((out / result).read_text())
    whole = "when all was written" in err
    assert whole or record["interrupted"], context
    if command == "train":
        done = len(record["seeds"][0]["train_loss"])
        assert 1 <= done <= 8000
        assert record["interrupted"] in (None, {"after": done, "of": 8000})


@pytest.mark.slow
def test_a_run_that_a_signal_cut_short_keeps_its_epochs(tmp_path):
    words = ["train", *MADE, "--epochs", "1000000", "--seeds", "1"]
    child = subprocess.Popen(
        [sys.executable, "-m", "jaxid", *words, "--out", str(tmp_path / "out")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(6)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode == CODE
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    done = len(record["seeds"][0]["train_loss"])
    assert record["interrupted"] == {"after": done, "of": 1_000_000} and done > 10
