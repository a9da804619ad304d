"""Moments by strata put together again are the data's own."""

from __future__ import annotations

import numpy as np
import pytest

from jaxid.theory.strata import LEVELS, PARTS, strata

N, D = 900, 6


def made(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.gamma(0.5, size=(N, D)) @ rng.normal(size=(D, D))
    return x.astype(np.float32), np.round(3 * rng.random((N, D - 2))).astype(np.float32)


@pytest.mark.parametrize("bias", [True, False])
def test_parts_add_up_to_the_means_and_second_moments_of_all(bias):
    x, y = made()
    data = strata(x, y, bias=bias)
    assert data.shares.shape == (PARTS,) and np.isclose(data.shares.sum(), 1)
    whole = np.hstack([x, np.ones((N, 1))]) if bias else x
    means = np.asarray(data.means, float)
    assert np.allclose(data.shares @ means, whole.mean(axis=0), rtol=1e-4, atol=1e-5)
    basis = np.asarray(data.basis, float)
    inside = np.einsum("pr,krs,qs->kpq", basis, np.asarray(data.inner, float), basis)
    inside += np.stack([np.diag(rest) for rest in np.asarray(data.rest)])
    second = np.einsum("k,kpq->pq", data.shares, inside + means[:, :, None] * means[:, None, :])
    expected = whole.T @ whole / N
    assert np.allclose(second, expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_inputs_with_targets_are_kept_too():
    x, y = made()
    data = strata(x, y)
    cross = np.einsum("pr,krm->kpm", np.asarray(data.basis, float), np.asarray(data.cross, float))
    both = np.asarray(data.means, float)[:, :, None] * np.asarray(data.target_means)[:, None]
    whole = np.hstack([x, np.ones((N, 1))]).T @ y / N
    assert np.allclose(np.einsum("k,kpm->pm", data.shares, cross + both), whole, atol=2e-3)


def test_values_of_a_target_and_how_often_they_come_up():
    x, y = made()
    data = strata(x, y)
    assert data.values.shape == (LEVELS, D - 2)
    often = np.einsum("k,kqm->qm", data.shares, np.asarray(data.levels, float))
    assert np.allclose(often.sum(axis=0), 1, atol=1e-5)
    # Four values, 0 to 3: each is alone in its bin.
    for k in range(4):
        near = np.isclose(data.values[:, 0], k)
        assert np.isclose(often[near, 0].sum(), np.mean(y[:, 0] == k), atol=1e-5)


def test_parts_are_cut_by_the_size_of_the_input():
    x, y = made()
    data = strata(x, y, bias=False)
    inside = np.einsum("krr->k", np.asarray(data.inner)) + np.asarray(data.rest).sum(axis=1)
    sizes = inside + np.square(np.asarray(data.means)).sum(axis=1)
    assert np.all(np.diff(sizes) > 0)


def test_few_examples_are_one_part_and_a_target_that_never_varies_has_one_value():
    x, y = made()
    y[:, 0] = 2.0
    data = strata(x[:150], y[:150])
    assert data.shares.shape == (1,)
    often = np.asarray(data.levels)[0, :, 0]
    assert often[0] == 1 and data.values[0, 0] == 2 and not often[1:].any()
