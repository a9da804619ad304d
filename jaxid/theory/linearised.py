"""The loss of a nonlinear network, predicted from its linearisation at the first parameters.

With J the Jacobian of all n m outputs at theta_0 and r_0 = f(theta_0) - y the residual there,
the linearised network f_0 + J (theta - theta_0) has the mean square error of a quadratic, and
after t steps of an optimizer that is linear in the gradient

  r(t) = phi_t(K) r_0,   K = (2 / (n m)) J J^T,   loss(t) = |phi_t(K) r_0|^2 / (n m),

phi_t(h) what t steps leave of an error of 1 in a mode of curvature h, (1 - rate h)^t for gradient
descent. In the limit of wide layers the linearised network is the network (Jacot et al. 2018; Lee
et al. 2019); how far it is for this one `jaxid.theory.linear_range` measures.

Golub-Kahan steps from r_0 (`jaxid.linalg.bidiagonal`) give two quadratures of that sum. For
gradient descent with rate h <= 1 the loss lies between them: Gauss takes what the steps have not
resolved for faster than it is, Gauss-Radau with a node at 0 for what never falls. Their middle is
returned and half their distance is the error; beyond rate h = 1 and with momentum the error is at
least what the last steps changed, and an estimate.

Read: outputs and products with J at theta_0, and outputs at the linearised network's own later
parameters, nothing else. No gradient step of the network is taken and the loss function is never
called. Noise of batches is not in the curve; `jaxid.theory.linear_noise` bounds what it adds.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxid.core import trees
from jaxid.core.errors import InputError
from jaxid.core.random import role_key
from jaxid.core.types import Estimate, Key, Params
from jaxid.linalg.bidiagonal import Bidiagonal, Rule, bidiagonalised
from jaxid.optim.stability_limit import least_limit
from jaxid.problem.problem import Problem
from jaxid.theory.chains import HUGE, Chain, VaryingChain
from jaxid.theory.jacobian import Start, difference, started
from jaxid.theory.linear_noise import Noise, batch_noise, rounding_loss
from jaxid.theory.linear_range import FAR, MISSED, Range, coordinates, measured_range

ENTRIES, EXAMPLES = 1_600_000, 2**14
"""Outputs, and examples, beyond which a random subset stands for the training set."""
PRODUCTS, MEMORY = 200, 2**30
"""Golub-Kahan steps, and bytes of their basis, at most."""
STRIDE = 8
"""Steps between two looks at the quadratures."""
TOLERANCE = 0.01
"""Twice the error over the loss, at every epoch, at which steps end."""
SHARP = 1e-3
"""Residual over the largest curvature at which that has converged."""


class Linearised(NamedTuple):
    """What the linearised network does.

    Attributes:
      curve: (epochs + 1,) its loss on the examples at the start and after every epoch; infinite
        where it diverges.
      error: (epochs + 1,) half the distance of the two quadratures, or more, and what rounding did
        to them, as products with J show it.
      converged: whether it met the tolerance at every epoch.
      floor: the least loss that the linearised network reaches, bounded from above by the steps
        that were made; the error is how much the bound still fell over the last half of them.
      sharpness: the largest curvature of the Gauss-Newton matrix at theta_0, (2 / (n m)) J^T J;
        the error is a residual bound.
      range: how far it holds for the network.
      noise: what batches add to the loss, at most.
      rounding: (epochs + 1,) about the loss below which the network's precision leaves nothing.
      elsewhere: (epochs + 1,) the linearised loss on as many other examples, where a subset was
        taken; the curve of the whole training set lies between it and ``curve``, on average.
        None without a subset, or where no others are left.
      examples: how many were used.
      method: how, in words.
    """

    curve: np.ndarray
    error: np.ndarray
    converged: bool
    floor: Estimate
    sharpness: Estimate
    range: Range
    noise: Noise
    rounding: np.ndarray
    elsewhere: np.ndarray | None
    examples: int
    method: str


def linearised(
    problem: Problem,
    params: Params,
    chain: Chain | VaryingChain,
    epochs: int,
    key: Key,
    *,
    examples: int | None = None,
    products: int = PRODUCTS,
    tolerance: float = TOLERANCE,
    allowed: float = MISSED,
    scales: tuple[float, ...] | None = None,
) -> Linearised:
    """Predict the loss at every epoch from the network at its first parameters.

    Args:
      problem: its loss must be "mse"; any model, any shape of outputs.
      params: theta_0; their dtype is the products'.
      chain: the optimizer, from `jaxid.theory.chains.measured_chain`.
      epochs: 1 or more, of the problem's steps each.
      key: for the random subset.
      examples: how many to use; as many as `ENTRIES` and `EXAMPLES` allow if None.
      products: Golub-Kahan steps at most, each one product with J and one with J^T.
      tolerance: twice the error over the loss, at every epoch, at which steps end.
      allowed: what ``range`` may miss; infinity measures all along the run.
      scales: factors of the leaves' rates over the chain's; None where all are alike. Sharpness
        is of the Gauss-Newton matrix in their coordinates then.

    Raises:
      InputError: for another loss, targets of another shape than the outputs, no examples, or
        outputs that are not finite.
    """
    if problem.loss != "mse":
        raise InputError(f"the loss is {problem.loss!r}; only mse has a linearised prediction")
    if examples is not None and examples < 1:
        raise InputError(f"examples is {examples}; give 1 or more")
    used, others = _subsets(problem, params, key, examples)
    at = started(problem, params, used, scales)
    size = trees.size(at.residual)
    first = _mean_square(at.residual)
    if not np.isfinite(first):
        raise InputError("the outputs at the first parameters are not finite")
    steps = problem.steps_per_epoch * np.arange(epochs + 1)
    most = max(STRIDE, min(products, MEMORY // max(1, trees.nbytes(params))))
    forward, backward = at.jacobian.forward, at.jacobian.backward
    found, floors, met = None, [first], False
    curve, error = np.full(epochs + 1, first), np.zeros(epochs + 1)
    for found in bidiagonalised(forward, backward, at.residual, most):
        floors.append(found.remainder / size)
        if len(floors) % STRIDE == 1 or len(floors) > most or found.ended:
            before = curve
            low, high = (_losses(chain, rule, steps, size) for rule in found.rules)
            error = 0.5 * _gap(low, high)
            curve = np.minimum(low, high) + error
            if not (found.ended or _bounded(chain, found, size)):
                error = np.maximum(error, _gap(before, curve))
            met = bool(np.all(2.0 * error <= tolerance * curve))
            if met and _sharp(found):
                break
    if found is None:
        return _still(first, epochs, len(used))
    held = measured_range(at, found, chain, int(steps[-1]), problem.steps_per_epoch, allowed)
    value, residual = found.largest()
    sharp = 2 / size * (value + residual)
    least = found.remainder / size
    noise = batch_noise(at, chain, held, curve, sharp, least, role_key(key, "predicted noise"))
    how = f"{len(floors) - 1} Golub-Kahan steps from the first residual, {len(used)} examples"
    return Linearised(
        curve=curve,
        error=error + _rounding(chain, found, held, steps, size),
        converged=met,
        floor=_floor(floors, found.ended, how),
        sharpness=Estimate(2 / size * value, 2 / size * residual, _sharp(found), how),
        range=held._replace(residuals=()),
        noise=noise,
        rounding=rounding_loss(at, chain, steps),
        elsewhere=None if others is None else _elsewhere(at, found, chain, steps, others),
        examples=len(used),
        method=how,
    )


def stable_share(chain: Chain | VaryingChain, sharpness: Estimate) -> Estimate:
    """Effective rate times sharpness over the chain's stability limit: above 1 its first steps
    diverge on the linearised network, until the curvature falls.

    Args:
      chain: from `measured_chain`; one that varies has no single rate, and no value.
      sharpness: `Linearised.sharpness`, or that of the Hessian at the same place.
    """
    if isinstance(chain, VaryingChain):
        return Estimate(None, None, False, "the optimizer's rate changes along the run")
    if sharpness.value is None:
        return Estimate(None, None, False, sharpness.method)
    rate = chain.settled_rate
    if rate is None or not rate > 0:
        return Estimate(None, None, False, "the optimizer's momentum never settles")
    limit = least_limit([(chain.still, chain.slope[:, 0] / rate)], "eigenvalues of its update")
    if limit.value is None:
        return limit
    unit = rate / limit.value
    error = None if sharpness.error is None else unit * sharpness.error
    how = f"rate {rate:.4g} times the sharpness over the chain's limit of {limit.value:.4g}"
    return Estimate(unit * sharpness.value, error, sharpness.converged, how)


def _subsets(
    problem: Problem, params: Params, key: Key, examples: int | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """(places of the examples to use, places of as many others or None)."""
    n = problem.examples
    one = (jnp.asarray(problem.train[0][:1]), None)
    outputs = trees.size(jax.eval_shape(problem.outputs, params, one))
    count = min(EXAMPLES, max(1, ENTRIES // outputs)) if examples is None else examples
    if count >= n:
        return np.arange(n), None
    order = np.asarray(jax.random.permutation(role_key(key, "linearised"), n))
    others = order[count : 2 * count]
    return np.sort(order[:count]), np.sort(others) if len(others) == count else None


def _bounded(chain: Chain | VaryingChain, found: Bidiagonal, size: int) -> bool:
    """Whether the loss lies between the quadratures: gradient descent, rate times h <= 1."""
    if isinstance(chain, VaryingChain):
        largest = -float(chain.slope[:, 0, 0].min())
        plain = chain.still.shape[1:] == (1, 1) and float(chain.slope.max()) <= 0
        return plain and largest * 2.0 / size * found.largest()[0] <= 1.0
    rate = -float(chain.slope[0, 0])
    return chain.still.shape == (1, 1) and rate * 2.0 / size * found.largest()[0] <= 1.0


def _sharp(found: Bidiagonal) -> bool:
    value, residual = found.largest()
    return residual <= SHARP * value


def _mean_square(residual: Params) -> float:
    return float(trees.norm(residual)) ** 2 / trees.size(residual)


def _losses(chain: Chain | VaryingChain, rule: Rule, steps: np.ndarray, size: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        values = chain.left(2.0 / size * rule.squares, steps) ** 2 @ rule.weights / size
    return np.where(values < HUGE, values, np.inf)


def _gap(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """|high - low|, 0 where both are infinite."""
    both = np.isinf(low) & np.isinf(high)
    return np.where(both, 0.0, np.abs(np.where(both, 0.0, high) - np.where(both, 0.0, low)))


def _rounding(
    chain: Chain | VaryingChain, found: Bidiagonal, held: Range, steps: np.ndarray, size: int
) -> np.ndarray:
    """What a product with J at the checked places makes of the loss, less Gauss-Radau's rule,
    which is the same in exact arithmetic; between them interpolated."""
    places = np.round(held.checked * steps[1]).astype(int)
    rule = _losses(chain, found.rules[1], places, size)
    return np.interp(steps, places, np.nan_to_num(_gap(rule, held.losses), posinf=0.0))


def _floor(floors: list[float], ended: bool, how: str) -> Estimate:
    """The last bound; by how much it fell since half as many steps."""
    last = floors[-1]
    fell = 0.0 if ended else floors[(len(floors) - 1) // 2] - last
    return Estimate(last, fell, fell <= TOLERANCE * last, f"an upper bound: {how}")


def _elsewhere(
    at: Start, found: Bidiagonal, chain: Chain | VaryingChain, steps: np.ndarray, places: np.ndarray
) -> np.ndarray:
    there = started(at.jacobian.problem, at.jacobian.params, places, at.jacobian.scales)
    losses = []
    for row in coordinates(found, chain, steps, trees.size(at.residual)):
        if not np.abs(row).max() < FAR:
            losses.append(np.inf)
            continue
        shift = there.jacobian.forward(found.vector(-row))
        losses.append(_mean_square(difference(there.residual, shift)))
    return np.array(losses)


def _still(first: float, epochs: int, examples: int) -> Linearised:
    """Nothing moves where the gradient is 0."""
    why = "the gradient at the first parameters is 0"
    none, flat = np.zeros(0), np.full(epochs + 1, first)
    return Linearised(
        curve=flat,
        error=np.zeros(epochs + 1),
        converged=True,
        floor=Estimate(first, 0.0, True, why),
        sharpness=Estimate(None, None, False, why),
        range=Range(float(epochs), none, none, none, none),
        noise=Noise(float(epochs), np.zeros(epochs + 1), np.zeros(epochs + 1), np.zeros((0, 4))),
        rounding=np.zeros(epochs + 1),
        elsewhere=None,
        examples=examples,
        method=why,
    )
