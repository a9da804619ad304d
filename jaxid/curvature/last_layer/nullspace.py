"""Directions in which the last layer can move without changing anything on the data, and why.

A direction of output unit j's block is null if its eigenvalue is within the block's
threshold of zero. Each is given one reason, the first that applies:

  dead_unit        the unit never fires, so its whole block is zero;
  constant_input   a feature that never varies, which the bias can imitate (without a bias:
                   a feature that is always 0);
  collinear_input  features that are linear combinations of others on the data (the null
                   space of the second moment of [x, 1] beyond the constants);
  rarely_active    the examples on which the unit is active span less than all examples do.

The first three are the same for every input of the layer, the last is the unit's own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxid.curvature.conditioning import Moment, second_moment
from jaxid.curvature.last_layer.spectrum import HeadSpectrum
from jaxid.linalg.gram import reduced_gram
from jaxid.linalg.rows import prepare_rows

REFINEMENTS = 2
"""Each takes the error of a null vector down by about the square root of eps."""


class NullReasons(NamedTuple):
    """How many null directions have which reason; exclusive, and they sum to ``null_dim``.

    Attributes:
      dead_unit, constant_input, collinear_input, rarely_active: counts over all outputs.
      null_dim: their sum.
      by_output: (m, 4) the same counts output by output, in that order.
      texts: one sentence for each reason, by its name.
    """

    dead_unit: int
    constant_input: int
    collinear_input: int
    rarely_active: int
    null_dim: int
    by_output: np.ndarray
    texts: dict[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """The four counts by name."""
        return {name: getattr(self, name) for name in REASONS}


REASONS = ("dead_unit", "constant_input", "collinear_input", "rarely_active")


def null_reasons(
    features: np.ndarray, spectrum: HeadSpectrum, *, bias: bool, moment: Moment | None = None
) -> NullReasons:
    """Give every null direction of the last layer its reason.

    Args:
      features: (n, p), the layer's inputs.
      spectrum: of the layer, on the same features.
      bias: whether the layer has one.
      moment: ``second_moment(features, bias=bias)``, if it is at hand.

    Returns:
      NullReasons. Where a block's own, lower threshold calls an eigenvalue nonzero that the
      inputs' threshold calls zero, the collinear count of that output is lowered, so that
      the reasons always sum to what the spectrum counts.
    """
    moment = second_moment(features, bias=bias) if moment is None else moment
    constants = int(np.count_nonzero(constant_features(features, bias=bias)))
    collinear = moment.null_dim - constants
    dead = spectrum.dead
    remaining = np.where(dead, 0, spectrum.null_dims)
    columns = [np.where(dead, spectrum.null_dims, 0)]
    for count in (constants, collinear):
        columns.append(np.minimum(np.where(dead, 0, count), remaining))
        remaining = remaining - columns[-1]
    by_output = np.stack([*columns, remaining], axis=1)
    live, order = int(np.count_nonzero(~dead)), spectrum.eigenvalues.shape[1]
    own = int(np.count_nonzero(by_output[:, 3]))
    always = "are constant" if bias else "are 0 on every example"
    texts = {
        "dead_unit": f"{dead.size - live} outputs are active on no example: all {order} "
        "directions of each are flat",
        "constant_input": f"{constants} of {features.shape[1]} inputs {always}: one flat "
        f"direction each for {live} live outputs",
        "collinear_input": f"{collinear} further combinations of inputs are the same on every "
        f"example: {collinear} flat directions for each of {live} live outputs",
        "rarely_active": f"for {own} live outputs the examples on which they are active leave "
        "further directions unseen",
    }
    dead_unit, constant, combined, rare = (int(count) for count in by_output.sum(axis=0))
    return NullReasons(dead_unit, constant, combined, rare, int(by_output.sum()), by_output, texts)


def constant_features(features: np.ndarray, *, bias: bool = True) -> np.ndarray:
    """(p,) bool: features that make a null direction by themselves.

    With a bias all that never vary, without one only those that are 0 throughout.
    """
    if not bias:
        return ~np.any(features, axis=0)
    return features.max(axis=0) == features.min(axis=0)


def input_null_basis(features: np.ndarray, bias: bool = True) -> np.ndarray:
    """An orthonormal basis of the directions v with x~_i v = 0 on every example.

    Eigenvectors of the Gram matrix alone leave |x~ v| near the square root of eps; they are
    refined by v <- v - X~^+ (X~ v), the residual taken from the data itself.

    Args:
      features: (n, p), any real dtype.
      bias: whether x~ = [x, 1] (the last coordinate of v belongs to it) or x.

    Returns:
      (p + 1 or p, k) float64; k = 0 if only v = 0 has x~ v = 0.
    """
    rows = prepare_rows(features, ones=bias)
    gram = reduced_gram(rows)
    k = rows.columns.size
    values, vectors = np.linalg.eigh(gram.matrix) if k else (np.zeros(0), np.zeros((0, 0)))
    edge = rows.order * np.finfo(np.float64).eps * values.max(initial=0.0) + gram.error
    kept = values > edge
    null = vectors[:, ~kept]
    for _ in range(REFINEMENTS if null.size else 0):
        pulled = np.zeros_like(null)
        for start in range(0, rows.values.shape[0], rows.chunk):
            x = rows.values[start : start + rows.chunk].astype(np.float64) + rows.shift
            pulled += x.T @ (x @ null)
        null = null - vectors[:, kept] @ ((vectors[:, kept].T @ pulled) / values[kept, None])
        null = np.linalg.qr(null)[0]
    dropped = np.setdiff1d(np.arange(rows.order), rows.columns)
    basis = np.zeros((rows.order, dropped.size + null.shape[1]))
    basis[dropped, np.arange(dropped.size)] = 1.0
    basis[rows.columns, dropped.size :] = null
    return basis
