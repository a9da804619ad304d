"""What is certified: e(x) = f(x) - target(x), in original units, as it runs and as bounds take it.

Networks that couple the examples of a batch, or draw random numbers for each, are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core.blame import with_place
from jaxid.core.errors import InputError
from jaxid.core.types import Params
from jaxid.problem.problem import Problem
from jaxid.tracing.independence import Coupling, coupling
from jaxid.tracing.independence_rules import Reason
from jaxid.tracing.source import line_of
from jaxid.verification.network import Network, network


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
