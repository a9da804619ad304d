"""Parts of parameter trees: taking and putting back, and wrong names."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from cases import CASES, case

from jaxid.core.errors import InputError
from jaxid.core.precision import float64
from jaxid.curvature.parts import Part, layer_names, leaf_names


@pytest.mark.parametrize("name", CASES)
def test_put_is_take_s_inverse_and_layers_cover_every_leaf_once(name):
    with float64():
        _, params, _ = case(name)
        taken = []
        for layer in layer_names(params):
            part = Part((layer,))
            chosen = part.take(params)
            taken += list(chosen)
            doubled = part.put(params, jax.tree.map(lambda leaf: 2 * leaf, chosen))
            for leaf, before, after in zip(
                leaf_names(params), jax.tree.leaves(params), jax.tree.leaves(doubled), strict=True
            ):
                factor = 2 if leaf in chosen else 1
                np.testing.assert_array_equal(after, factor * before)
        assert sorted(taken) == sorted(leaf_names(params))


def test_names_without_a_leaf_say_what_there_is():
    _, params, _ = case("relu", np.float32)
    with pytest.raises(InputError, match="did you mean layers/0/kernel"):
        Part(("layers/0/kernal",)).take(params)
    with pytest.raises(InputError, match="there are layers/0, layers/1"):
        Part(("x",)).take(params)


def test_a_name_is_a_whole_step_of_the_path():
    params = {"a": np.zeros(1), "ab": np.zeros(2)}
    assert list(Part(("a",)).take(params)) == ["a"]
    assert Part().take(params) is params
    assert layer_names(params) == ["a", "ab"]
