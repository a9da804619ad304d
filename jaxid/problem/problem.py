"""Problem: a model, a loss, data, an optimizer, a budget; and the only home of the
loss's conventions.

The loss is the mean over examples and outputs of (f(x) - y)^2, as Keras' ``mse``: there is
no 1/2 anywhere.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxid.core.blame import line_in_users_file
from jaxid.core.errors import InputError
from jaxid.core.types import Array, LossFn, Params
from jaxid.nets.adapters import as_model
from jaxid.nets.model import Model


class AffineMap(Protocol):
    """An invertible map of features, e.g. `jaxid.data.scaling.Scaling`."""

    def apply(self, x: Array) -> Array:
        """Original units to training units, float32."""
        ...

    def invert(self, z: Array) -> Array:
        """Training units to original units."""
        ...


def squared_error(outputs: Array, targets: Array) -> Array:
    """Mean over outputs of (f - y)^2, per example: (batch, m), (batch, m) -> (batch,).

    Raises:
      InputError: for shapes that differ; (batch, m) against (batch, 1) would be broadcast.
    """
    if outputs.shape != targets.shape:
        raise InputError(
            f"the model gives {outputs.shape} and the targets are {targets.shape}; mse needs the "
            "same shape, so give one target for each output"
        )
    return jnp.mean(jnp.square(outputs - targets), axis=tuple(range(1, outputs.ndim)))


def cross_entropy(outputs: Array, targets: Array) -> Array:
    """Softmax cross-entropy of logits; integer targets (batch,) or one-hot (batch, m)."""
    if targets.ndim == outputs.ndim:
        return optax.softmax_cross_entropy(outputs, targets)
    return optax.softmax_cross_entropy_with_integer_labels(outputs, targets.astype(jnp.int32))


MOST = 2**31 - 1
"""Steps are counted in int32."""
LOSSES: dict[str, LossFn] = {"mse": squared_error, "cross_entropy": cross_entropy}


@dataclass(frozen=True, eq=False)
class Problem:
    """What is to be learned, by what, how.

    Args:
      model: a factory of NNX modules taking rngs, a Linen module, or `Model`(init, apply).
      loss: "mse", "cross_entropy", or f(outputs, targets) -> (batch,), one number for each
        example. It gets integer targets as they are, others in float32.
      train: (x, y), arrays of equal length, kept on the device in their own dtype (uint8
        stays uint8); y = None means the identity target y = x.
      test: the same, optional.
      optimizer: any Optax chain.
      batch_size: examples per step; the last, smaller batch of an epoch is kept.
      epochs: passes over the training set, reshuffled each time.
      input_map, target_map: applied to x and y on the device (None: float32 as they are).
        Losses are in training units; metrics also come in the original ones.

    Raises:
      InputError: for empty or unequal arrays, an unknown loss, or a budget below 1.

    Example:
      >>> problem = Problem(model=lambda rngs: nnx.Linear(4, 4, rngs=rngs), train=(x, None),
      ...                   optimizer=optax.sgd(0.1))
    """

    model: Any
    train: tuple[Any, Any]
    optimizer: optax.GradientTransformation
    loss: str | LossFn = "mse"
    test: tuple[Any, Any] | None = None
    batch_size: int = 128
    epochs: int = 20
    input_map: AffineMap | None = None
    target_map: AffineMap | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", as_model(self.model))
        if isinstance(self.loss, str) and self.loss not in LOSSES:
            raise InputError(f"loss {self.loss!r} is unknown; use one of {', '.join(LOSSES)}")
        if not isinstance(self.loss, str) and not callable(self.loss):
            raise InputError(
                f"loss is a {type(self.loss).__name__}; give its name ({', '.join(LOSSES)}), or "
                "f(outputs, targets) -> (batch,)"
            )
        _check_optimizer(self.optimizer)
        for name, part in (("train", self.train), ("test", self.test)):
            _check_arrays(name, part)
        # A batch larger than the data is all of it.
        batch = min(_whole("batch_size", self.batch_size), self.examples)
        object.__setattr__(self, "batch_size", batch)
        object.__setattr__(self, "epochs", _whole("epochs", self.epochs))
        if self.epochs * self.steps_per_epoch > MOST:
            raise InputError(
                f"epochs is {self.epochs:,} of {self.steps_per_epoch:,} steps; at most {MOST:,} "
                "steps are counted"
            )
        for name, part in (("train", self.train), ("test", self.test)):
            if self.loss == "mse" and part is not None and np.ndim(part[1]) == 1:
                # (n, m) outputs minus (n,) targets would be broadcast to (n, n).
                raise InputError(
                    f"{name} targets have shape {np.shape(part[1])}; mse needs "
                    "(examples, outputs), so give y[:, None] for one output"
                )

    @property
    def net(self) -> Model:
        """The model after adaptation."""
        return self.model

    @property
    def is_identity(self) -> bool:
        """Whether the target is the input itself."""
        return self.train[1] is None

    @property
    def examples(self) -> int:
        """n, the number of training examples."""
        return int(np.shape(self.train[0])[0])

    @property
    def steps_per_epoch(self) -> int:
        """ceil(n / batch_size)."""
        return -(-self.examples // self.batch_size)

    @property
    def loss_fn(self) -> LossFn:
        """(outputs, targets) -> per-example loss."""
        return LOSSES[self.loss] if isinstance(self.loss, str) else self.loss

    def inputs(self, x: Array) -> Array:
        """What the model sees: x in training units, float32; integers other than uint8 as they
        are, since they are tokens or labels."""
        whole = jnp.issubdtype(x.dtype, jnp.integer) and x.dtype != jnp.uint8
        if self.input_map is None and (whole or x.dtype == jnp.bool_):
            return x
        return _mapped(self.input_map, x)

    def targets(self, x: Array, y: Array | None) -> Array:
        """What the model should give: y (or x, for the identity) in training units."""
        raw = x if y is None else y
        if self.loss == "cross_entropy" or self._labels(y):
            return raw
        return _mapped(self.target_map, raw)

    def _labels(self, y: Array | None) -> bool:
        """Whether a loss of the user's own is given integers, which are labels."""
        own = y is not None and not isinstance(self.loss, str) and self.target_map is None
        return own and jnp.issubdtype(jnp.asarray(y).dtype, jnp.integer)

    def original(self, outputs: Array) -> Array:
        """Outputs or targets mapped back to original units."""
        return outputs if self.target_map is None else self.target_map.invert(outputs)

    def original_loss(self, outputs: Array, targets: Array) -> Array:
        """The per-example loss in original units, (batch,)."""
        if self.target_map is None or self.loss != "mse":
            return self.loss_fn(outputs, targets)
        return squared_error(self.original(outputs), self.original(targets))

    def batch_loss(
        self, params: Params, x: Array, y: Array | None, weights: Array
    ) -> tuple[Array, Array]:
        """Weighted mean loss over a batch: sum_i w_i l_i / sum_i w_i.

        Args:
          params: the model's parameters.
          x, y: a batch in stored units.
          weights: (batch,), 0 for padding.

        Returns:
          (loss in training units, the same in original units), scalars.
        """
        outputs = self.net.apply(params, self.inputs(x))
        targets = self.targets(x, y)
        mean = _weighted_mean(self.loss_fn(outputs, targets), weights)
        if self.target_map is None or self.loss != "mse":
            return mean, mean
        original = _weighted_mean(self.original_loss(outputs, targets), weights)
        return mean, jax.lax.stop_gradient(original)

    def mean_loss(self, params: Params, batch: tuple[Array, Array | None]) -> Array:
        """The mean loss over a batch (x, y) in stored units; y = None is the identity target."""
        return jnp.mean(self.output_losses(self.outputs(params, batch), batch))

    def outputs(self, params: Params, batch: tuple[Array, Array | None]) -> Array:
        """The network's outputs for a batch (x, y) in stored units, (batch, ...)."""
        return self.net.apply(params, self.inputs(batch[0]))

    def output_losses(self, outputs: Array, batch: tuple[Array, Array | None]) -> Array:
        """The loss of each example of a batch (x, y), given its outputs, (batch,)."""
        return self.loss_fn(outputs, self.targets(*batch))

    def init(self, key: jax.Array) -> Params:
        """Parameters drawn from the key."""
        example = self.inputs(jnp.asarray(self.train[0][:1]))
        return self.net.init(key, example)

    def check_loss(self) -> None:
        """See, without computing anything, that the loss gives one number for each example.

        Raises:
          InputError: with the shape that it gives.
        """
        x, y = (None if part is None else jnp.asarray(part[:2]) for part in self.train)
        params = jax.eval_shape(self.init, jax.random.key(0))
        outputs = jax.eval_shape(self.outputs, params, (x, y))
        try:
            made = jax.eval_shape(self.output_losses, outputs, (x, y))
        except TypeError as wrong:
            if line_in_users_file(wrong) is not None:
                raise
            message = str(wrong).splitlines()[0]
            raise InputError(
                f"the loss does not take outputs {outputs.shape} and these targets: {message}"
            ) from None
        assert x is not None
        found = getattr(made, "shape", None)
        if found is None:
            raise InputError(
                f"the loss gives a {type(made).__name__} for {x.shape[0]} examples; give one array "
                "of one loss for each, (batch,)"
            )
        if found != x.shape[:1]:
            raise InputError(
                f"the loss gives shape {found} for {x.shape[0]} examples; give one loss for each, "
                "(batch,): leave out a mean over examples"
            )


