"""When units died, against a slow loop; harmless deaths apart from costly ones."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis.extra import numpy as npst

from jaxid.diagnosis.dead import DeathClock, dead_units, death_index, revivals
from jaxid.training.metrics import Evaluation
from jaxid.training.run import Census

CENSUSES = npst.arrays(bool, npst.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6))


@settings(max_examples=60, deadline=None)
@given(CENSUSES)
def test_a_unit_died_at_the_first_census_after_which_it_never_fires(dead):
    seeds, count, width = dead.shape
    found = death_index(dead)
    for s in range(seeds):
        for u in range(width):
            after = [c for c in range(count) if dead[s, c:, u].all()]
            assert found[s, u] == (after[0] if after else count)


@settings(max_examples=60, deadline=None)
@given(CENSUSES)
def test_a_revival_is_a_dead_unit_that_fires_at_the_next_census(dead):
    for s in range(dead.shape[0]):
        slow = 0
        for u in range(dead.shape[2]):
            states = dead[s, :, u].tolist()
            slow += sum(a and not b for a, b in pairwise(states))
        assert revivals(dead)[s] == slow


def made(dead, output_loss, first_bad, step=(0, 1, 4)):
    """A history as `dead_units` reads it."""
    output_loss = np.asarray(output_loss, float)
    dead = np.asarray(dead, bool)
    seeds, count, outputs = dead.shape
    by_output = np.zeros((seeds, count, outputs))
    by_output[:, -1] = output_loss[:seeds]
    loss = by_output.mean(axis=2)
    census = Census(np.asarray(step), np.asarray(step) / 2, (dead,), loss, by_output)
    # Above 0 on as many examples as there are, or on none; seeds without a census on all.
    fires = np.full(output_loss.shape, 3)
    fires[:seeds] = np.where(dead[:, -1], 0, 3)
    end = Evaluation(output_loss.mean(axis=1), output_loss, *[np.zeros(0)] * 4, (fires,))
    return SimpleNamespace(census=census, first_bad=np.asarray(first_bad), train_end=end)


X = np.array([[1, 0, 2], [3, 0, 2], [5, 0, 4]])  # the second target never varies
PROBLEM = SimpleNamespace(train=(X, None), net=SimpleNamespace(activations=("relu",)))
# One seed, three censuses, three outputs: the first dies at step 4, the second at once.
DEATHS = [[False, True, False], [False, True, False], [True, True, False]]


def test_outputs_on_constant_targets_are_counted_apart():
    found = dead_units(made([DEATHS], [[12.0, 3.0, 6.0]], [-1]), PROBLEM)
    assert found.outputs == 3 and found.constant_targets == 1
    assert found.outputs_dead.mean == 2
    assert found.outputs_dead_varying.mean == 1
    assert found.outputs_dead_constant.mean == 1
    assert found.loss_varying.mean == 4.0 and found.loss_constant.mean == 1.0
    assert np.isclose(found.share_of_loss, 4.0 / 7.0) and found.share_sem is None
    assert found.death == DeathClock(1, 4.0, 0.0)
    assert found.stops_gradient is True and found.revivals.mean == 0
    (layer,) = found.layers
    assert layer.dead_start.mean == 1 and layer.dead_end.mean == 2


def test_an_output_dead_before_the_first_step_has_not_died():
    # The third never fires at all but for one census: it died again, so it counts as a death.
    born = [[True, True, True], [True, True, False], [True, True, True]]
    found = dead_units(made([born], [[12.0, 3.0, 6.0]], [-1]), PROBLEM)
    assert found.born_dead.outputs.mean == 1  # the second's target never varies
    assert found.born_dead.loss.mean == 4.0
    assert found.death.count == 1 and found.death.median_step == 4.0
    alive = dead_units(made([DEATHS], [[12.0, 3.0, 6.0]], [-1]), PROBLEM)
    assert alive.born_dead.outputs.mean == 0 and alive.born_dead.loss.mean == 0


def test_seeds_that_went_non_finite_are_left_out():
    # Nothing of such a seed is above 0: it would count as dead throughout.
    blown = [[False] * 3, [True] * 3, [True] * 3]
    alone = dead_units(made([DEATHS], [[12.0, 3.0, 6.0]], [-1]), PROBLEM)
    both = dead_units(made([DEATHS, blown], [[12.0, 3.0, 6.0], [np.nan] * 3], [-1, 1]), PROBLEM)
    assert both == alone
    assert dead_units(made([blown], [[np.nan] * 3], [1]), PROBLEM) is None


def test_a_census_of_fewer_seeds_says_how_many():
    ends = [[12.0, 3.0, 6.0], [12.0, 3.0, 9.0]]
    found = dead_units(made([DEATHS], ends, [-1, -1]), PROBLEM)
    assert found.census_seeds == 1 and found.death.count == 1


def test_a_loss_of_zero_has_no_share():
    found = dead_units(made([DEATHS], [[0.0, 0.0, 0.0]], [-1]), PROBLEM)
    assert found.share_of_loss is None


def test_without_a_census_nothing_is_said():
    history = made([DEATHS], [[1.0, 1.0, 1.0]], [-1])
    assert dead_units(SimpleNamespace(**vars(history) | {"census": None}), PROBLEM) is None


def test_planted_deaths_are_found_in_a_real_run(small, dying_run):
    run, outputs = dying_run
    constant = np.ptp(small.train, axis=0) == 0
    found = dead_units(run.history, run.problem)
    kept = run.history.first_bad < 0
    census = run.history.census.dead[-1][kept]
    assert census[:, :, outputs].all()
    ends = census[:, -1]
    assert found.outputs_dead.mean == ends.sum(axis=1).mean()
    assert found.outputs_dead_constant.mean == ends[:, constant].sum(axis=1).mean() > 0
    varying = outputs[~constant[outputs]]
    squares = np.mean(small.train[:, varying].astype(float) ** 2, axis=0)
    losses = run.history.train_end.output_loss[kept]
    assert np.allclose(losses[:, varying], squares[None, :], rtol=1e-5)
    assert found.loss_varying.mean >= squares.sum() / 64 * (1 - 1e-5)
