"""Classes of optimizers, proved from their updates: every public kind, and ones of one's own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxid.core.precision import float64
from jaxid.optim.chain import classified, why_not_frozen, why_not_linear
from jaxid.optim.rates import accumulates, effective_rates
from jaxid.theory.chains import Chain, VaryingChain, measured_chain

PARAMS = {"a": {"kernel": jnp.ones((3, 4)), "bias": jnp.zeros(4)}}
LABELS = {"a": {"kernel": "x", "bias": "y"}}
KERNELS = {"a": {"kernel": True, "bias": False}}


def hidden_second_moment():
    """AdaGrad under another name."""

    def init(params):
        return {"mine": jax.tree.map(jnp.zeros_like, params)}

    def update(gradients, state, params=None):
        mine = jax.tree.map(lambda s, g: s + g * g, state["mine"], gradients)
        moves = jax.tree.map(lambda g, s: -0.1 * g / (1 + jnp.sqrt(s)), gradients, mine)
        return moves, {"mine": mine}

    return optax.GradientTransformation(init, update)


def sometimes_clipped():
    """Linear for all small gradients: nothing that a probe would see."""

    def update(gradients, state, params=None):
        return jax.tree.map(lambda g: jnp.where(jnp.abs(g) > 1e6, 0.0, -0.1 * g), gradients), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def clipped_late():
    """Linear but for one step far into the run."""

    def update(gradients, state, params=None):
        def one(g):
            return jnp.where(state == 1000, jnp.sign(g), g)

        return jax.tree.map(lambda g: -0.1 * one(g), gradients), state + 1

    return optax.GradientTransformation(lambda params: jnp.zeros((), jnp.int32), update)


def swapped():
    """Each element by another one's gradient."""

    def update(gradients, state, params=None):
        return jax.tree.map(lambda g: -0.1 * g[..., ::-1], gradients), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


LINEAR = {
    "gradient descent": optax.sgd(0.1),
    "heavy ball": optax.sgd(0.1, 0.9),
    "nesterov": optax.sgd(0.1, 0.9, nesterov=True),
    "debiased mean": optax.chain(optax.ema(0.9), optax.sgd(0.1)),
    "cosine": optax.sgd(optax.cosine_decay_schedule(0.1, 30)),
    "warm restarts": optax.sgd(optax.sgdr_schedule([
        {"init_value": 0.0, "peak_value": 0.1, "warmup_steps": 3, "decay_steps": 10},
    ] * 3)),
    "one spike": optax.sgd(lambda step: jnp.where(step == 17, 1.0, 0.01)),
    "every fourth step": optax.MultiSteps(optax.sgd(0.1), 4).gradient_transformation(),
    "applied every third": optax.chain(optax.apply_every(3), optax.sgd(0.1)),
    "injected": optax.inject_hyperparams(optax.sgd)(learning_rate=0.1, momentum=0.9),
    "injected schedule": optax.inject_hyperparams(optax.sgd)(
        learning_rate=optax.exponential_decay(0.1, 5, 0.5)
    ),
    "optimistic": optax.optimistic_gradient_descent(0.1),
    "two rates": optax.multi_transform({"x": optax.sgd(0.1), "y": optax.sgd(0.2)}, LABELS),
    "two rates with momentum": optax.multi_transform(
        {"x": optax.sgd(0.1, 0.9), "y": optax.sgd(0.3, 0.9)}, LABELS
    ),
    "one frozen": optax.multi_transform({"x": optax.sgd(0.1), "y": optax.set_to_zero()}, LABELS),
    "conditional": optax.chain(
        optax.conditionally_transform(optax.scale(0.5), lambda step: step > 9), optax.sgd(0.1)
    ),
}  # fmt: skip
OTHER = {
    "adam": (optax.adam(0.1), "gathered|seen"),
    "adagrad": (optax.adagrad(0.1), "seen"),
    "adadelta": (optax.adadelta(0.1), "seen"),
    "adamax": (optax.adamax(0.1), "seen"),
    "yogi": (optax.yogi(0.1), "seen"),
    "amsgrad": (optax.amsgrad(0.1), "seen"),
    "one's own": (hidden_second_moment(), "seen"),
    "lion": (optax.lion(0.1), "sign"),
    "signs": (optax.sign_sgd(0.1), "sign"),
    "norm": (optax.chain(optax.clip_by_global_norm(1e9), optax.sgd(0.1)), "clip_by_global_norm"),
    "elements": (optax.chain(optax.clip(1e9), optax.sgd(0.1)), "max"),
    "far out": (sometimes_clipped(), "not linear"),
    "late": (clipped_late(), "not linear"),
    "blocks": (optax.chain(optax.clip_by_block_rms(1.0), optax.sgd(0.1)), "clip_by_block_rms"),
    "adaptive": (optax.chain(optax.adaptive_grad_clip(0.1), optax.sgd(0.1)), "adaptive_grad_clip"),
    "trust": (optax.lars(0.1), "not linear"),
    "centred": (optax.chain(optax.centralize(), optax.sgd(0.1)), "mixes"),
    "reversed": (swapped(), "mixes"),
    "noise": (optax.noisy_sgd(0.1, key=jax.random.key(0)), "random"),
    "plateau": (optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau()), "loss value"),
    "polyak": (optax.polyak_sgd(), "loss value"),
    "decay": (optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1)), "weight decay"),
    "masked decay": (
        optax.chain(optax.add_decayed_weights(0.1, mask=KERNELS), optax.sgd(0.1)), "weight decay",
    ),
    "nonnegative": (optax.chain(optax.sgd(0.1), optax.keep_params_nonnegative()), "not linear"),
    "raw gradients": (optax.masked(optax.sgd(0.1), KERNELS), "up its gradient"),
}  # fmt: skip


