"""Which trials help, in which order."""

from __future__ import annotations

import math

from jaxid.identity.prescriptions import RemedyGroup
from jaxid.identity.trial_results import (
    TrialVerdict,
    best_of,
    grouped,
    prescriptions,
    ranked,
    ratio_of,
)

SINGLE, CONTROL = RemedyGroup.SINGLE, RemedyGroup.CONTROL
HELPS, HARMS = TrialVerdict.HELPS, TrialVerdict.HARMS


def test_a_ratio_is_that_of_the_interval_or_unknown(sample):
    for ratio, known in ((1e-16, 1e-16), (math.nan, None), (None, None), (0.49, 0.49)):
        assert ratio_of(sample.trial("any", SINGLE, ratio, HELPS)) == known


def test_the_best_is_what_helps_most_without_the_answer_built_in(sample):
    trials = [
        sample.trial("identity", SINGLE, 1e-16, HELPS, built_in=True),
        sample.trial("small", SINGLE, 0.5, HELPS),
        sample.trial("harmful", SINGLE, 3.0, HARMS),
        sample.trial("large", SINGLE, 0.1, HELPS),
        sample.trial("luck", CONTROL, 0.01, HELPS),
        sample.trial("residual", SINGLE, 1e-3, HELPS, built_in=True),
    ]
    order = ["large", "small", "identity", "residual"]
    assert [t.name for t in ranked(trials)] == [p.name for p in prescriptions(trials)] == order
    assert best_of(trials).name == "large" and best_of(trials[:1]).name == "identity"
    assert best_of(trials[2:3]) is None


def test_groups_are_sorted_by_ratio_and_what_has_none_comes_last(sample):
    (single, members), (control, _) = grouped(sample.full().trials)[::2]
    assert (single, control) == (SINGLE, CONTROL)
    assert [t.name for t in members] == ["linear output", "decaying rate", "Adam", "rate x 1000"]
