"""Random Optax chains from all public transformations, schedules and masks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax


def schedule(rng, rate, steps):
    """A rate over a run whose largest value is about ``rate``."""
    kinds = [
        rate,
        optax.linear_schedule(rate, 0.1 * rate, steps),
        optax.cosine_decay_schedule(rate, steps),
        optax.exponential_decay(rate, max(1, steps // 4), 0.5),
        optax.piecewise_constant_schedule(rate, {steps // 3: 0.3, 2 * steps // 3: 0.3}),
        optax.warmup_cosine_decay_schedule(0.0, rate, max(1, steps // 5), steps),
        optax.sgdr_schedule([
            {"init_value": 0.1 * rate, "peak_value": rate, "warmup_steps": 2,
             "decay_steps": max(4, steps // 3)}
        ] * 4),
        lambda step: rate * jnp.where(step == steps // 2, 1.0, 0.05),
        lambda step: rate * (0.05 + 0.95 * jnp.abs(jnp.sin(step / 3.0))),
        lambda step: rate * (1 - jnp.abs(2 * step / (steps - 1) - 1) + 1e-3),
    ]  # fmt: skip
    # A constant one as often as any other.
    return kinds[0] if rng.uniform() < 0.4 else kinds[rng.integers(len(kinds))]


def by_kind(which):
    """A mask of kernels, or of biases."""
    return lambda params: jax.tree.map(lambda leaf: (leaf.ndim > 1) == which, params)


def linear_base(rng, rate, steps):
    """Linear in the gradient."""
    momentum = float(rng.choice([0.0, 0.5, 0.9]))
    own = schedule(rng, rate * (1 - momentum), steps)
    return [
        lambda: optax.sgd(own, momentum or None),
        lambda: optax.sgd(own, momentum or None, nesterov=bool(momentum)),
        lambda: optax.chain(optax.ema(0.7), optax.sgd(schedule(rng, rate, steps))),
        lambda: optax.inject_hyperparams(optax.sgd)(learning_rate=own),
        lambda: optax.optimistic_gradient_descent(0.3 * rate),
        lambda: optax.chain(optax.trace(momentum), optax.scale(-rate * (1 - momentum))),
        lambda: optax.chain(optax.apply_every(3), optax.scale(-rate / 3)),
        lambda: optax.MultiSteps(optax.sgd(rate), 3).gradient_transformation(),
    ][rng.integers(8)]()


def other_base(rng, rate, steps):
    """Anything else that Optax has."""
    small = 0.02
    return [
        lambda: optax.adam(small), lambda: optax.adamw(small), lambda: optax.rmsprop(small),
        lambda: optax.adagrad(0.1), lambda: optax.adadelta(1.0), lambda: optax.adamax(small),
        lambda: optax.amsgrad(small), lambda: optax.nadam(small), lambda: optax.radam(small),
        lambda: optax.yogi(small), lambda: optax.adabelief(small), lambda: optax.lion(small / 4),
        lambda: optax.lars(small), lambda: optax.lamb(small), lambda: optax.novograd(small),
        lambda: optax.sm3(0.1), lambda: optax.sign_sgd(small / 4), lambda: optax.rprop(small / 4),
        lambda: optax.fromage(small), lambda: optax.adafactor(small),
        lambda: optax.noisy_sgd(rate, key=jax.random.key(1)), lambda: optax.polyak_sgd(),
        lambda: optax.rmsprop(small, momentum=0.9, centered=True),
    ][rng.integers(23)]()  # fmt: skip


def around(rng, base, rate):
    """A transformation or a wrapper around a chain, perhaps."""
    pick = rng.integers(16)
    if pick >= 11:
        return base
    mask = by_kind(bool(rng.integers(2)))
    labels = lambda params: jax.tree.map(  # noqa: E731
        lambda leaf: "kernel" if leaf.ndim > 1 else "other", params
    )
    return [
        lambda: optax.chain(optax.clip_by_global_norm(1.0), base),
        lambda: optax.chain(optax.clip(0.05), base),
        lambda: optax.chain(optax.centralize(), base),
        lambda: optax.chain(optax.add_decayed_weights(0.05, mask=mask), base),
        lambda: optax.chain(optax.zero_nans(), base),
        lambda: optax.chain(optax.masked(optax.scale(0.3), mask), base),
        lambda: optax.multi_transform({"kernel": base, "other": optax.sgd(0.3 * rate)}, labels),
        lambda: optax.multi_transform({"kernel": base, "other": optax.set_to_zero()}, labels),
        lambda: optax.chain(base, optax.contrib.reduce_on_plateau(patience=2)),
        lambda: optax.apply_if_finite(base, 3),
        lambda: optax.chain(optax.adaptive_grad_clip(0.05), base),
    ][pick]()  # fmt: skip


def chain(rng, rate, steps):
    """A random chain; ``rate`` is one at which gradient descent is stable."""
    base = (linear_base if rng.uniform() < 0.6 else other_base)(rng, rate, steps)
    return around(rng, base, rate)
