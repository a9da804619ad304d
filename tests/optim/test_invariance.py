"""Rescalings that leave training the same, by training both ways."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxid.core.errors import InputError
from jaxid.core.precision import float64
from jaxid.optim.invariance import invariance, rescalings

D, BATCH, STEPS, C = 4, 10, 40, 1 / 16
RATE = {"sgd": 2e-2, "momentum": 5e-3, "rmsprop": 2e-3, "adam": 5e-3}
DEGREE = {"sgd": 1.0, "momentum": 1.0, "rmsprop": 0.0, "adam": 0.0}


def chain(name, rate, eps=0.0, inside=False):
    if name == "rmsprop":
        return optax.rmsprop(rate, decay=0.9, eps=eps, eps_in_sqrt=inside)
    if name == "adam":
        return optax.adam(rate, eps=0.0 if inside else eps, eps_root=eps if inside else 0.0)
    return optax.sgd(rate, momentum=0.9 if name == "momentum" else None)


def start(layers, seed=0):
    """Kernels and biases; biases that are not 0, so that their scale shows."""
    rng = np.random.default_rng(seed)
    shapes = {"w": (D, D), "b": (D,)}
    sizes = {"w": 0.6, "b": 0.1}
    return {
        f"{kind}{k}": sizes[kind] * rng.normal(size=shapes[kind])
        for k in range(layers)
        for kind in "wb"
    }


def network(params, x, layers):
    for k in range(layers):
        x = x @ params[f"w{k}"] + params[f"b{k}"][None, :]
        x = jnp.maximum(x, 0.1 * x) if k < layers - 1 else x
    return x


@partial(jax.jit, static_argnums=(0, 1, 2))
def steps(name, inside, layers, params, rates, eps, loss, batches):
    """(losses, end): every array has a chain of its own; a batch is (x, y, weights)."""
    chains = {key: chain(name, rates[key], eps[key], inside) for key in params}

    def step(at, batch):
        params, states = at
        x, y, weights = batch

        def value(params):
            return loss * (weights[:, None] * (network(params, x, layers) - y) ** 2).sum() / D

        found, gradient = jax.value_and_grad(value)(params)
        moved = {key: chains[key].update(gradient[key], states[key]) for key in params}
        params = {key: params[key] + moved[key][0] for key in params}
        return (params, {key: moved[key][1] for key in params}), found

    states = {key: chains[key].init(params[key]) for key in params}
    (params, _), losses = jax.lax.scan(step, (params, states), batches)
    return losses, params


def trained(
    name, params, rates, eps=0.0, inside=False, inputs=1.0, targets=1.0, loss=1.0,
    sizes=(BATCH,), summed=False,
):  # fmt: skip
    """A run with batches of those sizes in turn, their losses averaged or summed."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(STEPS, BATCH, D)) + 0.5
    y = targets * (x @ rng.normal(size=(D, D)) + 0.3 * rng.normal(size=x.shape))
    size = np.array([sizes[t % len(sizes)] for t in range(STEPS)])[:, None]
    weights = (np.arange(BATCH)[None, :] < size) / (1.0 if summed else size)
    eps = eps if isinstance(eps, dict) else dict.fromkeys(params, eps)
    with float64():
        found = steps(name, inside, len(params) // 2, params, rates, eps, loss,
                      (inputs * x, y, weights))  # fmt: skip
        return jax.tree.map(np.asarray, found)


def both_ways(name, layers, rescaling, c, eps=0.0, inside=False, corrected=True, eps_too=True):
    """Largest relative departure of the rescaled run from the plain one, in its own units."""
    params = start(layers)
    losses, end = trained(name, params, dict.fromkeys(params, RATE[name]), eps, inside)
    factors = {"both": (c, c, 1), "inputs": (c, 1, 1), "targets": (1, c, 1), "loss": (1, 1, c)}
    inputs, targets, loss = map(float, factors[rescaling.name])
    changes = {f"w{k}": part for k, part in enumerate(rescaling.kernels)}
    changes |= {f"b{k}": part for k, part in enumerate(rescaling.biases)}
    rates, epses = {}, {}
    for key, change in changes.items():
        rates[key] = RATE[name] * (c**change.rate if corrected else 1.0)
        exponent = change.eps_in_sqrt if inside else change.gradient
        epses[key] = eps * (c**exponent if eps_too else 1.0)
    moved = {key: value * c ** changes[key].values for key, value in params.items()}
    other, ended = trained(name, moved, rates, epses, inside, inputs, targets, loss)
    off = [np.abs(other / c**rescaling.loss / losses - 1).max()]
    off += [np.abs(ended[k] / c ** changes[k].values - end[k]).max() for k in end]
    return max(off)


