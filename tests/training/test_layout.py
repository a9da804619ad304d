"""How seeds are laid out: the table, and that a layout changes nothing else."""

from __future__ import annotations

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxid.training import layout
from jaxid.training.layout import Layout, choose_layout, over_seeds


@pytest.mark.parametrize(
    "backend, width, expected",
    [
        ("cpu", 1, "sequential"),
        ("cpu", 784, "sequential"),
        ("gpu", 784, "vmap"),
        ("tpu", 784, "vmap"),
        ("abacus", 784, "vmap"),
    ],
)
def test_auto_reads_the_table(backend, width, expected):
    assert choose_layout("auto", width, backend) == expected


def test_auto_asks_jax_for_the_backend():
    assert choose_layout("auto", 64) == choose_layout("auto", 64, jax.default_backend())


@pytest.mark.parametrize("choice", get_args(Layout))
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_a_choice_is_kept(choice, backend):
    assert choose_layout(choice, 784, backend) == choice


def test_the_widest_row_that_fits_wins(monkeypatch):
    rows = (("cpu", 0, "vmap"), ("cpu", 100, "sequential"), ("gpu", 50, "sequential"))
    monkeypatch.setattr(layout, "TABLE", rows)
    assert choose_layout("auto", 99, "cpu") == "vmap"
    assert choose_layout("auto", 100, "cpu") == "sequential"
    assert choose_layout("auto", 49, "gpu") == "vmap"
    assert choose_layout("auto", 50, "gpu") == "sequential"


@pytest.mark.parametrize("name", get_args(Layout))
def test_both_layouts_map_over_the_leading_axis(name):
    stacked = {"a": jnp.arange(6.0).reshape(3, 2), "b": jnp.arange(3.0)}
    found = over_seeds(lambda one: one["a"] * one["b"], name)(stacked)
    assert np.array_equal(found, [[0, 0], [2, 3], [8, 10]])
