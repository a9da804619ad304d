"""What L layers do to the time constants, predicted before training and measured.

Claim: how long linear layers wait, how fast they learn and where they stop is known before the
first step, from the data's moments and the initialisation, if layers are balanced and modes keep
apart: small aligned and orthogonal starts. Random layers start as L copies of one on average, but
their curvatures differ so much that this foretells the first step alone; how much they differ is
known before, too. So is the signal in every layer of a ReLU network.
Command: python scripts/depth_time_constants.py
Expected: times to a half, a tenth and a hundredth of the first loss within 0.44 % from small
starts, 0.62 % for rotations (the step's own share of it is 0.5 %). Reflections stop at the loss of
one output, 1/2: four layers for good, two until rounding has grown by e^(h t), predicted at about
15.9, seen at 15.6. Two and four random layers take 2.4 and 9.8 times as long to a tenth as 2 and 4
copies of one; spread of their curvatures 0.72 and 1.50 of the mean. Their first slopes: 194 and 799
predicted, 189 +- 3 and 831 +- 45 measured. Signals by layer within 3 %, gradients within 2 %.
Runtime: 1 minute on 2 cores.

Identity target, full-batch gradient descent with rate L h_1 = 0.01, float32, linear layers without
biases, 32 wide. Small: all layers V diag(s^(1/L)) V^T, s = 1e-3, data with curvatures h of 1, 1/4,
1/16 in 11, 11 and 10 directions. Orthogonal and Glorot: white data, h = 1. Signals: digits,
standardized, four ReLU layers of 64, Glorot uniform.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import common
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from jaxid.core.progress import Reporter
from jaxid.data.gaussian import GaussianSpec, rotation, sample
from jaxid.data.sources import load
from jaxid.nets.mlp import identity_network, layer_params
from jaxid.theory.deep_linear import escape_time, loss_curve
from jaxid.theory.linear_kernel import at_start, kernel_moments
from jaxid.theory.signal import signal

M, WIDE, STRENGTH = 32, 64, 1e-3
DEPTHS = (1, 2, 4)
CURVATURES = np.repeat([1.0, 1 / 4, 1 / 16], [11, 11, 10])
LENGTH = {"rotation": 8.0, "reflection": 24.0, "glorot": 24.0}
SMALL = {1: 90.0, 2: 120.0, 4: 300.0}
"""Time, rate x steps, that runs last; of small starts by depth."""
ROUNDED = float(23 * np.log(2))
"""Two layers leave the saddle of determinant -1 when the rounding, 2^-23, has grown by e^(h t)."""
POINTS = 300
LEVELS = (0.5, 0.1, 0.01)
"""Shares of the first loss whose times are compared."""
Layers = list[np.ndarray]


@dataclass(frozen=True)
class Options(common.Options):
    """The seeds and the step."""

    seeds: int = 20
    """Networks with Glorot's weights."""
    step: float = 0.01
    """Rate L h_1, the share of its own time that a step covers."""


def measure(options: Options, reporter: Reporter) -> common.Record:
    """All runs beside their predictions."""
    step, seeds = (0.1, 2) if options.quick else (options.step, options.seeds)
    depths = (2,) if options.quick else DEPTHS
    spec = GaussianSpec(M, 128, eigenvalues=tuple(CURVATURES * M / 2), exact=True)
    white = GaussianSpec(M, 128, eigenvalues=(M / 2,) * M, exact=True)
    rng = np.random.default_rng(0)
    rows: list[common.Record] = []
    with reporter.task("runs", 4 * len(depths)) as task:
        for kind in ("small", *LENGTH):
            x = sample(spec if kind == "small" else white).train
            for depth in depths:
                starts = [
                    layers_of(kind, depth, rng, rotation(spec), seed)
                    for seed in range(seeds if kind == "glorot" else 1)
                ]
                # One layer has no saddle: a reflection is a rotation to it.
                if kind != "reflection" or depth > 1:
                    length = SMALL[depth] if kind == "small" else LENGTH[kind]
                    times, losses = run(starts, x, length, step / depth)
                    rows.append(row(kind, depth, starts[0], times, losses))
                task.advance(1, f"{kind} {depth}")
    signals = measured_signals(3 if options.quick else 200)
    record = {"seeds": list(range(seeds)), "step": step, "rows": rows, "signals": signals}
    return record | {"finding": finding(rows)}