def _whole(name: str, value: Any) -> int:
    """A number of batches or epochs, as an int.

    Raises:
      InputError: for what is no whole number of 1 or more.
    """
    try:
        whole = operator.index(value)
    except TypeError:
        whole = 0
    if whole < 1 or isinstance(value, bool):
        raise InputError(f"{name} is {value!r}; give a whole number of 1 or more")
    return whole


def _check_optimizer(optimizer: Any) -> None:
    """It is an Optax chain, or there is none.

    Raises:
      InputError: what it is instead, and what to give.
    """
    if optimizer is None or (
        callable(getattr(optimizer, "init", None)) and callable(getattr(optimizer, "update", None))
    ):
        # Curvature needs none.
        return
    what = type(optimizer).__name__
    if isinstance(optimizer, type) or isinstance(getattr(optimizer, "tx", None), tuple):
        fix = "give the Optax chain that it is made of, its tx"
    elif callable(optimizer):
        what, fix = getattr(optimizer, "__name__", what), "call it: optax.adam(1e-3)"
    else:
        fix = "give an Optax chain, optax.adam(1e-3) say"
    raise InputError(f"optimizer is {what}, which has no init and update; {fix}")


def _mapped(affine: AffineMap | None, x: Array) -> Array:
    if affine is None:
        return x.astype(jnp.float32) if not jnp.issubdtype(x.dtype, jnp.floating) else x
    return affine.apply(x)


