"""Where optimizers of constant rate come to rest, on noisy targets and on the identity.

Claim: the loss above the least one at which SGD, RMSprop and Adam rest is known from the data's
moments, the targets' noise and what the optimizer's update does: within 10 % for SGD and 25 % for
RMSprop and Adam, over two decades of rate. With noise it is proportional to the rate. On the
identity, which has none, it is proportional to the rate's square for RMSprop and Adam, and 0 for
SGD; RMSprop on digits rests where every weight flips by its rate, at rate^2 E|x|_1^2 / 4.
Command: python scripts/noise_floor.py
Expected: with noise off by 2.4 % at most for SGD, 4.1 % for RMSprop, 5.3 % for Adam, logarithmic
slopes 0.998, 1.005, 0.999; on the identity by 13 % for RMSprop (made inputs; 0.4 % on digits) and
6.1 % for Adam (2 % on digits), slopes 2.000 to 2.007.
Runtime: 4 minutes of CPU time; 6 on 2 busy cores.

Noise: made inputs of 16 features, covariance of condition number 30, 2,000 examples, a linear
target with noise of variance 1/4, one linear layer; 32 examples a step, drawn independently. Runs
start at the solution and rest for a third of their steps; then the excess over the whole training
set is averaged, every twentieth step, two runs at once. SGD has ten times the rates of the others.

Identity: the same inputs and raw digits. It is the error of the weights that is trained, towards
0: the same run, but weights near 1 are not rounded. At one rate the weights themselves are trained
too, in float32: within 1.3 % of the error's run.
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
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxid.core.progress import Reporter
from jaxid.data.digits import load
from jaxid.data.gaussian import GaussianSpec, sample
from jaxid.theory.floors import noise_floor
from jaxid.theory.resting import resting_loss

D, N, BATCH, SIGMA2, EVERY, RUNS = 16, 2000, 32, 0.25, 20, 2
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
Maker = Callable[[Any], optax.GradientTransformation]
CHAINS: dict[str, Maker] = {
    "SGD": lambda eta: optax.sgd(10 * eta),
    "RMSprop": lambda eta: optax.rmsprop(eta, decay=0.9, eps=1e-7, eps_in_sqrt=False),
    "Adam": lambda eta: optax.adam(eta),
}
QUICK = ("RMSprop",)
IDENTITY_RATES, TRAINED, IDENTITY_STEPS = (1e-4, 1e-3, 1e-2), 1e-3, 45_000


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
                own = jax.random.fold_in(key, 1)
                seen = np.asarray(rested(make, rate, *arrays, own, steps, 0.0)[0])
                value = found.value
                assert value is not None
                rows.append({
                    "name": name, "rate": rate * (10 if name == "SGD" else 1),
                    "predicted": found._asdict(), "measured": float(seen.mean()),
                    "sem": float(seen.std(ddof=1) / RUNS**0.5), "steps": steps,
                    "ratio": value / float(seen.mean()),
                })  # fmt: skip
                task.advance(1, f"{name} {rate:g}")
    same = identity(options, inputs, jax.random.fold_in(key, 2), reporter)
    record = {"seeds": [options.seed], "least": float(squares.mean()), "rows": rows}
    record |= {"slopes": slopes(rows), "identity": same, "identity_slopes": identity_slopes(same)}
    return record | {"finding": finding(rows, same)}


def identity(
    options: Options, inputs: np.ndarray, key: Any, reporter: Reporter
) -> list[common.Record]:
    """RMSprop and Adam at every rate on both data; SGD's floor of 0 once each."""
    sets = {"made": inputs, "digits": load().train.astype(np.float64)}
    if options.quick:
        sets.pop("digits")
    names = ("RMSprop",) if options.quick else ("RMSprop", "Adam")
    rates = IDENTITY_RATES[1:2] if options.quick else IDENTITY_RATES
    steps = 4000 if options.quick else IDENTITY_STEPS
    rows: list[common.Record] = []
    with reporter.task("identity", len(sets) * len(names) * len(rates)) as task:
        for data, features in sets.items():
            d = features.shape[1]
            x = np.concatenate([features, np.ones((len(features), 1))], axis=1)
            weights = np.eye(d + 1, d)
            none = np.zeros_like(weights)
            arrays = [jnp.asarray(part, jnp.float32) for part in (x, x @ none, none)]
            for name in names:
                for rate in rates:
                    found = resting_loss(CHAINS[name](rate), x, d, BATCH)
                    make = CHAINS[name]
                    seen, mean = map(np.asarray, rested(make, rate, *arrays, key, steps, rate))
                    row: common.Record = {
                        "data": data, "name": name, "rate": rate,
                        "predicted": found._asdict() | {"loss": found.loss._asdict()},
                        "measured": float(seen.mean()), "sem": float(seen.std(ddof=1) / RUNS**0.5),
                        "coherent": float(mean.mean() / seen.mean()), "steps": steps,
                        "ratio": (found.loss.value or 0.0) / float(seen.mean()),
                    }  # fmt: skip
                    if rate == TRAINED and not options.quick:
                        real = [jnp.asarray(part, jnp.float32) for part in (x, features, weights)]
                        own, _ = rested(make, rate, *real, key, steps, rate)
                        row["weights_trained"] = float(np.asarray(own).mean())
                    rows.append(row)
                    task.advance(1, f"{data} {name} {rate:g}")
            if options.quick:
                continue
            # A rate that is stable with these batches: the floor is the point.
            rate = 0.1 * d / float(np.square(x).sum(axis=1).max())
            rows.append({
                "data": data, "name": "SGD", "rate": rate, "ratio": None,
                "predicted": {"loss": resting_loss(optax.sgd(rate), x, d, BATCH).loss._asdict()},
            })  # fmt: skip
    return rows


