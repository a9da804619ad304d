"""Which rescalings of a problem leave training the same, and what must change for that.

A rescaling by c > 0 that multiplies the loss by c^l leaves the run the same, in other units, if
every parameter's path is multiplied by a fixed c^p (p of its own for kernels, biases, layers) and
the network with those parameters still computes the rescaled function. Then its gradient is
multiplied by c^(l - p), and a chain of degree alpha (`jaxid.optim.first_steps`) moves it by
c^(alpha (l - p)) where c^p is wanted:

  rate:  c^(p - alpha (l - p));   eps outside the root: c^(l - p);   inside: c^(2 (l - p)).

The rescalings, for layers a(W x + b) and a loss in f - y of degree 2, such as the mean square:

  both       inputs and targets times c:  l = 2;  kernels p = 0, biases p = 1
  inputs     inputs alone times c:        l = 0;  first kernel p = -1, all else 0
  targets    targets alone times c:       l = 2;  last kernel and bias p = 1, all else 0
  loss       the loss times c:            l = 1;  p = 0

"both" needs activations with a(c z) = c a(z) (linear, ReLU, leaky ReLU), "targets" needs it of the
output's alone, "inputs" and "loss" of none. "inputs" holds for each feature with a c of its own,
rates then by columns of the first kernel. A sum over m outputs in place of the mean is "loss" with
c = m. Where p is not 0 initial values must be multiplied too; biases start at 0 as a rule.

Without an exact equivalent, whatever the rates: a shift of the inputs (the bias' gradient enters
the kernel's); a sum over a batch's examples where the last batch is smaller (the factor changes
within an epoch); inputs or targets rescaled with initial values left as they were, unless these
were 0; anything with weight decay or clipping (the update is not homogeneous in the gradient).
"""

from __future__ import annotations

from typing import NamedTuple

import optax

from jaxid.core.errors import InputError
from jaxid.core.types import Estimate
from jaxid.optim.first_steps import LARGE, degree, half_step


class Change(NamedTuple):
    """Exponents of c for one parameter array: what is multiplied by c^exponent.

    Attributes:
      values: the parameter itself, its initial values included.
      gradient: the gradient, and so eps outside the square root.
      rate: the learning rate.
    """

    values: float
    gradient: float
    rate: float

    @property
    def eps_in_sqrt(self) -> float:
        """Of eps under the square root."""
        return 2 * self.gradient


class Rescaling(NamedTuple):
    """A rescaling by c and what leaves the run the same.

    Attributes:
      name: "both", "inputs", "targets" or "loss".
      loss: the exponent of the loss; two losses are compared after dividing by c^loss.
      kernels, biases: a Change for each layer, from the input on; biases () without.
    """

    name: str
    loss: float
    kernels: tuple[Change, ...]
    biases: tuple[Change, ...]

    @property
    def nothing(self) -> bool:
        """Whether nothing must change: no rate, no initial value but biases' (they are 0). With
        eps > 0 this holds only where the gradients are the same too."""
        parts = (*self.kernels, *self.biases)
        return all(part.rate == 0 for part in parts) and all(k.values == 0 for k in self.kernels)


class Invariance(NamedTuple):
    """What a chain's updates make of rescalings.

    Attributes:
      degree: alpha at gradients far above eps.
      half_step: the gradient at which eps takes half of the step; 0 is no eps.
      rescalings: () for a chain without a degree; ``degree.method`` says why.
    """

    degree: Estimate
    half_step: Estimate
    rescalings: tuple[Rescaling, ...]


def rescalings(alpha: float, layers: int, *, bias: bool = True) -> tuple[Rescaling, ...]:
    """The table for a chain of degree alpha.

    Args:
      alpha: 1 for SGD with or without momentum, 0 for RMSprop and Adam with eps = 0.
      layers: kernels of the network.
      bias: whether layers have one.

    Raises:
      InputError: for fewer than one layer.

    Example:
      >>> both = rescalings(0.0, 1)[0]
      >>> both.kernels[0].rate, both.biases[0].rate, both.nothing
      (0.0, 1.0, False)
    """
    if layers < 1:
        raise InputError(f"layers is {layers}; a network has 1 or more")
    still = [0.0] * layers
    first, last = [-1.0, *still[1:]], [*still[:-1], 1.0]
    powers = (
        ("both", 2.0, still, [1.0] * layers),
        ("inputs", 0.0, first, still),
        ("targets", 2.0, last, last),
        ("loss", 1.0, still, still),
    )

    def changes(loss: float, values: list[float]) -> tuple[Change, ...]:
        return tuple(Change(p, loss - p, p - alpha * (loss - p)) for p in values)

    return tuple(
        Rescaling(name, loss, changes(loss, kernels), changes(loss, biases) if bias else ())
        for name, loss, kernels, biases in powers
    )


def invariance(
    optimizer: optax.GradientTransformation, layers: int, *, bias: bool = True
) -> Invariance:
    """The table for a user's own chain, its degree and eps measured from its update."""
    found = degree(optimizer, LARGE)
    half = half_step(optimizer)
    if found.value is None or not found.converged:
        return Invariance(found, half, ())
    # Rounding of a measured degree would make "nothing" a matter of luck.
    alpha = round(found.value, 6) + 0.0
    return Invariance(found, half, rescalings(alpha, layers, bias=bias))
