"""The largest stable rate of ten Optax chains: read off their update, and found by diverging.

Claim: the rate at which a chain diverges is known before a step is taken: from the largest
eigenvalue of the Hessian as the chain sees it, R^(1/2) H R^(1/2), and the limit that the chain's
own update has on a quadratic; within 5 % for ten chains, whose limits lie two decades apart.
Command: python scripts/rate_limits.py
Expected: predicted over measured 0.9991 to 1.0000 (the measured rates are brackets 0.01 to 0.02 %
wide); from 1.38 (RMSprop, of its own random second moments) and 5.95 (Nesterov 0.9) to 167 (the
gradient averaged with 0.9).
Runtime: 2 minutes on 2 cores.

One linear layer on digits, standardized, all examples in one batch, float64. Each chain runs for
4,000 steps from random errors at 41 rates at a time, three times, each time between the largest
that fell and the smallest that grew. Chains that divide by second moments keep those of 20 random
gradients, as the limit has it; moving, they follow the gradient and don't diverge on a quadratic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import common
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

from jaxid.core.precision import float64
from jaxid.core.progress import Reporter
from jaxid.data.sources import load
from jaxid.optim.rates import effective_rates, frozen
from jaxid.optim.stability_limit import stability_limit

Maker = Callable[[Any], optax.GradientTransformation]
CHAINS: dict[str, Maker] = {
    "gradient descent": lambda eta: optax.sgd(eta),
    "heavy ball 0.5": lambda eta: optax.sgd(eta, momentum=0.5),
    "heavy ball 0.9": lambda eta: optax.sgd(eta, momentum=0.9),
    "Nesterov 0.5": lambda eta: optax.sgd(eta, momentum=0.5, nesterov=True),
    "Nesterov 0.9": lambda eta: optax.sgd(eta, momentum=0.9, nesterov=True),
    "averaged gradient 0.9": lambda eta: optax.chain(
        optax.ema(0.9, debias=False), optax.scale_by_learning_rate(eta)
    ),
    "two momenta": lambda eta: optax.chain(
        optax.trace(0.5), optax.trace(0.3), optax.scale_by_learning_rate(eta)
    ),
    "RMSprop": lambda eta: optax.rmsprop(eta, decay=0.9, eps=1e-7, eps_in_sqrt=False),
    "RMSprop, momentum 0.9": lambda eta: optax.rmsprop(eta, decay=0.9, momentum=0.9),
    "Adam": lambda eta: optax.adam(eta),
}
QUICK = ("gradient descent", "Adam")
PROBE = 1e-3
"""Rate at which a chain's answer is read; answers grow with the rate."""
LOW, HIGH = 1e-2, 1e3
"""Rates over 2 / h_1 between which divergence is sought, for R of mean 1."""
WIDE, ROUNDS, STEPS = 41, 3, 4000
SMALL = 1e-9
"""Errors to start from: a gradient that is not small enters the second moments of its own step."""


@dataclass(frozen=True)
class Options(common.Options):
    """The seed."""

    seed: int = 0
    """Seed of the weights and gradients."""


def measure(options: Options, reporter: Reporter) -> common.Record:
    """Both limits of every chain."""
    images = load("digits").train.astype(np.float64)
    x = common.mapped64("standardized", images)
    rows = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    second, m = rows.T @ rows / len(rows), x.shape[1]
    hessian = 2 / m * second
    found = []
    names = QUICK if options.quick else CHAINS
    with reporter.task("chains", len(names)) as task:
        for name in names:
            with float64():
                found.append({"name": name, **both(CHAINS[name], hessian, m, options)})
            task.advance(1, name)
    record = {"seeds": [options.seed], "sharpness": float(np.linalg.eigvalsh(hessian)[-1]),
              "rows": found}  # fmt: skip
    return record | {"finding": finding(record)}


