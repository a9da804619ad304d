"""Each kind of point from planted numbers, and the order in which they are asked for."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from jaxid.core.types import Estimate
from jaxid.diagnosis.evidence import Evidence
from jaxid.diagnosis.points import Doubt, Group, classify
from jaxid.report.units import why

# Four outputs on two seeds; the first two are dead.
FIRES = np.array([[0, 0, 9, 9], [0, 0, 9, 9]])
FLAT = Estimate(1e-12, 1e-13, True, "exact")
NOISY, STILL = np.full((2, 4), 2.0), np.full((2, 4), 1.0)


def evidence(
    *,
    end=STILL,
    annealed=STILL,
    gradient=1e-9,
    promise=0.0,
    below=0.0,
    fires=FIRES,
    seeds=2,
    can_die=True,
):
    """An Evidence of which only what `classify` reads is filled in."""

    def full(values):
        return np.broadcast_to(values, (2, 4))

    solved = tuple(
        SimpleNamespace(
            index=k,
            gradient=full(gradient)[k],
            solution=SimpleNamespace(start_predicted=full(promise)[k]),
            below_zero=full(below)[k],
        )
        for k in range(seeds)
    )
    before = SimpleNamespace(train_end=SimpleNamespace(output_loss=end, fires=(fires,)))
    after = SimpleNamespace(train_end=SimpleNamespace(output_loss=annealed, fires=(fires,)))
    nothing = np.zeros(0)
    return Evidence(before, 2, after, after, nothing, nothing, solved, nothing, can_die)


def kinds(found, *, least=FLAT, lambda_max=1.0, null_dims=None, floor=0.0):
    points = classify(
        found, least=least, lambda_max=lambda_max, null_dims=null_dims, block=5, floor=floor
    )
    return {p.group.value: p.kind.value for p in points}, points


def test_an_exactly_zero_gradient_above_the_floor_is_a_plateau():
    gradient = np.array([0.0, 0.0, 1e-9, 1e-9])
    found, points = kinds(evidence(gradient=gradient))
    assert found["dead"] == "plateau" and found["live"] != "plateau"
    dead = next(p for p in points if p.group is Group.DEAD)
    # Two of four outputs at loss 1 each: half of the mean over outputs.
    assert dead.outputs == 2 and dead.loss == 0.5 and dead.gradient_norm == 0


def test_a_zero_gradient_at_the_floor_is_no_plateau():
    found, _ = kinds(evidence(gradient=0.0, below=1.0), floor=1.0)
    assert found == {"dead": "degenerate_minimum", "live": "degenerate_minimum"}
    # The bound is that of each group's own targets: the others' is no excuse.
    own = np.array([0.0, 0.0, 1.0, 1.0])
    found, _ = kinds(evidence(gradient=0.0, below=own), floor=0.5)
    assert found == {"dead": "plateau", "live": "degenerate_minimum"}


def test_where_no_output_can_die_there_is_no_group_of_dead_ones():
    found, points = kinds(evidence(can_die=False))
    assert set(found) == {"live"} and points[0].outputs == 4


def test_a_loss_that_annealing_lowers_is_a_noise_ball():
    found, _ = kinds(evidence(end=NOISY))
    assert found == {"dead": "noise_ball", "live": "noise_ball"}
    # By 5 % or less: not.
    found, _ = kinds(evidence(end=1.04 * STILL))
    assert found["live"] == "degenerate_minimum"
    # By more, but within three standard errors: not.
    uneven = np.array([[3.0] * 4, [1.0] * 4])
    found, _ = kinds(evidence(end=uneven))
    assert found["live"] == "degenerate_minimum"


def test_a_promised_decrease_of_over_one_percent_is_not_yet_stationary():
    promise = np.array([0.0, 0.0, 0.011, 0.011])
    assert kinds(evidence(promise=promise))[0] == {
        "dead": "degenerate_minimum",
        "live": "not_yet_stationary",
    }
    assert kinds(evidence(promise=0.009))[0]["live"] == "degenerate_minimum"


@pytest.mark.parametrize(
    "least, kind",
    [
        (Estimate(-2e-3, 5e-4, True, ""), "saddle"),
        (Estimate(-1.4e-3, 5e-4, True, ""), "degenerate_minimum"),
        (Estimate(-2e-3, 5e-4, False, ""), "undecided"),
        (Estimate(None, None, False, ""), "undecided"),
        (None, "undecided"),
        (FLAT, "degenerate_minimum"),
    ],
)
def test_a_saddle_needs_a_least_eigenvalue_below_zero_beyond_its_bound(least, kind):
    found, points = kinds(evidence(), least=least)
    assert found["live"] == kind
    assert all((p.doubt is None) == (kind != "undecided") for p in points)
    assert all(why(p) for p in points)


def test_a_degenerate_minimum_counts_its_flat_directions():
    _, points = kinds(evidence(), null_dims=np.array([5, 5, 2, 1]))
    by_group = {p.group.value: p for p in points}
    assert by_group["dead"].flat_dim == 10 and by_group["dead"].flat_share == 1.0
    assert by_group["live"].flat_dim == 3 and by_group["live"].flat_share == 0.3
    assert "3 directions are flat" in why(by_group["live"])


def test_the_questions_are_asked_in_the_stated_order():
    saddle = Estimate(-0.5, 1e-3, True, "")
    everything = {"end": NOISY, "gradient": 0.0, "promise": 1.0}
    order = ["plateau", "noise_ball", "not_yet_stationary", "saddle"]
    removed = [{}, {"gradient": 1e-9}, {"end": STILL}, {"promise": 0.0}]
    for kind, change in zip(order, removed, strict=True):
        everything |= change
        assert kinds(evidence(**everything), least=saddle)[0]["live"] == kind


def test_a_group_without_members_is_left_out():
    found, _ = kinds(evidence(fires=np.ones((2, 4), int)))
    assert set(found) == {"live"}


def test_one_seed_has_no_standard_error_and_so_leaves_a_noise_ball_undecided():
    found, points = kinds(evidence(end=NOISY, seeds=1))
    assert found["live"] == "undecided" and points[-1].doubt is Doubt.ONE_SEED
    assert "--seeds 2" in why(points[-1])
    assert kinds(evidence(seeds=1))[0]["live"] == "degenerate_minimum"
