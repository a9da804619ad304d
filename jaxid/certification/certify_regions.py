"""Certificates region by region: bounds, attack, and both compared with the network itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from jaxid.certification.certified import Compared, Ends, RegionCertificate
from jaxid.certification.regions import Effort, Region, RegionKind
from jaxid.core.progress import SILENT, Reporter, Task
from jaxid.core.random import role_key, seed_key
from jaxid.core.types import Estimate
from jaxid.verification.attack import evaluated
from jaxid.verification.bounds import METHODS, MethodName
from jaxid.verification.certificate import ROUNDING, Certificate, certify, one_layer
from jaxid.verification.check import Checked, Original, check
from jaxid.verification.cost import attack_flops, bound_flops, compile_seconds, rate64
from jaxid.verification.network import Network

EXACT = 20.0
"""Operations of the exact worst error of one ReLU layer, for each output and pair of inputs."""
CHEAPER = frozenset({RegionKind.BALL, RegionKind.CURVE})
"""Many and alike: bounded by `Effort.curve_method`."""


def predicted_seconds(net: Network, found: list[Region], effort: Effort) -> float:
    """About how long `certify_regions` will take; 0.1 s to time a product of matrices."""
    exact = one_layer(net) is not None
    total = 0.0
    for region in found:
        method, restarts = _plan(region, effort)
        if exact:
            method = "crown" if method == "alpha" else method
            total += EXACT * net.structure.sizes[-1] * net.structure.sizes[0] ** 2
        total += bound_flops(net, method, effort.steps) + attack_flops(net, restarts)
    dearest = max((_plan(region, effort)[0] for region in found), key=METHODS.index)
    if exact and dearest == "alpha":
        dearest = "crown"
    return total / rate64() + compile_seconds(net, dearest)


def _plan(region: Region, effort: Effort) -> tuple[MethodName, int]:
    """(dearest method, restarts)."""
    if region.kind in CHEAPER:
        return effort.curve_method, max(1, effort.restarts // 4)
    return effort.method, effort.restarts


class Certified(NamedTuple):
    """What was certified.

    Attributes:
      regions: those that were finished.
      interrupted: the region at which an interrupt came; None if none did.
    """

    regions: tuple[RegionCertificate, ...]
    interrupted: Region | None


def certify_regions(
    net: Network,
    found: list[Region],
    effort: Effort,
    seed: int,
    reporter: Reporter = SILENT,
    original: Original | None = None,
) -> Certified:
    """Certificates for the regions, in turn; an interrupt keeps those that are finished.

    Args:
      net: from `jaxid.certification.error_function.error_network`.
      found: the regions.
      effort: how hard to try on each.
      seed: of the attacks.
      reporter: shows progress.
      original: the function that ``net`` was read from, `error_function`: every region's bounds
        are compared with it.

    Raises:
      Fault: where it leaves them.
      KeyboardInterrupt: if not even the first region was finished.
    """
    rows: list[RegionCertificate] = []
    stopped: Region | None = None
    with reporter.task("certificates", len(found)) as task:
        for region in found:
            try:
                said = partial(_tell, task)
                rows.append(certify_region(net, region, effort, seed, original, said))
                task.advance(1, region.name)
            except KeyboardInterrupt:
                if not rows:
                    raise
                stopped = region
                break
    _nested(rows)
    return Certified(tuple(rows), stopped)


def _tell(task: Task, text: str) -> None:
    task.advance(0, text)


def certify_region(
    net: Network,
    region: Region,
    effort: Effort,
    seed: int,
    original: Original | None = None,
    said: Callable[[str], None] = lambda _: None,
) -> RegionCertificate:
    """One region's certificate.

    Args:
      net, effort, seed, original: as in `certify_regions`.
      region: where.
      said: told what is being done.

    Raises:
      Fault: where the function leaves its bounds.
    """
    method, restarts = _plan(region, effort)
    key = role_key(seed_key(seed), f"attack {region.name}")
    made = certify(
        net,
        region.box,
        key,
        method=method,
        steps=effort.steps,
        restarts=restarts,
        said=lambda text: said(f"{region.name}: {text}"),
    )
    if original is None:
        return _certificate(region, made, None)
    said(f"{region.name}: compared with the network")
    own = role_key(key, "check")
    checked = check(net, original, region.box, made.low, made.high, made.attack.x[None], own)
    # Some of its points may be worse than what the attack found.
    seen = evaluated(net, region.box, checked.worst)
    if seen.error > made.attack.error:
        attack = seen._replace(points=made.attack.points)
        made = made._replace(lower=seen.error, attack=attack)
    return _certificate(region, made, checked)


def _certificate(region: Region, made: Certificate, checked: Checked | None) -> RegionCertificate:
    low, high = (np.asarray(end) for end in region.box)
    bounded = made.endless is None
    if made.endless is None:
        how = f"certified by {made.method.value}; {ROUNDING}"
        upper = Estimate(made.upper, 0.0, True, how)
    else:
        upper = Estimate(None, None, False, f"no finite bound: {made.endless.words}")
    return RegionCertificate(
        region=region.name,
        kind=region.kind,
        words=region.words,
        half_width=region.half_width,
        share=region.share,
        low=Ends(float(low.min()), float(low.max())),
        high=Ends(float(high.min()), float(high.max())),
        lower=Estimate(made.lower, 0.0, True, "attained by the input that was found"),
        upper=upper,
        endless=made.endless,
        ratio=made.upper / made.lower if made.lower > 0 and bounded else None,
        method=made.method if bounded else None,
        by_method=made.by_method,
        looser=made.looser,
        output=made.attack.output,
        points=made.attack.points,
        check=None if checked is None else _compared(checked),
        x=made.attack.x,
        outputs=None,
        box_low=low,
        box_high=high,
        error_low=made.low,
        error_high=made.high,
    )


def _compared(checked: Checked) -> Compared:
    return Compared(
        points=checked.points,
        largest=checked.largest,
        apart=checked.apart,
        overflown=checked.overflown,
        undefined=checked.undefined,
    )


def _nested(rows: list[RegionCertificate]) -> None:
    """What holds on a box holds on every box inside, and an input of a box is one of any around
    it: bounds and worst inputs are handed on, so that nested boxes never contradict each other."""
    for k in range(len(rows)):
        for j in range(len(rows)):
            if k == j or not _inside(rows[k], rows[j]):
                continue
            small, large = rows[k], rows[j]
            if _least(large) < _least(small):
                rows[k] = dataclasses.replace(
                    small,
                    upper=large.upper,
                    endless=large.endless,
                    method=large.method,
                    error_low=large.error_low,
                    error_high=large.error_high,
                )
            if _found(small) > _found(large):
                rows[j] = dataclasses.replace(
                    large, lower=small.lower, output=small.output, x=small.x
                )
    for k, row in enumerate(rows):
        lower, upper = _found(row), row.upper.value
        ratio = upper / lower if lower > 0 and upper is not None else None
        rows[k] = dataclasses.replace(row, ratio=ratio)


def _inside(inner: RegionCertificate, outer: RegionCertificate) -> bool:
    return bool(np.all(outer.box_low <= inner.box_low) and np.all(inner.box_high <= outer.box_high))


def _least(row: RegionCertificate) -> float:
    """A region's upper bound; infinite where there is none."""
    return float("inf") if row.upper.value is None else row.upper.value


def _found(row: RegionCertificate) -> float:
    """The error of the worst input that was found."""
    assert row.lower.value is not None
    return row.lower.value