def _weighted_mean(values: Array, weights: Array) -> Array:
    # where, not a product: a padded row must not carry a NaN into the sum.
    return jnp.sum(jnp.where(weights > 0, values * weights, 0.0)) / jnp.sum(weights)


def _check_arrays(name: str, part: Any) -> None:
    if part is None and name == "test":
        return
    if not isinstance(part, tuple | list) or len(part) != 2:
        what = f"{len(part)} of them" if isinstance(part, tuple | list) else type(part).__name__
        raise InputError(
            f"{name} is not (inputs, targets) but {what}; give (x, y), or (x, None) for the "
            "identity"
        )
    x, y = part
    for what, array in (("inputs", x), ("targets", y)):
        if array is None and what == "targets":
            continue
        if not hasattr(array, "shape") or not hasattr(array, "dtype"):
            raise InputError(
                f"{name} {what} are a {type(array).__name__}; give one array, (examples, ...)"
            )
        _check_kind(f"{name} {what}", array)
    if np.ndim(x) < 2 or np.size(x) < 1:
        raise InputError(
            f"{name} inputs have shape {np.shape(x)}; they need (examples, features), not empty"
        )
    if y is not None and np.shape(y)[:1] != np.shape(x)[:1]:
        given = np.shape(y)[0] if np.ndim(y) else "no"
        raise InputError(
            f"{name} has {np.shape(x)[0]} inputs and {given} targets; give one per input"
        )


def _check_kind(what: str, array: Any) -> None:
    """Of real numbers or truth values.

    Raises:
      InputError: what they are instead, and what to do.
    """
    dtype = array.dtype
    numbers = isinstance(dtype, np.dtype) and (
        jnp.issubdtype(dtype, jnp.floating) or dtype.kind in "biu"
    )
    if numbers:
        return
    kind = getattr(dtype, "kind", "")
    if kind == "O":
        first = next(iter(np.asarray(array, object).ravel()), None)
        ragged = isinstance(first, np.ndarray | list | tuple)
        fix = "make its rows of one length" if ragged else "make numbers of it"
    elif kind in "US":
        fix = "give numbers: an integer for each word or label"
    elif kind == "c":
        fix = "give the real and the imaginary part as features of their own"
    else:
        fix = "give floating-point numbers or integers"
    raise InputError(f"{what} are of type {dtype}; {fix}")
