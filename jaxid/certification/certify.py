"""How far off a trained network can be, and on which inputs: proofs from above, inputs from
below.

Everything is in original units: e(x) = f(x) - target(x) with the problem's own maps before and
behind the network, so that 0..255 pixels in are 0..255 pixels off.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.certification.regions import Effort, Region, regions
from jaxid.core.blame import with_place
from jaxid.core.errors import InputError
from jaxid.core.progress import SILENT, Reporter, Task
from jaxid.core.random import role_key, seed_key
from jaxid.core.types import Estimate, Params
from jaxid.problem.problem import Problem
from jaxid.tracing.independence import Coupling, coupling
from jaxid.tracing.independence_rules import Reason
from jaxid.tracing.source import line_of
from jaxid.verification.attack import evaluated
from jaxid.verification.bounds import METHODS, MethodName
from jaxid.verification.certificate import ROUNDING, Certificate, certify, one_layer
from jaxid.verification.check import Original, check
from jaxid.verification.cost import attack_flops, bound_flops, compile_seconds, rate64
from jaxid.verification.network import Network, network

Record = dict[str, Any]
Arrays = dict[str, np.ndarray]
EXACT = 20.0
"""Operations of the exact worst error of one ReLU layer, for each output and pair of inputs."""


def error_function(
    problem: Problem, params: Params, target: Callable[[Any], Any] | None = None
) -> Callable[[Any], Any]:
    """e(x) = f(x) - target(x) in original units, (batch, ...) -> (batch, outputs).

    Args:
      problem: network and maps.
      params: its parameters.
      target: (batch, ...) -> (batch, m); the identity if None.

    Raises:
      InputError: for a target that can't take the inputs; when called, for outputs of another
        length.
    """
    if target is not None:
        _check_target(target, np.shape(problem.train[0])[1:])

    def error(x: Any) -> Any:
        outputs = problem.original(problem.net.apply(params, problem.inputs(x)))
        targets = x if target is None else target(x)
        if outputs.shape != targets.shape:
            raise InputError(
                f"the network gives {outputs.shape[1:]} and the target {targets.shape[1:]}; name "
                "a function with --target that gives what the network should"
            )
        return (outputs - targets).reshape(x.shape[0], -1)

    return error


def error_network(
    problem: Problem, params: Params, target: Callable[[Any], Any] | None = None
) -> Network:
    """The same as bounds take it: the program that runs in float32, its constants as they are.

    Raises:
      InputError: for networks that bounds can't read, for examples that are not treated apart
        and alike, and for outputs of another length.
    """
    shape = np.shape(problem.train[0])[1:]
    error = error_function(problem, params, target)
    coupled = _coupling(error, shape)
    if coupled is not None and coupled.reason is not Reason.UNKNOWN:
        raise InputError(_coupled(coupled))
    net = network(error, shape, np.float32)
    if coupled is not None:
        raise InputError(_coupled(coupled))
    return net


def _coupling(error: Callable[[Any], Any], shape: tuple[int, ...]) -> Coupling | None:
    """How examples are coupled, tried at two sizes of a batch.

    Raises:
      InputError: for a network that can't take those.
    """
    try:
        return coupling(error, shape)
    except (TypeError, ValueError, IndexError, ZeroDivisionError) as failed:
        if isinstance(failed, InputError):
            raise
        raise InputError(
            f"the network can't take a batch of some other size ({with_place(failed)}); certify "
            "one that takes any number of inputs"
        ) from None


def _coupled(coupled: Coupling) -> str:
    """One line on why examples are not treated apart and alike."""
    line = "" if coupled.equation is None else line_of(coupled.equation)
    what = f"{coupled.primitive}{f' at {line}' if line else ''}"
    if coupled.reason is Reason.MIXED:
        return (
            f"the network's output for one input depends on the others of its batch ({what}); "
            "certify what treats them apart (batch statistics frozen, no mean over the batch)"
        )
    if coupled.reason is Reason.RANDOM:
        return (
            f"the network draws random numbers for every example ({what}), as dropout does in "
            "training; certify the network that is evaluated (deterministic=True)"
        )
    if coupled.reason is Reason.PLACE:
        return (
            f"what the network does to an input depends on its place in the batch ({what}); "
            "certify what treats all alike"
        )
    if coupled.reason is Reason.SIZE:
        return (
            f"what the network does to an input depends on how many there are ({what}); certify "
            "what treats all alike"
        )
    return (
        f"it can't be told whether the network treats the inputs of a batch apart ({what}); leave "
        "that operation out of what is certified"
    )


def _check_target(target: Callable[[Any], Any], shape: tuple[int, ...]) -> None:
    """Try it on a batch of two.

    Raises:
      InputError: with what it says.
    """
    try:
        jax.eval_shape(target, jnp.zeros((2, *shape), jnp.float32))
    except (TypeError, ValueError, IndexError) as failed:
        raise InputError(
            f"--target can't take a batch of inputs of shape {shape} ({with_place(failed)}); name "
            "a function of what the network takes"
        ) from None


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
    if region.name in ("box", "range", "bounding_box"):
        return effort.method, effort.restarts
    return effort.curve_method, max(1, effort.restarts // 4)


class Certified(NamedTuple):
    """What was certified.

    Attributes:
      rows: records, one for each region that was finished.
      arrays: the worst inputs found and each output's bounds, by region.
      interrupted: the region at which an interrupt came; None if none did.
    """

    rows: list[Record]
    arrays: Arrays
    interrupted: str | None


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
      net: from `error_network`.
      found: the regions.
      effort: how hard to try on each.
      seed: of the attacks.
      reporter: shows progress.
      original: the function that ``net`` was read from, `error_function`: every region's bounds
        are compared with it.

    Raises:
      Fault: where it leaves them.
    """
    rows: list[Record] = []
    arrays: Arrays = {}
    stopped: str | None = None
    with reporter.task("certificates", len(found)) as task:
        for region in found:
            try:
                row, own = _certified(net, region, effort, seed, original, partial(_tell, task))
                rows.append(row)
                arrays |= own
                task.advance(1, region.name)
            except KeyboardInterrupt:
                if not rows:
                    raise
                stopped = region.words
                break
    _nested(found[: len(rows)], rows, arrays)
    return Certified(rows, arrays, stopped)


