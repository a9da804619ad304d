"""Full-batch training at the edge of stability: curvature rises to the optimizer's limit.

Claim: under full-batch gradient descent the sharpness, the Hessian's largest eigenvalue, rises
until the rate times it comes to 2, and stays there or above while the loss goes on falling, not
monotonically (Cohen et al. 2021, arXiv 2103.00065): the further above the larger the rate. Under
full-batch RMSprop and Adam the Hessian as the optimizer sees it, R^(1/2) H R^(1/2), R its rates
by parameter, comes to 2 or above and to 38 (Cohen et al. 2022, arXiv 2207.14484): RMSprop's the
closer the slower its second moments move, which the limit takes as standing still.
Command: python scripts/edge_of_stability.py
Expected: rate times largest curvature over the limit in the last third, mean (range): gradient
descent 1.40 (1.16 to 1.56), 1.24 (1.15 to 1.32), 1.09 (1.03 to 1.16) at 2.11, 1.05, 0.527; RMSprop
1.45 (1.38 to 1.64) with decay 0.9 and 1.18 (1.13 to 1.26) with 0.99 at 1e-3, 1.34 (1.17 to 1.51)
at 1e-4; Adam 1.00 (0.98 to 1.02) at 1e-3; at 1e-4 it isn't there after 4,158 steps, 0.14. These
courses are chaotic: gradient descent's means repeat to about 0.02, its ranges to 0.15.
The committed figure is a full run.
Runtime: 4 minutes on 2 cores.

RMSprop is beyond its limit from the first or second look on (99 steps), before any sharpening:
R follows the gradient within some ten steps. At 1e-4 its loss falls on nearly all steps there.

Digits, standardized, the images themselves as targets; three layers of 64, tanh, linear output;
all 1,500 examples in one batch. Of seven problems this one was chosen because its sharpness rises
most at small rates, 27-fold and more; in three of the others it hardly rises at all.
Gradient descent's rates follow a rule set before its first run: its limit is 1.5, 3 and 6 times
the mean sharpness at the start. RMSprop and Adam have the question's 1e-3 and a tenth of it,
RMSprop the question's decay 0.9 and also 0.99; 3e-5, tried once, did as 1e-4 does. All runs are
equally long, whether or not they have come to the limit.

The limit is measured: it is where the optimizer's own update, second moments frozen, first has
an eigenvalue outside the unit circle on a quadratic. R is measured too, after the last update.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import common
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxid.core import trees
from jaxid.core.progress import Reporter, Task
from jaxid.core.random import role_key, seed_key
from jaxid.core.types import Estimate, MatVec, Params
from jaxid.curvature.matrices import curvature_product
from jaxid.identity.spec import IdentitySpec, build_problem, load_data
from jaxid.linalg.lanczos import follow_largest
from jaxid.linalg.operators import Scaled
from jaxid.optim.by_name import OptimizerName, make_optimizer
from jaxid.optim.rates import effective_rates
from jaxid.optim.stability_limit import stability_limit
from jaxid.problem.problem import Problem

STRETCH, STRIDE = 99, 9
"""Steps between looks and between recorded losses: odd, since beyond the limit the loss swings
with a period of two steps."""
LAST = 1 / 3
"""Share of the looks and of the steps, the last ones, that "at the end" means."""
AT = 0.1
"""A run is at the limit where its mean ratio to it at the end is 1 to within so much."""


@dataclass(frozen=True)
class Run:
    """One setting: the rate, or how many times the sharpness at the start the limit is."""

    optimizer: OptimizerName
    rate: float | None = None
    times: float | None = None
    rho: float = 0.9


NAMES = {"sgd": "gradient descent", "rmsprop": "RMSprop", "adam": "Adam"}
RUNS = (
    *(Run("sgd", times=times) for times in (1.5, 3.0, 6.0)),
    *(Run("rmsprop", 1e-3, rho=rho) for rho in (0.9, 0.99)),
    Run("rmsprop", 1e-4),
    *(Run("adam", rate) for rate in (1e-3, 1e-4)),
)
QUICK = (Run("sgd", times=1.5), Run("rmsprop", 1e-3))


@dataclass(frozen=True)
class Options(common.Options):
    """How much to train."""

    looks: int | None = None
    """Looks at the curvature of each run, 99 steps apart; 42, for quick runs 3."""
    seeds: int | None = None
    """Seeds of each run; 3, for quick runs 1."""


class Chain(NamedTuple):
    """An optimizer at rate 1: its updates are multiplied by the rate, so that one program serves
    all rates and seeds. ``stretch`` is (params, state, rate, data) -> (params, state, losses)."""

    unit: optax.GradientTransformation
    stretch: Callable[..., tuple[Params, Any, jax.Array]]


def measure(options: Options, reporter: Reporter) -> common.Record:
    """Losses and curvature along each run."""
    spec = IdentitySpec(
        data="digits",
        scaling="standardized",
        depth=3,
        activation="tanh",
        output_activation="linear",
        seeds=options.seeds if options.seeds is not None else 1 if options.quick else 3,
    )
    looks = options.looks if options.looks is not None else 3 if options.quick else 42
    dataset = load_data(spec)
    problem = build_problem(spec, dataset)
    data = (jnp.asarray(dataset.train[: 300 if options.quick else None]), None)
    product = Scaled(curvature_product(problem, chunk=data[0].shape[0]))
    params = [problem.init(role_key(seed_key(seed), "init")) for seed in spec.seed_list]
    ones = jax.tree.map(jnp.ones_like, params[0])
    start = [as_json(largest(product, ((one, data), ones))[0]) for one in params]
    typical = float(np.mean([found["value"] for found in start]))
    runs, rows = QUICK if options.quick else RUNS, []
    chains: dict[tuple[str, float], Chain] = {}
    with reporter.task("training and looking", len(runs) * len(params) * looks) as task:
        for run in runs:
            name = (run.optimizer, run.rho)
            if name not in chains:
                chains[name] = chain(problem, make_optimizer(run.optimizer, 1.0, rho=run.rho))
            unit, number = chains[name].unit, jnp.zeros(())
            # These chains treat all parameters alike: one number stands for them.
            limit = stability_limit(unit, unit.init(number), number)
            assert limit.value is not None
            rate = run.rate or limit.value / ((run.times or 1.0) * typical)
            seeds = [follow(chains[name], rate, one, product, data, looks, task) for one in params]
            row = dataclasses.asdict(run) | {"rate": rate, "limit": as_json(limit)}
            rows.append(row | {"end": at_the_end(seeds, limit.value), "per_seed": seeds})
    record = {
        "seeds": spec.seed_list,
        "data": spec.data,
        "examples": data[0].shape[0],
        "eps": spec.eps,
        "steps": looks * STRETCH,
        "loss_every": STRIDE,
        "sharpness_at_start": {"mean": typical, "per_seed": start},
        "runs": rows,
    }
    return record | {"finding": finding(record)}


def chain(problem: Problem, unit: optax.GradientTransformation) -> Chain:
    """Full-batch steps of an optimizer, `STRETCH` of them in one program."""

    @jax.jit
    def stretch(
        params: Params, state: Any, rate: float, data: Any
    ) -> tuple[Params, Any, jax.Array]:
        def step(at: tuple[Params, Any], _: None) -> tuple[tuple[Params, Any], jax.Array]:
            params, state = at
            loss, gradient = jax.value_and_grad(problem.mean_loss)(params, data)
            updates, state = unit.update(gradient, state, params)
            return (trees.add_scaled(params, rate, updates), state), loss

        (params, state), losses = jax.lax.scan(step, (params, state), None, length=STRETCH)
        return params, state, losses

    return Chain(unit, stretch)


def largest(
    product: MatVec, operand: Any, last: Params | None = None
) -> tuple[Estimate, Params | None]:
    """The largest eigenvalue by Lanczos and its vector, to go on from. With rates of 1 it is the
    sharpness."""
    random = trees.random_like(jax.random.key(0), operand[1])
    return follow_largest(product, operand, random, last)


def as_json(found: Estimate) -> common.Record:
    """Value, bound and whether it converged."""
    return {"value": found.value, "error": found.error, "converged": found.converged}


def follow(
    chain: Chain, rate: float, params: Params, product: MatVec, data: Any, looks: int, task: Task
) -> common.Record:
    """One seed: its losses, and what the optimizer sees after each stretch."""
    state = chain.unit.init(params)
    vector: Params | None = None
    losses: list[float] = []
    points: list[common.Record] = []
    sharpness = Estimate(None, None, False, "diverged")
    for look in range(1, looks + 1):
        params, state, found = chain.stretch(params, state, rate, data)
        losses.extend(np.asarray(found, float).tolist())
        if not np.isfinite([*losses, float(trees.norm(params))]).all():
            task.advance(looks - look + 1, "diverged")
            break
        rates = effective_rates(chain.unit, state, params)
        assert rates.elementwise
        own = jax.tree.map(lambda r: rate * r, rates.descending())
        seen, vector = largest(product, ((params, data), own), vector)
        points.append({"step": look * STRETCH, **as_json(seen)})
        task.advance(1, f"loss {losses[-1]:.3g}")
    diverged = len(points) < looks
    if not diverged:
        ones = jax.tree.map(jnp.ones_like, params)
        sharpness, _ = largest(product, ((params, data), ones))
    finite = np.isfinite(losses)
    return {
        "loss": [float(f"{loss:.4g}") for loss in losses[::STRIDE]],
        "rising": np.mean(np.diff(losses[-round(LAST * len(losses)) :]) > 0),
        "diverged_at": int(np.argmin([*finite, False])) if diverged else None,
        "rate_times_curvature": points,
        "sharpness_at_end": as_json(sharpness),
    }


def at_the_end(seeds: list[common.Record], limit: float) -> common.Record:
    """Rate times curvature over its limit, and the loss, in the last third of the run."""
    kept = [seed for seed in seeds if seed["diverged_at"] is None]
    if not kept:
        return {"ratio": None, "range": None, "verdict": "diverged", "diverged": len(seeds)}
    seen = np.array([[p["value"] for p in s["rate_times_curvature"]] for s in kept], float)
    ratio = seen[:, -max(1, round(LAST * seen.shape[1])) :] / limit
    losses = np.array([s["loss"][-round(LAST * len(s["loss"])) :] for s in kept])
    fifth = max(1, losses.shape[1] // 5)
    met = [np.flatnonzero(s >= limit) for s in seen]
    return {
        "ratio": ratio.mean(),
        "range": [ratio.min(), ratio.max()],
        "per_seed": ratio.mean(axis=1),
        "verdict": verdict(ratio.mean()),
        "first_look_at_limit": [int(s[0] + 1) * STRETCH if s.size else None for s in met],
        "rising_steps": np.mean([s["rising"] for s in kept]),
        "loss_last_over_first_fifth": losses[:, -fifth:].mean() / losses[:, :fifth].mean(),
        "diverged": len(seeds) - len(kept),
    }


def verdict(ratio: float) -> str:
    """In words."""
    if ratio < 1 - AT:
        return "not there yet"
    return "at the limit" if ratio <= 1 + AT else "above the limit"


def setting(row: common.Record) -> str:
    """Its rate, and RMSprop's decay."""
    decay = f", decay {row['rho']:g}" if row["optimizer"] == "rmsprop" else ""
    return f"{row['rate']:.3g}{decay}"