@partial(jax.jit, static_argnums=(0, 6))
def rested(
    make: Maker,
    rate: Any,
    x: Any,
    y: Any,
    best: Any,
    key: Any,
    steps: int,
    offset: Any,
) -> Any:
    """Mean excess of each run after a third of its steps and its squared mean error over
    examples, (runs,) each; it starts at normal weights of the size of ``offset`` beside the
    solution. One program for every rate."""
    optimizer = make(rate)

    def block(at: Any, key: Any) -> tuple[Any, Any]:
        def step(at: Any, chosen: Any) -> tuple[Any, None]:
            w, state = at
            gradient = jax.grad(lambda w: jnp.mean((x[chosen] @ w - y[chosen]) ** 2))(w)
            moves, state = optimizer.update(gradient, state, w)
            return (optax.apply_updates(w, moves), state), None

        chosen = jax.random.randint(key, (EVERY, BATCH), 0, x.shape[0])
        at, _ = jax.lax.scan(step, at, chosen)
        off = x @ (at[0] - best)
        return at, (jnp.mean(off**2), jnp.mean(off.mean(axis=0) ** 2))

    def run(key: Any) -> Any:
        blocks = steps // EVERY
        weights = best + offset * jax.random.normal(jax.random.fold_in(key, blocks), best.shape)
        start = (weights, optimizer.init(best))
        _, found = jax.lax.scan(block, start, jax.random.split(key, blocks))
        return jax.tree.map(lambda part: part[blocks // 3 :].mean(), found)

    return jax.vmap(run)(jax.random.split(key, RUNS))


def slopes(rows: list[common.Record]) -> dict[str, float]:
    """Of the measured floor against the rate, logarithmic, by optimizer."""
    found = {}
    for name in dict.fromkeys(row["name"] for row in rows):
        own = [row for row in rows if row["name"] == name]
        logs = np.log([[row["rate"], row["measured"]] for row in own])
        found[name] = float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])
    return found


