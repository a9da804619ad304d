"""Directions in which a whole network of dense layers can move without moving its outputs.

Gauss-Newton's null space is that of the Jacobian: directions that leave every output on
every example where it is, to first order. They are given reasons, the first that applies:

  dead_unit        a unit that no output depends on, on any example (never active, or all
                   that it feeds is dead): all its incoming weights. Its outgoing ones see
                   an input that never varies;
  constant_input   an input of the layer that never varies, which the bias can imitate;
  collinear_input  inputs of the layer that are combinations of others on the data;
  rarely_active    the examples on which outputs depend on the unit span less than all do;
  rescaling        incoming weights and bias of a hidden unit times a, outgoing ones over a:
                   exact where phi(a z) = a phi(z), a > 0, one for each live hidden unit;
  imitated         what a change of a hidden unit does on the data, other weights of the next
                   layer can undo with the features that it sees: so for units that are linear
                   on the data, and for all where a skip connection shows the next layer what
                   the unit sees;
  output_rank      the Jacobian has at most examples x outputs rows that differ from 0;
  other            what remains.

The first four leave the network's function on the data unchanged for any step that keeps
units on their side, so they are null directions of the Hessian as well. The rescalings are
curves theta(t) of equal loss, whose second derivative gives d^T H d = - g^T theta''(0): null
for the Hessian only where the gradient g is 0. Permutations of hidden units are further
equal solutions but no directions (`log10_permutations`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxid.core.precision import float64, widened
from jaxid.core.types import Array, Params
from jaxid.curvature.last_layer.activation import derivative
from jaxid.linalg.eigen import EPS
from jaxid.nets.activations import activation
from jaxid.nets.model import Model

REASONS = (
    "dead_unit",
    "constant_input",
    "collinear_input",
    "rarely_active",
    "rescaling",
    "imitated",
)
"""Those of which directions are built."""
Dense: TypeAlias = tuple[np.ndarray, np.ndarray | None]
"""(kernel, bias) of one layer, or a direction of them."""
HOMOGENEOUS = frozenset({"relu", "leaky_relu", "linear"})
"""phi(a z) = a phi(z) for a > 0."""
RANK = 1e-9
"""Singular values below this share of the largest count as zero in the directions' rank."""


class Directions(NamedTuple):
    """Null directions by reason, as a basis that is not orthogonal.

    Attributes:
      by_reason: reason -> (k, q) float64 in raveled coordinates.
      log10_permutations: log10 of the number of equal solutions by permuting hidden units.
    """

    by_reason: dict[str, np.ndarray]
    log10_permutations: float


@dataclass(frozen=True)
class Reasons:
    """How many null directions have which reason, as the module has them; each is counted once.

    Attributes:
      dead_unit, constant_input, collinear_input, rarely_active, rescaling, imitated: such
        directions, less those that came before.
      output_rank: what fewer outputs than parameters explain beyond them.
      other: without a reason.
    """

    dead_unit: int
    constant_input: int
    collinear_input: int
    rarely_active: int
    rescaling: int
    imitated: int
    output_rank: int
    other: int

    @property
    def total(self) -> int:
        """All of them."""
        return sum(astuple(self))