def simulated(optimizer, params, curvature, steps, start):
    """Errors of every leaf's first element on a quadratic, (steps + 1, leaves)."""
    with float64():
        leaves, tree = jax.tree.flatten(params)
        weights = [jnp.full(leaf.shape, start) for leaf in leaves]
        state = optimizer.init(jax.tree.unflatten(tree, weights))
        found = [[float(w.ravel()[0]) for w in weights]]
        for _ in range(steps):
            at = jax.tree.unflatten(tree, weights)
            gradient = jax.tree.map(lambda w: curvature * w, at)
            moves, state = optimizer.update(gradient, state, at)
            weights = jax.tree.leaves(optax.apply_updates(at, moves))
            found.append([float(w.ravel()[0]) for w in weights])
    return np.array(found)


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_chain_is_what_a_run_of_it_does_at_every_step(name):
    optimizer, steps, h = LINEAR[name], 40, 0.7
    measured = measured_chain(optimizer, PARAMS, steps)
    assert measured.why == ""
    assert isinstance(measured.chain, Chain | VaryingChain)
    real = simulated(optimizer, PARAMS, h, steps, 1.5)
    scales = measured.scales or (1.0, 1.0)
    left = measured.chain.left(h * np.array(scales), np.arange(steps + 1))
    np.testing.assert_allclose(1.5 * left, real, rtol=1e-6, atol=1e-9)


def refused(optimizer, words, steps):
    """There is no chain, and the reason has one of the words."""
    measured = measured_chain(optimizer, PARAMS, steps)
    assert measured.chain is None
    assert any(word in measured.why for word in words.split("|")), measured.why


@pytest.mark.parametrize("name", OTHER)
def test_what_is_no_linear_chain_says_the_true_reason(name):
    refused(*OTHER[name], 50)


def test_what_needs_more_than_training_gives_has_no_class():
    for optimizer in (optax.lbfgs(), optax.lookahead(optax.sgd(0.1), 5, 0.5)):
        assert "not to be had" in measured_chain(optimizer, PARAMS, 5).why


def test_an_operation_without_a_rule_claims_nothing():
    def update(gradients, state, params=None):
        def called(g):
            return jax.pure_callback(lambda x: -np.asarray(x), g, g)

        return jax.tree.map(called, gradients), state

    optimizer = optax.GradientTransformation(lambda params: optax.EmptyState(), update)
    assert "no rule" in measured_chain(optimizer, PARAMS, 5).why
    assert "no rule" in effective_rates(optimizer, optimizer.init(PARAMS), PARAMS).why


def random_state(optimizer, steps=30):
    """A state after random gradients."""
    state, rng = optimizer.init(PARAMS), np.random.default_rng(0)
    extra = optax.with_extra_args_support(optimizer)
    for _ in range(steps):
        gradient = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), p.dtype), PARAMS)
        state = extra.update(gradient, state, PARAMS, value=jnp.zeros(()))[1]
    return state