def identity_slopes(rows: list[common.Record]) -> dict[str, float]:
    """Of the measured floor against the rate, logarithmic, by data and optimizer."""
    found = {}
    for data, name in dict.fromkeys((row["data"], row["name"]) for row in rows):
        own = [row for row in rows if (row["data"], row["name"]) == (data, name)]
        if len(own) > 1:
            logs = np.log([[row["rate"], row["measured"]] for row in own])
            found[f"{data} {name}"] = float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])
    return found


def finding(rows: list[common.Record], same: list[common.Record]) -> str:
    """The largest error of each optimizer."""
    parts = []
    for name, slope in slopes(rows).items():
        off = max(abs(row["ratio"] - 1) for row in rows if row["name"] == name)
        parts.append(f"{name} {100 * off:.2g} % (slope {slope:.3f})")
    told = []
    for name in dict.fromkeys(row["name"] for row in same if row["ratio"]):
        off = max(abs(row["ratio"] - 1) for row in same if row["name"] == name)
        told.append(f"{name} {100 * off:.2g} %")
    return (
        f"Noise floors predicted within: {', '.join(parts)}; "
        f"on the identity, which has none: {', '.join(told)} (SGD's is 0)"
    )


def draw(record: common.Record) -> Figure:
    """Floors against the rate, with noise and on the identity; predicted over measured."""
    figure = Figure(figsize=(13.0, 4.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1))
    for name, colour in zip(CHAINS, common.COLOURS, strict=False):
        own = [row for row in record["rows"] if row["name"] == name]
        if not own:
            continue
        rates = [row["rate"] for row in own]
        left.plot(rates, [row["predicted"]["value"] for row in own], color=colour, label=name)
        points(left, own, colour, "o")
        right.plot(rates, [row["ratio"] for row in own], color=colour, marker="o", markersize=5)
        for data, marker, line in (("digits", "s", "-"), ("made", "^", "--")):
            same = [
                row for row in record["identity"]
                if (row["data"], row["name"]) == (data, name) and row["ratio"]
            ]  # fmt: skip
            if not same:
                continue
            rates = [row["rate"] for row in same]
            label = f"{name}, {'raw digits' if data == 'digits' else 'made inputs'}"
            floors = [row["predicted"]["loss"]["value"] for row in same]
            middle.plot(rates, floors, color=colour, linestyle=line, marker=marker, markersize=5,
                        markerfacecolor="none", markeredgecolor="none", label=label)  # fmt: skip
            points(middle, same, colour, marker)
            right.plot(rates, [row["ratio"] for row in same], color=colour, linestyle=line,
                       marker=marker, markersize=5)  # fmt: skip
    for axes, title in ((left, "noisy targets"), (middle, "the identity: no noise, SGD's is 0")):
        axes.set_title(title)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("rate")
        axes.set_ylabel("loss above the least one")
        axes.legend(loc="upper left", fontsize=8.5)
    left.set_ylim(top=5e-2)
    low, high = middle.get_ylim()
    middle.set_ylim(low, high * 100)
    right.axhspan(0.75, 1.25, color="#f4f4f4")
    right.axhspan(0.9, 1.1, color="#e6e6e6")
    right.set_title("predicted over measured")
    right.set_xscale("log")
    right.set_ylim(0.7, 1.35)
    right.set_xlabel("rate")
    common.titled(
        figure,
        record["finding"],
        "Lines: predicted, points: measured. One linear layer, batches of 32 drawn independently. "
        "Left (circles on the right): 16 made features, noisy targets; RMSprop and Adam lie "
        "together. Middle: squares are raw digits, triangles the made inputs. Bands: within 10 and "
        "25 %.",
        width=120,
    )
    return figure


def points(axes: Axes, rows: list[common.Record], colour: str, marker: str) -> None:
    """What was measured, with its standard error over the runs."""
    axes.errorbar(
        [row["rate"] for row in rows], [row["measured"] for row in rows],
        yerr=[row["sem"] for row in rows], color=colour, marker=marker, linestyle="none",
        markersize=5,
    )  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
