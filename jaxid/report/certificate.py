"""What ``jaxid certify`` prints."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.table import Table

from jaxid.certification.certified import Certification, RegionCertificate
from jaxid.certification.family import FamilyKind, MeanSquare
from jaxid.core.result import WIDTH
from jaxid.core.types import Estimate
from jaxid.core.wording import number
from jaxid.training.loop import Stage
from jaxid.verification.certificate import Method

REASONS = 2
"""Regions whose lack of a bound is explained, at most."""
NAMES = {
    Method.EXACT: "exact",
    Method.INTERVALS: "intervals",
    Method.CROWN: "CROWN",
    Method.ALPHA: "optimised CROWN",
}


def print_certificate(result: Certification, console: Console) -> None:
    """Print the verdict on the family, and between what the worst error lies, by region."""
    found = result.family
    if found is not None:
        kind = "" if found.kind is None else f" ({found.box})"
        console.print(f"Could this family do it?{kind} {_sentence(found.words)}")
        console.print(_mean_square(found.mean_square))
        console.print()
    which = "this network" if result.stage is not Stage.INIT else "this network, before training,"
    console.print(f"Worst error of {which} in one output, original units")
    console.print(_table(result.regions))
    first = result.regions[0]
    if first.looser and first.method is not Method.EXACT:
        console.print(
            f"No method is the tightest everywhere: {100 * first.looser:.0f} % of the first "
            "region's bounds are those of a cheaper one than the last; the tightest are taken."
        )
    for line in _without_bound(result.regions):
        console.print(line)
    bounded = any(row.endless is None for row in result.regions)
    rounding = [_sentence(result.rounding)] if bounded else []
    for line in [*rounding, *_compared(result.regions)]:
        console.print("\n".join(textwrap.wrap(line, WIDTH)), style="dim")


def _without_bound(rows: tuple[RegionCertificate, ...]) -> list[str]:
    """A line for each reason why a region has no bound."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.endless is not None:
            reasons.setdefault(row.endless.words, []).append(row.words)
    lines = [
        f"No bound for {words[0]}{f' and {len(words) - 1} more' if len(words) > 1 else ''}: "
        f"{reason}."
        for reason, words in reasons.items()
    ]
    others = len(lines) - REASONS
    return lines if others <= 0 else [*lines[:REASONS], f"And {others} more regions likewise."]


def _compared(rows: tuple[RegionCertificate, ...]) -> list[str]:
    """What comparing the bounds with the network itself showed."""
    checks = [row.check for row in rows if row.check is not None]
    if not checks:
        return []
    apart = max(check.apart for check in checks)
    overflown = max(check.overflown for check in checks)
    lines = [
        f"Every region's bounds were compared with the network at {checks[0].points:,} inputs "
        "or so; none is beyond them. As it runs, in float32, it is off from real arithmetic by up "
        f"to {number(apart)} there."
    ]
    if overflown:
        lines.append(
            f"At up to {overflown:,} of these inputs the float32 program overflows and gives no "
            "finite number; the bounds are of real arithmetic."
        )
    undefined = max(check.undefined for check in checks)
    if undefined:
        lines.append(
            f"At up to {undefined:,} of them float64 gives no finite number either; these were "
            "not compared."
        )
    return lines


def _mean_square(found: MeanSquare) -> str:
    """The least loss on the training set, in training units."""
    if found.verdict is FamilyKind.EXACT:
        return f"In mean square on the training set: 0 is reached ({found.witness})."
    lower = number(found.lower.value)
    least = f"In mean square on the training set: at least {lower} ({found.how})"
    if found.upper is None:
        return f"{least}."
    return f"{least}, and {number(found.upper.value)} is reached."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _table(rows: tuple[RegionCertificate, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("inputs", overflow="fold")
    for name in ("an input does", "none does more than", "ratio", "by"):
        table.add_column(name, justify="right", overflow="fold")
    for row in rows:
        ratio = "-" if row.ratio is None else f"{row.ratio:.3g}"
        method = "-" if row.method is None else NAMES[row.method]
        table.add_row(row.words, _end(row.lower), _end(row.upper), ratio, method)
    return table


def _end(found: Estimate) -> str:
    return "no bound" if found.value is None else number(found.value)
