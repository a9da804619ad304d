"""How far off a trained network can be, and on which inputs: proofs from above, inputs from
below.

Everything is in original units: e(x) = f(x) - target(x) with the problem's own maps before and
behind the network, so that 0..255 pixels in are 0..255 pixels off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxid.diagnosis.representation import family_of
from jaxid.errors import InputError
from jaxid.experiment import IdentitySpec
from jaxid.expressivity.bounds import MethodName
from jaxid.expressivity.certificate import ROUNDING, Certificate, certify
from jaxid.expressivity.family import Target
from jaxid.expressivity.intervals import Interval
from jaxid.expressivity.network import Network, network
from jaxid.expressivity.verdict import Verdict, verdict
from jaxid.precision import float64
from jaxid.prng import role_key, seed_key
from jaxid.problem import Problem
from jaxid.tracing import mixes_examples
from jaxid.training.progress import SILENT, Reporter, Task
from jaxid.types import Estimate, Params

Record = dict[str, Any]
Arrays = dict[str, np.ndarray]
SHARES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.6, 2.0)
"""Half widths of the boxes of the interval curve, over the data's own."""


@dataclass(frozen=True)
class Effort:
    """How much to do."""

    method: MethodName = "alpha"
    """Dearest bound of the boxes: intervals, crown, or alpha, which optimises its slopes."""
    curve_method: MethodName = "crown"
    """Dearest bound of the interval curve and of the balls."""
    steps: int = 20
    """Steps of that optimisation."""
    balls: int = 5
    """Test examples with a ball around each; 0 for none."""
    radius: float | None = None
    """Radius of the balls, largest change of a feature; a twentieth of the data's range."""
    curve: bool = True
    """Whether to draw error bounds against the interval's half width."""
    restarts: int = 8
    """Starts of the attack for each side of an output that it climbs."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 1 or self.balls < 0:
            raise InputError(
                f"--steps is {self.steps}, --restarts {self.restarts}, --balls {self.balls}; the "
                "first two must be 1 or more, the last 0 or more"
            )
        if self.radius is not None and not 0 < self.radius < np.inf:
            raise InputError(f"--radius is {self.radius}; give a positive number")


class Region(NamedTuple):
    """A box of inputs.

    Attributes:
      name: of its arrays.
      words: for a reader.
      box: low and high, each (inputs,).
      half_width: the largest, over the features.
      share: of the data's half width, for the interval curve; None for others.
    """

    name: str
    words: str
    box: Interval
    half_width: float
    share: float | None = None


def error_network(
    problem: Problem, params: Params, target: Callable[[Any], Any] | None = None
) -> Network:
    """e(x) = f(x) - target(x) in original units.

    Args:
      problem: network and maps.
      params: its parameters.
      target: (batch, ...) -> (batch, m); the identity if None.

    Raises:
      InputError: for networks that bounds can't read, and outputs of another length.
    """
    shape = np.shape(problem.train[0])[1:]

    def error(x: Any) -> Any:
        outputs = problem.original(problem.net.apply(params, problem.inputs(x)))
        targets = x if target is None else target(x)
        if outputs.shape != targets.shape:
            raise InputError(
                f"the network gives {outputs.shape[1:]} and the target {targets.shape[1:]}; name "
                "a function with --target that gives what the network should"
            )
        return (outputs - targets).reshape(x.shape[0], -1)

    if mixes_examples(error, shape):
        raise InputError(
            "the network's output for one input depends on the others of its batch; certify what "
            "treats them apart (batch statistics frozen, no mean over the batch)"
        )
    return network(error, shape)


def regions(problem: Problem, effort: Effort) -> list[Region]:
    """The whole range, the data's bounding box, balls about test examples, the curve's boxes."""
    x = np.asarray(problem.train[0], np.float64).reshape(problem.examples, -1)
    least, most = float(x.min()), float(x.max())
    low, high = np.full(x.shape[1], least), np.full(x.shape[1], most)
    half = 0.5 * (most - least)
    found = [
        Region("range", f"every feature from {least:g} to {most:g}", Interval(low, high), half),
        Region(
            "bounding_box",
            "each feature within its own range on the training set",
            Interval(x.min(axis=0), x.max(axis=0)),
            float(0.5 * np.ptp(x, axis=0).max()),
        ),
    ]
    part = problem.train if problem.test is None else problem.test
    centres = np.asarray(part[0][: effort.balls], np.float64).reshape(-1, x.shape[1])
    radius = effort.radius if effort.radius is not None else (most - least) / 20
    name = "training" if problem.test is None else "test"
    for k, centre in enumerate(centres[: effort.balls]):
        box = Interval(np.maximum(centre - radius, low), np.minimum(centre + radius, high))
        words = f"within {radius:g} of {name} example {k + 1}, and in range"
        found.append(Region(f"ball_{k + 1}", words, box, radius))
    if effort.curve:
        centre = 0.5 * (least + most)
        for share in SHARES:
            ends = np.full(x.shape[1], share * half)
            box = Interval(centre - ends, centre + ends)
            words = f"every feature within {share * half:g} of {centre:g}"
            found.append(Region(f"curve_{share:g}", words, box, share * half, share))
    return found


def certify_regions(
    net: Network,
    found: list[Region],
    effort: Effort,
    seed: int,
    reporter: Reporter = SILENT,
) -> tuple[list[Record], Arrays]:
    """Certificates for the regions: records, and the worst inputs found, by region."""
    rows: list[Record] = []
    arrays: Arrays = {}
    with reporter.task("certificates", len(found)) as task:
        for region in found:
            rows.append(_certified(net, region, effort, seed, task, arrays))
            task.advance(1, region.name)
    return rows, arrays


def _certified(
    net: Network, region: Region, effort: Effort, seed: int, task: Task, arrays: Arrays
) -> Record:
    boxes = region.name in ("range", "bounding_box")
    key = role_key(seed_key(seed), f"attack {region.name}")
    made = certify(
        net,
        region.box,
        key,
        method=effort.method if boxes else effort.curve_method,
        steps=effort.steps,
        restarts=effort.restarts if boxes else max(1, effort.restarts // 4),
        said=lambda text: task.advance(0, f"{region.name}: {text}"),
    )
    arrays[f"{region.name}/x"] = made.attack.x
    arrays[f"{region.name}/low"], arrays[f"{region.name}/high"] = made.low, made.high
    return certificate_record(region, made)


def certificate_record(region: Region, made: Certificate) -> Record:
    """As JSON."""
    method = f"certified by {made.method}; {ROUNDING}"
    lower = Estimate(made.lower, 0.0, True, "attained by the input that was found")
    upper = Estimate(made.upper, 0.0, True, method)
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
        "ratio": made.upper / made.lower if made.lower > 0 else None,
        "method": made.method,
        "by_method": made.by_method,
        "looser": made.looser,
        "output": made.attack.output,
        "points": made.attack.points,
    }


def family_verdict(spec: IdentitySpec, problem: Problem) -> tuple[Verdict | None, str]:
    """(what the family could represent on the range of the data, in training units; the box in
    words), or (None, why not)."""
    x = np.asarray(problem.train[0])
    low, high = np.full(x.shape[1], x.min(), float), np.full(x.shape[1], x.max(), float)
    inputs, targets = (
        _diagonal(mapped, x.shape[1]) for mapped in (problem.input_map, problem.target_map)
    )
    if inputs is None or targets is None:
        return None, "whitening mixes features, so that the box of inputs is no box behind it"
    if np.any(inputs[0] == 0):
        # A constant feature becomes 0: there is nothing to represent in it.
        inputs = (np.where(inputs[0] == 0, 1.0, inputs[0]), inputs[1])
        low = np.where(inputs[0] == 0, 0.0, low)
    scale = targets[0] / inputs[0]
    offset = targets[1] - scale * inputs[1]
    ends = np.sort([inputs[0] * low + inputs[1], inputs[0] * high + inputs[1]], axis=0)
    target = Target(scale, offset, ends[0], ends[1])
    words = f"training units, inputs from {ends[0].min():.4g} to {ends[1].max():.4g}"
    return verdict(family_of(spec, x.shape[1]), target), words


def _diagonal(mapped: Any, d: int) -> tuple[np.ndarray, np.ndarray] | None:
    """(a, b) of a map that is a x + b feature by feature; None if it is not."""
    if mapped is None:
        return np.ones(d), np.zeros(d)
    with float64():
        rows = jnp.concatenate([jnp.zeros((1, d)), jnp.eye(d)])
        values = np.asarray(mapped.apply(rows), np.float64)
    matrix = values[1:] - values[:1]
    off = matrix - np.diag(np.diag(matrix))
    if np.abs(off).max() > 1e-5 * np.abs(matrix).max():
        return None
    return np.diag(matrix).copy(), values[0]


def verdict_record(found: Verdict | None, words: str) -> Record:
    """As JSON."""
    if found is None:
        return {"kind": None, "words": words}
    return {
        "kind": found.kind,
        "words": found.words,
        "box": words,
        "lower": found.lower.error,
        "reason": found.lower.reason,
        "upper": None if found.upper is None else found.upper._asdict(),
        "attained": found.attained,
        "witness": None if found.witness is None else found.witness.words,
    }