def null_directions(model: Model, params: Params, inputs: Array) -> Directions:
    """Build the directions of a network of dense layers.

    Args:
      model: of dense layers that are known (`jaxid.nets.mlp.identity_network`).
      params: its parameters, any dtype, taken as float64.
      inputs: (n, d), what the network sees.

    Returns:
      Directions. Every one of them is built from the network's structure; that Gauss-Newton
      times it is 0 is for the caller (or a test) to see.

    Raises:
      ValueError: for a model whose layers are not known.
    """
    if not model.layers:
        raise ValueError("the model's layers are not known; give dense layers")
    with float64():
        params, inputs = widened(params), jnp.asarray(inputs, jnp.float64)
        names = model.activations
        layers = [layer.get(params) for layer in model.layers]
        skips = [layer.skip for layer in model.layers]
        seen, sensitive, slopes = _layers(layers, names, inputs, skips)
        found: dict[str, list[np.ndarray]] = {reason: [] for reason in REASONS}

        def add(reason: str, parts: dict[int, Dense]) -> None:
            found[reason].append(_flat(model, params, parts))

        for index, (kernel, bias) in enumerate(layers):
            bases = _unit_bases(seen[index], sensitive[index], bias is not None)
            for unit, reason, vector in bases:
                add(reason, {index: _column(_host((kernel, bias)), unit, vector)})
        for index in range(len(layers) - 1):
            here, after = (_host(layer) for layer in layers[index : index + 2])
            # What goes round the unit is not rescaled with it.
            if not any(skips[index : index + 2]) and names[index] in HOMOGENEOUS:
                for j in np.flatnonzero(sensitive[index].any(axis=0)):
                    add("rescaling", _rescaled(index, here, after, int(j)))
            if skips[index + 1] and names[index + 1] != "linear":
                continue
            for k in np.flatnonzero(sensitive[index].any(axis=0)):
                fed = after[0][k] + (np.eye(*after[0].shape)[k] if skips[index + 1] else 0.0)
                own = _ones(seen[index], here[1] is not None)
                other = _ones(seen[index + 1], after[1] is not None)
                both = np.concatenate([slopes[index][:, k, None] * own, -other], axis=1)
                for pair in _null(both):
                    change, undone = np.split(pair, [own.shape[1]])
                    parts = {
                        index: _column(here, int(k), change),
                        index + 1: _outer(after, -undone, fed),
                    }
                    add("imitated", parts)
        order = ravel_pytree(params)[0].size
    hidden = [kernel.shape[1] for kernel, _ in layers[:-1]]
    return Directions(
        {
            reason: np.stack(rows) if rows else np.zeros((0, order))
            for reason, rows in found.items()
        },
        sum(math.lgamma(width + 1) for width in hidden) / math.log(10),
    )


def count_reasons(directions: Directions, null_dim: int, *, order: int, outputs: int) -> Reasons:
    """How many null directions have which reason; they sum to ``null_dim``.

    Args:
      directions: from `null_directions`.
      null_dim: of the Gauss-Newton matrix, counted from its eigenvalues.
      order: its order.
      outputs: examples times outputs, which bounds its rank.
    """
    counts: dict[str, int] = {}
    rows, rank = np.zeros((0, order)), 0
    for reason in REASONS:
        rows = np.concatenate([rows, _unit_rows(directions.by_reason[reason])])
        now = min(_rank(rows), null_dim)
        counts[reason] = now - rank
        rank = now
    # What the bound on the rank alone would leave flat, less what has a reason already.
    bound = max(0, order - outputs)
    output_rank = max(0, min(null_dim, bound) - rank)
    left = null_dim - rank - output_rank
    return Reasons(**counts, output_rank=output_rank, other=left)


def _rank(rows: np.ndarray) -> int:
    if not rows.size:
        return 0
    values = np.linalg.svd(rows, compute_uv=False)
    return int(np.count_nonzero(values > RANK * values[0]))


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[lengths[:, 0] > 0] / lengths[lengths[:, 0] > 0]