def layers_of(
    kind: str, depth: int, rng: np.random.Generator, basis: np.ndarray, seed: int
) -> Layers:
    """The first kernels, (M, M) each."""
    if kind == "small":
        return [STRENGTH ** (1 / depth) * basis @ basis.T] * depth
    if kind == "glorot":
        model = identity_network(
            M, depth=depth, activation="linear", output_activation="linear", use_bias=False
        )
        params = model.init(jax.random.key(seed), jnp.zeros((1, M)))
        return [np.asarray(kernel) for kernel, _ in layer_params(params, depth)]
    layers = []
    for _ in range(depth):
        q, r = np.linalg.qr(rng.standard_normal((M, M)))
        layers.append(q * np.sign(np.diag(r))[None, :])
    wanted = 1 if kind == "rotation" else -1
    if np.linalg.det(product(layers)) * wanted < 0:
        layers[0][:, 0] *= -1
    return layers


def product(layers: Layers) -> np.ndarray:
    """W_1 ... W_L."""
    whole = np.eye(M)
    for layer in layers:
        whole = whole @ layer
    return whole


def run(starts: list[Layers], x: np.ndarray, length: float, rate: float) -> tuple[Any, Any]:
    """(times (T,), losses (networks, T)) of gradient descent."""
    every = max(1, round(length / rate / POINTS))
    stacked = [jnp.asarray(np.stack(part), jnp.float32) for part in zip(*starts, strict=True)]
    losses = np.asarray(descended(stacked, jnp.asarray(x), rate, every), np.float64)
    return rate * every * np.arange(losses.shape[1]), losses


@jax.jit
def descended(layers: Any, x: Any, rate: float, every: int) -> Any:
    """The loss every so many steps, (networks, POINTS + 1)."""

    def loss(layers: Any) -> Any:
        h = x
        for layer in layers:
            h = h @ layer
        return jnp.mean((h - x) ** 2)

    def one(layers: Any) -> Any:
        def step(_: Any, layers: Any) -> Any:
            gradient = jax.grad(loss)(layers)
            return jax.tree.map(lambda w, g: w - rate * g, layers, gradient)

        def block(layers: Any, _: Any) -> tuple[Any, Any]:
            return jax.lax.fori_loop(0, every, step, layers), loss(layers)

        return jax.lax.scan(block, layers, None, POINTS + 1)[1]

    return jax.vmap(one)(layers)


def row(
    kind: str, depth: int, layers: Layers, times: np.ndarray, losses: np.ndarray
) -> common.Record:
    """One run, or the mean of several, beside what was known before."""
    found: common.Record = {"kind": kind, "depth": depth, "times": times}
    seen = losses.mean(axis=0)
    if kind == "glorot":
        sizes = (M,) * (depth + 1)
        start = at_start(sizes, np.full(M, M / 2))
        moments = kernel_moments(sizes)
        predicted = start.loss * np.exp(-2 * depth * times)
        slopes = [slope_of(layers_of(kind, depth, np.random.default_rng(0), np.eye(M), seed))
                  for seed in range(len(losses))]  # fmt: skip
        found |= {
            "moments": moments._asdict(), "slope": start.slope, "slope_measured": np.mean(slopes),
            "slope_sem": np.std(slopes, ddof=1) / len(slopes) ** 0.5,
            "start": start.loss, "sem": losses.std(axis=0, ddof=1) / len(losses) ** 0.5,
        }  # fmt: skip
    else:
        whole = product(layers)
        modes = np.linalg.eigvals(whole) if kind != "small" else np.full(M, STRENGTH)
        curvatures = CURVATURES if kind == "small" else np.ones(M)
        predicted = loss_curve(times, modes, curvatures, depth)
        found |= {"determinant": float(np.sign(np.linalg.det(whole)))}
        if kind == "small":
            found["escape"] = [escape_time(STRENGTH, depth, h) for h in (1, 1 / 4, 1 / 16)]
    reached = [
        [reach(times, curve / curve[0], level) for level in LEVELS] for curve in (predicted, seen)
    ]
    return found | {"predicted": predicted, "measured": seen, "reached": reached}


