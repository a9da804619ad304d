"""Exact spectra against dense Hessians; null reasons that add up; shares by decade."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from jaxid.core.io import encode
from jaxid.core.precision import float64
from jaxid.core.progress import SILENT
from jaxid.diagnosis import conditioning
from jaxid.diagnosis.evidence import seed_params
from jaxid.diagnosis.head_curvature import NoSpectra


def measured(run, count=1, evidence=True):
    found = conditioning.measure(
        run.runner,
        run.history,
        run.evidence if evidence else None,
        count,
        SILENT,
        run.spec.seed_list,
    )
    json.dumps(encode(found.conditioning)[0], allow_nan=False)
    return found


@pytest.fixture(scope="module")
def digits(digits_run):
    return measured(digits_run, count=2)


def block_eigenvalues(run, params):
    """(m, q): eigvalsh of (2 / (n m)) X^T diag(on) X, output by output; ReLU, depth 1."""
    layer = params["layers"][0]
    x = np.asarray(run.problem.train[0], float)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    w = np.concatenate([layer["kernel"], layer["bias"][None, :]]).astype(float)
    scale = 2 / (len(x) * w.shape[1])
    return np.stack([
        np.linalg.eigvalsh(scale * x[x @ w[:, j] > 0].T @ x[x @ w[:, j] > 0])
        for j in range(w.shape[1])
    ])  # fmt: skip


def test_spectra_at_both_ends_are_those_of_the_blocks(digits_run, digits):
    initial = seed_params(digits_run.runner.init([0]), 0)
    end = seed_params(digits_run.history.state, 0)
    told = digits.conditioning
    for row, blocks, params in (
        (told.at_init, told.spectrum_init, initial),
        (told.at_end, told.spectrum_end, end),
    ):
        expected = block_eigenvalues(digits_run, params)
        found = blocks.eigenvalues
        top = expected.max()
        assert np.abs(np.sort(found, axis=1) - expected).max() < 1e-12 * top
        assert np.isclose(row.lambda_max.value, top) and row.lambda_max.converged
        assert row.size == found.size == 64 * 65
        assert row.kappa.value == pytest.approx(row.lambda_max.value / row.lambda_min_nonzero.value)
        assert row.negative == 0 and row.seed == 0


def test_reasons_of_null_directions_add_up(digits_run, digits):
    for row in digits.conditioning.seeds:
        for at in (row.at_init, row.at_end):
            assert sum(vars(at.null_reasons).values()) == at.null_dim > 0
            assert np.isclose(at.null_share, at.null_dim / at.size)
            assert at.null_reasons.dead_unit == 65 * at.dead_units
    assert [row.at_end.seed for row in digits.conditioning.seeds] == [0, 1]
    fires = np.asarray(digits_run.history.train_end.fires[-1])
    for k, row in enumerate(digits.conditioning.seeds):
        assert row.at_end.dead_units == np.sum(fires[k] == 0)


def test_shares_of_the_excess_by_decade_sum_to_one(digits_run, digits):
    modes = digits.modes
    assert np.isclose(sum(row.share for row in modes.decades), 1.0)
    decades = [row.decade for row in modes.decades]
    assert decades == sorted(decades, reverse=True) and decades[0] == 0
    # The excess is the quadratic form that the budget uses, summed over outputs.
    quadratic = digits_run.evidence.seeds[0].quadratic.sum() / 64
    assert np.isclose(modes.total, quadratic, rtol=1e-6)
    # A tenth of the curvature takes ten times as long.
    for row in modes.decades:
        assert np.isclose(row.epochs * 10.0**row.decade, modes.decades[0].epochs)
    steps = modes.decades[0].epochs * digits_run.problem.steps_per_epoch
    assert np.isclose(np.exp(-2 * steps), 0.01)


def test_effective_kappa_is_at_most_kappa_and_belongs_to_its_curve(digits):
    row = digits.conditioning.at_end
    effective = row.effective_kappa
    assert effective.share == 0.99 and effective.value >= 1
    curve, shares = digits.conditioning.effective.kappa, digits.conditioning.effective.share
    assert (np.diff(curve) >= 0).all()
    below, above = curve[shares <= 0.99].max(), curve[shares >= 0.99 - 1e-12].min()
    assert below <= effective.value * (1 + 1e-12) and effective.value <= above * (1 + 1e-12)
    assert digits.conditioning.at_init.effective_kappa.value is None
    assert digits.conditioning.at_init.effective_kappa.method


def test_with_one_layer_the_whole_network_is_the_last_layer(digits):
    whole = digits.conditioning.whole_network
    assert whole.least.converged and whole.largest.value == digits.lambda_max
    assert digits.least.value == whole.least.value >= -1e-9 * digits.lambda_max
    assert digits.block == 65 and digits.null_dims.shape == (64,)


def test_with_two_layers_lanczos_agrees_with_the_dense_hessian(deep_run):
    found = measured(deep_run)
    whole = found.conditioning.whole_network
    params = seed_params(deep_run.evidence.annealed.state, 0)
    x = deep_run.problem.train[0]
    with float64():
        held = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        flat, unravel = ravel_pytree(held)
        batch = jnp.asarray(x, jnp.float64)

        def loss(w):
            return jnp.mean((deep_run.problem.net.apply(unravel(w), batch) - batch) ** 2)

        values = np.linalg.eigvalsh(np.asarray(jax.jit(jax.hessian(loss))(flat)))
    largest, least = whole.largest, whole.least
    assert np.isclose(largest.value, values[-1], rtol=1e-3)
    assert "100 of 100" in least.method
    # Ritz values never lie outside the spectrum; the bound holds where it says it does.
    assert least.value >= values[0] - 1e-5 * values[-1]
    if least.converged:
        assert abs(least.value - values[0]) <= least.error + 1e-5 * values[-1]
    else:
        assert least.error > 0


def test_without_solved_parameters_there_are_spectra_but_no_modes(digits_run):
    found = measured(digits_run, evidence=False)
    assert found.conditioning.at_end.null_dim > 0 and found.modes is None and found.least is None
    assert found.conditioning.at_end.effective_kappa.value is None


def test_no_seeds_no_spectra_and_the_reason(digits_run, dying_run):
    found = measured(digits_run, count=0)
    assert found.conditioning.at_init is None and found.conditioning.reason is NoSpectra.NOT_ASKED
    run = dying_run[0]
    gone = run.history._replace(first_bad=np.zeros(3, int))
    found = conditioning.measure(run.runner, gone, None, 1, SILENT, [0, 1, 2])
    assert (
        found.conditioning.at_end is None and found.conditioning.reason is NoSpectra.NO_FINITE_SEED
    )


def test_a_seed_that_blew_up_is_passed_over(dying_run):
    found = measured(dying_run[0], count=2)
    assert [row.at_end.seed for row in found.conditioning.seeds] == [0, 2]
