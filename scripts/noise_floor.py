"""Where optimizers of constant rate come to rest on noisy targets, predicted and measured.

Claim: the loss above the least one at which SGD, RMSprop and Adam rest is known from the data's
moments, the targets' noise and what the optimizer's update does to noise: within 10 % for SGD and
25 % for RMSprop and Adam, over two decades of rate; it is proportional to the rate.
Command: python scripts/noise_floor.py
Expected: off by 2.4 % at most for SGD, 4.1 % for RMSprop, 5.3 % for Adam; logarithmic slopes 0.998,
1.005, 0.999.
Runtime: 3 minutes on 2 cores.

Made inputs of 16 features, covariance of condition number 30, 2,000 examples, a linear target
with noise of variance 1/4, one linear layer; 32 examples a step, drawn independently. Runs start
at the solution and rest for a third of their steps; then the excess over the whole training set
is averaged, every twentieth step, two runs at once. SGD has ten times the rates of the others.
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

from jaxid.data.gaussian import GaussianSpec, sample
from jaxid.theory.floors import noise_floor
from jaxid.training.progress import Reporter

D, N, BATCH, SIGMA2, EVERY, RUNS = 16, 2000, 32, 0.25, 20, 2
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
Maker = Callable[[float], optax.GradientTransformation]
CHAINS: dict[str, Maker] = {
    "SGD": lambda eta: optax.sgd(10 * eta),
    "RMSprop": lambda eta: optax.rmsprop(eta, decay=0.9, eps=1e-7, eps_in_sqrt=False),
    "Adam": lambda eta: optax.adam(eta),
}
QUICK = ("SGD", "RMSprop")


@dataclass(frozen=True)
class Options(common.Options):
    """The seed."""

    seed: int = 0
    """Seed of data, noise and batches."""


def measure(options: Options, reporter: Reporter) -> common.Record:
    """Every optimizer at every rate."""
    inputs = sample(GaussianSpec(features=D, examples=N, kappa=30.0)).train.astype(np.float64)
    x = np.concatenate([inputs, np.ones((N, 1))], axis=1)
    rng = np.random.default_rng(options.seed)
    y = x @ rng.normal(size=(D + 1, D)) + SIGMA2**0.5 * rng.normal(size=(N, D))
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    squares = np.mean((y - x @ best) ** 2, axis=1)
    rates = RATES[-2:] if options.quick else RATES
    key = jax.random.key(options.seed)
    rows: list[common.Record] = []
    with reporter.task("floors", len(QUICK if options.quick else CHAINS) * len(rates)) as task:
        for name in QUICK if options.quick else CHAINS:
            make = CHAINS[name]
            for rate in rates:
                numbers = 2**13 if options.quick else 2**16
                found = noise_floor(make(rate), x, squares, D, BATCH, key, numbers=numbers)
                steps = 4000 if options.quick else int(np.clip(30 / rate, 20_000, 200_000))
                arrays = [jnp.asarray(part, jnp.float32) for part in (x, y, best)]
                seen = np.asarray(rested(make(rate), *arrays, jax.random.fold_in(key, 1), steps))
                value = found.value
                assert value is not None
                rows.append({
                    "name": name, "rate": rate * (10 if name == "SGD" else 1),
                    "predicted": found._asdict(), "measured": float(seen.mean()),
                    "sem": float(seen.std(ddof=1) / RUNS**0.5), "steps": steps,
                    "ratio": value / float(seen.mean()),
                })  # fmt: skip
                task.advance(1, f"{name} {rate:g}")
    record = {"seeds": [options.seed], "least": float(squares.mean()), "rows": rows}
    return record | {"slopes": slopes(rows), "finding": finding(rows)}


@partial(jax.jit, static_argnums=(0, 5))
def rested(
    optimizer: optax.GradientTransformation, x: Any, y: Any, best: Any, key: Any, steps: int
) -> Any:
    """Mean excess of each run after a third of its steps, (runs,)."""

    def block(at: Any, key: Any) -> tuple[Any, Any]:
        def step(at: Any, chosen: Any) -> tuple[Any, None]:
            w, state = at
            gradient = jax.grad(lambda w: jnp.mean((x[chosen] @ w - y[chosen]) ** 2))(w)
            moves, state = optimizer.update(gradient, state, w)
            return (optax.apply_updates(w, moves), state), None

        chosen = jax.random.randint(key, (EVERY, BATCH), 0, N)
        at, _ = jax.lax.scan(step, at, chosen)
        return at, jnp.mean((x @ (at[0] - best)) ** 2)

    def run(key: Any) -> Any:
        blocks = steps // EVERY
        start = (best, optimizer.init(best))
        _, found = jax.lax.scan(block, start, jax.random.split(key, blocks))
        return found[blocks // 3 :].mean()

    return jax.vmap(run)(jax.random.split(key, RUNS))


def slopes(rows: list[common.Record]) -> dict[str, float]:
    """Of the measured floor against the rate, logarithmic, by optimizer."""
    found = {}
    for name in dict.fromkeys(row["name"] for row in rows):
        own = [row for row in rows if row["name"] == name]
        logs = np.log([[row["rate"], row["measured"]] for row in own])
        found[name] = float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])
    return found


def finding(rows: list[common.Record]) -> str:
    """The largest error of each optimizer."""
    parts = []
    for name, slope in slopes(rows).items():
        off = max(abs(row["ratio"] - 1) for row in rows if row["name"] == name)
        parts.append(f"{name} {100 * off:.2g} % (slope {slope:.3f})")
    return f"Noise floors predicted within: {', '.join(parts)}"


def draw(record: common.Record) -> Figure:
    """Floors against the rate; predicted over measured."""
    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, colour in zip(CHAINS, common.COLOURS, strict=False):
        own = [row for row in record["rows"] if row["name"] == name]
        if not own:
            continue
        rates = [row["rate"] for row in own]
        left.plot(rates, [row["predicted"]["value"] for row in own], color=colour, label=name)
        left.errorbar(rates, [row["measured"] for row in own], yerr=[row["sem"] for row in own],
                      color=colour, marker="o", linestyle="none", markersize=5)  # fmt: skip
        right.plot(rates, [row["ratio"] for row in own], color=colour, marker="o", markersize=5)
    left.set_xscale("log")
    left.set_yscale("log")
    left.set_xlabel("rate")
    left.set_ylabel("loss above the least one")
    left.legend(loc="upper left", fontsize=8.5)
    left.set_ylim(top=5e-2)
    right.axhspan(0.9, 1.1, color="#eeeeee")
    right.set_xscale("log")
    right.set_ylim(0.7, 1.3)
    right.set_xlabel("rate")
    right.set_ylabel("predicted over measured")
    common.titled(
        figure,
        record["finding"],
        "Lines: predicted, points: measured (RMSprop and Adam lie together). One linear layer, 16 "
        "made features, noisy targets, batches of 32 drawn independently. Band: within 10 %.",
        width=84,
    )
    return figure


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