HELD = {
    "adagrad": (optax.adagrad(0.1), lambda s: 0.1 / np.sqrt(s[0].sum_of_squares["a"]["kernel"])),
    "one's own": (
        hidden_second_moment(), lambda s: 0.1 / (1 + np.sqrt(s["mine"]["a"]["kernel"])),
    ),
    "adadelta": (
        optax.adadelta(0.1, eps=1e-3),
        lambda s: 0.1 * np.sqrt(s[1].e_x["a"]["kernel"] + 1e-3)
        / np.sqrt(s[1].e_g["a"]["kernel"] + 1e-3),
    ),
    "adamax": (
        optax.adamax(0.1),
        lambda s: 0.1 / (1 - 0.9 ** 31) / (np.asarray(s[0].nu["a"]["kernel"])),
    ),
    "centred": (
        optax.rmsprop(0.1, centered=True, eps=1e-3),
        lambda s: 0.1 / np.sqrt(
            s[0].nu["a"]["kernel"] - np.square(s[0].mu["a"]["kernel"]) + 1e-3
        ),
    ),
    "with momentum": (
        optax.rmsprop(0.1, momentum=0.9, eps=1e-3),
        lambda s: 0.1 / 0.1 / np.sqrt(s[0].nu["a"]["kernel"] + 1e-3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HELD)
def test_rates_with_second_moments_of_any_name_held(name):
    optimizer, formula = HELD[name]
    state = random_state(optimizer)
    found = effective_rates(optimizer, state, PARAMS)
    assert found.elementwise and found.why == ""
    assert accumulates(optimizer, PARAMS, state)
    np.testing.assert_allclose(found.tree["a"]["kernel"], formula(state), rtol=2e-4)


def test_momentum_is_solved_however_long_its_memory():
    optimizer = optax.sgd(0.01, momentum=0.999)
    rates = effective_rates(optimizer, optimizer.init(PARAMS), PARAMS)
    np.testing.assert_allclose(rates.tree["a"]["kernel"], 10.0, rtol=1e-4)
    endless = optax.chain(optax.trace(1.0), optax.scale(-0.1))
    none = effective_rates(endless, endless.init(PARAMS), PARAMS)
    assert not none.elementwise and "never settles" in none.why


@pytest.mark.parametrize("name", ["trust", "signs", "norm", "centred", "plateau"])
def test_what_is_not_diagonal_has_no_rates(name):
    optimizer, _ = OTHER[name]
    found = effective_rates(optimizer, optimizer.init(PARAMS), PARAMS)
    assert not found.elementwise and found.why


def test_masked_and_boolean_leaves_keep_their_class():
    optimizer = optax.chain(optax.masked(optax.trace(0.9), KERNELS), optax.scale(-0.1))
    found = classified(optimizer, PARAMS, optimizer.init(PARAMS))
    assert found.elementwise and why_not_linear(found) == "" and why_not_frozen(found) == ""
    assert "differently" in measured_chain(optimizer, PARAMS, 5).why


def momentum_from(start):
    """Heavy ball whose momentum starts elsewhere than at 0."""

    def update(gradients, state, params=None):
        state = jax.tree.map(lambda m, g: 0.5 * m + g, state, gradients)
        return jax.tree.map(lambda m: -0.1 * m, state), state

    return optax.GradientTransformation(start, update)


def of_one(function):
    """Each leaf's update by a function of its gradient."""
    return optax.GradientTransformation(
        lambda params: optax.EmptyState(),
        lambda gradients, state, params=None: (jax.tree.map(function, gradients), state),
    )


FOUND = {
    "columns first": (of_one(lambda g: -0.1 * jnp.ravel(g, order="F").reshape(g.shape)), "mixes"),
    "from the parameters": (momentum_from(lambda params: params), "start at 0"),
    "from ones": (
        momentum_from(lambda params: jax.tree.map(jnp.ones_like, params)), "start at 0"),
    "a rate that Python draws": (
        of_one(lambda g: -g * jax.pure_callback(
            lambda: np.float64(np.random.uniform()), jax.ShapeDtypeStruct((), jnp.float64))),
        "no rule|not to be had"),
    "not implemented": (of_one(lambda g: [][0]), "not to be had"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_what_was_once_called_linear_and_is_not(name):
    refused(*FOUND[name], 20)


@pytest.mark.parametrize("factor", [1.5, -1.0, -1.2])
def test_momentum_that_does_not_die_out_has_no_rate(factor):
    optimizer = optax.chain(optax.trace(factor), optax.scale(-0.1))
    found = effective_rates(optimizer, optimizer.init(PARAMS), PARAMS)
    assert not found.elementwise and "settles" in found.why
    chain = measured_chain(optimizer, PARAMS, 5).chain
    assert chain.settled_rate is None


@pytest.mark.parametrize(
    "optimizer",
    [optax.MultiSteps(optax.sgd(0.1), 4).gradient_transformation(),
     optax.chain(optax.apply_every(3), optax.sgd(0.1))],
)  # fmt: skip
def test_updates_every_few_steps_have_no_one_rate(optimizer):
    found = effective_rates(optimizer, optimizer.init(PARAMS), PARAMS)
    assert not found.elementwise


def test_what_no_update_reads_does_not_count():
    def update(gradients, state, params=None):
        kept = jax.tree.map(lambda s, p: 0.9 * s + 0.1 * p.mean(), state, params)
        return jax.tree.map(lambda g: -0.1 * g, gradients), kept

    optimizer = optax.GradientTransformation(
        lambda params: jax.tree.map(jnp.zeros_like, params), update
    )
    assert measured_chain(optimizer, PARAMS, 5).why == ""


def test_keys_in_a_closure_are_read():
    measured = measured_chain(optax.noisy_sgd(0.1, key=jax.random.key(0)), PARAMS, 5)
    assert measured.why == "the optimizer draws random numbers"