def slope_of(layers: Layers) -> float:
    """Squared gradient norm on white data, by hand."""
    off = product(layers) - np.eye(M)
    return float(
        sum(
            ((product(layers[:k]).T @ off @ product(layers[k + 1 :]).T) ** 2).sum()
            for k in range(len(layers))
        )
    )


def reach(times: np.ndarray, shares: np.ndarray, level: float) -> float | None:
    """When the share is reached, log-linear between points; None if it isn't."""
    below = np.flatnonzero(shares <= level)
    if not below.size or below[0] == 0:
        return None
    k = below[0]
    logs = np.log(shares[k - 1 : k + 1])
    part = (np.log(level) - logs[0]) / (logs[1] - logs[0])
    return float(times[k - 1] + part * (times[k] - times[k - 1]))


def measured_signals(networks: int) -> common.Record:
    """Mean squares by layer of the question's network on digits, and those predicted."""
    x = common.mapped64("standardized", load("digits").train)[:500].astype(np.float32)
    model = identity_network(WIDE, depth=4)
    rng = np.random.default_rng(0)
    found = []
    for number in range(networks):
        params = model.init(jax.random.key(1000 + number), jnp.zeros((1, WIDE)))
        kernels = [np.asarray(kernel) for kernel, _ in layer_params(params, 4)]
        z = [x @ kernels[0]]
        for kernel in kernels[1:]:
            z.append(np.maximum(z[-1], 0) @ kernel)
        back = [rng.choice(np.array([-1, 1], np.float32), z[-1].shape)]
        for kernel, below in zip(kernels[:0:-1], z[-2::-1], strict=True):
            back.insert(0, (back[0] @ kernel.T) * (below > 0))
        found.append([[float(np.mean(part**2)) for part in parts] for parts in (z, back)])
    known = signal((WIDE,) * 5, float(np.mean(x**2)))
    record: common.Record = {"networks": networks, "spread": known.spread}
    for name, index, wanted in (("forward", 0, known.forward), ("backward", 1, known.backward)):
        values = np.array(found)[:, index]
        record[name] = {
            "predicted": wanted, "measured": values.mean(axis=0),
            "deviation": values.std(axis=0, ddof=1),
        }  # fmt: skip
    return record


def off(rows: list[common.Record], *kinds: str) -> float:
    """The largest relative error of a predicted time."""
    errors = [
        abs(a / b - 1)
        for r in rows if r["kind"] in kinds
        for a, b in zip(*r["reached"], strict=True) if a is not None and b is not None
    ]  # fmt: skip
    return max(errors, default=0.0)


def finding(rows: list[common.Record]) -> str:
    """In one sentence."""
    deep = [r for r in rows if r["kind"] == "glorot"][-1]
    copies, seen = (times[LEVELS.index(0.1)] for times in deep["reached"])
    late = "?" if copies is None or seen is None else f"{seen / copies:.2g}"
    return (
        f"Balanced layers keep to the predicted times: small starts within "
        f"{100 * off(rows, 'small'):.2g} %, rotations {100 * off(rows, 'rotation'):.2g} %; "
        f"{deep['depth']} random ones take {late} times as long as copies of one"
    )


