"""`jaxid.certify`: how far off a network can be, and on which inputs.

Everything is in original units: e(x) = f(x) - target(x) with the problem's own maps before and
behind the network, so that 0..255 pixels in are 0..255 pixels off.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.certification.certified import Certification, Images, Parameter, RegionCertificate
from jaxid.certification.certify_regions import certify_regions, predicted_seconds
from jaxid.certification.error_function import error_function, error_network
from jaxid.certification.family import FamilyVerdict
from jaxid.certification.regions import Effort, regions
from jaxid.core import interrupt
from jaxid.core.errors import InputError
from jaxid.core.progress import SILENT, Reporter
from jaxid.core.provenance import origin
from jaxid.core.random import role_key, seed_key
from jaxid.core.types import Params, Settings
from jaxid.problem.admission import admit
from jaxid.problem.problem import Problem
from jaxid.training.loop import Stage, one_seed
from jaxid.training.run import History
from jaxid.verification.certificate import ROUNDING
from jaxid.verification.check import Original

IDENTITY = "identity"
"""What the target is called where none is given."""


def certify(
    problem: Problem,
    run: History | None = None,
    target: Callable[[Any], Any] | None = None,
    *,
    effort: Effort = Effort(),  # noqa: B008 - frozen
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Certification:
    """Bound a network's worst error over boxes of inputs: a proof from above, an input from below.

    Boxes are the range of the data, their bounding box, balls about examples, intervals inside and
    beyond the data. No input of a box is off by more than the upper bound, in real arithmetic with
    the stored parameters; the input that was found attains the lower one.

    Args:
      problem: network, data, and the maps before and behind the network.
      run: what was trained; its first seed's network is certified. The initial parameters of
        ``seed`` if None; ``stage`` says which it is.
      target: what the network should give, (batch, ...) -> (batch, m), traceable. The identity if
        None.
      effort: which boxes, and how hard to try on each.
      seed: of the initial parameters, and of the attack's random starts.
      reporter: progress; silent if None.

    Returns:
      Certification. After Ctrl-C it has the regions that were finished, and ``interrupted`` says
      where it came. Its ``family`` is None: where the family is known, `dataclasses.replace` puts
      in what `jaxid.identity.family_verdict` says.

    Raises:
      InputError: one line, for a network that bounds can't read, for examples that are not treated
        apart and alike, and for a target that does not fit.
      Fault: where the network leaves its bounds, which is a fault of jaxid.
      KeyboardInterrupt: if not even the first region was finished.

    Example:
      >>> found = jaxid.certify(problem)
      >>> found.regions[0].words, found.regions[0].lower.value, found.regions[0].upper.value
      ('every feature from 0 to 16', 77.2652238..., 77.2652238...)
      >>> found.save("runs/certificate")
    """
    _check_target(problem, target)
    with interrupt.listening():
        admit(problem, gradient=False)
        if run is None:
            params, stage = _initial(problem, seed), Stage.INIT
        else:
            params, stage = one_seed(run.state, 0).params, Stage.END
        return certify_parameters(
            problem,
            params,
            stage,
            target,
            effort=effort,
            seed=seed,
            seeds=(seed,) if run is None else (),
            reporter=reporter or SILENT,
        )


def certify_parameters(
    problem: Problem,
    params: Params,
    stage: Stage,
    target: Callable[[Any], Any] | None = None,
    *,
    effort: Effort,
    seed: int,
    seeds: Sequence[int] = (),
    settings: Settings | None = None,
    target_name: str | None = None,
    family: FamilyVerdict | None = None,
    image_shape: tuple[int, ...] | None = None,
    began: datetime.datetime | None = None,
    reporter: Reporter = SILENT,
) -> Certification:
    """The same for parameters that are at hand.

    Args:
      problem, target, effort, seed, reporter: as in `certify`.
      params: one seed's.
      stage: where in training they were taken.
      seeds: of the run, for `Provenance`.
      settings: how the problem is named.
      target_name: how the target is; by its function's name if None.
      family: what any parameters could do.
      image_shape: (height, width) where an input is an image.
      began: when the work on these parameters did, UTC; now if None.

    Raises:
      InputError, Fault, KeyboardInterrupt: as in `certify`.
    """
    began = began or datetime.datetime.now(datetime.UTC)
    _check_target(problem, target)
    net = error_network(problem, params, target)
    original = Original(error_function(problem, params, target))
    found = regions(problem, effort)
    rows, stopped = certify_regions(net, found, effort, seed, reporter, original)
    top = np.asarray(float(np.max(problem.train[0])))
    seconds = (datetime.datetime.now(datetime.UTC) - began).total_seconds()
    return Certification(
        problem=settings or {},
        target=target_name or _name(target),
        stage=stage,
        seed=seed,
        family=family,
        regions=tuple(_with_outputs(problem, params, row) for row in rows),
        rounding=ROUNDING,
        network=_parameters(params),
        images=None if image_shape is None else Images(np.asarray(image_shape), top),
        interrupted=None if stopped is None else stopped.words,
        provenance=origin(seeds, began, round(seconds, 2)),
    )


class Foreseen(NamedTuple):
    """What certifying will take.

    Attributes:
      regions: how many.
      seconds: about.
    """

    regions: int
    seconds: float


def foresee(
    problem: Problem,
    params: Params,
    target: Callable[[Any], Any] | None = None,
    *,
    effort: Effort,
) -> Foreseen:
    """Read the network, and predict what `certify_parameters` will take.

    Whatever the parameters are: before training it refuses what can't be bounded after it.

    Args:
      problem, params, target, effort: as in `certify_parameters`.

    Raises:
      InputError: as in `certify`.
    """
    _check_target(problem, target)
    found = regions(problem, effort)
    seconds = predicted_seconds(error_network(problem, params, target), found, effort)
    return Foreseen(len(found), seconds)


def _check_target(problem: Problem, target: Callable[[Any], Any] | None) -> None:
    """There is one: the identity, or a function.

    Raises:
      InputError: for targets that are data, which say nothing of other inputs.
    """
    if target is None and not problem.is_identity:
        raise InputError("this Problem has targets of its own; name their function with --target")


def _initial(problem: Problem, seed: int) -> Params:
    """The parameters that training would begin with."""
    with jax.default_matmul_precision("highest"):
        return jax.jit(problem.init)(role_key(seed_key(seed), "init"))


def _name(target: Callable[[Any], Any] | None) -> str:
    return IDENTITY if target is None else getattr(target, "__name__", type(target).__name__)


def _with_outputs(problem: Problem, params: Params, row: RegionCertificate) -> RegionCertificate:
    """With what the network gives at the worst input, as it runs."""
    x = row.x.reshape((1, *np.shape(problem.train[0])[1:]))
    shown = problem.original(problem.net.apply(params, problem.inputs(jnp.asarray(x))))
    return dataclasses.replace(row, outputs=np.asarray(shown).ravel())


def _parameters(params: Params) -> tuple[Parameter, ...]:
    """By their places in the tree."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return tuple(Parameter(jax.tree_util.keystr(path), np.asarray(leaf)) for path, leaf in leaves)
