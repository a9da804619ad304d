"""The curvature of a network as text: one table for each point, one for the way through."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.table import Table

from jaxid.core.types import Estimate
from jaxid.core.wording import NONE, counted, estimate, number, percent
from jaxid.linalg.lanczos import Stop
from jaxid.spectra.all_eigenvalues import Tried, WhyNot
from jaxid.spectra.along_training import AlongTraining, SeedLook
from jaxid.spectra.matrix import MatrixSpectrum
from jaxid.spectra.point import NullDirections, PointSpectrum
from jaxid.spectra.spectrum import During, ExamplesUsed, Interruption, Spectrum
from jaxid.spectra.words import STAGES, matrix_name, moments

LEGEND = (
    "rank: (tr A)^2 / |A|_F^2, how many equal eigenvalues would have these traces, where none is "
    "negative; near 0: share of eigenvalues "
    "that are 0 or can't be told from it; kappa: largest over smallest positive eigenvalue; kappa "
    "of 99 %: the same for the positive modes with 99 % of the loss that a quadratic model would "
    "win; ±: residual bound (largest, least) or standard error; ?: has not converged."
)
ALONG: tuple[tuple[str, Callable[[SeedLook], Estimate | float | None]], ...] = (
    ("loss", lambda row: row.loss),
    ("sharpness", lambda row: row.sharpness),
    ("seen by the optimizer", lambda row: row.preconditioned),
    ("its limit", lambda row: row.limit),
    ("trace", lambda row: row.trace),
    ("kappa of 99 %", lambda row: row.effective_kappa),
    ("kappa", lambda row: row.kappa),
)
"""Columns of the table along training."""


def print_curvature(result: Spectrum, console: Console) -> None:
    """Print everything that was measured."""

    def say(line: str) -> None:
        console.print(line, highlight=False)

    for point in result.points:
        say(_heading(point, result.examples))
        console.print(_matrices(point.matrices))
        if point.layers:
            say("\nEach layer's own block of the Hessian")
            console.print(_matrices(point.layers))
        for line in notes(point):
            say(line)
        console.print()
    along = result.along
    if along is not None:
        say("Along training (mean over the seeds)")
        console.print(_along(along))
        say(
            f"On the first {along.examples:,} examples; {number(along.seconds.looking)} s of "
            f"looking, compiling included, beside {number(along.seconds.training)} s of training. "
            "? has not converged."
        )


def title(result: Spectrum) -> str:
    """In a few words."""
    if not result.points:
        return "curvature along training, interrupted"
    point = result.points[-1]
    top = estimate(point.hessian.lambda_max)
    return (
        f"{counted(point.parameters, 'parameter')} {STAGES[point.name]}, largest eigenvalue {top}"
    )


def interruption(stopped: Interruption) -> str:
    """Where an interrupt came."""
    if stopped.during is During.TRAINING or stopped.point is None:
        return f"training, epoch {stopped.epoch}"
    place = f"curvature at {stopped.point.value}"
    return place if stopped.matrix is None else f"{place}, {stopped.matrix}"


def _heading(point: PointSpectrum, examples: ExamplesUsed) -> str:
    name = STAGES[point.name].capitalize()
    used = f"{examples.used:,} of {examples.of:,} examples"
    return (
        f"{name}: loss {number(point.loss, 4)} over {used}, gradient "
        f"{number(point.gradient_norm)}, {counted(point.parameters, 'parameter')}"
    )


def _matrices(matrices: Sequence[MatrixSpectrum]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", overflow="fold")
    for name in ("largest", "least", "trace", "rank", "near 0", "kappa", "kappa of 99 %"):
        table.add_column(name, justify="right", overflow="fold")
    for found in matrices:
        ends = found.exact or found
        table.add_row(
            matrix_name(found),
            _cell(ends.lambda_max),
            _cell(ends.lambda_min),
            _cell(found.trace),
            _cell(found.participation_rank),
            _near_zero(found),
            _cell(found.kappa),
            _cell(found.effective_kappa),
        )
    return table


def _near_zero(found: MatrixSpectrum) -> str:
    """The share of eigenvalues that are 0, or can't be told from it."""
    if found.exact is not None:
        return percent(found.exact.null_dim / found.order)
    return NONE if found.density is None else percent(found.density.zero.share)


def _cell(found: Estimate | None) -> str:
    """An estimate in few characters; a question mark where it has not converged."""
    if found is None or found.value is None:
        return NONE
    if not found.converged:
        # What it changed by last bounds nothing.
        return f"{number(found.value)} ?"
    return estimate(found)