def _layers(
    layers: Sequence[tuple[Array, Array | None]],
    names: Sequence[str],
    x: Array,
    skips: Sequence[bool],
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """For each layer what its units see, (n, p); whether any output depends on each unit's
    pre-activation, (n, width) bool, by the slope of a random combination of outputs; and the
    activation's slope there, (n, width)."""

    def forward(moves: list[Array]) -> tuple[Array, tuple[list[Array], list[Array]]]:
        h, seen, before = x, [], []
        for (kernel, bias), name, skip, move in zip(layers, names, skips, moves, strict=True):
            seen.append(h)
            z = h @ kernel + move
            z = z if bias is None else z + bias[None, :]
            before.append(z)
            after = activation(name)(z)
            h = after + h if skip else after
        return h, (seen, before)

    moves = [jnp.zeros((x.shape[0], kernel.shape[1])) for kernel, _ in layers]
    outputs, (seen, before) = forward(moves)
    random = jax.random.normal(jax.random.key(0), outputs.shape, outputs.dtype)
    slopes = jax.grad(lambda moves: jnp.sum(forward(moves)[0] * random))(moves)
    return (
        [np.asarray(h) for h in seen],
        [np.asarray(s) != 0 for s in slopes],
        [derivative(name, np.asarray(z)) for name, z in zip(names, before, strict=True)],
    )


def _host(layer: tuple[Any, Any]) -> Dense:
    kernel, bias = layer
    return np.asarray(kernel), None if bias is None else np.asarray(bias)


def _unit_bases(
    seen: np.ndarray, sensitive: np.ndarray, with_bias: bool
) -> list[tuple[int, str, np.ndarray]]:
    """(unit, reason, direction of its incoming weights and bias) of one layer."""
    p = seen.shape[1]
    rows = _ones(seen, with_bias)
    constant = np.zeros((0, rows.shape[1]))
    fixed = np.ptp(seen, axis=0) == 0 if with_bias else ~seen.any(axis=0)
    for feature in np.flatnonzero(fixed):
        vector = np.zeros(rows.shape[1])
        vector[feature] = 1.0
        if with_bias:
            vector[p] = -seen[0, feature]
        constant = np.concatenate([constant, vector[None, :]])
    shared = _outside(_null(rows), constant)
    found = []
    for unit in range(sensitive.shape[1]):
        mask = sensitive[:, unit]
        if not mask.any():
            found += [(unit, "dead_unit", e) for e in np.eye(rows.shape[1])]
            continue
        found += [(unit, "constant_input", v) for v in constant]
        found += [(unit, "collinear_input", v) for v in shared]
        if not mask.all():
            known = np.concatenate([constant, shared])
            found += [(unit, "rarely_active", v) for v in _outside(_null(rows[mask]), known)]
    return found


def _null(rows: np.ndarray) -> np.ndarray:
    """(k, q) orthonormal v with rows v = 0: what the second moment's eigenvalues, squares of
    the singular values, do not tell from 0."""
    q = rows.shape[1]
    _, values, vectors = np.linalg.svd(rows, full_matrices=True)
    edge = (q * EPS) ** 0.5 * values.max(initial=0.0)
    return vectors[int(np.count_nonzero(values > edge)) :].reshape(-1, q)


def _outside(space: np.ndarray, known: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what ``space`` (orthonormal rows) has beyond ``known`` in it."""
    if not known.size or not space.size:
        return space
    inside = np.linalg.qr(space @ known.T, mode="complete")[0]
    return inside[:, known.shape[0] :].T @ space


def _ones(seen: np.ndarray, with_bias: bool) -> np.ndarray:
    """What a layer's weights and bias multiply: [h, 1], or h without a bias."""
    if not with_bias:
        return seen
    return np.concatenate([seen, np.ones((seen.shape[0], 1))], axis=1)


def _column(layer: Dense, unit: int, vector: np.ndarray) -> Dense:
    """A direction of one unit's incoming weights and bias."""
    return _outer(layer, vector, np.eye(layer[0].shape[1])[unit])


def _outer(layer: Dense, rows: np.ndarray, columns: np.ndarray) -> Dense:
    """A direction of a layer: rows (inputs, then the bias) times columns (units)."""
    p = layer[0].shape[0]
    kernel = np.outer(rows[:p], columns)
    return kernel, None if layer[1] is None else rows[p] * columns


def _rescaled(index: int, here: Dense, after: Dense, j: int) -> dict[int, Dense]:
    """Unit j's incoming weights and bias up, its outgoing weights down."""
    kernel, bias = here
    vector = kernel[:, j] if bias is None else np.append(kernel[:, j], bias[j])
    outgoing = np.zeros_like(after[0])
    outgoing[j] = -after[0][j]
    return {index: _column(here, j, vector), index + 1: (outgoing, None)}


def _flat(model: Model, params: Params, parts: dict[int, Dense]) -> np.ndarray:
    """A direction in raveled coordinates, from its layers' kernels and biases."""
    zeros: Any = jax.tree.map(lambda leaf: np.zeros(leaf.shape), params)
    for index, (kernel, bias) in parts.items():
        zeros = model.layers[index].put(zeros, kernel, bias)
    return np.asarray(ravel_pytree(zeros)[0])