def ratio(row: common.Record) -> str:
    """Mean and range over the limit; or that it diverged."""
    end = row["end"]
    if end["ratio"] is None:
        return "diverged"
    low, high = end["range"]
    return f"{end['ratio']:.2f} ({low:.2f} to {high:.2f})"


def by_optimizer(record: common.Record) -> list[tuple[str, list[common.Record]]]:
    """(name, its runs), in the order of `NAMES`."""
    runs = [(n, [r for r in record["runs"] if r["optimizer"] == o]) for o, n in NAMES.items()]
    return [(name, rows) for name, rows in runs if rows]


def finding(record: common.Record) -> str:
    """Every run's ratio at the end, mean and range, and whether it has come to the limit."""
    parts = []
    for name, rows in by_optimizer(record):
        each = [f"{ratio(r)} at rate {setting(r)}, {r['end']['verdict']}" for r in rows]
        parts.append(f"{name} {'; '.join(each)}")
    return f"Rate times largest curvature over its limit at the end: {'. '.join(parts)}"


def headline(record: common.Record) -> str:
    """The finding in short."""
    parts, others = [], []
    for name, rows in by_optimizer(record):
        ends = [row["end"] for row in rows]
        found = [end["ratio"] for end in ends if "the limit" in end["verdict"]]
        others += [
            f"; {name} at rate {setting(row)} {end['verdict']}"
            for row, end in zip(rows, ends, strict=True)
            if "the limit" not in end["verdict"]
        ]
        if found:
            span = dict.fromkeys(f"{value:.2f}" for value in (min(found), max(found)))
            parts.append(f"{' to '.join(span)} under {name}")
    return (
        "Training on the full batch ends at the edge of stability or beyond: rate times largest "
        f"curvature over its limit is {', '.join(parts)}{''.join(others)}"
    )