@pytest.mark.parametrize("name", ["sgd", "rmsprop"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("which", range(4), ids=["both", "inputs", "targets", "loss"])
def test_the_corrected_run_is_the_same_and_the_uncorrected_is_not(name, layers, which):
    rescaling = rescalings(DEGREE[name], layers)[which]
    assert both_ways(name, layers, rescaling, C) < 1e-9
    changed = any(part.rate != 0 for part in (*rescaling.kernels, *rescaling.biases))
    left = both_ways(name, layers, rescaling, C, corrected=False)
    assert left > 1e-3 if changed else left < 1e-9


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_momentum_changes_nothing_of_it(name):
    for rescaling in rescalings(DEGREE[name], 3):
        assert both_ways(name, 3, rescaling, 255.0) < 1e-9


@pytest.mark.parametrize("inside", [False, True])
def test_eps_is_rescaled_with_the_gradient_and_squared_inside_the_root(inside):
    both = rescalings(0.0, 3)[0]
    eps = 1e-4 if inside else 1e-2
    assert both_ways("rmsprop", 3, both, C, eps, inside) < 1e-9
    assert both_ways("rmsprop", 3, both, C, eps, inside, eps_too=False) > 1e-3


def test_the_table_says_what_the_design_says():
    both, inputs, targets, loss = rescalings(0.0, 1)
    # Data divided by 255, c = 1/255: the bias' rate is divided by 255 and nothing else changes.
    assert both.kernels[0].rate == 0 and both.biases[0].rate == 1 and not both.nothing
    assert rescalings(0.0, 1, bias=False)[0].nothing
    # Inputs alone divided by 255: the weights grow 255 times.
    assert inputs.kernels[0].values == -1 and inputs.kernels[0].rate == -1
    assert not inputs.nothing and not targets.nothing
    assert loss.nothing
    # SGD on both: kernels' rate by c^-2, biases' as it is.
    both = rescalings(1.0, 2)[0]
    assert [k.rate for k in both.kernels] == [-2, -2] and [b.rate for b in both.biases] == [0, 0]
    with pytest.raises(InputError):
        rescalings(0.0, 0)


def test_a_users_own_chain_is_measured():
    found = invariance(optax.rmsprop(1e-3, decay=0.9, eps=1e-7, eps_in_sqrt=False), 2)
    assert found.rescalings == rescalings(0.0, 2)
    assert np.isclose(found.half_step.value, 1e-7)
    assert invariance(optax.sgd(0.1, momentum=0.9), 2).rescalings == rescalings(1.0, 2)
    decayed = invariance(optax.adamw(1e-3, weight_decay=0.1), 2)
    assert decayed.rescalings == () and "weight decay" in decayed.degree.method


def test_a_sum_over_the_batch_is_a_factor_of_the_loss_only_where_batches_are_equal():
    params = start(1)
    rates = dict.fromkeys(params, RATE["rmsprop"])
    off = {}
    for sizes in ((BATCH,), (BATCH, BATCH, 3)):
        ends = [
            trained("rmsprop", params, rates, sizes=sizes, summed=way)[1] for way in (False, True)
        ]
        off[sizes] = np.abs(ends[0]["w0"] - ends[1]["w0"]).max()
    assert off[(BATCH,)] < 1e-9 and off[(BATCH, BATCH, 3)] > 1e-3


def test_no_rates_of_kernel_and_bias_undo_a_shift_of_the_inputs():
    # The bias starts where the first function is the same; gradient descent in NumPy. The least
    # loss is 0, so that no floor hides the difference.
    x, start_w = np.random.default_rng(0).normal(size=(30, 1)), np.array([[0.5]])
    y = 2 * x + 1

    def losses(shift, kernel, bias):
        w, b, seen = start_w.copy(), -shift * start_w[0], []
        for _ in range(20):
            residual = (x + shift) @ w + b[None, :] - y
            seen.append(np.mean(residual**2))
            w = w - kernel * 2 * (x + shift).T @ residual / 30
            b = b - bias * 2 * residual.mean(axis=0)
        return np.array(seen)

    plain, rates = losses(0.0, 0.1, 0.1), np.geomspace(1e-3, 1, 40)
    off = [np.abs(losses(1.0, k, b) / plain - 1).max() for k in rates for b in rates]
    assert np.isclose(losses(1.0, 0.1, 0.1)[0], plain[0]) and min(off) > 1e-2
