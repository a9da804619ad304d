"""Born-dead probability, against whole networks and enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from jaxid.theory.born_dead import one_example


def simulated(widths, example, networks, draw):
    """Share of networks whose last hidden layer is dead on an example (d,)."""
    h = np.broadcast_to(example, (networks, example.size))
    for width in widths:
        h = np.maximum(np.einsum("kd,kdw->kw", h, draw((networks, h.shape[1], width))), 0)
        # The scale is free; without this, deep signals underflow.
        h = h / np.maximum(h.max(axis=1, keepdims=True), 1e-30)
    return float((h.max(axis=1) <= 0).mean())


def test_a_single_example_is_exact_by_counting_signs():
    # Units' signs are fair coins: all of two hidden layers' patterns, a dead one ends it.
    widths = (2, 3)
    dead = sum(
        not any(signs[:2]) or not any(signs[2:]) for signs in product((0, 1), repeat=sum(widths))
    )
    assert one_example(widths) == pytest.approx(dead / 2**5, rel=1e-14)
    assert one_example([]) == 0.0 and one_example([60] * 3) == pytest.approx(3 * 2.0**-60)


@pytest.mark.parametrize("name", ["uniform", "normal"])
@pytest.mark.parametrize("widths", [[3] * 5, [2, 4, 3], [1, 1]])
def test_whole_networks_die_as_often(widths, name):
    rng, networks = np.random.default_rng(5), 40_000
    draw = rng.standard_normal if name == "normal" else lambda shape: rng.uniform(-1, 1, shape)
    share, wanted = simulated(widths, np.ones(4), networks, draw), one_example(widths)
    assert abs(share - wanted) < 4 * (wanted * (1 - wanted) / networks) ** 0.5