def draw(record: common.Record) -> Figure:
    """A column for each optimizer: losses above, rate times curvature and its limit below."""
    groups = by_optimizer(record)
    figure = Figure(figsize=(10.5, 7.0), layout="constrained")
    grid = figure.subplots(2, len(groups), sharex=True)
    for (above, below), (name, rows) in zip(grid.T, groups, strict=True):
        for colour, row in zip(common.COLOURS, rows, strict=False):
            _run(above, below, row, record["loss_every"], colour)
        limit = rows[0]["limit"]["value"]
        label = f"limit {common.short(round(limit, 6))}"
        below.axhline(limit, color="black", lw=1.0, ls="--", label=label)
        above.set_title(name)
        above.set_yscale("log")
        # Room for the legend above all lines.
        below.set_ylim(0, 2.6 * limit)
        below.set_xlabel("step")
        below.legend(fontsize=8, loc="upper left", title="rate: ratio to the limit at the end",
                     title_fontsize=8, alignment="left")  # fmt: skip
    grid[0][0].set_ylabel("loss")
    grid[1][0].set_ylabel("rate times largest curvature")
    common.titled(
        figure,
        headline(record),
        f"{record['data']}, standardized, all {record['examples']:,} in one batch; three layers, "
        f"tanh, linear output; {len(record['seeds'])} seeds, one line each. Curvature as the "
        "optimizer sees it, R^(1/2) H R^(1/2), R its rates by parameter; limit with R standing "
        "still. At the end: mean over the last third of the steps (range).",
    )
    return figure


def _run(above: Axes, below: Axes, row: common.Record, every: int, colour: str) -> None:
    for index, seed in enumerate(row["per_seed"]):
        losses, points = np.array(seed["loss"], float), seed["rate_times_curvature"]
        above.plot(every * np.arange(losses.size), losses, color=colour, lw=0.8, alpha=0.8)
        steps, values = [p["step"] for p in points], [p["value"] for p in points]
        label = f"{setting(row)}: {ratio(row)}" if index == 0 else None
        below.plot(steps, values, color=colour, lw=1.1, alpha=0.8, label=label)


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
