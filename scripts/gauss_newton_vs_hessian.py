"""Gauss-Newton beside the Hessian along training: what the residuals add, and when it goes.

Claim: H = G + R with G >= 0, so no negative eigenvalue of the Hessian lies below the least of
the residual part R, and R goes as the residuals go. A network that can be exact ends with H = G
but for R of the residuals' size; one whose width forbids it keeps its residuals and its R. The
largest eigenvalues differ by |R| at most (Weyl).
Command: python scripts/gauss_newton_vs_hessian.py
Expected: |H - G| over the largest of G, at the start and at the end: ReLU, 32 wide, 0.309 and
1.33e-6 (loss 0.335 to 6.6e-9); tanh 0.405 and 2.96e-4; ReLU, 8 wide, 0.391 and 0.0049, with the
loss at 0.0186; the question's four layers 0.476 and 0.092, the least eigenvalue -3,147 and -686.
Runtime: 17 minutes on 2 cores beside other jobs.

Three small networks on correlated Gaussian inputs, 16 features, linear output, Adam: all
eigenvalues of H, G and R in float64. The question's four layers on MNIST: their ends by
Lanczos in float32, each with its residual bound, on the first 2,000 images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import common
import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxid.core import trees
from jaxid.core.precision import float64, widened
from jaxid.core.progress import Reporter
from jaxid.core.types import Params
from jaxid.curvature.dense import dense_matrix, rounding
from jaxid.curvature.exact import exact_spectrum
from jaxid.curvature.matrices import MatrixName, curvature_product
from jaxid.curvature.products import MEMORY
from jaxid.identity.spec import IdentitySpec, build_problem, build_runner, load_data
from jaxid.linalg.lanczos import extremal_eigenvalues
from jaxid.problem.problem import Problem
from jaxid.training.loop import Anneal, one_seed

MATRICES: tuple[MatrixName, ...] = ("hessian", "gauss_newton", "residual")
LINES = (
    ("hessian", "largest", "H, largest", common.COLOURS[0], "-"),
    ("gauss_newton", "largest", "G, largest", common.COLOURS[1], "--"),
    ("residual", "size", "|H - G|", common.COLOURS[2], "-"),
    ("hessian", "negative", "- H, least", common.COLOURS[3], "-"),
)
IMAGES = 2000


@dataclass(frozen=True)
class Case:
    """A network to follow.

    Attributes:
      name: for the figure.
      spec: what to train.
      exact: whether all eigenvalues are taken.
    """

    name: str
    spec: IdentitySpec
    exact: bool = True


def cases(options: Options) -> list[Case]:
    """The networks; the first alone, and smaller, for quick runs."""
    small: dict[str, Any] = {
        "data": "gaussian", "features": 16, "examples": 1000, "kappa": 100.0, "depth": 2,
        "output_activation": "linear", "optimizer": "adam", "learning_rate": 3e-3,
        "schedule": "cosine", "batch_size": 100, "epochs": 1000, "seeds": 1,
        "first_seed": options.seed,
    }  # fmt: skip
    if options.quick:
        less = {"features": 4, "examples": 200, "epochs": 30}
        return [Case("ReLU, 8 wide: can be exact", IdentitySpec(**(small | less), width=8))]
    return [
        Case("ReLU, 32 wide: can be exact", IdentitySpec(**small, width=32)),
        Case("tanh, 32 wide: nearly so", IdentitySpec(**small, width=32, activation="tanh")),
        Case("ReLU, 8 wide: can't be", IdentitySpec(**small, width=8)),
        Case(
            "the question's four layers, MNIST",
            IdentitySpec(
                data="mnist", depth=4, epochs=20, seeds=1, first_seed=options.seed,
                mnist_dir=options.mnist_dir,
            ),
            exact=False,
        ),
    ]  # fmt: skip


@dataclass(frozen=True)
class Options(common.Options):
    """Which seed."""

    seed: int = 0
    """Seed of the initialisation and of the batches."""


def measure(options: Options, reporter: Reporter) -> common.Record:
    """Look at H, G and R at log-spaced epochs of every network."""
    rows = []
    for case in cases(options):
        epochs = case.spec.epochs
        assert epochs is not None
        with reporter.task(case.name, epochs) as task:
            points: list[common.Record] = []
            for point in follow(case, looks(epochs)):
                task.advance(point["epoch"] - (points[-1]["epoch"] if points else 0))
                points.append(point)
        rows.append({"name": case.name, "exact": case.exact, "points": points})
    record = {"seeds": [options.seed], "images": IMAGES, "cases": rows}
    return record | {"finding": finding(rows)}


def looks(epochs: int) -> list[int]:
    """0 and about three epochs a factor of ten."""
    spaced = np.geomspace(1, epochs, max(2, round(3 * np.log10(epochs)) + 1))
    return [0, *np.unique(np.round(spaced).astype(int)).tolist()]


def follow(case: Case, at: list[int]) -> Iterator[common.Record]:
    """Train, and look before those epochs and at the end."""
    dataset = load_data(case.spec)
    spec = case.spec.resolved(dataset)
    problem = build_problem(spec, dataset)
    runner = build_runner(spec, problem)
    data = (runner.x if case.exact else runner.x[:IMAGES], None)
    states = runner.init(spec.seed_list)
    for epoch in range(at[-1] + 1):
        if epoch in at:
            params = one_seed(states, 0).params
            look = exact_look if case.exact else krylov_look
            yield {"epoch": epoch, **look(problem, params, data)}
        if epoch < at[-1]:
            states, _ = runner.steps(states, epoch, 0, problem.steps_per_epoch, Anneal())


def exact_look(problem: Problem, params: Params, data: Any) -> common.Record:
    """The ends of H, G and R from all their eigenvalues."""
    with float64():
        wide, data = widened(params), widened(data)
        loss = float(problem.mean_loss(wide, data))
    dense = {m: dense_matrix(curvature_product(problem, m), params, data) for m in MATRICES}
    found = {
        name: exact_spectrum(matrix, error=rounding(matrix, data[0].shape[0]))
        for name, matrix in dense.items()
    }
    hessian = found["hessian"]
    return {
        "loss": loss,
        **{n: _ends(s.eigenvalues[0], s.eigenvalues[-1], s.threshold) for n, s in found.items()},
        "negative": hessian.negative,
        "order": int(hessian.eigenvalues.size),
        "apart": float(np.abs(dense["hessian"] - dense["gauss_newton"] - dense["residual"]).max()),
    }


def krylov_look(problem: Problem, params: Params, data: Any) -> common.Record:
    """The ends of H, G and R by Lanczos."""
    start = trees.random_like(jax.random.key(0), params)
    row: common.Record = {"loss": float(_loss(problem, params, data)), "negative": None}
    for name in MATRICES:
        product = curvature_product(problem, name).within(MEMORY, params, data)
        found = extremal_eigenvalues(product, (params, data), start)
        low, high = found.smallest, found.largest
        bound = max(low.error or 0.0, high.error or 0.0)
        row[name] = _ends(low.value, high.value, bound, low.converged and high.converged)
    return row


_loss = jax.jit(lambda problem, params, data: problem.mean_loss(params, data), static_argnums=0)


def _ends(low: Any, high: Any, bound: float, converged: bool = True) -> common.Record:
    low, high = float(low), float(high)
    return {
        "least": low,
        "largest": high,
        "negative": -low if low < -bound else None,
        "size": max(abs(low), abs(high)),
        "bound": bound,
        "converged": converged,
    }


def finding(rows: list[common.Record]) -> str:
    """|H - G| over the largest of G, at the start and at the end."""

    def share(point: common.Record) -> str:
        return common.short(point["residual"]["size"] / point["gauss_newton"]["largest"])

    parts = [f"{r['name']}: {share(r['points'][0])} to {share(r['points'][-1])}" for r in rows]
    return f"|H - G| over the largest of G, from start to end. {'; '.join(parts)}"


def draw(record: common.Record) -> Figure:
    """A panel for each network."""
    rows = record["cases"]
    figure = Figure(figsize=(10.5, 3.8 if len(rows) < 3 else 7.2), layout="constrained")
    shape = (1, 1) if len(rows) == 1 else (2, 2)
    panels = np.atleast_1d(figure.subplots(*shape)).flat
    for axes, row in zip(panels, rows, strict=True):
        _panel(axes, row)
    figure.axes[0].legend(fontsize=8.5, loc="best")
    titled_note = (
        "gaussian: 16 features, 1,000 examples, two layers, all eigenvalues in float64; MNIST: "
        f"Lanczos, float32, first {record['images']:,} images, hollow where not converged. No "
        "mark for - H, least where nothing is below minus the threshold."
    )
    common.titled(figure, record["finding"], titled_note)
    return figure


def _panel(axes: Axes, row: common.Record) -> None:
    points = row["points"]
    # Epoch 0 has no place on a logarithmic axis: it stands at 1/2.
    epochs = np.array([max(point["epoch"], 0.5) for point in points])
    for matrix, end, label, colour, style in LINES:
        values = np.array([point[matrix][end] for point in points], float)
        axes.plot(epochs, values, style, color=colour, label=label, lw=1.4)
        done = np.array([point[matrix]["converged"] for point in points])
        axes.plot(epochs[done], values[done], "o", color=colour, ms=3.5)
        axes.plot(epochs[~done], values[~done], "o", color=colour, mfc="white", ms=4)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("epoch (start at 0.5)")
    first, last = (common.short(points[place]["loss"]) for place in (0, -1))
    axes.set_title(f"{row['name']}; loss {first} to {last}")


def main(argv: list[str] | None = None) -> int:
    """Run the script; the exit code."""
    return common.run(__file__, Options, measure, draw, argv, __doc__)


if __name__ == "__main__":
    raise SystemExit(main())
