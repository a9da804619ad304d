"""Born-dead probability, against the reference's simulations, whole networks and enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from jaxid.theory.born_dead import bounds, line_bounds, one_example, two_rays

REFERENCE = {
    (2, 5): 0.498, (2, 10): 0.881, (2, 20): 0.993, (3, 10): 0.578,
    (4, 10): 0.295, (4, 50): 0.946, (8, 50): 0.141,
}  # fmt: skip
"""(width, depth with the output layer) -> simulated, both signs."""


def simulated(widths, inputs, networks, seed=0, draw=None):
    """Share of networks whose last hidden layer is dead on all inputs (n, d)."""
    rng = np.random.default_rng(seed)
    draw = draw or (lambda shape: rng.standard_normal(shape))
    h = np.broadcast_to(inputs, (networks, *inputs.shape))
    for width in widths:
        h = np.maximum(np.einsum("knd,kdw->knw", h, draw((networks, h.shape[2], width))), 0)
        # The scale is free; without this, deep signals underflow.
        h = h / np.maximum(h.max(axis=(1, 2), keepdims=True), 1e-30)
    return float((h.max(axis=(1, 2)) <= 0).mean())


def close(share, networks, wanted, error=0.0):
    assert abs(share - wanted) < 4 * np.hypot((wanted * (1 - wanted) / networks) ** 0.5, error)


@pytest.mark.parametrize(("width", "depth"), REFERENCE)
def test_it_is_the_simulated_table(width, depth):
    found = two_rays([width] * (depth - 1), samples=2**13)
    assert found.converged and found.error < 1e-3
    # The table has three digits, of simulations that don't say their number: 20,000 at least.
    assert abs(found.value - REFERENCE[width, depth]) < 5e-4 + 4 * (0.25 / 20_000) ** 0.5
    low, high = line_bounds([width] * (depth - 1))
    assert low <= found.value <= high


@pytest.mark.parametrize(
    ("widths", "angle"), [((3, 2, 4, 3), np.pi), ((2, 3, 3), 1.0), ((3, 3), 0.1)]
)
def test_whole_networks_of_uneven_widths_die_as_often(widths, angle):
    rays = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    found, networks = two_rays(widths, angle=angle, samples=2**15), 300_000
    close(simulated(widths, rays, networks), networks, found.value, found.error)


def test_the_standard_error_is_that_of_repetition():
    runs = [two_rays([3] * 6, samples=500, seed=seed) for seed in range(60)]
    spread = np.std([run.value for run in runs], ddof=1)
    assert spread == pytest.approx(np.mean([run.error for run in runs]), rel=0.35)


def test_a_single_example_is_exact_by_counting_signs():
    # Units' signs are fair coins: all of two hidden layers' patterns, a dead one ends it.
    widths = (2, 3)
    dead = sum(
        not any(signs[:2]) or not any(signs[2:]) for signs in product((0, 1), repeat=sum(widths))
    )
    assert one_example(widths) == pytest.approx(dead / 2**5, rel=1e-14)
    assert two_rays(widths, angle=0.0).value == pytest.approx(one_example(widths), rel=1e-6)
    assert two_rays(widths, angle=0.0).error < 1e-7
    assert one_example([]) == 0.0 and one_example([60] * 3) == pytest.approx(3 * 2.0**-60)


def test_one_unit_a_layer_dies_on_both_signs_exactly():
    # x and -x never both pass the first unit; the one that does is a single example.
    assert two_rays([1] * 4).value == pytest.approx(1 - 2.0**-3, rel=1e-14)
    assert two_rays([1]).value == 0.0


def test_two_units_leave_the_signs_at_a_right_angle_or_one_of_them_alone():
    # Half the time each unit passes one sign; the images are then orthogonal.
    found = two_rays([2, 3])
    assert found.value == pytest.approx(0.5 * 2.0**-3 + 0.5 * 4.0**-3, rel=1e-12)


def test_uniform_weights_die_alone_as_often_and_together_nearly():
    rng, networks, widths = np.random.default_rng(5), 40_000, [3] * 5
    draw = lambda shape: rng.uniform(-1, 1, shape)  # noqa: E731
    alone = simulated(widths, np.ones((1, 4)), networks, draw=draw)
    close(alone, networks, one_example(widths))
    both = simulated(widths, np.array([[1.0], [-1.0]]), networks, draw=draw)
    assert both == pytest.approx(two_rays(widths).value, rel=0.1)


@pytest.mark.parametrize("nonnegative", [True, False])
def test_a_data_set_dies_within_its_bounds(nonnegative):
    rng, widths, networks = np.random.default_rng(2), (2, 2, 2, 2, 2, 2), 40_000
    inputs = np.abs(rng.normal(size=(3, 4))) if nonnegative else rng.normal(size=(3, 4))
    low, high = bounds(widths, 3, nonnegative=nonnegative, normal=True)
    share = simulated(widths, inputs, networks)
    assert bounds(widths).lower < low < share < high
    assert high == one_example(widths)
    # By hand: 1 - (3/4)^layers for one, to the third for three.
    assert low == pytest.approx((1 - 0.75 ** (6 if nonnegative else 5)) ** 3)


def test_every_input_is_dead_at_least_when_a_layer_has_negative_weights_alone():
    assert bounds((2, 2, 3)).lower == pytest.approx(1 - (1 - 2.0**-4) * (1 - 2.0**-6))
    grid = np.random.default_rng(0).normal(size=(40, 2))
    share = simulated((2, 2, 3), grid, 20_000)
    assert bounds((2, 2, 3)).lower - 0.01 < share < bounds((2, 2, 3)).upper


def test_the_lower_bound_of_a_line_is_the_chain_of_three_states():
    # Living rays 2, 1, 0; a layer of w units ends two with 4^-w, each alone with 2^-w - 4^-w.
    for width, layers in ((2, 4), (3, 9)):
        e = 2.0**-width
        step = np.array([[1 - 2 * e + e**2, 2 * (e - e**2), e**2], [0, 1 - e, e], [0, 0, 1]])
        state = np.array([1 - 2 * e, 2 * e, 0.0]) @ np.linalg.matrix_power(step, layers - 1)
        assert line_bounds([width] * layers).lower == pytest.approx(state[2], rel=1e-12)
