"""Deep linear networks: flows of layers themselves, closed forms, and sampled kernels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from oracles import time_to_keep
from scipy.integrate import solve_ivp

from jaxid.theory.deep_linear import error_left, escape_time, local_rate, loss_curve
from jaxid.theory.linear_kernel import at_start, kernel_moments

H = 0.7


def descended(layers, moment, target, rate, steps):
    """Gradient descent on all layers, float64 NumPy: the loss before each step."""
    layers, losses = [w.copy() for w in layers], []
    m = target.shape[1]
    for _ in range(steps):
        below = [np.eye(len(moment))]
        for w in layers:
            below.append(below[-1] @ w)
        off = moment @ (below[-1] - target)
        losses.append(np.trace((below[-1] - target).T @ off) / m)
        above, gradients = np.eye(m), []
        for w, p in zip(layers[::-1], below[-2::-1], strict=True):
            gradients.insert(0, 2 / m * p.T @ off @ above.T)
            above = w @ above
        layers = [w - rate * g for w, g in zip(layers, gradients, strict=True)]
    return np.array(losses), layers


def flowed(layers, moment, target, rate, steps):
    """(times, losses, layers) of the flow: descent at two rates, its error proportional to them."""
    coarse, _ = descended(layers, moment, target, rate, steps)
    fine, after = descended(layers, moment, target, rate / 2, 2 * steps)
    return rate * np.arange(steps), 2 * fine[::2] - coarse, after


def haar(rng, size, sign=0):
    q, r = np.linalg.qr(rng.normal(size=(size, size)))
    q = q * np.sign(np.diag(r))[None, :]
    if sign * np.linalg.det(q) < 0:
        q[:, 0] *= -1
    return q


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@pytest.mark.parametrize("target", [1.0, 1.7])
def test_balanced_aligned_layers_learn_mode_by_mode(layers, target):
    # Any data: four outputs, three curvatures, one start above the target.
    rng = np.random.default_rng(0)
    spectrum, starts = np.array([2.0, 1.0, 0.3, 0.3]), np.array([1e-2, 1e-3, 1e-2, 2.5])
    v = haar(rng, 4)
    layer = (v * starts ** (1 / layers)) @ v.T
    times, losses, _ = flowed(
        [layer] * layers, (v * spectrum) @ v.T, target * np.eye(4), 6e-3, 1800
    )
    predicted = loss_curve(times, starts, spectrum / 2, layers, target)
    assert np.allclose(losses, predicted, rtol=1e-3, atol=1e-5 * losses[0])


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_orthogonal_layers_on_white_data_go_straight_to_the_identity(layers):
    rng = np.random.default_rng(3)
    kernels = [haar(rng, 6) for _ in range(layers - 1)]
    product = np.linalg.multi_dot([*kernels, np.eye(6)]) if len(kernels) > 0 else np.eye(6)
    kernels.append(product.T @ haar(rng, 6, sign=1))
    starts = np.linalg.eigvals(product @ kernels[-1])
    times, losses, after = flowed(kernels, np.eye(6), np.eye(6), 4e-3, 4400)
    predicted = loss_curve(times, starts, np.full(6, 2 / 6), layers)
    assert np.allclose(losses, predicted, rtol=2e-3, atol=1e-6)
    # Each eigenvalue is where it was on the way to 1.
    w = np.linalg.eigvals(np.linalg.multi_dot([*after, np.eye(6)]))
    for start in starts:
        left = error_left(np.array(4e-3 * 4400), start, layers, 2 / 6)
        assert np.abs(w - (1 + (start - 1) * left)).min() < 2e-3


def test_a_reflection_never_arrives_and_a_rotation_by_as_much_does():
    # Bartlett, Helmbold and Long 2018: eigenvalue -1.
    rng = np.random.default_rng(1)
    reflection = np.diag([1.0, 1.0, -1.0])
    first = haar(rng, 3)
    times, losses, after = flowed([first, first.T @ reflection], np.eye(3), np.eye(3), 0.01, 2000)
    starts = np.array([1.0, 1.0, -1.0])
    assert np.allclose(losses, loss_curve(times, starts, np.full(3, 2 / 3), 2), atol=1e-4)
    # At rest where that output is 0: the loss of one of three.
    assert losses[-1] == pytest.approx(1 / 3, abs=1e-6)
    assert np.linalg.det(after[0] @ after[1]) < 0
    assert time_to_keep(0.3, -1.0, 2, H) == np.inf and time_to_keep(0.6, -1.0, 2, H) < np.inf
    assert time_to_keep(1e-3, np.exp(3.0j), 2, H) < np.inf
    assert time_to_keep(1e-3, -1.0, 1, H) == pytest.approx(np.log(1e3) / H)


@pytest.mark.parametrize(("s0", "s1"), [(1e-8, 0.5), (0.1, 0.999), (0.9, 0.91)])
def test_two_layers_take_the_closed_form(s0, s1):
    for target in (1.0, 2.5):
        a, b = s0 * target, s1 * target
        wanted = np.log(b * (target - a) / (a * (target - b))) / (2 * H * target)
        found = time_to_keep((target - b) / (target - a), a, 2, H, target)
        assert found == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(("layers", "start"), [(3, 1e-2), (4, 1.8), (4, np.exp(3.1j)), (2, 1j)])
def test_the_path_is_that_of_an_ode_solver(layers, start):
    def flow(_, y):
        w = y[0] + 1j * y[1]
        step = layers * H * abs(w) ** (2 - 2 / layers) * (1 - w)
        return [step.real, step.imag]

    times = np.linspace(0, 40, 30)
    found = solve_ivp(flow, (0, 40), [np.real(start), np.imag(start)], t_eval=times,
                      rtol=1e-11, atol=1e-14)  # fmt: skip
    w = found.y[0] + 1j * found.y[1]
    left = error_left(times, start, layers, H)
    assert np.allclose(left, np.abs(w - 1) / abs(start - 1), atol=1e-6)
    assert np.allclose(1 + (start - 1) * left, w, atol=1e-6)
    # There and back.
    at = time_to_keep(float(left[3]), start, layers, H)
    assert at == pytest.approx(times[3], rel=1e-5)


def test_escape_is_logarithmic_for_two_layers_and_a_power_beyond():
    for start in (1e-4, 1e-8):
        half = time_to_keep(0.5 / (1 - start), start, 2, H)
        assert escape_time(start, 2, H) == pytest.approx(half, abs=2 * start / H)
    for layers in (3, 4, 6):
        small, smaller = (
            time_to_keep(0.5, start, layers, H) - escape_time(start, layers, H)
            for start in (1e-9, 1e-12)
        )
        # What is left is a constant, far below the escape itself.
        assert small == pytest.approx(smaller, rel=0.02)
        assert abs(smaller) < 0.02 * escape_time(1e-12, layers, H)
    assert escape_time(1e-9, 1, H) == 0.0
    # The target's own scale, a: in units of 1 / h a^(2 - 2 / L).
    assert time_to_keep(0.5, 2e-6, 4, H, 2.0) == pytest.approx(
        time_to_keep(0.5, 1e-6, 4, H) / 2**1.5
    )


def test_near_the_solution_layers_add_up():
    for layers in (1, 2, 5):
        last = time_to_keep(1e-7, 0.5, layers, H) - time_to_keep(1e-6, 0.5, layers, H)
        assert np.log(10) / last == pytest.approx(layers * H, rel=1e-4)
        assert local_rate(layers, H) == layers * H
    assert local_rate(2, H, 3.0) == pytest.approx(6 * H)


def test_nothing_moves_from_zero_nor_from_the_solution():
    times = np.array([0.0, 5.0])
    assert np.array_equal(error_left(times, 0.0, 3, H), [1, 1])
    assert np.allclose(error_left(times, 0.0, 1, H), np.exp(-H * times), rtol=1e-6)
    assert np.array_equal(loss_curve(times, np.ones(2), np.ones(2), 3), [0, 0])


@pytest.mark.parametrize("sizes", [(5, 5, 5), (3, 2, 4, 3), (4, 4, 4, 4)])
def test_sampled_kernels_and_gradients_have_these_moments(sizes):
    rng, networks = np.random.default_rng(0), 30_000
    d, m, layers = sizes[0], sizes[-1], len(sizes) - 1
    kernels = [
        rng.normal(size=(networks, a, b), scale=(2 / (a + b)) ** 0.5) for a, b in pairwise(sizes)
    ]
    below, above = [np.broadcast_to(np.eye(d), (networks, d, d))], [
        np.broadcast_to(np.eye(m), (networks, m, m))
    ]  # fmt: skip
    for w in kernels[:-1]:
        below.append(below[-1] @ w)
    for w in kernels[:0:-1]:
        above.insert(0, w @ above[0])
    a = [part.transpose(0, 2, 1) @ part for part in above]
    b = [part @ part.transpose(0, 2, 1) for part in below]
    found = kernel_moments(sizes)
    quotient = sum(a[k][:, 0, 0] * b[k][:, 1, 1] for k in range(layers))
    assert quotient.mean() == pytest.approx(found.mean, rel=0.02)
    assert quotient.std() / quotient.mean() == pytest.approx(found.quotient_spread, rel=0.06)
    square = sum(
        np.einsum("nij,nij->n", a[j], a[k]) * np.einsum("nij,nij->n", b[j], b[k])
        for j in range(layers) for k in range(layers)
    ).mean()  # fmt: skip
    wanted = (square / (d * m) / found.mean**2 - 1) ** 0.5
    assert wanted == pytest.approx(found.eigenvalue_spread, rel=0.04)

    spectrum = np.geomspace(1, 0.1, d)
    w = below[-1] @ kernels[-1] - np.eye(d)
    off = spectrum[None, :, None] * w
    slopes = sum(
        ((2 / m * p.transpose(0, 2, 1) @ off @ q.transpose(0, 2, 1)) ** 2).sum(axis=(1, 2))
        for p, q in zip(below, above, strict=True)
    )
    start = at_start(sizes, spectrum)
    for seen, predicted in (((w * off).sum(axis=(1, 2)) / m, start.loss), (slopes, start.slope)):
        assert abs(seen.mean() - predicted) < 5 * seen.std() / networks**0.5


def test_each_layer_adds_a_copy_and_the_copies_disagree_more():
    wide = [kernel_moments((400,) * (layers + 1)) for layers in (1, 2, 4)]
    assert np.allclose([found.mean for found in wide], [1, 2, 4])
    assert wide[0].eigenvalue_spread == wide[0].quotient_spread == 0
    # In wide layers: tr S^2 / n is k + 1 for a product of k, so (2 + 2 + 2) / 4 - 1 for two.
    assert wide[1].eigenvalue_spread == pytest.approx(0.5**0.5, rel=5e-3)
    four = 4 * 1 + 3 * 2 + 2 * 3 + 1 * 4  # one layer with itself
    pairs = 2 * sum(low * (4 - high + 1) for low in range(1, 5) for high in range(low + 1, 5))
    assert wide[2].eigenvalue_spread == pytest.approx(((four + pairs) / 16 - 1) ** 0.5, rel=0.01)
    # A fixed direction's curvature settles with width.
    assert wide[2].quotient_spread < 0.15


def test_uniform_weights_are_close():
    sizes, rng = (20, 20, 20), np.random.default_rng(0)
    limit = (6 / 40) ** 0.5
    first, second = (rng.uniform(-limit, limit, (4000, 20, 20)) for _ in range(2))
    u = (second[:, :, 0] ** 2).sum(axis=1) + (first[:, 0, :] ** 2).sum(axis=1)
    assert u.mean() == pytest.approx(kernel_moments(sizes).mean, rel=0.01)
    # Excess kurtosis -1.2 of one direction's squares.
    assert u.std() / u.mean() < kernel_moments(sizes).quotient_spread