def _nested(found: list[Region], rows: list[Record], arrays: Arrays) -> None:
    """What holds on a box holds on every box inside, and an input of a box is one of any around
    it: bounds and worst inputs are handed on, so that nested boxes never contradict each other."""
    for k, inner in enumerate(found):
        for j, outer in enumerate(found):
            inside = np.all(outer.box.low <= inner.box.low) and np.all(
                inner.box.high <= outer.box.high
            )
            if k == j or not inside:
                continue
            small, large = rows[k], rows[j]
            if _least(large) < _least(small):
                small["upper"] = large["upper"]
                small["method"] = large["method"]
                for end in ("error_low", "error_high"):
                    arrays[f"{inner.name}/{end}"] = arrays[f"{outer.name}/{end}"]
            if small["lower"]["value"] > large["lower"]["value"]:
                large["lower"], large["output"] = small["lower"], small["output"]
                arrays[f"{outer.name}/x"] = arrays[f"{inner.name}/x"]
    for row in rows:
        lower, upper = row["lower"]["value"], row["upper"]["value"]
        row["ratio"] = upper / lower if lower > 0 and upper is not None else None


def _least(row: Record) -> float:
    """A region's upper bound; infinite where there is none."""
    value = row["upper"]["value"]
    return float("inf") if value is None else float(value)


def _tell(task: Task, text: str) -> None:
    task.advance(0, text)


def _certified(
    net: Network,
    region: Region,
    effort: Effort,
    seed: int,
    original: Original | None,
    said: Callable[[str], None],
) -> tuple[Record, Arrays]:
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
    checked = None
    if original is not None:
        said(f"{region.name}: compared with the network")
        own = role_key(key, "check")
        checked = check(net, original, region.box, made.low, made.high, made.attack.x[None], own)
        # Some of its points may be worse than what the attack found.
        seen = evaluated(net, region.box, checked.worst)
        if seen.error > made.attack.error:
            attack = seen._replace(points=made.attack.points)
            made = made._replace(lower=seen.error, attack=attack)
    arrays = {
        f"{region.name}/x": made.attack.x,
        f"{region.name}/box_low": np.asarray(region.box.low),
        f"{region.name}/box_high": np.asarray(region.box.high),
        f"{region.name}/error_low": made.low,
        f"{region.name}/error_high": made.high,
    }
    record = certificate_record(region, made)
    if checked is not None:
        record["check"] = {k: v for k, v in checked._asdict().items() if k != "worst"}
    return record, arrays


def short_certificate(problem: Problem, params: Params, seed: int) -> Record:
    """A certificate over the range of the data, as a diagnosis holds it: exact for one ReLU
    layer, CROWN for others, a short attack.

    Returns:
      {region, seed, lower, upper, method, rounding}; the estimates None with a ``reason`` where
      the network can't be read.
    """
    effort = Effort(method="crown", restarts=2)
    (region,) = (r for r in regions(problem, effort) if r.name == "range")
    try:
        net = error_network(problem, params)
    except InputError as refused:
        return {"region": region.words, "lower": None, "upper": None, "reason": str(refused)}
    original = Original(error_function(problem, params))
    row, _ = _certified(net, region, effort, seed, original, lambda _: None)
    if row["upper"]["value"] is None:
        reason = row["upper"]["method"]
        return {"region": region.words, "lower": None, "upper": None, "reason": reason}
    return {
        "region": region.words,
        "seed": seed,
        "lower": row["lower"],
        "upper": row["upper"],
        "method": row["method"],
        "rounding": ROUNDING,
    }


def certificate_record(region: Region, made: Certificate) -> Record:
    """As JSON."""
    method = f"certified by {made.method}; {ROUNDING}"
    lower = Estimate(made.lower, 0.0, True, "attained by the input that was found")
    upper = Estimate(made.upper, 0.0, True, method)
    if made.endless is not None:
        upper = Estimate(None, None, False, f"no finite bound: {made.endless}")
    low, high = (np.asarray(end) for end in region.box)
    return {
        "region": region.name,
        "words": region.words,
        "half_width": region.half_width,
        "share": region.share,
        "low": {"least": float(low.min()), "largest": float(low.max())},
        "high": {"least": float(high.min()), "largest": float(high.max())},
        "lower": lower._asdict(),
        "upper": upper._asdict(),
        "ratio": made.upper / made.lower if made.lower > 0 and made.endless is None else None,
        "method": made.method if made.endless is None else None,
        "by_method": {name: b if np.isfinite(b) else None for name, b in made.by_method.items()},
        "looser": made.looser,
        "output": made.attack.output,
        "points": made.attack.points,
    }
