"""What the identity family could have represented on the range of its data, whatever was
trained."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxid.core.io import encode
from jaxid.core.precision import float64
from jaxid.expressivity.family import Target
from jaxid.expressivity.verdict import Verdict, verdict
from jaxid.identity.representation import family_of, representability
from jaxid.identity.spec import IdentitySpec
from jaxid.problem.problem import Problem

Record = dict[str, Any]


def family_record(spec: IdentitySpec, problem: Problem) -> tuple[Record, dict[str, np.ndarray]]:
    """(the verdict as JSON, the witness's parameters by name): on the worst error over the
    range, and, under ``mean_square``, on the loss over the training set
    (`jaxid.identity.representation`)."""
    mean_square, _ = encode(representability(spec, problem)[0])
    found, words = family_verdict(spec, problem)
    written: dict[str, np.ndarray] = {}
    if found is not None and found.witness is not None:
        for k, (kernel, bias) in enumerate(found.witness.layers):
            written |= {f"witness/kernel_{k}": kernel, f"witness/bias_{k}": bias}
    return verdict_record(found, words) | {"mean_square": mean_square}, written


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
