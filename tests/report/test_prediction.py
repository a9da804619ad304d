"""A prediction as text, from made-up ones: its method, its range, what was measured beside it."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import prediction_sample as sample
import pytest
from rich.console import Console

from jaxid.prediction.reasons import Reason, Why
from jaxid.prediction.run import During, Interruption
from jaxid.prediction.words import because
from jaxid.report.prediction import interruption, print_rest, print_verdict, title

SAID = {
    "none": ["No curve is predicted: the optimizer draws random numbers; this network is",
             "mean squares are 1, 0.500 by layer (inputs 1.50)", "dead with probability 0.1 %"],
    "modes": ["Mode by mode", "The rate is 0.300. Largest stable one of plain SGD: 5 by curvature, "
              "1 +- 0.1 with batch", "single examples lie far out",
              "In range: losses to about 2.0 %, mean over many seeds; the rate, once momentum has "
              "settled, is 0.3 of", "a loss of 0.500 needs 7 epochs (beyond the run",
              "a loss of 0.100 is never reached", "no weights do better than 0.250"],
    "moments": ["kurtosis is 3.5, weighted by variance.", "Of 4 outputs whose target varies, dead "
                "on all 30 examples:", "Expected dead if training goes on: 3.",
                "a loss of 0.500 and less needs more than 3 epochs", "multiplied by c^1 and eps by "
                "c^2", "0.00300 at first, 0.00100 once settled"],
    "resting": ["OUT OF RANGE from epoch 2 on (before that losses to about 14 %", "from epoch 2 on "
                "it is near its resting loss, 0.500, where single epochs scatter",
                "comes to rest at about 0.500, at most", "25 % of that is a shift",
                "needs more than 3 epochs (out of range)"],
    "linearised": ["its first steps diverge", "OUT OF RANGE from epoch 1.5 on", "leaves its "
                   "linearisation after 1.5 epochs", "a loss of 4 needs 1 epochs\n"],
}  # fmt: skip


def on_one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", sample.EVERY)
def test_every_method_says_what_it_knows(name):
    text = str(sample.EVERY[name]())
    for words in SAID[name]:
        assert on_one_line(words) in on_one_line(text), (words, text)
    assert "None" not in text and "Reason" not in text


def test_what_was_measured_stands_beside_it():
    text = str(sample.run(sample.by_linearisation(), sample.measured()))
    rows = [line.split() for line in text.splitlines()]
    assert ["epoch", "predicted", "measured", "ratio"] in rows
    assert ["1", "4", "4.04", "0.990"] in rows
    assert ["2", "2", "2.02", "0.990", "out", "of", "range"] in rows
    deaths = str(sample.run(sample.by_moments(), sample.measured()))
    assert ["9", "2.50", "2", "3"] in [line.split() for line in deaths.splitlines()]
    # Training that was cut short, and that alone.
    short = str(sample.run(sample.by_moments(), sample.measured(1)))
    assert ["2", "2", "-", "-"] in [line.split() for line in short.splitlines()]
    alone = str(sample.run(sample.nothing(), sample.measured()))
    assert ["3", "1.01"] in [line.split() for line in alone.splitlines()]
    assert "before the interrupt" in str(sample.run())


def printed(function, thing) -> str:
    stream = io.StringIO()
    function(thing, Console(file=stream, width=110, highlight=False))
    return stream.getvalue().rstrip()


def test_the_verdict_comes_first_and_is_said_once():
    run = sample.run(sample.by_modes(), sample.measured())
    first, rest = printed(print_verdict, run.prediction), printed(print_rest, run)
    # Without the blanks behind the table's columns.
    shown = [line.rstrip() for line in f"{first}\n\n{rest}".splitlines()]
    assert str(run).splitlines() == shown and "In range" not in rest
    assert printed(print_rest, sample.run()) == ""
    # In lines of a hundred characters, however wide the console.
    assert max(map(len, first.splitlines())) <= 100


def test_what_diverges_reaches_nothing():
    found = dataclasses.replace(sample.by_modes(), last=np.inf, until=0, in_range=False,
                                why=Why(Reason.DIVERGES))  # fmt: skip
    text = str(found)
    assert "OUT OF RANGE; the rate is beyond the limit of the largest curvature" in on_one_line(
        text
    )
    assert "needs" not in text and title(found) == "Predicted to diverge"
    assert title(sample.nothing()) == "No curve is predicted"
    assert title(dataclasses.replace(found, last=0.0)) == "Predicted to end at 0"


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence(reason):
    why = Why(reason, epochs=2.0, share=0.25, next_share=0.5, momentum=False, kurtosis=9.0,
              loss=0.5, features=784, named="one that is named")  # fmt: skip
    said = because(why)
    assert said and "{" not in said and "None" not in said and not said.endswith(".")


def test_reasons_tell_their_arguments():
    closure = Why(Reason.CLOSURE, epochs=3, share=0.015, next_share=0.025)
    assert because(closure) == (
        "taking modes as uncorrelated costs 1.5 % by epoch 3 and 2.5 % by the next"
    )
    # Read back from a file, whole epochs are floats.
    assert because(dataclasses.replace(closure, epochs=3.0)) == because(closure)
    assert because(Why(Reason.LOSS)) == "the loss is one of your own; only mse is predicted"
    assert because(Why(Reason.LOSS, named="cross_entropy")).startswith("the loss is cross_entropy")


@pytest.mark.parametrize(
    ("stopped", "said"),
    [((During.PREDICTING, 0, 3), "predicting, before a seed was finished"),
     ((During.PREDICTING, 1, 3), "predicting, after 1 of 3 seeds"),
     ((During.TRAINING, 0, 20), "training"),
     ((During.TRAINING, 5, 20), "training, after epoch 5 of 20")],
)  # fmt: skip
def test_where_an_interrupt_came(stopped, said):
    assert interruption(Interruption(*stopped)) == said