def both(make: Maker, hessian: np.ndarray, outputs: int, options: Options) -> common.Record:
    """The limit read off the update, and the rates between which it diverges."""
    seed, steps = options.seed, STEPS // 8 if options.quick else STEPS
    errors = np.random.default_rng(seed).normal(size=(len(hessian), outputs))
    params = jnp.asarray(SMALL * errors)
    state = moved_on(make(PROBE), params, seed)
    limit = stability_limit(make(PROBE), state, params)
    rates = np.asarray(effective_rates(make(PROBE), state, params).tree)
    assert limit.value is not None
    seen = max(
        float(np.linalg.eigvalsh(np.sqrt(r)[:, None] * hessian * np.sqrt(r)[None, :])[-1])
        for r in rates.T
    )
    predicted = PROBE * limit.value / seen
    scale = 2 * PROBE / (float(rates.mean()) * float(np.linalg.eigvalsh(hessian)[-1]))
    low, high = LOW * scale, HIGH * scale
    for _ in range(2 if options.quick else ROUNDS):
        tried = np.geomspace(low, high, WIDE)
        arrays = [jnp.asarray(part) for part in (tried, params, hessian)]
        grows = np.asarray(diverges(make, state, *arrays, steps))
        first = int(np.argmax(grows))
        low, high = tried[first - 1], tried[first]
    return {
        "limit": limit.value, "seen": seen / PROBE, "predicted": predicted,
        "measured": float(np.sqrt(low * high)), "between": [low, high],
        "ratio": predicted / float(np.sqrt(low * high)),
    }  # fmt: skip


def moved_on(optimizer: optax.GradientTransformation, params: Any, seed: int) -> Any:
    """A state with second moments of 20 random gradients, no momentum, and counters so far on
    that bias corrections are 1."""
    state = optimizer.init(params)
    rng = np.random.default_rng(seed + 1)
    size = 10 ** rng.uniform(-1, 0, params.shape)
    for _ in range(20):
        state = optimizer.update(jnp.asarray(size * rng.normal(size=params.shape)), state, params)[
            1
        ]

    def later(path: Any, leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jnp.integer):
            return leaf + 100_000
        return leaf if ".nu" in jax.tree_util.keystr(path) else jnp.zeros_like(leaf)

    return jax.tree_util.tree_map_with_path(later, state)


@partial(jax.jit, static_argnums=(0, 5))
def diverges(make: Maker, state: Any, rates: Any, params: Any, hessian: Any, steps: int) -> Any:
    """Whether the error, from `SMALL` on, grew a thousandfold or is growing still, rate by rate."""

    def one(rate: Any) -> Any:
        start, update = frozen(make(rate), state, params)

        def step(at: Any, _: None) -> Any:
            w, state = at
            updates, state = update(hessian @ w, state, w)
            return (optax.apply_updates(w, updates), state), jnp.log(jnp.abs(w).max())

        _, sizes = jax.lax.scan(step, (params, start), None, length=steps)
        # A mean over time: at the limit errors beat.
        early, late = sizes[steps // 2 : 3 * steps // 4].mean(), sizes[3 * steps // 4 :].mean()
        return ~((late <= early + 1e-3) & (late <= sizes[0] + jnp.log(1e3)))

    return jax.vmap(one)(rates)


def finding(record: common.Record) -> str:
    """How far off the predictions are."""
    off = [abs(row["ratio"] - 1) for row in record["rows"]]
    rates = [row["measured"] for row in record["rows"]]
    return (
        f"{len(off)} chains diverge at rates from {common.short(min(rates))} to "
        f"{common.short(max(rates))}; read off their own updates these are known within "
        f"{100 * max(off):.2g} %"
    )


def draw(record: common.Record) -> Figure:
    """Predicted and measured rates, chain by chain; their ratio."""
    rows = record["rows"]
    figure = Figure(figsize=(8.6, 0.36 * len(rows) + 1.9), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    places = np.arange(len(rows))[::-1]
    left.scatter([row["measured"] for row in rows], places, s=70, linewidths=1.6,
                 facecolors="none", edgecolors=common.COLOURS[1],
                 label="diverges from here on")  # fmt: skip
    left.scatter([row["predicted"] for row in rows], places, s=16, color=common.COLOURS[0],
                 label="read off the update")  # fmt: skip
    left.set_xscale("log")
    left.set_yticks(places, [row["name"] for row in rows])
    left.set_xlabel("rate")
    left.legend(fontsize=8.5, loc="best")
    right.axvspan(0.95, 1.05, color="#eeeeee")
    right.scatter([row["ratio"] for row in rows], places, s=22, color=common.COLOURS[0])
    right.set_xlim(0.9, 1.1)
    right.set_xlabel("predicted over measured")
    common.titled(
        figure,
        "The rate at which a chain diverges is known from its own update",
        "One linear layer on standardized digits, full batch; second moments frozen. Band: within "
        "5 %.",
        width=80,
    )
    return figure


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