def draw(record: common.Record) -> Figure:
    """Small, orthogonal, Glorot, signals."""
    figure = Figure(figsize=(10.0, 7.6), layout="constrained")
    axes = figure.subplots(2, 2)
    for axis, kinds, title in zip(
        axes.ravel(),
        (("small",), ("rotation", "reflection"), ("glorot",)),
        ("Small aligned start: each mode waits its turn",
         "Orthogonal layers; squares, dashed: determinant -1",
         "Glorot's layers; lines: L copies of one, their mean"),
        strict=False,
    ):  # fmt: skip
        curves(axis, [r for r in record["rows"] if r["kind"] in kinds])
        axis.set_title(title, loc="left")
        axis.set_xlabel("rate x steps, in units of 1 / h")
        axis.set_ylabel("training loss")
    axes[0, 0].set_xscale("log")
    axes[0, 0].set_xlim(0.3, 400)
    common.plain_ticks(axes[0, 0])
    axes[0, 0].xaxis.set_minor_locator(NullLocator())
    axes[0, 1].axvline(ROUNDED, color="#888888", linewidth=1, linestyle=":")
    axes[0, 1].text(ROUNDED - 0.3, 8e-5, "float32 rounding\nhas grown to 1", ha="right",
                    fontsize=8.5, color="#555555")  # fmt: skip
    axes[0, 0].legend(loc="lower left")
    for r in record["rows"]:
        if r["kind"] == "glorot" and r["depth"] > 1:
            text = (
                f"{r['depth']} layers: curvatures spread\n"
                f"by {r['moments']['eigenvalue_spread']:.2f} of their mean, known before"
            )
            axes[1, 0].text(0.97, 1.13 - 0.07 * r["depth"], text, ha="right",
                            va="top", transform=axes[1, 0].transAxes, fontsize=8.5,
                            color=COLOUR[r["depth"]])  # fmt: skip
    drawn_signals(axes[1, 1], record["signals"])
    common.titled(
        figure,
        record["finding"],
        "Lines: predicted before the first step; points: measured. Linear layers of 32 on made "
        "data, whole batch. Below right: four ReLU layers of 64 on digits, bars: standard "
        "deviation from network to network.",
        width=92,
    )
    return figure


COLOUR = dict(zip(DEPTHS, common.COLOURS, strict=False))


def curves(axis: Axes, rows: list[common.Record]) -> None:
    """Lines predicted, points measured."""
    for r in rows:
        colour, times = COLOUR[r["depth"]], np.array(r["times"])
        label = f"{r['depth']} layer{'s' if r['depth'] > 1 else ''}"
        turned = r["kind"] == "reflection"
        axis.plot(times, r["predicted"], color=colour, label=label, linewidth=1.4,
                  linestyle="--" if turned else "-")  # fmt: skip
        wanted = np.geomspace(times[1], times[-1], 26) if r["kind"] == "small" else times[::12]
        index = np.unique(np.searchsorted(times, wanted).clip(0, len(times) - 1))
        mark = "s" if turned else "o"
        axis.plot(times[index], np.array(r["measured"])[index], color=colour, marker=mark,
                  markersize=4, linestyle="none")  # fmt: skip
    axis.set_yscale("log")
    axis.set_ylim(1e-5, 1e3 if rows[0]["kind"] == "glorot" else 1e2)
    axis.yaxis.set_minor_locator(NullLocator())


def drawn_signals(axis: Axes, signals: common.Record) -> None:
    """Forward and backward mean squares by layer."""
    layers = np.arange(1, 5)
    for (name, text), colour in zip(
        (("forward", "pre-activations"), ("backward", "gradients, over the output's")),
        common.COLOURS[3:],
        strict=False,
    ):
        own = signals[name]
        axis.plot(layers, own["predicted"], color=colour, label=text)
        axis.errorbar(layers, own["measured"], yerr=own["deviation"], color=colour, marker="o",
                      markersize=5, linestyle="none", capsize=3)  # fmt: skip
    axis.set_yscale("log", base=2)
    axis.set_xticks(layers)
    axis.set_xlabel("layer")
    axis.set_ylabel("mean square")
    axis.set_title("ReLU, Glorot: each layer halves both", loc="left")
    axis.legend(loc="lower center")


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