def notes(point: PointSpectrum) -> Iterator[str]:
    """What to know beside the table, one sentence each."""
    yield from _optimizer(point)
    hessian = point.hessian
    if hessian.exact is None:
        yield (
            f"No condition number: {hessian.kappa.method}. All eigenvalues were not "
            f"computed: {_why_not(point.exact, point.parameters)}."
        )
    else:
        exact = hessian.exact
        yield (
            f"All {hessian.order:,} eigenvalues, float64: {exact.negative:,} negative, "
            f"{exact.null_dim:,} flat (within {number(exact.threshold)} of 0), condition "
            f"number of the rest {estimate(hessian.kappa)}."
        )
    if point.null is not None:
        yield from _null(point.null)
    yield LEGEND
    yield from _unsettled([*point.matrices, *point.layers])


def _optimizer(point: PointSpectrum) -> Iterator[str]:
    """What the optimizer sees, beside its limit."""
    view, seen = point.optimizer, point.preconditioned
    limit = view.limit.value
    if seen is None or seen.lambda_max.value is None:
        if limit is None:
            yield f"What the optimizer sees is not known: {moments(view)}."
        return
    if limit is None:
        return
    side = "beyond" if seen.lambda_max.value > limit else "below"
    yield (
        f"The optimizer sees curvature up to {estimate(seen.lambda_max)}, {side} the "
        f"limit {number(limit)} of its own update ({moments(view)})."
    )
    top, rates = view.top_mode, view.rates
    if top is not None and rates is not None and top.share > 0.5:
        yield (
            f"{percent(top.share)} of that mode lies on {counted(top.parameters, 'parameter')} "
            f"whose rate is within a factor 10 of the largest, {number(rates.largest)}: they have "
            f"hardly seen a gradient. The next eigenvalue is {number(top.next)}."
        )


def _why_not(tried: Tried, parameters: int) -> str:
    """Why not every eigenvalue was computed."""
    if tried.reason is WhyNot.ORDER:
        return f"{parameters:,} parameters, more than --exact-order {tried.exact_order:,}"
    if tried.reason is WhyNot.FLOAT32_INSIDE:
        return f"the network computes in float32 inside ({', '.join(tried.narrowings)})"
    why = "its constants depend on the precision"
    if tried.reason is WhyNot.RANDOM:
        why = f"it draws random numbers{tried.drawn_at}, and others in another precision"
    return (
        f"the loss is {tried.loss_float32:.6g} in float32 and {tried.loss_float64:.6g} in "
        f"float64: {why}, so that float64's eigenvalues are not those of the network that is "
        "trained"
    )


def _null(null: NullDirections) -> Iterator[str]:
    """Flat directions with their reasons."""
    found = null.reasons
    counts = (
        (found.dead_unit, "of dead units"),
        (found.constant_input, "inputs that never vary"),
        (found.collinear_input, "inputs that others imitate"),
        (found.rarely_active, "units active on too few examples"),
        (found.rescaling, "rescalings of hidden units"),
        (found.imitated, "what the next layer can undo"),
        (found.output_rank, "fewer outputs than parameters"),
        (found.other, "without a reason"),
    )
    reasons = ", ".join(f"{count:,} {words}" for count, words in counts if count)
    text = f"Gauss-Newton has {null.null_dim:,} flat directions"
    yield f"{text}: {reasons}." if reasons else f"{text}."
    if null.log10_permutations > 0:
        yield f"10^{number(null.log10_permutations)} equal solutions by permuting hidden units."


def _unsettled(every: Sequence[MatrixSpectrum]) -> Iterator[str]:
    """What has not converged, and what to do about it."""
    late = [found for found in every if not found.settled]
    rounding = [found for found in late if found.stopped is Stop.ROUNDING]
    others = [found for found in late if found.stopped is not Stop.ROUNDING]
    if others:
        yield (
            f"Lanczos has not converged: {_listed(others)}; allow more --restarts, or a larger "
            "--tolerance."
        )
    if rounding:
        yield (
            f"Lanczos has not converged: {_listed(rounding)}; products in float32 round too much "
            "for this --tolerance."
        )
    modes = [found for found in every if _open(found.effective_kappa)]
    if modes:
        yield f"kappa of 99 % not converged: {_listed(modes)}; raise --steps."


def _listed(found: Sequence[MatrixSpectrum]) -> str:
    return ", ".join(matrix_name(one) for one in found)


def _open(found: Estimate | None) -> bool:
    return found is not None and found.value is not None and not found.converged


def _along(along: AlongTraining) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("epoch", justify="right")
    for label, _ in ALONG:
        table.add_column(label, justify="right")
    for point in along.points:
        cells = [_mean([get(row) for row in point.seeds]) for _, get in ALONG]
        table.add_row(str(point.epoch), *cells)
    return table


def _mean(values: Sequence[Estimate | float | None]) -> str:
    """The mean over the seeds that have a value; says if one of them has not converged."""
    plain = [v.value if isinstance(v, Estimate) else v for v in values]
    there = [v for v in plain if v is not None and math.isfinite(v)]
    if not there:
        return NONE
    text = number(sum(there) / len(there))
    late = any(isinstance(v, Estimate) and not v.converged for v in values)
    return f"{text} ?" if late else text
