"""Null directions by reason: each annihilated by Gauss-Newton, together all that there are."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from jaxid.core.precision import float64
from jaxid.curvature.null_directions import count_reasons, null_directions
from jaxid.linalg.eigen import eigen
from jaxid.nets.mlp import identity_network
from jaxid.problem.problem import Problem

D = 4


def setting(
    activation="relu",
    output="linear",
    depth=2,
    n=60,
    *,
    width=None,
    residual=False,
    spoil=True,
    seed=0,
):
    """A network on inputs with a constant and a collinear feature, one unit dead, one rare."""
    model = identity_network(
        D,
        depth=depth,
        width=width,
        activation=activation,
        output_activation=output,
        residual=residual,
    )
    x = np.random.default_rng(seed).normal(size=(n, D))
    if spoil:
        x[:, 1] = 0.7
        x[:, 3] = x[:, 0] - 2 * x[:, 2]
    with float64():
        params = model.init(jax.random.key(seed), jnp.zeros((1, D)))
        params = jax.tree.map(lambda w: jnp.asarray(w, jnp.float64) + 0.05, params)
        if spoil and depth > 1:
            bias = params["layers"][0]["bias"]
            params["layers"][0]["bias"] = bias.at[0].set(-100.0)
        problem = Problem(model=model, train=(x, None), optimizer=None)
        return problem, params, jnp.asarray(x)


def gauss_newton(problem, params, x):
    with float64():
        return oracles.dense_gauss_newton(problem, params, (x, None))


SETTINGS = {
    "relu": {},
    "three relu layers": {"depth": 3},
    "relu output": {"output": "relu"},
    "leaky relu": {"activation": "leaky_relu"},
    "tanh": {"activation": "tanh"},
    "deep linear": {"activation": "linear", "depth": 3},
    "one layer": {"depth": 1, "output": "relu"},
    "residual": {"residual": True},
    "few examples": {"n": 3, "spoil": False},
    "wide": {"width": 7},
    "clean": {"spoil": False},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_direction_is_null_and_the_counts_add_up(name):
    problem, params, x = setting(**SETTINGS[name])
    matrix = gauss_newton(problem, params, x)
    with float64():
        found = null_directions(problem.net, params, x)
    top = np.linalg.eigvalsh(matrix)[-1]
    for rows in found.by_reason.values():
        for row in rows:
            assert np.linalg.norm(matrix @ row) <= 1e-10 * top * np.linalg.norm(row)
    null = eigen(matrix, error=1e-13 * top).null
    counts = count_reasons(found, null, order=len(matrix), outputs=x.shape[0] * D)
    assert counts.total == null
    assert counts.other == 0, counts


def test_reasons_are_those_that_were_built_in():
    problem, params, x = setting()
    matrix = gauss_newton(problem, params, x)
    with float64():
        found = null_directions(problem.net, params, x)
    counts = count_reasons(found, eigen(matrix).null, order=len(matrix), outputs=240)
    # One dead unit of five weights; three live units of layer 0 see a constant and a
    # combination; the four outputs see the dead unit as a constant.
    assert counts.dead_unit == 5
    assert counts.constant_input == 3 + 4
    assert counts.collinear_input >= 3
    assert counts.rescaling == 3
    assert np.isclose(10**found.log10_permutations, 24)


def test_a_hidden_unit_that_feeds_only_dead_ones_is_dead_itself():
    problem, params, x = setting(output="relu", spoil=False)
    with float64():
        params["layers"][1]["bias"] = params["layers"][1]["bias"] - 1000.0
        found = null_directions(problem.net, params, x)
    assert len(found.by_reason["dead_unit"]) == 2 * D * (D + 1)
    assert len(found.by_reason["rescaling"]) == 0


def test_rescalings_are_null_for_the_hessian_only_where_the_gradient_is_zero():
    problem, params, x = setting(spoil=False)
    with float64():
        rows = null_directions(problem.net, params, x).by_reason["rescaling"]
        here = oracles.dense_hessian(problem, params, (x, None))
        y = problem.outputs(params, (x, None))
        there = oracles.dense_hessian(problem, params, (x, y))
    size = np.linalg.norm(rows, axis=1)
    assert np.linalg.norm(here @ rows.T, axis=0).min() > 1e-3 * size.min()
    assert np.linalg.norm(there @ rows.T, axis=0).max() < 1e-12 * size.max()


def test_few_examples_bound_the_rank():
    problem, params, x = setting(**SETTINGS["few examples"])
    matrix = gauss_newton(problem, params, x)
    with float64():
        found = null_directions(problem.net, params, x)
    counts = count_reasons(found, eigen(matrix).null, order=len(matrix), outputs=3 * D)
    assert eigen(matrix).null >= len(matrix) - 3 * D
    assert counts.other == 0


def test_a_model_whose_layers_are_unknown_is_refused():
    problem, params, x = setting()
    with pytest.raises(ValueError, match="dense layers"):
        null_directions(problem.net._replace(layers=()), params, x)
