"""A network's Jacobian at fixed parameters, by its products, examples in chunks.

J is the derivative of all outputs of all examples with respect to the parameters. J v is one
forward derivative and J^T u one reverse one; neither evaluates a loss or takes a step.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import trees
from jaxid.core.errors import InputError
from jaxid.core.types import Array, Params
from jaxid.data.examples import placed
from jaxid.problem.admission import depends_on_batch
from jaxid.problem.problem import Problem

Outputs = list[Array]
"""One array (chunk, ...) for each chunk of examples."""


class Jacobian(NamedTuple):
    """J at ``params``, over the examples ``inputs`` (stored units) in chunks; any other
    ``params`` may be put in its place.

    With ``scales``, factors of the leaves' rates, it is J S^(1/2), S the diagonal matrix of them:
    steps of several rates are steps of one rate in coordinates S^(-1/2) theta.
    """

    problem: Problem
    params: Params
    inputs: tuple[Array, ...]
    scales: tuple[float, ...] | None = None

    def outputs(self) -> Outputs:
        """f at ``params``."""
        return [_outputs(self.problem, self.params, x) for x in self.inputs]

    def forward(self, v: Params) -> Outputs:
        """J v."""
        v = self.scaled(v)
        return [_forward(self.problem, self.params, x, v) for x in self.inputs]

    def backward(self, u: Outputs) -> Params:
        """J^T u."""
        total: Params = None
        for x, part in zip(self.inputs, u, strict=True):
            pulled = _backward(self.problem, self.params, x, part)
            total = pulled if total is None else trees.add_scaled(total, 1.0, pulled)
        return self.scaled(total)

    def scaled(self, v: Params) -> Params:
        """S^(1/2) v."""
        if self.scales is None:
            return v
        leaves, tree = jax.tree.flatten(v)
        roots = [s**0.5 for s in self.scales]
        return jax.tree.unflatten(tree, [r * x for r, x in zip(roots, leaves, strict=True)])

    def moved(self, delta: Params) -> Jacobian:
        """At parameters that are S^(1/2) delta away."""
        return self._replace(params=_plus(self.params, self.scaled(delta)))


class Start(NamedTuple):
    """A network at its first parameters: J, the outputs f_0 and the residual r_0 = f_0 - y."""

    jacobian: Jacobian
    outputs: Outputs
    residual: Outputs


def started(
    problem: Problem,
    params: Params,
    places: np.ndarray,
    scales: tuple[float, ...] | None = None,
) -> Start:
    """J (or J S^(1/2)), f_0 and r_0 over the training examples at ``places``.

    Raises:
      InputError: for targets that have not the outputs' shape.
    """
    x, y = problem.train
    coupled = depends_on_batch(problem) is not None
    parts = list(
        placed(x[places], None if y is None else y[places], differentiated=True, whole=coupled)
    )
    inputs, labels = tuple(part[1] for part in parts), [part[2] for part in parts]
    at = Jacobian(problem, params, inputs, scales)
    outputs = at.outputs()
    targets = [problem.targets(one, other) for one, other in zip(inputs, labels, strict=True)]
    if outputs[0].shape != targets[0].shape:
        raise InputError(
            f"the model gives {outputs[0].shape} and the targets are {targets[0].shape}; mse needs "
            "the same shape, so give one target for each output"
        )
    return Start(at, outputs, difference(outputs, targets))


@jax.jit
def difference(a: Params, b: Params) -> Params:
    """a - b, leaf by leaf."""
    return jax.tree.map(jnp.subtract, a, b)


@jax.jit
def _plus(a: Params, b: Params) -> Params:
    return jax.tree.map(jnp.add, a, b)


def _f(problem: Problem, params: Params, x: Array) -> Array:
    return problem.outputs(params, (x, None))


@partial(jax.jit, static_argnums=0)
def _outputs(problem: Problem, params: Params, x: Array) -> Array:
    return _f(problem, params, x)


@partial(jax.jit, static_argnums=0)
def _forward(problem: Problem, params: Params, x: Array, v: Params) -> Array:
    return jax.jvp(lambda p: _f(problem, p, x), (params,), (v,))[1]


@partial(jax.jit, static_argnums=0)
def _backward(problem: Problem, params: Params, x: Array, u: Array) -> Params:
    return jax.vjp(lambda p: _f(problem, p, x), params)[1](u)[0]
